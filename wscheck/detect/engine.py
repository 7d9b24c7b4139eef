"""The pure core, wired: events go to the ledger, what changed goes to the rules, what they sight grows findings."""

from collections.abc import Callable, Iterable
from typing import cast

from wscheck.detect.causes import UserHistories, UserHistory, probable_cause
from wscheck.detect.changes import ClosedChange, LedgerChange, OpenedChange, ReplacedChange
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules import DOCUMENTED, Occurrence, Rule, RuleOptions, ranked
from wscheck.detect.rules.rule import EventHandler
from wscheck.model.events import AnyEvent, Connecting, Event, HandlersRegistered, Refused
from wscheck.model.findings import Cause, Finding
from wscheck.model.gaps import Gap

__all__ = ["Judge", "RuleOptions"]

NEVER = float("-inf")
UNWATCHED: tuple[None, tuple[EventHandler, ...]] = (None, ())

# Of a loop of 500 replacements the first few and the latest few show everything.
FIRST, LATEST = 4, 4

# Two sightings in one millisecond are no rate.
RATED, RATED_S = 3, 0.1


class Judge:
    """Feed events in the order of their time; ask for the findings whenever you like.

    `on_finding` is called with each finding as it opens or grows; the same object is passed again, grown. The cause of
    a finding is expensive to determine: call `update_cause` before a finding is reported.
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
        self._shown: dict[str | None, dict[str, Cause | None]] = {}
        self._on_finding = on_finding
        self._trails = UserHistories(self.ledger, self._keep_causes)
        self._rules = [rule(self.ledger, options or RuleOptions(), self._grow) for rule in rules]
        self._handlers: dict[type, list[EventHandler]] = {
            OpenedChange: [self._trails.opened],
            ReplacedChange: [self._trails.superseded],
            ClosedChange: [self._trails.closed],
            Connecting: [self._trails.connecting],
            Refused: [self._trails.refused],
            HandlersRegistered: [self._trails.registered],
        }
        for rule in self._rules:
            for watched, handler in rule.handlers().items():
                self._handlers.setdefault(watched, []).append(handler)
        self._hearing = [observe for rule in self._rules if (observe := rule.on_node_event) is not None]
        self._timed = [(rule.pending, rule.on_time) for rule in self._rules if type(rule).on_time is not Rule.on_time]
        self._entries = {
            kind: (self.ledger.change_handlers.get(kind), tuple(self._handlers.get(kind, ())))
            for kind in {*self._handlers, *self.ledger.change_handlers}
        }
        self._now = NEVER

    def feed(self, event: Event) -> tuple[LedgerChange, ...]:
        """Take one event: time first, then what it changed (which is returned), then the event itself."""
        at = event.at
        if at is not None and at >= self._now:  # `advance_to`, without what a call for each event would cost
            self._now = at
            for waiting, advance in self._timed:
                if waiting:
                    advance(at)
        change, watching = self._entries.get(type(event), UNWATCHED)
        if change is None:
            changes: tuple[LedgerChange, ...] = ()
        else:
            changes = change(event)
            for changed in changes:
                for handler in self._handlers[type(changed)]:
                    handler(changed)
        for handler in watching:
            handler(event)
        if event.node is not None:
            for hear in self._hearing:
                hear(event)
        return changes

    def restore(self, event: Event) -> tuple[LedgerChange, ...]:
        """Take an event that an earlier run judged: who holds what is known again, and no attempt counts twice."""
        return self._changed(self.ledger.apply(event))

    def expire(self, sid: str, event: Event) -> tuple[LedgerChange, ...]:
        """Give up a connection that nothing was heard of for too long; `event` says so. Returns what that changed."""
        if event.at is not None:
            self.advance_to(event.at)
        return self._changed(self.ledger.expire(sid, event))

    def _changed(self, changes: tuple[LedgerChange, ...]) -> tuple[LedgerChange, ...]:
        for change in changes:
            for handler in self._handlers[type(change)]:
                handler(change)
        return changes

    def advance_to(self, at: float) -> None:
        """Say that it is now `at`; an earlier time is ignored (two logs interleave imperfectly)."""
        if at < self._now:
            return
        self._now = at
        for _, advance in self._timed:
            advance(at)

    def finish(self, at: float | None = None) -> list[Finding]:
        """Say that the evidence ends, at `at` or with the last event, and return the findings."""
        if at is not None:
            self.advance_to(at)
        for rule in self._rules:
            rule.finish(self._now if self._now > NEVER else None)
        return self.findings()

    @property
    def gaps(self) -> list[Gap]:
        """Evidence that the rules missed; complete once the evidence has ended."""
        return [rule.gap for rule in self._rules if rule.gap is not None]

    def findings(self) -> list[Finding]:
        """What was found so far, the worst first, each with its probable cause."""
        for finding in self._findings.values():
            self.update_cause(finding)
        return ranked(self._findings.values())

    def update_cause(self, finding: Finding) -> Cause | None:
        """The probable cause of `finding` as of now, which is also noted in it; None where nothing points anywhere."""
        shown = self._shown.get(finding.user, {}).get(finding.rule)
        finding.cause = probable_cause(finding.rule, self._trails.of(finding.user), finding.confidence) or shown
        return finding.cause

    def _keep_causes(self, user: str, trail: UserHistory) -> None:
        """What points to a cause is about to leave the trail; that it was there stays true, asked for or not."""
        causes = self._shown.get(user, {})
        for rule, shown in causes.items():
            causes[rule] = shown or probable_cause(rule, trail)

    def _grow(self, sighting: Occurrence) -> None:
        key = (sighting.rule, sighting.user, sighting.key)
        finding = self._findings.get(key)
        if finding is None:
            finding = self._findings[key] = _first(sighting)
            self._shown.setdefault(sighting.user, {}).setdefault(sighting.rule, None)
        else:
            _again(finding, sighting)
        if self._on_finding is not None:
            self._on_finding(finding)


def _first(sighting: Occurrence) -> Finding:
    return Finding(
        rule=sighting.rule,
        severity=sighting.severity,
        confidence=sighting.confidence,
        user=sighting.user,
        message=sighting.message,
        first_at=sighting.at,
        last_at=sighting.at,
        evidence=list(cast("tuple[AnyEvent, ...]", sighting.evidence)),
    )


def _again(finding: Finding, sighting: Occurrence) -> None:
    finding.count += 1
    finding.message = sighting.message
    if sighting.severity is not finding.severity and sighting.severity.rank > finding.severity.rank:
        finding.severity = sighting.severity
    if sighting.confidence is not finding.confidence and sighting.confidence.rank > finding.confidence.rank:
        finding.confidence = sighting.confidence
    if sighting.at is not None:
        if finding.first_at is None:
            finding.first_at = sighting.at
        finding.last_at = sighting.at
        span = finding.last_at - finding.first_at
        finding.rate = (finding.count - 1) / span if finding.count >= RATED and span >= RATED_S else None
    known = finding.evidence
    for event in cast("tuple[AnyEvent, ...]", sighting.evidence):
        if event not in known:
            known.append(event)
    if len(known) > FIRST + LATEST:
        del known[FIRST:-LATEST]
