"""Progress of a load run, read from the stream of its Locust process (schema wscheck.load-stream/1)."""

from pathlib import Path

import msgspec

from wscheck.model.load_statistics import (
    LoadStatistics,
    RunEnded,
    RunStarted,
    RunTotals,
    SecondCompleted,
    SecondCounts,
    WorkerLost,
    decode_record,
)


class RunProgress:
    """Records of a run read so far. `run`, `totals` and `ended` are None until the first record of their kind."""

    def __init__(self) -> None:
        self.run: RunStarted | None = None
        self.seconds: list[SecondCounts] = []
        self.totals: RunTotals | None = None
        self.lost_workers: list[WorkerLost] = []
        self.ended: RunEnded | None = None
        self.unreadable_lines = 0

    def add_line(self, line: bytes) -> None:
        """Read one line of the stream."""
        try:
            record = decode_record(line)
        except msgspec.DecodeError:
            self.unreadable_lines += 1
            return
        if isinstance(record, RunStarted):
            self.run = record
        elif isinstance(record, SecondCompleted):
            self.seconds.append(record.counts)
        elif isinstance(record, RunTotals):
            self.totals = record
        elif isinstance(record, WorkerLost):
            self.lost_workers.append(record)
        else:
            self.ended = record

    @property
    def statistics(self) -> LoadStatistics:
        """Latest statistics of the run, empty before the first report."""
        latest = self.ended or self.totals
        return latest.statistics if latest is not None else LoadStatistics()

    @property
    def refusals(self) -> int:
        """Number of refused connections of all kinds."""
        return sum(self.statistics.refused.values())


class LineReader:
    """Reader of a file to which another process appends lines."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def new_lines(self) -> list[bytes]:
        """Return the lines that were completed since the last call. The file may not exist yet."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        return complete.splitlines()
