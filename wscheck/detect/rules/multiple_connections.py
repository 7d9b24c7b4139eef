"""Rule: a user has more than one connection, or one page opened more than one (documented alert 1)."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise, starmap

from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules.rule import EventHandler, Rule, are_separate_connections, distinct_openers, opener_label
from wscheck.model.disconnect_reasons import (
    EXPIRED_SERVER_RESTART,
    EXPIRED_STALE,
    EXPIRED_UNANNOUNCED,
    SERVER_SHUTTING_DOWN,
)
from wscheck.model.events import AttemptOutcome, Connected, Event, Refused
from wscheck.model.findings import Confidence, Severity
from wscheck.model.gaps import Gap

NOT_USED_UNTIL_THE_END = frozenset({EXPIRED_SERVER_RESTART, SERVER_SHUTTING_DOWN, EXPIRED_STALE, EXPIRED_UNANNOUNCED})
"""Disconnect reasons that do not prove that the connection was in use until its end."""

HOW_TO_CLOSE = (
    "did that process stop? A log line that it started again (--marker restarted=TEXT), or --stale-after, closes its "
    "connections"
)

RECONNECT_WITHIN_S = 5.0
"""Longest time for the clients of a killed process to reconnect to another process (seconds)."""

MAX_NAMED_OPENERS = 3


class NodeLiveness:
    """Server processes that may have stopped, with the users who have connections to them.

    A process that was killed logs no ends, so its connections look open. A process is suspect while it logs nothing,
    and no longer suspect as soon as it logs anything.

    suspects  user to the process that has logged nothing since the user opened a newer connection
    """

    def __init__(self) -> None:
        self._logged_at: dict[str, float] = {}
        self._since: dict[str, dict[str, float]] = {}
        self.suspects: dict[str, str] = {}

    def observe(self, event: Event) -> dict[str, float]:
        """Record that the process of `event` logged something, and end the suspicion against it.

        Return the users for whom it was suspect, each with the start of the overlap (epoch seconds).
        """
        node, at = event.node, event.at
        if node is None or at is None:
            return {}
        self._logged_at[node] = at
        cleared = self._since.pop(node, None)
        for user in cleared or ():
            del self.suspects[user]
        return cleared or {}

    def mark_suspect(self, user: str, since: float, nodes: Sequence[str | None]) -> bool:
        """Mark a process as suspect and return True, if all but one of `nodes` logged nothing since `since`.

        `nodes` are the processes of the user's open connections, None for a connection that a client reported.
        """
        silent = [node for node in nodes if node is not None and self._logged_at.get(node, since) < since]
        if not silent or len(nodes) - len(silent) > 1:
            return False
        self.suspects[user] = silent[0]
        self._since.setdefault(silent[0], {})[user] = since
        return True

    def clear(self, user: str) -> float | None:
        """End the suspicion for `user`. Return the start of the overlap (epoch seconds), None without a suspicion."""
        node = self.suspects.pop(user, None)
        if node is None:
            return None
        since = self._since[node].pop(user)
        if not self._since[node]:
            del self._since[node]
        return since

    def sole_suspects(self, before: float) -> list[str]:
        """Return the users of processes that are suspect for one user only, if the overlap started before `before`.

        If such a process had been killed, its other users would have reconnected elsewhere at once.
        """
        sole = (next(iter(users.items())) for users in self._since.values() if len(users) == 1)
        return [user for user, since in sole if since < before]

    def silent(self) -> dict[str, dict[str, float]]:
        """Return each suspect process with its users, and for each user the start of the overlap (epoch seconds)."""
        return {node: dict(users) for node, users in self._since.items()}


class MultipleConnections(Rule):
    """Rule: a user has two connections for longer than the grace period, or one page makes two attempts.

    A page's second connection may make the server close the first one, or may be refused because of the first one. The
    two then never overlap for long, so each such attempt is reported by itself. Each further connection of a user is
    another occurrence.

    Two sockets in a log may be namespaces of one connection. The confidence is therefore high only if the log contains
    the namespaces, or if the sockets belong to different processes.
    """

    id = "multiple-connections"
    severity = Severity.ERROR
    title = "A user has more than one connection"
    meaning = (
        "The same user has, or one page opened, several connections to the same backend. Every event is then handled "
        "by several connections, or only by the one that the server happened to keep."
    )
    fix = "Open the connection in one module or provider and let every component use that one."
    source = 'origin document (`wscheck docs origin`), "Alert If" item 1: same user with multiple WebSocket connections'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._reported_count: dict[str, int] = {}
        self._overlap_since: OrderedDict[str, float] = OrderedDict()
        self._untimed_users: set[str] = set()
        self._nodes, self._ended = NodeLiveness(), dict[str, Connected | None]()
        self.pending, self.on_node_event = self._overlap_since, self._node_event
        return {
            OpenedChange: self._opened,
            ClosedChange: self._closed,
            ReplacedChange: self._replaced,
            Refused: self._refused,
        }

    def _opened(self, change: OpenedChange) -> None:
        if not change.others:
            return
        if change.event.at is None:
            self._untimed_users.add(change.user)
        elif change.user not in self._overlap_since and change.user not in self._nodes.suspects:
            self._overlap_since[change.user] = change.event.at

    def _refused(self, event: Refused) -> None:
        # Attempts with a `credential` are a scenario's, refused on purpose.
        first = connection_of_same_page(event, self.ledger) if event.credential is None else None
        if first is not None:
            message = f"{_opened_by_one_page(first, event)}; the server refused the second"
            self.report(event.user, message, event.at, first, event)

    def _node_event(self, event: Event) -> None:
        """Report the overlaps for which the process of `event` was suspect: it is alive, and so are its connections."""
        for user, since in self._nodes.observe(event).items():
            self._report_overlap(user, since, Confidence.HIGH, self._ended.pop(user, None))
        if self._nodes.suspects and event.at is not None:
            self._report_sole_suspects(event.at)

    def _closed(self, change: ClosedChange) -> None:
        if self._nodes.suspects:
            self._closed_while_suspect(change)
        self._fewer(change)

    def _closed_while_suspect(self, change: ClosedChange) -> None:
        user, opening = change.user, change.opening
        suspect = self._nodes.suspects.get(user or "")
        if user is not None and suspect is not None and opening is not None:
            if opening.node != suspect:
                self._ended[user] = opening
            elif (since := self._clear_suspicion(user)) is not None and self._was_used_until(change, since):
                self._report_overlap(user, since, Confidence.HIGH, opening)

    def _was_used_until(self, change: ClosedChange, since: float) -> bool:
        """Return whether the ended connection was used after `since`, which shows that its process did not stop."""
        at = change.event.at
        return at is not None and at - since > self.options.grace_s and change.reason not in NOT_USED_UNTIL_THE_END

    def _clear_suspicion(self, user: str) -> float | None:
        self._ended.pop(user, None)
        return self._nodes.clear(user)

    def _replaced(self, change: ReplacedChange) -> None:
        if change.user is not None and change.old and change.new and _are_of_one_page(change.old, change.new):
            self.report(
                change.user,
                _opened_by_one_page(change.old, change.new),
                change.event.at,
                change.old,
                change.new,
                change.event,
                confidence=change.confidence,
            )
        if self._nodes.suspects and change.user is not None:
            self._clear_suspicion(change.user)
        self._fewer(change)

    def _fewer(self, change: ReplacedChange | ClosedChange) -> None:
        user, count = change.user, len(change.remaining)
        if user is None:
            return
        if user in self._overlap_since and count <= self._reported_count.get(user, 1):
            del self._overlap_since[user]
        if count < 2:
            self._reported_count.pop(user, None)
            self._untimed_users.discard(user)

    def on_time(self, at: float) -> None:
        # The overlaps are in the order of their start, so the search ends with the first within the grace period.
        while self._overlap_since:
            user, since = next(iter(self._overlap_since.items()))
            if at - since <= self.options.grace_s:
                break
            del self._overlap_since[user]
            if not self._nodes.mark_suspect(user, since, [_node_if_only_logged(one) for one in self._openings(user)]):
                self._report_overlap(user, since, self._confidence(user))
        if self._nodes.suspects:
            self._report_sole_suspects(at)

    def _report_sole_suspects(self, at: float) -> None:
        for user in self._nodes.sole_suspects(at - RECONNECT_WITHIN_S):
            ended, since = self._ended.get(user), self._clear_suspicion(user)
            self._report_overlap(user, since, Confidence.MEDIUM, ended)

    def _openings(self, user: str) -> list[Connected | None]:
        return [self.ledger.opening_event(sid) for sid in self.ledger.open_connections(user)]

    def _confidence(self, user: str) -> Confidence:
        openings = filter(None, self._openings(user))
        is_certain = any(starmap(are_separate_connections, pairwise(openings)))
        return Confidence.HIGH if is_certain else Confidence.MEDIUM

    def _report_overlap(
        self, user: str, at: float | None, confidence: Confidence, ended: Connected | None = None
    ) -> None:
        """Report the open connections of the user, and `ended` if it was open until now."""
        openings = [*([ended] if ended is not None else []), *self._openings(user)]
        self._reported_count[user] = len(openings)
        self.report(user, _open_at_once(len(openings), openings), at, *openings, confidence=confidence)

    def finish(self, at: float | None) -> None:
        """Report overlaps that exist at the end of the evidence.

        If no event has a time, an overlap that ended may have been short, so only overlaps that did not end are
        reported. If all users of a server process have since connected to other processes, that process may have
        stopped, and their old connections with it: that is a gap in the evidence and no finding.
        """
        for user in self._untimed_users:
            if user not in self._reported_count:
                self._report_overlap(user, None, Confidence.MEDIUM)
        for node, users in self._nodes.silent().items():
            if self._has_lost_its_users(node, users):
                elsewhere = f"its {len(users)} users connected to other processes"
                reason = f"{node} logged nothing after {elsewhere}: {HOW_TO_CLOSE}"
                self.gap = Gap(reason=reason, closes_with="--stale-after", rules=(self.id,))
                continue
            for user, since in users.items():
                self._report_overlap(user, since, Confidence.MEDIUM, self._ended.get(user))

    def _has_lost_its_users(self, node: str, users: Mapping[str, float]) -> bool:
        """Return whether a process had several users and all of them are now connected to other processes."""
        openings = self.ledger.opening_events()
        return len(users) > 1 and all(one.node != node or one.user in users for one in openings)


def _node_if_only_logged(opening: Connected | None) -> str | None:
    """Return the server process that logged a connection, or None if a client observed the connection too."""
    return opening.node if opening is not None and opening.page is None else None


def connection_of_same_page(event: Refused, ledger: Ledger) -> Connected | None:
    """Return the open connection of the page whose next connection the server refused, None if there is none."""
    if event.reason != "refused" or event.page is None:
        return None
    openings = filter(None, map(ledger.opening_event, ledger.open_connections(event.user)))
    return next((one for one in openings if one.page == event.page and one.eio != event.eio), None)


def _are_of_one_page(old: Connected, new: Connected) -> bool:
    return old.page is not None and old.page == new.page


def _opened_by_one_page(old: Connected, new: AttemptOutcome) -> str:
    openers = [opener for opener in distinct_openers(old, new) if opener]
    if len(openers) == 2 and openers[0] != openers[1]:
        return f"one page opened 2 connections: one by {openers[0]}, one by {openers[1]}"
    if openers:
        return f"one page opened 2 connections, both by {openers[0]}"
    return "one page opened 2 connections"


def _open_at_once(count: int, openings: list[Connected | None]) -> str:
    times = Counter(opener for event in openings if (opener := opener_label(event)))
    if len(times) == 1 and times.total() == count > 1:
        every = "both" if count == 2 else "all"
        return f"holds {count} connections at once, {every} opened by {next(iter(times))}{_on_pages(openings)}"
    named = list(times.items())[:MAX_NAMED_OPENERS]
    openers = ", ".join(opener if n == 1 else f"{opener} {n} times" for opener, n in named)
    rest = count - sum(n for _, n in named)
    return (
        f"holds {count} connections at once"
        + (f": {openers}" if openers else "")
        + (f" and {rest} more" if openers and rest else "")
    )


def _on_pages(openings: list[Connected | None]) -> str:
    pages = {event.page for event in openings if event is not None and event.page is not None}
    return f" on {len(pages)} pages" if len(pages) > 1 else ""
