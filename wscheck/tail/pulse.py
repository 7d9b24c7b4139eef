"""HOW IT GOES NOW: who holds more than one connection and how fast users connect and are replaced; pure."""

from collections import Counter, deque
from collections.abc import Iterable

from wscheck.events import Connected, Event, Replaced
from wscheck.transitions import Opened, Transition

HISTORY_S = 60


class Rate:
    """Occurrences in each of the last HISTORY_S seconds."""

    def __init__(self) -> None:
        self._second = self._first = -1
        self._counts: deque[int] = deque([0] * HISTORY_S, maxlen=HISTORY_S)

    def add(self, at: float) -> None:
        """One more, at `at`; one that comes late counts with the newest second."""
        self.advance(at)
        self._counts[-1] += 1

    def advance(self, at: float) -> None:
        """It is `at`."""
        second = int(at)
        if second == self._second:
            return
        if self._first < 0:
            self._first = self._second = second
        self._counts.extend([0] * min(max(second - self._second, 0), HISTORY_S))
        self._second = max(second, self._second)

    @property
    def history(self) -> list[int]:
        """The counts of the last seconds, the current one last."""
        return list(self._counts)

    @property
    def per_second(self) -> float:
        """The mean over the last ten whole seconds, or as many as there are; before there is one, what came so far."""
        whole = min(10, self._second - self._first)
        return sum(self.history[-1 - whole : -1]) / whole if whole else float(self.history[-1])


class Pulse:
    """What a live view shows, kept up to date event by event.

    timed     how many had a time
    named     how many said whose connection it was, or which
    over_one  who holds more than one connection, and since when (None where the log has no time)
    """

    def __init__(self) -> None:
        self._seen: dict[type[Event], int] = {}
        self.over_one: dict[str, float | None] = {}
        self.attempts, self.replacements = Rate(), Rate()
        self.timed = self.named = 0

    def take(self, event: Event, changes: Iterable[Transition]) -> None:
        """One event and what it changed."""
        kind, at = type(event), event.at
        self._seen[kind] = self._seen.get(kind, 0) + 1
        if event.user is not None or getattr(event, "sid", None) is not None:
            self.named += 1
        if at is not None:
            self.timed += 1
            if kind is Connected:
                self.attempts.add(at)
            elif kind is Replaced:
                self.replacements.add(at)
        for change in changes:
            self._holdings(change)

    @property
    def events(self) -> Counter[str]:
        """How many of each kind."""
        return Counter({kind.__name__.lower(): count for kind, count in self._seen.items()})

    def carry(self, changes: Iterable[Transition]) -> None:
        """What changed in who holds what, without an event to count."""
        for change in changes:
            self._holdings(change)

    def _holdings(self, change: Transition) -> None:
        user = change.user
        if isinstance(change, Opened):
            if change.others:
                self.over_one.setdefault(change.user, change.event.at)
        elif user is not None and len(change.held) < 2:
            self.over_one.pop(user, None)

    def advance(self, at: float) -> None:
        """It is `at`."""
        self.attempts.advance(at)
        self.replacements.advance(at)
