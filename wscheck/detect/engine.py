"""Rule engine: it passes events to the ledger and the rules, and collects findings.

Rules report occurrences. Occurrences of the same problem of the same user become one finding. If connections overlap in
a server's log for another reason than code that opens a second one, they become a gap (missing evidence).
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import starmap
from typing import cast

from wscheck.detect.causes import UserHistories, UserHistory, cleanup_patch, probable_causes
from wscheck.detect.changes import ClosedChange, LedgerChange, OpenedChange, ReplacedChange, SurvivedChange
from wscheck.detect.ledger import Ledger
from wscheck.detect.restarts import MIN_AGE_S
from wscheck.detect.rules import DOCUMENTED, Occurrence, Rule, RuleOptions, ranked
from wscheck.detect.rules.multiple_connections import MAX_PING_TIMEOUT_S
from wscheck.detect.rules.rule import EventHandler
from wscheck.detect.socket_ids import is_logged, is_own_id
from wscheck.detect.verdict import Evidence, evidence_gaps, verdict
from wscheck.model.disconnect_reasons import reports_handover, reports_silent_client
from wscheck.model.events import (
    ActionPerformed,
    AnyEvent,
    Connected,
    Connecting,
    Event,
    HandlersRegistered,
    Refused,
    Subscribed,
    Unreadable,
    Unsubscribed,
)
from wscheck.model.findings import Bar, Cause, Finding, Severity
from wscheck.model.gaps import Gap
from wscheck.model.report import Report

__all__ = ["Judge", "RuleOptions"]

MULTIPLE_CONNECTIONS = "multiple-connections"

NEVER = float("-inf")
NOT_HANDLED: tuple[None, tuple[EventHandler, ...]] = (None, ())

# The first and the latest events of a loop are enough evidence: the events between them are alike.
FIRST_EVIDENCE, LATEST_EVIDENCE = 4, 4

# A rate from two occurrences, or from a very short time, would mislead.
MIN_COUNT_FOR_RATE, MIN_SPAN_FOR_RATE_S = 3, 0.1

OPENED_TOGETHER_S, ENDED_TOGETHER_S = 0.25, 0.002
"""Longest time between the openings, and between the ends, of sockets that may be namespaces of one connection."""

MAX_HANDOVER_S = 5.0
"""Longest overlap while a server moves a client to another process (seconds): the newer connection opens first."""

MIN_RETURNS = 2
"""Number of connections per device and user that show that the log names devices and not connections."""

MAX_COMPARED = 100
"""Number of the latest overlaps with which a further one is compared."""

SETTLING_S = 1.0
"""Longest time from a line about the end of one socket to the lines about the other namespaces (seconds)."""

MIN_BUNDLES = 2
"""Number of overlaps that must look like namespaces. A single one may be a coincidence."""

MAX_NAMESPACES, MAX_RECONNECTED = 8, 3
"""Most connections of a user that may be namespaces of one connection, or a connection and the reconnections after it
broke, as long as their ends are unknown."""


class Judge:
    """Rule engine. Pass events to `feed` in the order of their time; read `findings` at any time.

    `on_finding` is called when a finding opens, and again with the same object each time it grows. The cause of a
    finding is expensive to determine, so it is not set then: call `update_cause` before you report the finding.
    """

    def __init__(
        self,
        options: RuleOptions | None = None,
        rules: Iterable[type[Rule]] = DOCUMENTED,
        *,
        on_finding: Callable[[Finding], None] | None = None,
    ) -> None:
        self.ledger = Ledger()
        self._findings: dict[tuple[str, str | None, str], Finding] = {}
        self._overlaps: list[Finding] = []
        self._evicted_causes: dict[str | None, dict[str, list[Cause]]] = {}
        self._on_finding = on_finding
        self._histories = UserHistories(self.ledger, self._store_causes)
        self._rules = [rule(self.ledger, options or RuleOptions(), self._add_occurrence) for rule in rules]
        self._handlers: dict[type, list[EventHandler]] = {
            OpenedChange: [self._histories.opened],
            ReplacedChange: [self._histories.replaced],
            ClosedChange: [self._histories.closed],
            SurvivedChange: [],
            ActionPerformed: [self._histories.performed],
            Connecting: [self._histories.connecting],
            Refused: [self._histories.refused],
            HandlersRegistered: [self._histories.registered],
            Subscribed: [self._histories.subscribed],
            Unsubscribed: [self._histories.unsubscribed],
            Unreadable: [self._count_unreadable],
        }
        for rule in self._rules:
            for handled, handler in rule.handlers().items():
                self._handlers.setdefault(handled, []).append(handler)
        self._node_handlers = [observe for rule in self._rules if (observe := rule.on_node_event) is not None]
        self._timed = [(rule.pending, rule.on_time) for rule in self._rules if type(rule).on_time is not Rule.on_time]
        self._dispatch = {
            kind: (self.ledger.change_handlers.get(kind), tuple(self._handlers.get(kind, ())))
            for kind in {*self._handlers, *self.ledger.change_handlers}
        }
        self._now = NEVER
        self._unreadable, self._is_undecided = 0, options is None or options.connections is None
        self.max_attempts = (options or RuleOptions()).max_attempts
        self._namespace_gap: Gap | None = None

    def feed(self, event: Event) -> tuple[LedgerChange, ...]:
        """Evaluate one event and return the changes that it makes to the ledger.

        Each rule first handles the time, then the changes, then the event itself.
        """
        at = event.at
        if at is not None and at >= self._now:  # `advance_to`, inlined because this runs for every event
            self._now = at
            for pending, on_time in self._timed:
                if pending:
                    on_time(at)
        change_handler, event_handlers = self._dispatch.get(type(event), NOT_HANDLED)
        if change_handler is None:
            changes: tuple[LedgerChange, ...] = ()
        else:
            changes = change_handler(event)
            for change in changes:
                for handler in self._handlers[type(change)]:
                    handler(change)
        for handler in event_handlers:
            handler(event)
        if event.node is not None:
            for handler in self._node_handlers:
                handler(event)
        return changes

    def restore(self, event: Event) -> tuple[LedgerChange, ...]:
        """Apply an event that an earlier run evaluated, to restore its open connections.

        Rules handle only the changes of the ledger, so the event is not counted as another connection attempt.
        """
        return self._handle_changes(self.ledger.apply(event))

    def _handle_changes(self, changes: tuple[LedgerChange, ...]) -> tuple[LedgerChange, ...]:
        for change in changes:
            for handler in self._handlers[type(change)]:
                handler(change)
        return changes

    def advance_to(self, at: float) -> None:
        """Set the current time of the evidence to `at` (epoch seconds). Ignore an earlier time."""
        if at < self._now:
            return
        self._now = at
        for _, on_time in self._timed:
            on_time(at)

    def finish(self, at: float | None = None) -> list[Finding]:
        """End the evaluation and return the findings.

        The evidence ends at `at` (epoch seconds), by default with the last event.
        """
        if at is not None:
            self.advance_to(at)
        for rule in self._rules:
            rule.finish(self._now if self._now > NEVER else None)
        return self.findings()

    def report(self, bar: Bar | None = None, *, at: float | None = None) -> Report:
        """End the evaluation as `finish` does, and return the verdict with findings and gaps (missing evidence).

        Args:
            bar: criteria by which the run fails, by default any finding that is an error.
            at: end of the evidence in epoch seconds, by default the time of the last event.
        """
        findings = self.finish(at)
        counts = [self.ledger.counts_for(user) for user in self.ledger.users()]
        connections = sum(user.connects + user.disconnects + user.replacements for user in counts)
        evidence = Evidence(
            connections=connections + self.ledger.unattributed,
            unreadable=self._unreadable,
            ledger=self.ledger,
            timed=self._now > NEVER,
            gaps=self.gaps,
        )
        decision = verdict(findings, evidence_gaps(evidence), bar or Bar())
        return Report(
            schema="wscheck.events/1",
            target="events",
            verdict=decision.verdict,
            reason=decision.reason,
            findings=list(decision.findings),
            allowed=list(decision.allowed),
            gaps=list(decision.gaps),
        )

    def _count_unreadable(self, event: Event) -> None:
        self._unreadable += 1

    @property
    def gaps(self) -> list[Gap]:
        """Evidence that the rules needed and did not get. Complete after `finish`."""
        gaps = [gap for rule in self._rules for gap in rule.gaps]
        return list(dict.fromkeys([*gaps, *([self._namespace_gap] if self._namespace_gap is not None else [])]))

    def findings(self) -> list[Finding]:
        """Return the findings, the worst first, each with its probable cause. Further events may add findings."""
        for finding in self._findings.values():
            self.update_cause(finding)
        return ranked(self._without_namespaces())

    def _without_namespaces(self) -> list[Finding]:
        """Return the findings, after a check whether overlapping sockets have a harmless explanation.

        If the overlapping sockets of all users in the log may be namespaces of one connection each, leave out all these
        findings and set the gap `_namespace_gap`. Otherwise an overlap between devices of one user, or after a lost
        network, becomes a warning, and an overlap during which the server moved the client is left out.
        """
        overlaps = self._overlaps
        histories = [self._histories.history(finding.user) for finding in overlaps]
        count = sum(finding.count for finding in overlaps)
        self._namespace_gap = None
        if count >= MIN_BUNDLES and all(map(may_be_namespaces, histories)):
            self._namespace_gap = namespace_gap(len(overlaps))
            return [finding for finding in self._findings.values() if finding.rule != MULTIPLE_CONNECTIONS]
        has_devices = self._is_undecided and are_known_devices(histories)
        for finding, history in zip(overlaps, histories, strict=True):
            is_shared = (has_devices and belongs_to_devices(history)) or self._is_on_kinds_of_devices(history)
            if finding.severity is Severity.ERROR and (is_shared or outlived_lost_network(history)):
                finding.severity = Severity.WARNING
        moved = [id(finding) for finding, history in zip(overlaps, histories, strict=True) if was_handed_over(history)]
        return [finding for finding in self._findings.values() if id(finding) not in moved]

    def severity_so_far(self, finding: Finding) -> Severity:
        """Return the severity with which to announce a finding before all events are known.

        An overlap (several open connections of one user) is announced as a warning while it may still turn out to be
        harmless: the client may have lost its network, the server may have moved the client, the sockets may be
        namespaces of one connection, or the connections may belong to different devices of the user. `findings` has the
        final severity.
        """
        if finding.rule != MULTIPLE_CONNECTIONS or finding.severity is not Severity.ERROR:
            return finding.severity
        own = self._histories.history(finding.user)
        others = [self._histories.history(each.user) for each in self._overlaps[-MAX_COMPARED:] if each is not finding]
        count = len(self.ledger.open_connections(finding.user))
        are_namespaces = (
            count <= MAX_NAMESPACES
            and may_be_namespaces(own, at=self._now)
            and all(may_be_namespaces(each, at=self._now) for each in others)
            and (sum(map(may_be_namespaces, others)) >= MIN_BUNDLES or not has_lasted(own, self._now))
        )
        may_be_broken = count <= MAX_RECONNECTED and (
            outlived_lost_network(own, at=self._now) or was_handed_over(own, at=self._now)
        )
        are_devices = self._is_undecided and belongs_to_devices(own) and are_known_devices([own, *others])
        is_explained = are_namespaces or may_be_broken or are_devices or self._is_on_kinds_of_devices(own)
        return Severity.WARNING if is_explained else finding.severity

    def _is_on_kinds_of_devices(self, history: UserHistory) -> bool:
        """Return whether the user has connections on devices of different kinds ("phone", "desktop").

        A device name that several users have is a kind of device. A number does not count as one, because it may only
        number the connections of each user.
        """
        if not self._is_undecided or not belongs_to_devices(history, lambda one: one.device):
            return False
        kinds = {one.device for one in history.openings if one.device is not None}
        users = self._histories.device_users
        return all(len(users.get(kind, ())) > 1 and not kind.isdigit() for kind in kinds)

    def update_cause(self, finding: Finding) -> Cause | None:
        """Set the probable causes of `finding` from the events so far, and return the first, None if it is unknown."""
        evicted = self._evicted_causes.get(finding.user, {}).get(finding.rule, [])
        history = self._histories.history(finding.user).concerning(finding.evidence)
        causes = probable_causes(finding.rule, history, finding.confidence) or evicted
        finding.cause, finding.other_causes = next(iter(causes), None), causes[1:]
        finding.patch = cleanup_patch(finding, history)
        return finding.cause

    def _store_causes(self, user: str, history: UserHistory) -> None:
        """Store the causes that `history` shows, because its oldest entries are about to be evicted."""
        causes = self._evicted_causes.get(user, {})
        for rule, stored in causes.items():
            causes[rule] = stored or probable_causes(rule, history)

    def _add_occurrence(self, occurrence: Occurrence) -> None:
        key = (occurrence.rule, occurrence.user, occurrence.key)
        finding = self._findings.get(key)
        if finding is None:
            finding = self._findings[key] = _new_finding(occurrence)
            if finding.rule == MULTIPLE_CONNECTIONS:
                self._overlaps.append(finding)
            self._evicted_causes.setdefault(occurrence.user, {}).setdefault(occurrence.rule, [])
        else:
            _grow(finding, occurrence)
        if self._on_finding is not None:
            self._on_finding(finding)


def _new_finding(occurrence: Occurrence) -> Finding:
    return Finding(
        rule=occurrence.rule,
        severity=occurrence.severity,
        confidence=occurrence.confidence,
        user=occurrence.user,
        message=occurrence.message,
        first_at=occurrence.at,
        last_at=occurrence.at,
        connections=occurrence.connections,
        evidence=list(cast("tuple[AnyEvent, ...]", occurrence.evidence)),
    )


def _grow(finding: Finding, occurrence: Occurrence) -> None:
    finding.count += 1
    if (finding.connections or 0) <= (occurrence.connections or 0):
        finding.message, finding.connections = occurrence.message, occurrence.connections
    if occurrence.severity is not finding.severity and occurrence.severity.rank > finding.severity.rank:
        finding.severity = occurrence.severity
    if occurrence.confidence is not finding.confidence and occurrence.confidence.rank > finding.confidence.rank:
        finding.confidence = occurrence.confidence
    if occurrence.at is not None:
        if finding.first_at is None:
            finding.first_at = occurrence.at
        finding.last_at = occurrence.at
        span = finding.last_at - finding.first_at
        has_rate = finding.count >= MIN_COUNT_FOR_RATE and span >= MIN_SPAN_FOR_RATE_S
        finding.rate = (finding.count - 1) / span if has_rate else None
    _add_evidence(finding.evidence, cast("tuple[AnyEvent, ...]", occurrence.evidence))


def _add_evidence(evidence: list[AnyEvent], events: Sequence[AnyEvent]) -> None:
    """Append the `events` that `evidence` does not contain. If there are many, keep only the first and the latest.

    An occurrence can have thousands of events, one per open connection. Most of them are also in the previous
    occurrence.
    """
    for event in events:
        if len(evidence) >= FIRST_EVIDENCE:
            break
        if event not in evidence:
            evidence.append(event)
    latest: list[AnyEvent] = []
    for event in reversed(events):
        if len(latest) == LATEST_EVIDENCE:
            break
        if event not in evidence and event not in latest:
            latest.append(event)
    evidence += reversed(latest)
    if len(evidence) > FIRST_EVIDENCE + LATEST_EVIDENCE:
        del evidence[FIRST_EVIDENCE:-LATEST_EVIDENCE]


def was_handed_over(history: UserHistory, *, at: float | None = None) -> bool:
    """Return whether the server caused each overlap by moving the client to a new connection.

    The older connection must end within `MAX_HANDOVER_S` of the opening of the newer one, with a reason that reports
    the move.

    at  current time (epoch seconds) while further events may follow, None at the end of the evidence. With a time, an
        older connection that is still open counts too, if it can end soon enough
    """
    return _older_ended(history, reports_handover, MAX_HANDOVER_S, at)


def outlived_lost_network(history: UserHistory, *, at: float | None = None) -> bool:
    """Return whether each overlap is explained by a client that lost its network and reconnected.

    The older connection must end with a ping timeout within `MAX_PING_TIMEOUT_S` of the opening of the newer one.

    at  current time (epoch seconds) while further events may follow, None at the end of the evidence. With a time, an
        older connection that is still open counts too, if it can end soon enough
    """
    return _older_ended(history, reports_silent_client, MAX_PING_TIMEOUT_S, at)


def _older_ended(history: UserHistory, explains: Callable[[str | None], bool], within: float, at: float | None) -> bool:
    """Return whether in each overlap the older connection ended soon, with a reason that explains the overlap.

    at  current time (epoch seconds) while further events may follow, None at the end of the evidence. With a time, an
        older connection that is still open counts too, if it can end soon enough, and was opened more than
        `MIN_AGE_S` before the newer one: connections that one page opens are closer together
    """
    ended = {closing.sid: closing for closing in history.closings}
    replaced = {change.old_sid for change in history.replacements}

    def is_explained(old: Connected, new: Connected) -> bool:
        if not (is_logged(old) and is_logged(new)) or old.at is None or new.at is None:
            return False
        closing = ended.get(old.sid or "")
        if closing is not None:
            ended_at = closing.event.at
            return ended_at is not None and ended_at - new.at <= within and explains(closing.reason)
        if at is None or old.sid in replaced:
            return False
        return at - new.at <= within and new.at - old.at > MIN_AGE_S

    return bool(history.met) and all(starmap(is_explained, history.met))


def has_lasted(history: UserHistory, at: float) -> bool:
    """Return whether connections of the user that are still open at `at` (epoch seconds) have overlapped for long.

    "For long" means for longer than a lost network explains.
    """
    ended = {closing.sid for closing in history.closings}
    return any(
        new.at is not None and at - new.at > MAX_PING_TIMEOUT_S and ended.isdisjoint((old.sid, new.sid))
        for old, new in history.met
    )


def _page_or_device(opening: Connected) -> str | None:
    return opening.page if opening.page is not None else opening.device


def are_known_devices(histories: Sequence[UserHistory]) -> bool:
    """Return whether the pages that the log names are devices of their users.

    A device opens several connections over time, and all of them belong to the same user. A log that names a new page
    for each connection does not name devices.
    """
    openings = [one for history in histories for one in history.openings if _page_or_device(one) is not None]
    owners = {(_page_or_device(one), one.user) for one in openings}
    return len(openings) >= MIN_RETURNS * len(owners) > 0 and len(owners) == len({page for page, _ in owners})


def belongs_to_devices(history: UserHistory, device_of: Callable[[Connected], str | None] = _page_or_device) -> bool:
    """Return whether connections of the user that were open together always belonged to different devices.

    The log must name the device of each connection. The devices may belong to several people who share one account; the
    team decides whether that is permitted.
    """
    open_on: dict[str, str | None] = {}
    moments = [(one.at, 1, one.sid, device_of(one)) for one in history.openings]
    moments += [(one.event.at, 0, one.sid, None) for one in history.closings]
    for at, is_opening, sid, page in sorted(moments, key=lambda moment: (moment[0] or 0.0, moment[1])):
        if not is_opening:
            open_on.pop(sid or "", None)
        elif at is None or page is None or page in open_on.values():
            return False
        else:
            open_on[sid or ""] = page
    return bool(history.met) and all(map(is_logged, history.openings))


def may_be_namespaces(history: UserHistory, *, at: float | None = None) -> bool:
    """Return whether all overlapping sockets opened together and ended together, as namespaces of one connection do.

    Only Socket.IO has namespaces. Its ids contain letters of both cases; ids of hexadecimal digits or numbers are those
    of WebSockets, of event streams or of the server's own connections.

    at  time at which the sockets may still be open (epoch seconds), None at the end of the evidence
    """
    if all(is_own_id(one.sid or "") for met in history.met for one in met):
        return False
    ends = {closing.sid: closing for closing in history.closings}
    for old, new in history.met:
        if not _is_alike(old, new) or old.at is None or new.at is None or new.at - old.at > OPENED_TOGETHER_S:
            return False
        first, second = ends.get(old.sid or ""), ends.get(new.sid or "")
        if at is not None and (first is None or second is None):
            ended_at = next((each.event.at for each in (first, second) if each is not None), at)
            if ended_at is not None and at - ended_at <= SETTLING_S:
                continue
        if first is None or second is None or first.reason != second.reason:
            return False
        if first.event.at is None or second.event.at is None or first.event.resolution or second.event.resolution:
            return False
        if abs(second.event.at - first.event.at) > ENDED_TOGETHER_S:
            return False
    return bool(history.met)


def namespace_gap(users: int) -> Gap:
    """Return the gap (missing evidence) for `users` whose sockets may be namespaces of one connection per user."""
    whose = "1 user" if users == 1 else f"{users} users"
    reason = (
        f"the simultaneous sockets of {whose} opened together and ended together: they may be namespaces of one "
        "connection. Log the namespace (`nsp`) with each socket"
    )
    return Gap(
        id="namespace-unknown", reason=reason, closes_with="--key namespace=NAME", rules=("multiple-connections",)
    )


def _is_alike(old: Connected, new: Connected) -> bool:
    """Return whether two connections in a log differ only in their socket ids."""
    unnamed = all(one.namespace is None and one.eio is None for one in (old, new))
    are_equal = (old.node, old.page, old.device) == (new.node, new.page, new.device)
    return unnamed and is_logged(old) and is_logged(new) and are_equal
