"""WHAT IS GOING ON: findings as incidents that open, grow and resolve, one for each user and rule; pure.

A loop of five hundred replacements is one incident: told when it opens, at its 10th, 100th, ... occurrence, when
it becomes graver, when its cause becomes known, and when it has been quiet for long enough.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from wscheck.model.events import AnyEvent
from wscheck.model.findings import Cause, Confidence, Finding, Severity

GROWTH = 10
"""An incident is told again each time it is this many times as large as when it was last told."""


class IncidentState(StrEnum):
    """What became of an incident."""

    OPENED = "opened"
    GREW = "grew"
    RESOLVED = "resolved"


class Incident(msgspec.Struct, kw_only=True, tag_field="type", tag="finding"):
    """One rule broken for one user, from its first occurrence until it is quiet (docs/logs.md).

    state     what became of it last
    count     occurrences since it opened
    first_at, last_at  seconds since the Unix epoch, None where the evidence has no time
    rate      occurrences per second between first and last, None under two
    resolved_at        when it had been quiet for long enough
    """

    state: IncidentState
    rule: str
    severity: Severity
    confidence: Confidence
    user: str | None
    message: str
    count: int = 1
    first_at: float | None = None
    last_at: float | None = None
    rate: float | None = None
    resolved_at: float | None = None
    cause: Cause | None = None
    evidence: list[AnyEvent] = msgspec.field(default_factory=list)


class OpenIncident(msgspec.Struct):
    """An open incident and what its telling depends on.

    seen_at   when it was last seen
    told      how large it was when its size was last told
    recalled  an earlier run told of what still holds: to see that again is no further occurrence
    """

    incident: Incident
    seen_at: float | None
    told: int = 1
    recalled: bool = False


StillHolds = Callable[[str, str | None], bool]
"""`ongoing(rule, user)`: whether the state that the rule objects to still holds, though nothing new happened."""


class IncidentTracker:
    """Tell it of each sighting and of the time; it tells what opened, grew and resolved.

    `quiet_after` seconds without an occurrence resolve an incident, unless `ongoing` says that it still holds.
    """

    def __init__(self, quiet_after: float = 30.0, ongoing: StillHolds = lambda _rule, _user: False) -> None:
        self._quiet_after, self._ongoing = quiet_after, ongoing
        self._open: OrderedDict[tuple[str, str | None], OpenIncident] = OrderedDict()

    @property
    def open(self) -> list[Incident]:
        """The open incidents, the one that was quiet longest first."""
        return [entry.incident for entry in self._open.values()]

    def restore(self, incident: Incident) -> None:
        """Carry on with an incident that an earlier run told of."""
        key = (incident.rule, incident.user)
        self._open[key] = OpenIncident(incident, incident.last_at, incident.count, self._ongoing(*key))

    def observe(self, finding: Finding) -> Incident | None:
        """Take one more occurrence, the latest of `finding`; returns the incident when that is worth telling."""
        now = finding.last_at
        key = (finding.rule, finding.user)
        entry = self._open.get(key)
        if entry is None:
            incident = _opened(finding)
            self._open[key] = OpenIncident(incident, now)
            return incident
        self._open.move_to_end(key)
        entry.seen_at = now if now is not None else entry.seen_at
        if entry.recalled:
            entry.recalled = False
            return None
        known = entry.incident.severity
        graver = finding.severity is not known and finding.severity.rank > known.rank
        explained = entry.incident.cause is None and finding.cause is not None
        _grow(entry.incident, finding)
        grown = entry.incident.count >= entry.told * GROWTH
        if grown:
            entry.told = entry.incident.count
        return entry.incident if grown or graver or explained else None

    def resolve_quiet(self, now: float) -> Iterator[Incident]:
        """It is `now`: every incident that is over, resolved."""
        for key, entry in list(self._quiet(now)):
            if self._ongoing(*key):
                entry.seen_at = now
                self._open.move_to_end(key)
                continue
            del self._open[key]
            entry.incident.state, entry.incident.resolved_at = IncidentState.RESOLVED, now
            yield entry.incident

    def _quiet(self, now: float) -> Iterator[tuple[tuple[str, str | None], OpenIncident]]:
        """The open incidents in the order in which they were last seen, as far as they have been quiet."""
        for key, entry in self._open.items():
            if entry.seen_at is None:
                continue
            if now - entry.seen_at < self._quiet_after:
                return
            yield key, entry


def _opened(finding: Finding) -> Incident:
    at = finding.last_at
    return Incident(
        state=IncidentState.OPENED,
        rule=finding.rule,
        severity=finding.severity,
        confidence=finding.confidence,
        user=finding.user,
        message=finding.message,
        first_at=at,
        last_at=at,
        cause=finding.cause,
        evidence=finding.evidence[-1:] if finding.count > 1 else list(finding.evidence),
    )


def _grow(incident: Incident, finding: Finding) -> None:
    incident.state = IncidentState.GREW
    incident.count += 1
    incident.message, incident.cause = finding.message, finding.cause
    incident.severity, incident.confidence = finding.severity, finding.confidence
    incident.last_at = finding.last_at
    incident.evidence = list(finding.evidence)
    if incident.first_at is not None and incident.last_at is not None and incident.last_at > incident.first_at:
        incident.rate = (incident.count - 1) / (incident.last_at - incident.first_at)
