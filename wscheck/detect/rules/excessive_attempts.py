"""Rule: a user attempts to connect far more often than one page needs (documented alert 4)."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Connected, Connecting, Event, Refused
from wscheck.model.findings import Severity

MAX_STORED_ATTEMPTS = 1_000
"""Attempts stored per user."""

AttemptOwner = str | tuple[str, str | None, int]
"""User, or user, page and document if the document is known."""

SHARED_TIME_S = 0.001

OTHER_TRIES = frozenset({"absent", "empty", "altered", "unsigned", "expired"})
"""Credentials that a scenario tries once each, with which no page connects."""


class ExcessiveAttempts(Rule):
    """Rule: a user makes more than `max_attempts` connection attempts within `attempts_window_s` seconds.

    Each document of a page counts by itself: a site of several pages, or a test suite, opens one per document.
    If the source reports the start of an attempt (clients, browsers), the start counts; otherwise the outcome counts
    (server logs). Attempts without a time do not count.
    """

    id = "excessive-attempts"
    severity = Severity.ERROR
    title = "A user connects again and again"
    meaning = (
        "The user's pages attempt many connections in a short time: a loop of replacement and reconnection, or a "
        "client that retries a refusal at once. Each costs the server a handshake and an authentication."
    )
    fix = "Do not reconnect when replaced or refused; otherwise back off with jitter."
    source = 'origin document (`wscheck docs origin`), "Alert If" item 4: excessive connection attempts'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._attempts: dict[AttemptOwner, float | list[float]] = {}
        self._observes_starts = False
        self._swept_at = self._shared_time = 0.0
        self._window = self.options.attempts_window_s
        return {Connecting: self._attempt, Connected: self._attempt, Refused: self._attempt}

    def _attempt(self, event: Connecting | Connected | Refused) -> None:
        if event.credential in OTHER_TRIES:
            return
        if isinstance(event, Connecting):
            self._observes_starts = True
        elif self._observes_starts:
            # The client reported the start of this attempt, so its outcome does not count, whether from client or log.
            return
        elif (
            self.ledger.engine_sessions.has_evidence
            and isinstance(event, Connected)
            and event.sid in self.ledger.engine_sessions
        ):
            return  # a further namespace of a connection
        at = event.at
        if event.user is None or at is None:
            return
        document = event.document
        owner: AttemptOwner = event.user if document is None else (event.user, event.page, document)
        if at - self._swept_at > self._window:
            self._sweep(at)
        recent = self._attempts.get(owner)
        if recent is None:
            # Users whose first attempts are within one millisecond share one float object, which saves memory.
            if not 0 <= at - self._shared_time < SHARED_TIME_S:
                self._shared_time = at
            self._attempts[owner] = self._shared_time
            return
        if isinstance(recent, float):
            recent = self._attempts[owner] = [recent]
        recent.append(at)
        while at - recent[0] > self._window or len(recent) > MAX_STORED_ATTEMPTS:
            del recent[0]
        if len(recent) > self.options.max_attempts:
            self._report_attempts(event, len(recent), at - recent[0])

    def _report_attempts(self, event: Event, count: int, span: float) -> None:
        allowed = f"{self.options.max_attempts} in {self._window:g} s"
        message = f"{count} connection attempts within {span:.1f} s (allowed: {allowed})"
        self.report(event.user, message, event.at, event)

    def _sweep(self, at: float) -> None:
        """Remove users without a recent attempt, so that memory depends on activity and not on the number of users."""
        self._swept_at = at
        horizon = at - self._window
        self._attempts = {u: t for u, t in self._attempts.items() if (t[-1] if isinstance(t, list) else t) > horizon}
