"""HOW FAST IT GOES: how often users connect and are replaced, second by second, as a live view shows it; pure."""

from collections import deque

from wscheck.model.events import Connected, Event, Replaced

HISTORY_S = 60


class RateHistory:
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


class ConnectionRates:
    """The two rates that a live view shows."""

    def __init__(self) -> None:
        self.attempts, self.replacements = RateHistory(), RateHistory()

    def take(self, event: Event) -> None:
        """One event; without a time it has no rate."""
        if event.at is None:
            return
        if isinstance(event, Connected):
            self.attempts.add(event.at)
        elif isinstance(event, Replaced):
            self.replacements.add(event.at)

    def advance(self, at: float) -> None:
        """It is `at`."""
        self.attempts.advance(at)
        self.replacements.advance(at)
