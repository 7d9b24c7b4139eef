"""THE COUNTER of one Locust process: what happens now, second by second, until somebody takes it."""

from wscheck.model.load_statistics import LoadStatistics, SecondCounts, WorkerReport


class Tally:
    """`now` is what happened in the current second; whoever counts, counts there.

    open    connections that are open; users: those that hold or held one and have not stopped
    """

    def __init__(self) -> None:
        self.now = LoadStatistics()
        self.open = self.users = 0
        self._peak = 0
        self._lag = 0.0
        self._since = LoadStatistics()
        self._seconds: list[SecondCounts] = []
        self._rolled: float | None = None

    def opened(self) -> None:
        """One more connection is open."""
        self.open += 1
        self._peak = max(self._peak, self.open)

    def lagged(self, ms: float) -> None:
        """A tick of ours came `ms` late."""
        self.now.lag.add(ms)
        self._lag = max(self._lag, ms)

    def roll(self, at: float) -> None:
        """It is `at` (epoch seconds): the seconds before it are complete."""
        last, self._rolled = self._rolled, at
        if last is None:
            return
        # A stall of ours leaves seconds in which nothing was counted, but their connections were there.
        missing = range(max(int(last), int(at) - 60), int(at) - 1)
        users, connections = self.users, self.open
        self._seconds.extend(
            SecondCounts(second, users=users, open=connections, peak=connections) for second in missing
        )
        self.now.user_s += self.users * max(0.0, at - last)
        if int(at) > int(last):
            self._seconds.append(self._bucket(int(at) - 1))
            self._settle()

    def finish(self, at: float) -> None:
        """The run ends at `at`: the second that has begun is told as far as it went."""
        self.roll(at)
        self._seconds.append(self._bucket(int(at)))
        self._settle()

    def take(self) -> WorkerReport:
        """All since it was last asked. Roll first."""
        report = WorkerReport(self._since, self._seconds)
        self._since, self._seconds = LoadStatistics(), []
        return report

    def _bucket(self, second: int) -> SecondCounts:
        now = self.now
        return SecondCounts(
            second,
            users=self.users,
            open=self.open,
            peak=self._peak,
            attempts=now.attempts,
            connects=now.connects,
            refused=sum(now.refused.values()),
            disconnects=now.disconnected,
            replaced=now.replaced,
            received=now.received,
            duplicated=now.duplicated,
            sent=now.sent,
            heartbeat_lag_ms=round(self._lag, 3),
        )

    def _settle(self) -> None:
        self._since.merge(self.now)
        self.now = LoadStatistics()
        self._peak, self._lag = self.open, 0.0
