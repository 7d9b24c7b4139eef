"""How a run goes, read from the stream that its Locust process writes: the latest totals, and every second."""

from pathlib import Path

import msgspec

from wscheck.model import load_statistics as churn
from wscheck.model.load_statistics import Begun, Bucket, Ended, Second, Statistics, Totals, WorkerLost


class Course:
    """What is known of a run so far. `unread` counts lines that were none of the stream's."""

    def __init__(self) -> None:
        self.begun: Begun | None = None
        self.seconds: list[Bucket] = []
        self.totals: Totals | None = None
        self.lost: list[WorkerLost] = []
        self.ended: Ended | None = None
        self.unread = 0

    def take(self, line: bytes) -> None:
        """One line of the stream."""
        try:
            told = churn.read(line)
        except msgspec.DecodeError:
            self.unread += 1
            return
        if isinstance(told, Begun):
            self.begun = told
        elif isinstance(told, Second):
            self.seconds.append(told.bucket)
        elif isinstance(told, Totals):
            self.totals = told
        elif isinstance(told, WorkerLost):
            self.lost.append(told)
        else:
            self.ended = told

    @property
    def statistics(self) -> Statistics:
        """The latest that is known; nothing at all before the first report."""
        latest = self.ended or self.totals
        return latest.statistics if latest is not None else Statistics()

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
