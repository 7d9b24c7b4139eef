"""WHAT TIME IT IS IN THE LOGS: which events count by their time, what is now, and what was not heard of for long."""

import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from wscheck.config.settings import parse_duration
from wscheck.detect.changes import ClosedChange, LedgerChange, OpenedChange
from wscheck.model.events import Event


class TimeWindow(msgspec.Struct, frozen=True):
    """Which events count, by their time in seconds since the Unix epoch; those without a time always do."""

    since: float | None = None
    until: float | None = None

    @property
    def bounded(self) -> bool:
        """Whether there is an event that would not count."""
        return self.since is not None or self.until is not None

    def holds(self, at: float | None) -> bool:
        """Whether an event at `at` counts."""
        if at is None:
            return True
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def begins_after(self, at: float | None) -> bool:
        """Whether an event at `at` is of the time before."""
        return at is not None and self.since is not None and at < self.since


class LogClock:
    """The logs' time: that of the last event (`last`), and from there on it runs as ours does.

    A server's clock may be off, and a log read from its start may be of yesterday: what matters is how much time
    passed since the last event, not what our clock shows.
    """

    def __init__(self) -> None:
        self.last: float | None = None
        self._heard, self._fresh = time.monotonic(), False

    def heard(self, at: float | None) -> None:
        """Events have just arrived, the latest at `at`; None: none of them had a time."""
        if at is not None and (self.last is None or at >= self.last):
            self.last = at
            self._fresh = True

    def arrived(self) -> None:
        """All that had arrived was heard: from here on time passes as ours does."""
        if self._fresh:
            self._fresh, self._heard = False, time.monotonic()

    def now(self) -> float | None:
        """The time it is in the logs, None while no event had one."""
        return None if self.last is None else self.last + time.monotonic() - self._heard

    def passed(self, since: float) -> float:
        """Seconds since `since`, 0 before the first event."""
        now = self.now()
        return now - since if now is not None else 0.0


class ConnectionAges:
    """How long ago each open connection was opened; kept only where a limit is set (`limited`)."""

    def __init__(self, limit: float | None) -> None:
        self._limit, self.limited = limit, limit is not None
        self._opened: OrderedDict[str, float] = OrderedDict()

    def take(self, event: Event, changes: Iterable[LedgerChange]) -> None:
        """What an event changed."""
        if not self.limited or event.at is None:
            return
        for change in changes:
            if isinstance(change, OpenedChange):
                self._opened[change.sid] = event.at
            elif isinstance(change, ClosedChange):
                self._opened.pop(change.sid, None)
            elif change.old_sid is not None:
                self._opened.pop(change.old_sid, None)

    def stale(self, now: float | None) -> Iterator[str]:
        """The connections open for longer than the limit, the oldest first; each is given once."""
        while now is not None and self._limit is not None and self._opened:
            sid, at = next(iter(self._opened.items()))
            if now - at <= self._limit:
                return
            del self._opened[sid]
            yield sid


def parse_time(raw: str) -> float:
    """Seconds since the epoch from "2026-11-23T12:00:00Z", "2026-11-23 12:00" (local time), or "90m": so long ago."""
    with contextlib.suppress(ValueError):
        return time.time() - parse_duration(raw)
    try:
        return datetime.fromisoformat(str(raw)).timestamp()
    except ValueError:
        raise ValueError(f"{raw!r} is not a time: write 2026-11-23T12:00:00Z, or 90m for so long ago") from None
