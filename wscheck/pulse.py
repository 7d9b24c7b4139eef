"""HOW IT GOES NOW: who holds more than one connection and how fast users connect and are replaced; pure."""

from collections import Counter, deque
from collections.abc import Iterable

from wscheck.events import Connected, Event, Replaced
from wscheck.transitions import Closed, Opened, Superseded, Transition

HISTORY_S = 60


class Rate:
    """Occurrences in each of the last HISTORY_S seconds."""

    def __init__(self) -> None:
        self._second: int | None = None
        self._counts: deque[int] = deque([0] * HISTORY_S, maxlen=HISTORY_S)

    def add(self, at: float) -> None:
        """One more, at `at`; one that comes late counts with the newest second."""
        self.advance(at)
        self._counts[-1] += 1

    def advance(self, at: float) -> None:
        """It is `at`."""
        second = int(at)
        passed = second - self._second if self._second is not None else HISTORY_S
        self._counts.extend([0] * min(max(passed, 0), HISTORY_S))
        self._second = max(second, self._second or 0)

    @property
    def history(self) -> list[int]:
        """The counts of the last seconds, the current one last."""
        return list(self._counts)

    @property
    def per_second(self) -> float:
        """The mean over the last ten whole seconds."""
        return sum(self.history[-11:-1]) / 10


class Pulse:
    """What a live view shows, kept up to date event by event.

    events    how many of each kind
    timed     how many had a time
    named     how many said whose connection it was, or which
    over_one  who holds more than one connection, and since when (None where the log has no time)
    """

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.over_one: dict[str, float | None] = {}
        self.attempts, self.replacements = Rate(), Rate()
        self.timed = self.named = 0

    def take(self, event: Event, changes: Iterable[Transition]) -> None:
        """One event and what it changed."""
        self.events[type(event).__name__.lower()] += 1
        self.named += event.user is not None or getattr(event, "sid", None) is not None
        if event.at is not None:
            self.timed += 1
            if isinstance(event, Connected):
                self.attempts.add(event.at)
            elif isinstance(event, Replaced):
                self.replacements.add(event.at)
        self.carry(changes)

    def carry(self, changes: Iterable[Transition]) -> None:
        """What changed in who holds what, without an event to count."""
        for change in changes:
            self._holdings(change)

    def _holdings(self, change: Transition) -> None:
        if change.user is None:
            return
        if isinstance(change, Opened):
            if change.others:
                self.over_one.setdefault(change.user, change.event.at)
        elif isinstance(change, Superseded | Closed) and len(change.held) < 2:
            self.over_one.pop(change.user, None)

    def advance(self, at: float) -> None:
        """It is `at`."""
        self.attempts.advance(at)
        self.replacements.advance(at)
