"""WHAT THE LOGS HELD: how many events of each kind, and whether they said whose and when; pure."""

from collections import Counter
from collections.abc import Sequence
from typing import cast

from wscheck.model.events import Event, Unreadable

MAX_SHOWN_UNREADABLE = 5
"""How many of the lines that cannot be read are shown; all are counted."""


class EventCounter:
    """Counts what was read, many events at a time.

    untimed     how many had no time, of those that could be read
    unreadable  the `MAX_SHOWN_UNREADABLE` that could not be read
    """

    def __init__(self) -> None:
        self._kinds: Counter[type[Event]] = Counter()
        self.untimed = 0
        self.unreadable: list[Unreadable] = []

    def add(self, events: Sequence[Event]) -> float | None:
        """Further events; gives the latest time among theirs."""
        self._kinds.update(map(type, events))
        if len(self.unreadable) < min(self._kinds[Unreadable], MAX_SHOWN_UNREADABLE):
            self.unreadable += [event for event in events if isinstance(event, Unreadable)]
            del self.unreadable[MAX_SHOWN_UNREADABLE:]
        times = [event.at for event in events]
        if None in times:
            self.untimed += sum(not isinstance(event, Unreadable) for event in events if event.at is None)
        return max(
            (at for at in times if at is not None) if None in times else cast("list[float]", times), default=None
        )

    @property
    def total(self) -> int:
        """How many in all."""
        return self._kinds.total()

    @property
    def by_type(self) -> Counter[str]:
        """How many of each kind."""
        return Counter({str(kind.__struct_config__.tag): count for kind, count in self._kinds.items()})
