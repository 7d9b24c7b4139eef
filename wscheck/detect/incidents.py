"""Incidents: findings that open, grow and resolve, one per user and rule.

A loop of five hundred replacements is one incident. An incident is reported when it opens, at its 10th, 100th, ...
occurrence, when its severity rises, when its cause becomes known, and when it resolves.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import StrEnum

import msgspec

from wscheck.model.events import AnyEvent
from wscheck.model.findings import Cause, Confidence, Finding, Severity

GROWTH = 10
"""Factor by which the count of an incident grows until it is reported again."""


class IncidentState(StrEnum):
    """The latest change of an incident."""

    OPENED = "opened"
    GREW = "grew"
    RESOLVED = "resolved"


class Incident(msgspec.Struct, kw_only=True, tag_field="type", tag="finding"):
    """A rule broken for one user, from the first occurrence until none has followed for a while (docs/logs.md).

    state              the latest change
    count              occurrences since the incident opened
    first_at, last_at  seconds since the Unix epoch, None where the evidence has no time
    rate               occurrences per second from the first to the last, None for a single occurrence
    resolved_at        seconds since the Unix epoch, None while the incident is open
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
    """An open incident, with the data that decides whether it is reported again.

    occurred_at        time of the latest occurrence, None where the evidence has no time
    reported_count     number of occurrences that was reported last
    is_still_restored  the incident is from the checkpoint of an earlier run, and the user still breaks the rule: the
                       next occurrence only repeats what that run reported
    """

    incident: Incident
    occurred_at: float | None
    reported_count: int = 1
    is_still_restored: bool = False


StillHolds = Callable[[str, str | None], bool]
"""`still_holds(rule, user)` returns whether the user still breaks the rule, although no new event occurred."""


class IncidentTracker:
    """Open incidents, updated with each occurrence and with the time.

    An incident resolves after `quiet_after` seconds without an occurrence. It stays open while the function
    `still_holds` returns True, because the user then still breaks the rule.
    """

    def __init__(self, quiet_after: float = 30.0, still_holds: StillHolds = lambda _rule, _user: False) -> None:
        self._quiet_after, self._still_holds = quiet_after, still_holds
        self._open: OrderedDict[tuple[str, str | None], OpenIncident] = OrderedDict()

    @property
    def open(self) -> list[Incident]:
        """Open incidents, ordered by their latest occurrence, the oldest first."""
        return [entry.incident for entry in self._open.values()]

    def restore(self, incident: Incident) -> None:
        """Continue an incident that an earlier run reported."""
        key = (incident.rule, incident.user)
        self._open[key] = OpenIncident(incident, incident.last_at, incident.count, self._still_holds(*key))

    def is_open(self, finding: Finding) -> bool:
        """Return whether the incident of `finding` is open."""
        return (finding.rule, finding.user) in self._open

    def observe(self, finding: Finding, severity: Severity | None = None) -> Incident | None:
        """Add the latest occurrence of `finding` to its incident. Return the incident if it must be reported now.

        `severity` is that of the incident, by default that of the finding.
        """
        now = finding.last_at
        key = (finding.rule, finding.user)
        entry = self._open.get(key)
        if entry is None:
            incident = _new_incident(finding, severity or finding.severity)
            self._open[key] = OpenIncident(incident, now)
            return incident
        self._open.move_to_end(key)
        entry.occurred_at = now if now is not None else entry.occurred_at
        if entry.is_still_restored:
            entry.is_still_restored = False
            return None
        is_worse = (severity or finding.severity).rank > entry.incident.severity.rank
        has_new_cause = entry.incident.cause is None and finding.cause is not None
        _grow(entry.incident, finding, severity or finding.severity)
        has_grown = entry.incident.count >= entry.reported_count * GROWTH
        if has_grown:
            entry.reported_count = entry.incident.count
        return entry.incident if has_grown or is_worse or has_new_cause else None

    def raise_severity(self, finding: Finding) -> Incident | None:
        """Raise the severity of an open incident to that of its finding.

        Return the incident if its severity rose, None otherwise.
        """
        entry = self._open.get((finding.rule, finding.user))
        if entry is None or finding.severity.rank <= entry.incident.severity.rank:
            return None
        entry.incident.state, entry.incident.severity = IncidentState.GREW, finding.severity
        return entry.incident

    def resolve_quiet(self, now: float) -> Iterator[Incident]:
        """Resolve and yield each incident without a recent occurrence at `now` (epoch seconds)."""
        for key, entry in list(self._quiet(now)):
            if self._still_holds(*key):
                entry.occurred_at = now
                self._open.move_to_end(key)
                continue
            del self._open[key]
            entry.incident.state, entry.incident.resolved_at = IncidentState.RESOLVED, now
            yield entry.incident

    def _quiet(self, now: float) -> Iterator[tuple[tuple[str, str | None], OpenIncident]]:
        """Yield the open incidents whose latest occurrence is at least `quiet_after` seconds ago, the oldest first."""
        for key, entry in self._open.items():
            if entry.occurred_at is None:
                continue
            if now - entry.occurred_at < self._quiet_after:
                return
            yield key, entry


def _new_incident(finding: Finding, severity: Severity) -> Incident:
    at = finding.last_at
    return Incident(
        state=IncidentState.OPENED,
        rule=finding.rule,
        severity=severity,
        confidence=finding.confidence,
        user=finding.user,
        message=finding.message,
        first_at=at,
        last_at=at,
        cause=finding.cause,
        evidence=finding.evidence[-1:] if finding.count > 1 else list(finding.evidence),
    )


def _grow(incident: Incident, finding: Finding, severity: Severity) -> None:
    incident.state = IncidentState.GREW
    incident.count += 1
    incident.message, incident.cause = finding.message, finding.cause
    incident.severity, incident.confidence = severity, finding.confidence
    incident.last_at = finding.last_at
    incident.evidence = list(finding.evidence)
    if incident.first_at is not None and incident.last_at is not None and incident.last_at > incident.first_at:
        incident.rate = (incident.count - 1) / (incident.last_at - incident.first_at)
