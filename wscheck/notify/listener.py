"""Interfaces between a followed log and those who are notified of it."""

from collections.abc import Sequence
from typing import Protocol

from wscheck.detect.changes import LedgerChange
from wscheck.detect.engine import Judge
from wscheck.detect.incidents import Incident, IncidentTracker
from wscheck.model.event_counts import EventCounter
from wscheck.model.events import Event


class LogCounters(Protocol):
    """A log that is followed, with its counters."""

    @property
    def name(self) -> str: ...
    @property
    def lines(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def unreadable(self) -> int: ...


class WatchView(Protocol):
    """State of a followed log that a listener may read."""

    judge: Judge
    incidents: IncidentTracker
    seen: EventCounter
    live: bool
    catching_up: bool
    owing: bool

    @property
    def logs(self) -> Sequence[LogCounters]: ...
    @property
    def bytes(self) -> int: ...


class WatchListener(Protocol):
    """Receiver of events and incidents. No method may block: reading waits for it."""

    def event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """An event was seen and judged."""

    def incident(self, incident: Incident) -> None:
        """An incident opened, grew or resolved."""

    def settled(self, now: float | None) -> None:
        """Everything that was there has been told; `now` is the logs' time, None before the first event."""
