"""Time in the logs: the time window (--since, --until), the current log time, and the ages of open connections."""

import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from wscheck.config.settings import parse_duration
from wscheck.detect.changes import ClosedChange, LedgerChange, OpenedChange, ReplacedChange
from wscheck.model.events import Event


class TimeWindow(msgspec.Struct, frozen=True):
    """The time window (--since, --until), in seconds since the Unix epoch. Only events in it are evaluated.

    An event without a time is always evaluated.
    """

    since: float | None = None
    until: float | None = None

    @property
    def bounded(self) -> bool:
        """True if the time window has a start or an end."""
        return self.since is not None or self.until is not None

    def contains(self, at: float | None) -> bool:
        """Return whether `at` is in the time window. An unknown time (None) is."""
        if at is None:
            return True
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def starts_after(self, at: float | None) -> bool:
        """Return whether `at` is before the start of the time window. An unknown time (None) is not."""
        return at is not None and self.since is not None and at < self.since


class LogClock:
    """The log time: the time of the last event (`last`) plus the time that has passed here since that event was read.

    A server's clock can be wrong, and a log read from its start can be old. Therefore the clock of this machine only
    measures the time since the last event.
    """

    def __init__(self) -> None:
        self.last: float | None = None
        self._read_at, self._advanced = time.monotonic(), False

    def observe(self, at: float | None) -> None:
        """Record that new events were read. `at` is the latest time of these events, None if no event had a time."""
        if at is not None and (self.last is None or at >= self.last):
            self.last = at
            self._advanced = True

    def mark_current(self) -> None:
        """Record that everything available was read. From now on, log time advances with the clock of this machine."""
        if self._advanced:
            self._advanced, self._read_at = False, time.monotonic()

    def now(self) -> float | None:
        """Return the log time, None before the first event with a time."""
        return None if self.last is None else self.last + time.monotonic() - self._read_at

    def elapsed_since(self, at: float) -> float:
        """Return the seconds of log time since `at`, 0 before the first event."""
        now = self.now()
        return now - at if now is not None else 0.0


class ConnectionAges:
    """The opening times of open connections.

    They are recorded only if there is a limit for the age of connections (--stale-after).
    """

    def __init__(self, limit: float | None) -> None:
        self._limit, self.limited = limit, limit is not None
        self._opened: OrderedDict[str, float] = OrderedDict()

    def observe(self, event: Event, changes: Iterable[LedgerChange]) -> None:
        """Record which connections an event opened or ended in the ledger."""
        if not self.limited or event.at is None:
            return
        for change in changes:
            if isinstance(change, OpenedChange):
                self._opened[change.sid] = event.at
            elif isinstance(change, ClosedChange):
                self._opened.pop(change.sid, None)
            elif isinstance(change, ReplacedChange) and change.old_sid is not None:
                self._opened.pop(change.old_sid, None)

    def pop_stale(self, now: float | None) -> Iterator[str]:
        """Remove and yield the connections that have been open for longer than the limit, the oldest first."""
        while now is not None and self._limit is not None and self._opened:
            sid, at = next(iter(self._opened.items()))
            if now - at <= self._limit:
                return
            del self._opened[sid]
            yield sid


def parse_time(raw: str) -> float:
    """Return seconds since the Unix epoch.

    Accepts ISO 8601 (`2026-11-23T12:00:00Z`, or `2026-11-23 12:00` in local time) and a duration before now (`90m`).
    Raises ValueError.
    """
    with contextlib.suppress(ValueError):
        return time.time() - parse_duration(raw)
    try:
        return datetime.fromisoformat(str(raw)).timestamp()
    except ValueError:
        raise ValueError(
            f"{raw!r} is not a time: write 2026-11-23T12:00:00Z, or a duration before now such as 90m"
        ) from None
