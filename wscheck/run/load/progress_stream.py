"""How a run goes, read from the stream that its Locust process writes: the latest totals, and every second."""

from pathlib import Path

import msgspec

from wscheck.model import load_statistics
from wscheck.model.load_statistics import (
    LoadStatistics,
    RunEnded,
    RunStarted,
    RunTotals,
    SecondCompleted,
    SecondCounts,
    WorkerLost,
)


class Course:
    """What is known of a run so far. `unread` counts lines that were none of the stream's."""

    def __init__(self) -> None:
        self.begun: RunStarted | None = None
        self.seconds: list[SecondCounts] = []
        self.totals: RunTotals | None = None
        self.lost: list[WorkerLost] = []
        self.ended: RunEnded | None = None
        self.unread = 0

    def take(self, line: bytes) -> None:
        """One line of the stream."""
        try:
            told = load_statistics.decode_record(line)
        except msgspec.DecodeError:
            self.unread += 1
            return
        if isinstance(told, RunStarted):
            self.begun = told
        elif isinstance(told, SecondCompleted):
            self.seconds.append(told.counts)
        elif isinstance(told, RunTotals):
            self.totals = told
        elif isinstance(told, WorkerLost):
            self.lost.append(told)
        else:
            self.ended = told

    @property
    def statistics(self) -> LoadStatistics:
        """The latest that is known; nothing at all before the first report."""
        latest = self.ended or self.totals
        return latest.statistics if latest is not None else LoadStatistics()

    @property
    def refused(self) -> int:
        return sum(self.statistics.refused.values())


class Tail:
    """Reads whole lines of a file that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path, self._at = path, 0

    def lines(self) -> list[bytes]:
        """The lines that were completed since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                read = file.read()
        except FileNotFoundError:
            return []
        whole = read[: read.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.splitlines()
