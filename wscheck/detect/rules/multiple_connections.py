"""A user holds more than one connection, or one page opened more than one (documented alert 1)."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from itertools import pairwise, starmap

from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.detect.ledger import Ledger
from wscheck.detect.node_liveness import NodeLiveness
from wscheck.detect.rules.rule import EventHandler, Rule, apart, opened_by, told_apart
from wscheck.model.disconnect_reasons import (
    EXPIRED_SERVER_RESTART,
    EXPIRED_STALE,
    EXPIRED_UNANNOUNCED,
    SERVER_SHUTTING_DOWN,
)
from wscheck.model.events import AttemptOutcome, Connected, Event, Refused
from wscheck.model.findings import Confidence, Severity
from wscheck.model.gaps import Gap

OVER = frozenset({EXPIRED_SERVER_RESTART, SERVER_SHUTTING_DOWN, EXPIRED_STALE, EXPIRED_UNANNOUNCED})
"""Ends that tell of no connection that was used until then."""

GONE = (
    "was that server stopped? A line that says that it started again (--marker restarted=TEXT), or --stale-after, "
    "gives up what it held"
)

PATIENCE_S = 5.0
"""For so long the clients of a process that was killed may take to come back to another."""

NAMED = 3
"""Openers named of those who hold connections at once."""


class MultipleConnections(Rule):
    """Any evidence suffices: an overlap longer than the grace, or a page whose second connection made the server
    close its first, or was refused because of the first. The latter two never overlap for long, on servers that keep
    one socket per user. Each further connection that stays or is refused is one more occurrence. Sockets that a log
    shows may be namespaces of one connection: it is sure of several where it names the namespace, or where they are of
    different processes."""

    id = "multiple-connections"
    severity = Severity.ERROR
    title = "A user has more than one connection"
    meaning = (
        "The same user holds, or one page opened, several connections to the same backend. Every event is then "
        "handled by several connections, or only by the one that the server happened to keep."
    )
    fix = "Open the connection in one module or provider and let every component use that one."
    source = "documented behaviour, Alert If 1: same user with multiple WebSocket connections"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._told: dict[str, int] = {}
        self._since: OrderedDict[str, float] = OrderedDict()
        self._timeless: set[str] = set()
        self._nodes, self._ended = NodeLiveness(), dict[str, Connected | None]()
        self.pending, self.on_node_event = self._since, self._hear
        return {
            OpenedChange: self._opened,
            ClosedChange: self._closed,
            ReplacedChange: self._superseded,
            Refused: self._refused,
        }

    def _opened(self, change: OpenedChange) -> None:
        if not change.others:
            return
        if change.event.at is None:
            self._timeless.add(change.user)
        elif change.user not in self._since and change.user not in self._nodes.users:
            self._since[change.user] = change.event.at

    def _refused(self, event: Refused) -> None:
        """What a scenario presents is refused on purpose."""
        held = beside(event, self.ledger) if event.credential is None else None
        if held is not None:
            told = f"{_from_one_page(held, event)}, which the server refused"
            self.report(event.user, told, event.at, held, event)

    def _hear(self, event: Event) -> None:
        """A process that lives has what it did not close: those overlaps were none with a dead one."""
        for user, since in self._nodes.observe(event).items():
            self._tell(user, since, Confidence.HIGH, self._ended.pop(user, None))
        if self._nodes.users and event.at is not None:
            self._tell_alone(event.at)

    def _closed(self, change: ClosedChange) -> None:
        if self._nodes.users:
            self._closed_in_doubt(change)
        self._fewer(change)

    def _closed_in_doubt(self, change: ClosedChange) -> None:
        user, opened = change.user, change.opening
        silent = self._nodes.users.get(user or "")
        if user is not None and silent is not None and opened is not None:
            if opened.node != silent:
                self._ended[user] = opened
            elif (since := self._settled(user)) is not None and self._lasted(change, since):
                self._tell(user, since, Confidence.HIGH, opened)

    def _lasted(self, change: ClosedChange, since: float) -> bool:
        """Whether the process that had been silent had the connection until now, and is no dead one."""
        at = change.event.at
        return at is not None and at - since > self.options.grace_s and change.reason not in OVER

    def _settled(self, user: str) -> float | None:
        self._ended.pop(user, None)
        return self._nodes.clear(user)

    def _superseded(self, change: ReplacedChange) -> None:
        if change.user is not None and change.old and change.new and _same_page(change.old, change.new):
            self.report(
                change.user,
                _from_one_page(change.old, change.new),
                change.event.at,
                change.old,
                change.new,
                change.event,
                confidence=change.confidence,
            )
        if self._nodes.users and change.user is not None:
            self._settled(change.user)
        self._fewer(change)

    def _fewer(self, change: ReplacedChange | ClosedChange) -> None:
        user, held = change.user, len(change.remaining)
        if user is None:
            return
        if user in self._since and held <= self._told.get(user, 1):
            del self._since[user]
        if held < 2:
            self._told.pop(user, None)
            self._timeless.discard(user)

    def on_time(self, at: float) -> None:
        # Insertion order is time order, so the first overlap within the grace ends the search.
        while self._since:
            user, since = next(iter(self._since.items()))
            if at - since <= self.options.grace_s:
                break
            del self._since[user]
            if not self._nodes.mark_suspect(user, since, [_only_logged_by(one) for one in self._held(user)]):
                self._tell(user, since, self._confidence(user))
        if self._nodes.users:
            self._tell_alone(at)

    def _tell_alone(self, at: float) -> None:
        for user in self._nodes.sole_suspects(at - PATIENCE_S):
            ended, since = self._ended.get(user), self._settled(user)
            self._tell(user, since, Confidence.MEDIUM, ended)

    def _held(self, user: str) -> list[Connected | None]:
        return [self.ledger.opening_event(sid) for sid in self.ledger.open_connections(user)]

    def _confidence(self, user: str) -> Confidence:
        opened = filter(None, self._held(user))
        return Confidence.HIGH if any(starmap(apart, pairwise(opened))) else Confidence.MEDIUM

    def _tell(self, user: str, at: float | None, confidence: Confidence, ended: Connected | None = None) -> None:
        """`ended`: one more that was held until now."""
        opened = [*([ended] if ended is not None else []), *self._held(user)]
        self._told[user] = len(opened)
        self.report(user, _held_at_once(len(opened), opened), at, *opened, confidence=confidence)

    def finish(self, at: float | None) -> None:
        """Without times an overlap that was closed later proves nothing; one that never closed does. Nor is it known of
        a process that fell silent whether it has what it had; where all its users came to others, it may have died."""
        for user in self._timeless:
            if user not in self._told:
                self._tell(user, None, Confidence.MEDIUM)
        for node, users in self._nodes.silent().items():
            if self._left(node, users):
                reason = f"{node} says nothing more after its {len(users)} users connected elsewhere: {GONE}"
                self.gap = Gap(reason=reason, closes_with="--stale-after", rules=frozenset({self.id}))
                continue
            for user, since in users.items():
                self._tell(user, since, Confidence.MEDIUM, self._ended.get(user))

    def _left(self, node: str, users: Mapping[str, float]) -> bool:
        """Whether everybody who was connected to a process is connected to others by now, and that nobody's whim."""
        return len(users) > 1 and all(one.node != node or one.user in users for one in self.ledger.opening_events())


def _only_logged_by(opened: Connected | None) -> str | None:
    """The process whose word alone there is for a connection; None where a client held it."""
    return opened.node if opened is not None and opened.page is None else None


def beside(event: Refused, ledger: Ledger) -> Connected | None:
    """The connection that the page holds to which the server refused another, None where that is not so."""
    if event.reason != "refused" or event.page is None:
        return None
    held = filter(None, map(ledger.opening_event, ledger.open_connections(event.user)))
    return next((one for one in held if one.page == event.page and one.eio != event.eio), None)


def _same_page(old: Connected, new: Connected) -> bool:
    return old.page is not None and old.page == new.page


def _from_one_page(old: Connected, new: AttemptOutcome) -> str:
    openers = [opener for opener in told_apart(old, new) if opener]
    if len(openers) == 2 and openers[0] != openers[1]:
        return f"one page opened 2 connections: one by {openers[0]}, one by {openers[1]}"
    if openers:
        return f"one page opened 2 connections, both by {openers[0]}"
    return "one page opened 2 connections"


def _held_at_once(count: int, opened: list[Connected | None]) -> str:
    times = Counter(opener for event in opened if (opener := opened_by(event)))
    if len(times) == 1 and times.total() == count > 1:
        return f"holds {count} connections at once, of {next(iter(times))}{_on_pages(opened)}"
    named = list(times.items())[:NAMED]
    told = ", ".join(opener if n == 1 else f"{opener} {n} times" for opener, n in named)
    left = count - sum(n for _, n in named)
    return (
        f"holds {count} connections at once"
        + (f": {told}" if told else "")
        + (f" and {left} more" if told and left else "")
    )


def _on_pages(opened: list[Connected | None]) -> str:
    pages = {event.page for event in opened if event is not None and event.page is not None}
    return f" on {len(pages)} pages" if len(pages) > 1 else ""
