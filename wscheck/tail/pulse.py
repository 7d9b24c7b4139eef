"""HOW IT GOES NOW: who holds more than one connection and how fast users connect and are replaced; pure."""

from collections import Counter, defaultdict, deque
from collections.abc import Sequence

from wscheck.events import Connected, Event, Replaced, Unreadable
from wscheck.transitions import Opened, Transition

HISTORY_S = 60


class Rate:
    """Occurrences in each of the last HISTORY_S seconds."""

    def __init__(self) -> None:
        self._second = self._first = -1
        self._now = 0
        self._before: deque[int] = deque([0] * (HISTORY_S - 1), maxlen=HISTORY_S - 1)

    def add(self, at: float) -> None:
        """One more, at `at`; one that comes late counts with the newest second."""
        if int(at) != self._second:
            self.advance(at)
        self._now += 1

    def advance(self, at: float) -> None:
        """It is `at`."""
        second = int(at)
        if self._first < 0:
            self._first = self._second = second
        passed = second - self._second
        if passed > 0:
            self._before.extend([self._now, *[0] * min(passed - 1, HISTORY_S)])
            self._now, self._second = 0, second

    @property
    def history(self) -> list[int]:
        """The counts of the last seconds, the current one last."""
        return [*self._before, self._now]

    @property
    def per_second(self) -> float:
        """The mean over the last ten whole seconds, or as many as there are; before there is one, what came so far."""
        whole = min(10, self._second - self._first)
        return sum(self.history[-1 - whole : -1]) / whole if whole else float(self.history[-1])


class Pulse:
    """What a live view shows, kept up to date event by event.

    untimed   how many had no time, of those that could be read
    named     whether any said whose connection it was, or which
    over_one  who holds more than one connection, and since when (None where the log has no time)
    """

    def __init__(self) -> None:
        self._seen: defaultdict[type[Event], int] = defaultdict(int)
        self.over_one: dict[str, float | None] = {}
        self.attempts, self.replacements = Rate(), Rate()
        self._rates: dict[type[Event], Rate] = {Connected: self.attempts, Replaced: self.replacements}
        self.untimed = 0
        self.named = False

    def take(self, event: Event, changes: Sequence[Transition]) -> None:
        """One event and what it changed."""
        kind, at = type(event), event.at
        self._seen[kind] += 1
        if at is None:
            self.untimed += kind is not Unreadable
        elif (rate := self._rates.get(kind)) is not None:
            rate.add(at)
        if not self.named:
            self.named = event.user is not None or getattr(event, "sid", None) is not None
        if changes:
            self.carry(changes)

    @property
    def events(self) -> Counter[str]:
        """How many of each kind."""
        return Counter({kind.__name__.lower(): count for kind, count in self._seen.items()})

    def carry(self, changes: Sequence[Transition]) -> None:
        """What changed in who holds what, without an event to count."""
        for change in changes:
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
