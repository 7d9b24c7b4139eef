"""Statistics of all workers, added up in the master (or the single process) and written to an NDJSON stream."""

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

MAX_WAIT_S = 6
"""Longest time, in seconds, that the statistics of one second are held back for a worker that has not reported them."""

SHOWN_SECONDS = 300
"""Number of seconds that the Connections page of Locust's web UI plots."""


class WorkerStatistics:
    """Sum of the reports of one worker.

    state  "running"; "closed" after its last report; "lost" if the connection to the worker broke
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.statistics = LoadStatistics()
        self.last_report_at: float | None = None
        self.last_second = SecondCounts(0)
        self.state = "running"


class RunAggregator:
    """Statistics of a run. Times are epoch seconds.

    `stream` is the path of the NDJSON file to append to, or None. `state` is "ready", "running", "stopping" or "ended".
    """

    def __init__(self, stream: str | None) -> None:
        self._stream = Path(stream) if stream else None
        self._reset()

    def _reset(self) -> None:
        self.workers: dict[str, WorkerStatistics] = {}
        self.run: RunStarted | None = None
        self.statistics = LoadStatistics()
        self.peak = 0
        self.state = "ready"
        self.recent_seconds: list[SecondCounts] = []
        self._pending: dict[int, SecondCounts] = {}
        self._last_written = 0

    def start_run(self, run: RunStarted) -> None:
        """Start a run and discard the statistics of an earlier one."""
        self._reset()
        self.run, self.state = run, "running"
        self._write(run)

    def add_worker(self, worker: str, index: int) -> None:
        """Add a worker that has not reported yet.

        The statistics of a second are written only when all workers have reported.
        """
        self.workers.setdefault(worker, WorkerStatistics(index))

    def add_report(self, worker: str, report: WorkerReport, at: float) -> None:
        """Add a report. The seconds in the report are complete: no other report of the worker contains them."""
        reporter = self.workers.setdefault(worker, WorkerStatistics(len(self.workers)))
        reporter.last_report_at = at
        if reporter.state == "lost":
            reporter.state = "running"
        reporter.statistics.merge(report.statistics)
        self.statistics.merge(report.statistics)
        for second in report.seconds:
            reporter.last_second = second
            if second.at > self._last_written:
                self._pending.setdefault(second.at, SecondCounts(second.at)).merge(second)

    def worker_closed(self, worker: str) -> None:
        """Mark a worker as closed, because it has sent its last report."""
        if worker in self.workers:
            self.workers[worker].state = "closed"

    def worker_lost(self, worker: str, at: float) -> None:
        """Handle a running worker whose process or connection has failed, so that it sends no more reports."""
        lost = self.workers.get(worker)
        if lost is None or lost.state != "running":
            return
        lost.state = "lost"
        last = lost.last_second
        self._write(WorkerLost(worker, lost.index, at, lost.last_report_at, last.users, last.open, lost.statistics))

    def tick(self, at: float) -> None:
        """Write the seconds that are complete, then the totals up to now.

        A second is complete if all running workers have reported it, or if it is at least MAX_WAIT_S old.
        """
        self._write_seconds(int(at) - MAX_WAIT_S)
        last = self.recent_seconds[-1] if self.recent_seconds else SecondCounts(0)
        ready = self._count("running") + self._count("closed")
        lost = self._count("lost")
        self._write(RunTotals(at, self.state, last.users, last.open, self.peak, ready, lost, self.statistics))

    def end_run(self, at: float) -> None:
        """End the run. No report may follow."""
        if self.run is None or self.state == "ended":
            return
        self._write_seconds(int(at))
        self.state = "ended"
        self.tick(at)
        lost_open = sum(each.last_second.open for each in self.workers.values() if each.state == "lost")
        self._write(
            RunEnded(
                at=at,
                duration_s=at - self.run.started_at,
                workers=self.run.workers,
                workers_lost=self._count("lost"),
                connections_open=self.statistics.open - lost_open,
                connections_peak=self.peak,
                lost_open=lost_open,
                statistics=self.statistics,
            )
        )

    @property
    def open(self) -> int:
        """Connections open at the end of the last complete second."""
        return self.recent_seconds[-1].open if self.recent_seconds else 0

    @property
    def users(self) -> int:
        """Users at the end of the last complete second."""
        return self.recent_seconds[-1].users if self.recent_seconds else 0

    def _count(self, state: str) -> int:
        return sum(each.state == state for each in self.workers.values())

    def _write_seconds(self, until: int) -> None:
        """Write every second up to `until`, and those seconds after it that all running workers have reported."""
        running = (each.last_second.at for each in self.workers.values() if each.state == "running")
        reported_by_all = min(running, default=until)
        for at in sorted(self._pending):
            if at > max(until, reported_by_all):
                break
            second = self._pending.pop(at)
            self._last_written = at
            self.peak = max(self.peak, second.peak)
            self.recent_seconds = [*self.recent_seconds[1 - SHOWN_SECONDS :], second]
            self._write(SecondCompleted(second))

    def _write(self, record: StreamRecord) -> None:
        if self._stream is not None:
            with self._stream.open("ab") as file:
                file.write(encode_record(record))


def encode_report(report: WorkerReport) -> bytes:
    """Return a report as a worker sends it to the master."""
    return msgspec.msgpack.encode(report)


def decode_report(data: bytes) -> WorkerReport:
    """Return the report of a worker from the bytes that it sent to the master."""
    return msgspec.msgpack.decode(data, type=WorkerReport)
