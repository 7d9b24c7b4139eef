"""Incidents open once, are reported again as they grow tenfold, and resolve when they are quiet."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wscheck.detect.incidents import Incident, IncidentState, IncidentTracker
from wscheck.model.findings import Cause, Confidence, Finding, Severity


def finding(rule: str = "connection-replaced", user: str = "ada", at: float | None = 0.0, **fields: Any) -> Finding:
    defaults: dict[str, Any] = {"severity": Severity.WARNING, "confidence": Confidence.HIGH, "message": "replaced"}
    return Finding(rule=rule, user=user, first_at=at, last_at=at, **defaults | fields)


def test_five_hundred_replacements_are_reported_three_times() -> None:
    incidents = IncidentTracker()
    changes = []
    for n in range(500):
        change = incidents.observe(finding(at=n / 4))
        changes += [(change.state, change.count)] if change else []
    assert changes == [(IncidentState.OPENED, 1), (IncidentState.GREW, 10), (IncidentState.GREW, 100)]
    [incident] = incidents.open
    assert (incident.count, incident.rate) == (500, 4.0)


def test_one_incident_for_each_user_and_rule() -> None:
    incidents = IncidentTracker()
    for rule in ("connection-replaced", "excessive-attempts"):
        for user in ("ada", "bob"):
            assert incidents.observe(finding(rule, user))
            assert not incidents.observe(finding(rule, user))
    assert len(incidents.open) == 4


def test_quiet_for_long_enough_resolves_it_once() -> None:
    incidents = IncidentTracker(quiet_after=30)
    incidents.observe(finding(at=0.0))
    incidents.observe(finding(at=10.0))
    assert list(incidents.resolve_quiet(39.9)) == []
    [resolved] = incidents.resolve_quiet(40.0)
    assert (resolved.state, resolved.count, resolved.first_at, resolved.resolved_at) == (
        IncidentState.RESOLVED,
        2,
        0.0,
        40.0,
    )
    assert list(incidents.resolve_quiet(100.0)) == []
    assert incidents.open == []


def test_an_incident_that_still_holds_does_not_keep_the_next_one_open() -> None:
    incidents = IncidentTracker(quiet_after=30, still_holds=lambda rule, user: user == "ada")
    incidents.observe(finding(user="ada", at=0.0))
    incidents.observe(finding(user="bob", at=5.0))
    assert list(incidents.resolve_quiet(31.0)) == []
    assert [over.user for over in incidents.resolve_quiet(36.0)] == ["bob"]


def test_an_incident_that_grows_does_not_keep_another_open() -> None:
    incidents = IncidentTracker(quiet_after=30)
    for user, at in (("ada", 0.0), ("bob", 1.0), ("ada", 20.0)):
        incidents.observe(finding(user=user, at=at))
    assert [over.user for over in incidents.resolve_quiet(35.0)] == ["bob"]


def test_a_resolved_incident_opens_again_and_counts_from_one() -> None:
    incidents = IncidentTracker(quiet_after=30)
    incidents.observe(finding())
    list(incidents.resolve_quiet(50.0))
    again = incidents.observe(finding(at=60.0, count=2))
    assert again is not None
    assert (again.state, again.count, again.first_at) == (IncidentState.OPENED, 1, 60.0)


def test_an_incident_that_still_holds_does_not_resolve() -> None:
    holding = {"ada"}
    incidents = IncidentTracker(
        quiet_after=30, still_holds=lambda rule, user: rule == "multiple-connections" and user in holding
    )
    incidents.observe(finding("multiple-connections", "ada"))
    incidents.observe(finding("multiple-connections", "bob"))
    assert [incident.user for incident in incidents.resolve_quiet(31.0)] == ["bob"]
    holding.clear()
    assert list(incidents.resolve_quiet(40.0)) == []
    assert [incident.user for incident in incidents.resolve_quiet(61.0)] == ["ada"]


def test_a_higher_severity_is_reported_at_once() -> None:
    incidents = IncidentTracker()
    incidents.observe(finding())
    graver = incidents.observe(finding(severity=Severity.ERROR))
    assert graver is not None
    assert (graver.state, graver.severity) == (IncidentState.GREW, Severity.ERROR)


def test_a_cause_that_becomes_known_is_reported_once() -> None:
    incidents = IncidentTracker()
    incidents.observe(finding())
    cause = Cause("reconnect-on-kick", "the client reconnects", "Do not.")
    reported = []
    for _ in range(9):
        change = incidents.observe(finding(cause=cause))
        reported += [(change.state, change.count, change.cause)] if change else []
    assert reported == [(IncidentState.GREW, 2, cause), (IncidentState.GREW, 10, cause)]


def test_without_a_clock_nothing_resolves() -> None:
    incidents = IncidentTracker(quiet_after=30)
    incidents.observe(finding(at=None))
    assert list(incidents.resolve_quiet(1e9)) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 20)), max_size=60))
def test_every_incident_resolves_and_every_occurrence_is_counted(steps: list[tuple[str, float]]) -> None:
    incidents, now, counted, opened = IncidentTracker(quiet_after=10), 0.0, 0, 0
    resolved: list[Incident] = []
    for user, pause in steps:
        now += pause
        resolved += incidents.resolve_quiet(now)
        change = incidents.observe(finding(user=user, at=now))
        opened += change is not None and change.state is IncidentState.OPENED
        counted += 1
    resolved += incidents.resolve_quiet(now + 11)
    assert incidents.open == []
    assert len(resolved) == opened
    assert sum(incident.count for incident in resolved) == counted
