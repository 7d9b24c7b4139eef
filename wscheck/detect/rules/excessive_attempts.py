"""Rule: a user attempts to connect far more often than one page needs."""

from collections.abc import Mapping

import msgspec

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import ActionPerformed, Connected, Connecting, Event, Refused
from wscheck.model.findings import Confidence, Severity

MAX_STORED_ATTEMPTS = 1_000
"""Attempts stored per user."""

AttemptOwner = str | tuple[str, str | None, int]
"""User, or user, page and document if the document is known."""

SHARED_TIME_S = 0.001

OTHER_TRIES = frozenset({"absent", "empty", "altered", "unsigned", "expired"})
"""Credentials that a scenario tries once each, with which no page connects."""

MAX_PAUSE_S = 90.0
"""Longest time between two attempts of one loop (seconds): proxies close idle connections after a minute."""

MIN_LOOP_S, MIN_LOOP_ATTEMPTS = 120.0, 10
"""Shortest duration and smallest number of attempts from which on regular attempts count as a loop."""

MAX_RELATIVE_DEVIATION = 0.5
"""Largest standard deviation of the intervals of a loop, relative to their mean.

A delay with jitter of 50 % deviates by 0.29, a person who reloads a page by about 1.
"""


class ReconnectLoop(msgspec.Struct):
    """Connection attempts of a user without a long pause: their times, and the mean and variance of the intervals."""

    first: float
    last: float
    attempts: int = 1
    mean: float = 0.0
    squares: float = 0.0

    def add(self, at: float) -> None:
        """Add an attempt."""
        interval = at - self.last
        if not 0 <= interval <= MAX_PAUSE_S:
            self.first, self.attempts, self.mean, self.squares = at, 0, 0.0, 0.0
        else:
            delta = interval - self.mean
            self.mean += delta / self.attempts
            self.squares += delta * (interval - self.mean)
        self.last = at
        self.attempts += 1

    @property
    def duration(self) -> float:
        return self.last - self.first

    @property
    def is_loop(self) -> bool:
        """Return whether the attempts are regular, and have continued for minutes."""
        if self.attempts < MIN_LOOP_ATTEMPTS or self.duration < MIN_LOOP_S:
            return False
        return self.squares / (self.attempts - 1) <= (MAX_RELATIVE_DEVIATION * self.mean) ** 2


class ExcessiveAttempts(Rule):
    """Rule: a user makes more than `max_attempts` connection attempts within `attempts_window_s` seconds.

    Attempts are counted separately for each document of a page, because a site of several pages, or a test suite, opens
    one connection per document. The count of a page starts again after each action that wscheck performs on it.
    Attempts that a step of a scenario makes do not count; attempts that the scenario's client makes by itself do.

    A slower loop that continues for minutes is a warning. It starts with the user's second attempt, because nothing is
    stored about users who connected once.

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
    fix = "Connect once and keep the connection; after a failure, wait longer before each attempt, with jitter."
    source = 'origin document (`wscheck docs origin`), "Alert If" item 4: excessive connection attempts'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._attempts: dict[AttemptOwner, float | list[float]] = {}
        self._observes_starts = False
        self._swept_at = self._shared_time = self._loops_swept_at = 0.0
        self._window = self.options.attempts_window_s
        self._loops, self._excessive = dict[AttemptOwner, float | ReconnectLoop](), set[AttemptOwner]()
        self._total = 0
        return {
            Connecting: self._attempt,
            Connected: self._attempt,
            Refused: self._attempt,
            ActionPerformed: self._performed,
        }

    def _performed(self, event: ActionPerformed) -> None:
        """Start to count the attempts of the page again: wscheck's own visits must not look like a loop of the page."""
        if event.by_step:
            return
        for owners in (self._attempts, self._loops):
            for owner in [each for each in owners if isinstance(each, tuple) and each[1] == event.page]:
                del owners[owner]

    def _attempt(self, event: Connecting | Connected | Refused) -> None:  # noqa: PLR0912 - a call costs too much here
        if isinstance(event, Connecting):
            self._observes_starts = True
            if event.by_scenario:
                return
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
        if event.user is None or at is None or event.credential in OTHER_TRIES:
            return
        document = event.document
        owner: AttemptOwner = event.user if document is None else (event.user, event.page, document)
        self._total += 1
        if at - self._swept_at > self._window:
            self._sweep(at)
        recent = self._attempts.get(owner)
        if recent is None:
            # Users whose first attempts are within one millisecond share one float object, which saves memory.
            if not 0 <= at - self._shared_time < SHARED_TIME_S:
                self._shared_time = at
            self._attempts[owner] = self._shared_time
            if self._observes_starts or event.user in self.ledger.stored_counts:
                last = self._loops.get(owner)
                if last is None or (isinstance(last, float) and at - last > MAX_PAUSE_S):
                    self._loops[owner] = at
                else:
                    self._watch_loop(owner, event.user, at, event)
            return
        if isinstance(recent, float):
            recent = self._attempts[owner] = [recent]
        recent.append(at)
        if at < recent[-2]:
            # A late line, or a clock that was set back: then the earlier times are those of another clock.
            recent[:] = sorted(recent) if recent[-2] - at <= self._window else [at]
        while recent[-1] - recent[0] > self._window - event.resolution or len(recent) > MAX_STORED_ATTEMPTS:
            del recent[0]
        if len(recent) > self.options.max_attempts:
            self._excessive.add(owner)
            self._report_attempts(event, len(recent), recent[-1] - recent[0])
        else:
            self._watch_loop(owner, event.user, at, event)

    def _report_attempts(self, event: Event, count: int, span: float) -> None:
        allowed = f"{self.options.max_attempts} in {self._window:g} s"
        message = f"{count} connection attempts within {span:.1f} s (allowed: {allowed})"
        self.report(event.user, message, event.at, event)

    def _watch_loop(self, owner: AttemptOwner, user: str, at: float, event: Event) -> None:
        """Add the attempt to the user's loop. Report a loop that stays below the rate limit but goes on for minutes."""
        loop = self._loops.get(owner)
        if loop is None or (isinstance(loop, float) and not 0 <= at - loop <= MAX_PAUSE_S):
            self._loops[owner] = at
            return
        if isinstance(loop, float):
            loop = self._loops[owner] = ReconnectLoop(loop, loop)
        loop.add(at)
        if loop.is_loop and owner not in self._excessive:
            duration = format_minutes(loop.duration)
            message = f"{loop.attempts} connection attempts within {duration}, one every {loop.mean:.1f} s"
            self.report(
                user,
                f"{message}{self._others(user, loop)}",
                at,
                event,
                key="loop",
                severity=Severity.WARNING,
                confidence=Confidence.MEDIUM,
            )

    def _others(self, user: str, loop: ReconnectLoop) -> str:
        """Return a text with the average attempts per minute of the other users, "" if there are none."""
        others, own = self.ledger.most_users - 1, self.ledger.counts_for(user).connects
        if others < 1:
            return ""
        per_minute = max(0, self._total - own) / others / (loop.duration / 60)
        return f" (each of the other users: {per_minute:.1f} per minute on average)"

    def _sweep(self, at: float) -> None:
        """Remove users without a recent attempt, so that memory depends on activity and not on the number of users."""
        self._swept_at = at
        horizon = at - self._window
        self._attempts = {u: t for u, t in self._attempts.items() if (t[-1] if isinstance(t, list) else t) > horizon}
        if at - self._loops_swept_at > MAX_PAUSE_S:
            self._loops_swept_at, horizon = at, at - MAX_PAUSE_S
            self._loops = {
                u: t for u, t in self._loops.items() if (t.last if isinstance(t, ReconnectLoop) else t) > horizon
            }


def format_minutes(seconds: float) -> str:
    """Return for example "3 min 35 s"."""
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
