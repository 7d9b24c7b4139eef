"""WHAT ALL WORKERS COUNTED, where the master or the single process adds it up and writes the stream."""

from pathlib import Path

import msgspec

from wscheck.model.load_statistics import (
    LoadStatistics,
    RunEnded,
    RunStarted,
    RunTotals,
    SecondCompleted,
    SecondCounts,
    StreamRecord,
    WorkerLost,
    WorkerReport,
    encode_record,
)

LATE_S = 6
"""How long a second waits for a worker that has not reported it."""

SHOWN_S = 300
"""Seconds that the web page draws."""


class _Worker:
    """What one worker reported so far."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.statistics = LoadStatistics()
        self.last_at: float | None = None
        self.last = SecondCounts(0)
        self.state = "running"


class Board:
    """`path` None writes no stream. Every method takes the time, in epoch seconds."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._forget()

    def _forget(self) -> None:
        self.workers: dict[str, _Worker] = {}
        self.begun: RunStarted | None = None
        self.statistics = LoadStatistics()
        self.peak = 0
        self.state = "ready"
        self.shown: list[SecondCounts] = []
        self._pending: dict[int, SecondCounts] = {}
        self._written = 0

    def begin(self, begun: RunStarted) -> None:
        """A run starts; whatever was is forgotten."""
        self._forget()
        self.begun, self.state = begun, "running"
        self._write(begun)

    def expect(self, worker: str, index: int) -> None:
        """A worker takes part from the start."""
        self.workers.setdefault(worker, _Worker(index))

    def take(self, worker: str, report: WorkerReport, at: float) -> None:
        """A report; the seconds in it are complete for that worker."""
        reporter = self.workers.setdefault(worker, _Worker(len(self.workers)))
        reporter.last_at = at
        if reporter.state == "lost":
            reporter.state = "running"
        reporter.statistics.merge(report.statistics)
        self.statistics.merge(report.statistics)
        for bucket in report.seconds:
            reporter.last = bucket
            if bucket.at > self._written:
                self._pending.setdefault(bucket.at, SecondCounts(bucket.at)).merge(bucket)

    def closed(self, worker: str) -> None:
        """It has said all it had to say."""
        if worker in self.workers:
            self.workers[worker].state = "closed"

    def lose(self, worker: str, at: float) -> None:
        """It went silent."""
        lost = self.workers.get(worker)
        if lost is None or lost.state != "running":
            return
        lost.state = "lost"
        self._write(WorkerLost(worker, lost.index, at, lost.last_at, lost.last.users, lost.last.open, lost.statistics))

    def tick(self, at: float) -> None:
        """Write the seconds that everybody has reported, and the totals."""
        self._flush(int(at) - LATE_S)
        last = self.shown[-1] if self.shown else SecondCounts(0)
        ready = self._count("running") + self._count("closed")
        lost = self._count("lost")
        self._write(RunTotals(at, self.state, last.users, last.open, self.peak, ready, lost, self.statistics))

    def end(self, at: float) -> None:
        """The run is over and everything that will come has come."""
        if self.begun is None or self.state == "ended":
            return
        self._flush(int(at))
        self.state = "ended"
        self.tick(at)
        lost = sum(each.last.open for each in self.workers.values() if each.state == "lost")
        self._write(
            RunEnded(
                at=at,
                duration_s=at - self.begun.started_at,
                workers=self.begun.workers,
                workers_lost=self._count("lost"),
                connections_open=self.statistics.open - lost,
                connections_peak=self.peak,
                lost_open=lost,
                statistics=self.statistics,
            )
        )

    @property
    def open(self) -> int:
        """Connections open in the last complete second."""
        return self.shown[-1].open if self.shown else 0

    @property
    def users(self) -> int:
        """Users in the last complete second."""
        return self.shown[-1].users if self.shown else 0

    def _count(self, state: str) -> int:
        return sum(each.state == state for each in self.workers.values())

    def _flush(self, at_latest: int) -> None:
        """Write every second up to `at_latest`, and later ones that nobody is missing from."""
        reported = min((each.last.at for each in self.workers.values() if each.state == "running"), default=at_latest)
        for second in sorted(self._pending):
            if second > max(at_latest, reported):
                break
            bucket = self._pending.pop(second)
            self._written = second
            self.peak = max(self.peak, bucket.peak)
            self.shown = [*self.shown[1 - SHOWN_S :], bucket]
            self._write(SecondCompleted(bucket))

    def _write(self, line: StreamRecord) -> None:
        if self._path is not None:
            with self._path.open("ab") as stream:
                stream.write(encode_record(line))


def packed(report: WorkerReport) -> bytes:
    """A report as it travels from worker to master."""
    return msgspec.msgpack.encode(report)


def unpacked(data: bytes) -> WorkerReport:
    """The inverse of `packed`."""
    return msgspec.msgpack.decode(data, type=WorkerReport)
