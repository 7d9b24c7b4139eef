"""Numbers of events that were read from logs."""

from collections import Counter
from collections.abc import Sequence

from wscheck.model.events import Connected, Event, Unreadable

MAX_SHOWN_UNREADABLE = 5
"""Largest number of unreadable lines that are shown. All of them are counted."""


class EventCounter:
    """Numbers of events by type.

    untimed     number of readable events without a time
    untimed_openings  number of opened connections without a time
    unreadable  the first `MAX_SHOWN_UNREADABLE` events that could not be read
    """

    def __init__(self) -> None:
        self._kinds: Counter[type[Event]] = Counter()
        self.untimed = self.untimed_openings = 0
        self.unreadable: list[Unreadable] = []

    def add(self, events: Sequence[Event], times: Sequence[float]) -> float | None:
        """Count `events`. `times` contains the times of those that have one; return the latest, None if it is empty."""
        self._kinds.update(map(type, events))
        if len(self.unreadable) < min(self._kinds[Unreadable], MAX_SHOWN_UNREADABLE):
            self.unreadable += [event for event in events if isinstance(event, Unreadable)]
            del self.unreadable[MAX_SHOWN_UNREADABLE:]
        if len(times) < len(events):
            self.untimed_openings += sum(isinstance(event, Connected) for event in events if event.at is None)
            self.untimed += sum(not isinstance(event, Unreadable) for event in events if event.at is None)
        return max(times, default=None)

    @property
    def total(self) -> int:
        """Number of events of all types."""
        return self._kinds.total()

    @property
    def are_timed(self) -> bool:
        """True if an opened connection has a time or, in a log without opened connections, if any event has one."""
        openings = self._kinds[Connected]
        return self.untimed_openings < openings if openings else self.untimed < self.total

    @property
    def by_type(self) -> Counter[str]:
        """Number of events per type, keyed by type tag."""
        return Counter({str(kind.__struct_config__.tag): count for kind, count in self._kinds.items()})
