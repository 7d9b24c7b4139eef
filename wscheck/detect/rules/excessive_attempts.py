"""A user attempts to connect far more often than one page needs (documented alert 4)."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Connected, Connecting, Event, Refused
from wscheck.model.findings import Severity

# Of one user's attempts within a window: enough to tell a storm.
REMEMBERED = 1_000
TICK_S = 0.001


class ExcessiveAttempts(Rule):
    """More than `max_attempts` within `attempts_window_s`. An attempt is what the source can see: its beginning
    where it sees that (clients, browsers), its outcome otherwise (server logs). Attempts without a time are not
    counted: a rate needs a clock."""

    id = "excessive-attempts"
    severity = Severity.ERROR
    title = "A user connects again and again"
    meaning = (
        "The user's pages attempt many connections in a short time: a loop of replacement and reconnection, or a "
        "client that retries a refusal at once. Each costs the server a handshake and an authentication."
    )
    fix = "Do not reconnect when replaced or refused; otherwise back off with jitter."
    source = "documented behaviour, Alert If 4: excessive connection attempts"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._attempts: dict[str, float | list[float]] = {}
        self._sees_beginnings = False
        self._swept = self._tick = 0.0
        self._window = self.options.attempts_window_s
        return {Connecting: self._attempt, Connected: self._attempt, Refused: self._attempt}

    def _attempt(self, event: Event) -> None:
        if isinstance(event, Connecting):
            self._sees_beginnings = True
        elif self._sees_beginnings:
            # With both vantage points at hand the log would count each of the client's attempts a second time.
            return
        elif (
            self.ledger.engine_sessions.has_evidence
            and isinstance(event, Connected)
            and event.sid in self.ledger.engine_sessions
        ):
            return  # a further namespace of a connection
        user, at = event.user, event.at
        if user is None or at is None:
            return
        if at - self._swept > self._window:
            self._sweep(at)
        recent = self._attempts.get(user)
        if recent is None:
            # Whoever begins within one millisecond shares one number: everybody at once must not cost more memory.
            if not 0 <= at - self._tick < TICK_S:
                self._tick = at
            self._attempts[user] = self._tick
            return
        if isinstance(recent, float):
            recent = self._attempts[user] = [recent]
        recent.append(at)
        while at - recent[0] > self._window or len(recent) > REMEMBERED:
            del recent[0]
        if len(recent) > self.options.max_attempts:
            self._tell(event, len(recent), at - recent[0])

    def _tell(self, event: Event, count: int, span: float) -> None:
        allowed = f"{self.options.max_attempts} in {self._window:g} s"
        message = f"{count} connection attempts within {span:.1f} s (allowed: {allowed})"
        self.report(event.user, message, event.at, event)

    def _sweep(self, at: float) -> None:
        """Forget whoever made no attempt for a window: memory follows activity, not the number of users."""
        self._swept = at
        horizon = at - self._window
        self._attempts = {u: t for u, t in self._attempts.items() if (t[-1] if isinstance(t, list) else t) > horizon}
