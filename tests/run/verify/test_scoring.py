"""From events to verdicts: what passes, what fails, and what could not be judged and must never read as a pass."""

from collections.abc import Callable

import pytest

from tests.conversation import KICKED_CLIENT, START, Conversation, user
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import (
    AnyEvent,
    Connected,
    Delivered,
    Disconnected,
    NotEvaluated,
    PhaseEnded,
    PhaseStarted,
    ProcessStalled,
    Refused,
    Unreadable,
)
from wscheck.model.findings import Bar, Severity, Verdict
from wscheck.model.report import ScenarioResult
from wscheck.run.verify.scoring import all_findings, score_run, score_scenarios, split_phases

SCENARIO = "single-connection"


def phase(said: Conversation, name: str = "subject", scenario: str = SCENARIO, *, until: float = 3) -> list[AnyEvent]:
    began = PhaseStarted(at=START, source="scenario", scenario=scenario, phase=name)
    return [began, *said.events, PhaseEnded(at=START + until, source="scenario", scenario=scenario, phase=name)]


def healthy() -> Conversation:
    said = user("A", page="tab-1").mounts("Dashboard", at=0).attempts(at=0).connects("s1", at=0.1, by="Dashboard")
    return (
        said.expects("connected", at=1)
        .unmounts("Dashboard", at=2)
        .disconnects("s1", at=2, reason="io client disconnect")
    )


def faulty() -> Conversation:
    said = user("A", page="tab-1").connects("c1", at=0, by="Dashboard").connects("c2", at=0.1, by="Wizard")
    return said.disconnects("c1", at=0.1, reason=KICKED_CLIENT)


def result(events: list[AnyEvent], bar: Bar | None = None) -> ScenarioResult:
    (only,) = score_scenarios(events, RuleOptions(), bar or Bar())
    return only


def test_a_healthy_subject_and_a_control_that_shows_the_fault_pass() -> None:
    told = result(phase(healthy()) + phase(faulty(), "control"))
    assert (told.verdict, told.reason, told.findings) == (Verdict.PASSED, "", [])
    assert (told.connections_opened, told.connections_peak, told.replacements) == (1, 1, 0)
    assert told.duration_s == 3
    control = told.control
    assert control is not None
    assert (control.verdict, control.connections_opened, control.replacements) == (Verdict.FAILED, 2, 1)
    assert control.did == "it opened 2 connections, the server replaced 1"
    assert set(control.findings) == {"multiple-connections", "connection-replaced"}


def test_a_faulty_subject_fails_with_its_findings_named_after_the_scenario() -> None:
    told = result(phase(faulty()))
    assert told.verdict is Verdict.FAILED
    assert told.reason in [finding.message for finding in told.findings]
    assert {finding.scenario for finding in told.findings} == {SCENARIO}


def with_(*events: AnyEvent) -> Callable[[], list[AnyEvent]]:
    return lambda: phase(_and(healthy(), *events))


def _and(said: Conversation, *events: AnyEvent) -> Conversation:
    said.events += events
    return said


SILENCE = Refused(at=START + 1, source="client", user="A", reason="timeout", message="no answer within 5 s")
"""What a server that hangs leaves behind: nobody was let in, and nobody was refused."""

UNSURE: dict[str, tuple[Callable[[], list[AnyEvent]], str]] = {
    "nothing was seen": (lambda: phase(user("A")), "no connection was seen"),
    "said so": (with_(NotEvaluated(at=START + 2, reason="no event can be asked for")), "no event can be asked for"),
    "server gone": (
        with_(Refused(at=START + 2, source="client", reason="unreachable", message="connection refused")),
        "the server went away during the scenario: connection refused; look in its log for why, and run again",
    ),
    "server silent": (
        lambda: phase(_and(user("A"), SILENCE), scenario="auth-refused"),
        "no connection was seen: no answer within 5 s",
    ),
    "control silent": (
        lambda: phase(healthy()) + phase(_and(user("A"), SILENCE), "control"),
        "the control shows nothing, so this check could not have failed: nothing was seen",
    ),
    "nonsense": (
        with_(Unreadable(at=START + 2, source="client", reason="a packet of type 9")),
        "a packet of type 9: what it did after that proves nothing",
    ),
    "cut short": (lambda: phase(healthy())[:-1], "the run was interrupted before this scenario ended"),
    "blind": (
        lambda: phase(healthy()) + phase(user("A").connects("c1", at=0), "control"),
        "the control shows nothing, so this check could not have failed: it opened 1 connection",
    ),
    "unknown": (
        lambda: phase(healthy(), scenario="of-tomorrow"),
        "this version of wscheck does not know the scenario",
    ),
}


@pytest.mark.parametrize("case", UNSURE)
def test_what_could_not_be_judged_is_inconclusive_and_says_why(case: str) -> None:
    events, reason = UNSURE[case]
    told = result(events())
    assert (told.verdict, told.reason) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize("case", UNSURE)
def test_strict_makes_it_fail(case: str) -> None:
    events, reason = UNSURE[case]
    told = result(events(), Bar(strict=True))
    assert (told.verdict, told.reason) == (Verdict.FAILED, reason)


def test_what_was_not_tried_is_skipped() -> None:
    told = result(phase(_and(user("A"), NotEvaluated(at=START, reason="no second user", skipped=True))))
    assert (told.verdict, told.reason) == (Verdict.SKIPPED, "no second user")


def test_a_finding_outweighs_what_could_not_be_judged() -> None:
    events = phase(_and(faulty(), NotEvaluated(at=START + 2, reason="and more")))
    assert result(events).verdict is Verdict.FAILED


def test_what_follows_from_a_server_that_is_gone_is_not_held_against_it() -> None:
    gone = Refused(at=START + 1, source="client", reason="unreachable", message="reset")
    said = _and(user("A").connects("s1", at=0).disconnects("s1", at=1, reason="transport close"), gone)
    told = result(phase(said.expects("connected", at=2)))
    assert (told.verdict, told.findings) == (Verdict.INCONCLUSIVE, [])


def test_a_server_that_ended_the_connection_is_not_said_to_have_other_events() -> None:
    said = user("A").connects("s1", at=0).disconnects("s1", at=0.1, reason=KICKED_CLIENT)
    told = result(
        phase(said.expects("delivered", at=1, name="sync", within=0.5, assumed=True), scenario="event-handling")
    )
    assert told.verdict is Verdict.INCONCLUSIVE
    assert told.reason == "the server ended the connection, and sent none of the events that it was asked for"


def test_a_target_that_refuses_the_second_connection_shows_the_fault_as_well() -> None:
    said = user("A").connects("c1", at=0).is_refused(at=0.1, message="already connected")
    told = result(phase(healthy()) + phase(said, "control"))
    assert told.verdict is Verdict.PASSED
    assert told.control is not None
    assert told.control.did == 'it opened 1 connection, the server refused 1 ("already connected")'


@pytest.mark.parametrize(
    ("fail_on", "verdict"),
    [(Severity.ERROR, Verdict.PASSED), (Severity.WARNING, Verdict.FAILED), (Severity.NOTE, Verdict.FAILED)],
)
def test_the_bar_says_which_severity_fails(fail_on: Severity, verdict: Verdict) -> None:
    said = user("A").connects("s1", at=0, page="tab-1").connects("s2", at=1, page="tab-2")
    said.is_replaced("s1", "s2", at=1).disconnects("s1", at=1, reason=KICKED_CLIENT)
    told = result(phase(said, scenario="second-tab"), Bar(fail_on))
    assert told.verdict is verdict
    assert [finding.rule for finding in told.findings] == ["tab-displaced"]


def test_two_namespaces_of_one_session_are_one_connection_opened() -> None:
    said = (
        user("A", page="tab-1", eio="e1").connects("s1", at=0, namespace="/").connects("s2", at=0.1, namespace="/bot")
    )
    told = result(phase(said.expects("connected", at=1)))
    assert (told.verdict, told.connections_opened, told.connections_peak) == (Verdict.PASSED, 1, 1)


def test_our_own_stall_is_said_before_the_server_is_blamed() -> None:
    told = result(phase(_and(faulty(), ProcessStalled(at=START + 1, source="wscheck", seconds=0.7))))
    assert all(f.message.endswith("(this machine stalled for 0.7 s meanwhile)") for f in told.findings)


def test_what_the_client_knows_is_told_with_the_logs_earlier_sighting() -> None:
    said = user("A", "server-log").connects("c1", at=0).connects("c2", at=0.5).is_replaced("c1", "c2", at=0.5)
    said.seen_by("client", page="tab-1").connects("c1", at=0.01, by="Dashboard").connects("c2", at=0.51, by="Wizard")
    told = result(phase(said))
    found = next(f for f in told.findings if f.rule == "multiple-connections")
    assert found.message == "one page opened 2 connections: one by Dashboard, one by Wizard"
    opened = [event for event in found.evidence if isinstance(event, Connected)]
    assert {(event.source, event.page) for event in opened} == {("server-log", "tab-1")}


def test_each_phase_is_judged_by_itself_and_in_the_order_of_the_run() -> None:
    events = phase(faulty(), scenario="race") + phase(healthy()) + phase(faulty(), "control")
    told = score_scenarios(events, RuleOptions(), Bar())
    assert [(r.id, r.verdict) for r in told] == [("race", Verdict.FAILED), (SCENARIO, Verdict.PASSED)]
    cut = list(split_phases(events[:-1]))
    assert [(part.scenario, part.name, part.ended) for part in cut] == [
        ("race", "subject", True),
        (SCENARIO, "subject", True),
        (SCENARIO, "control", False),
    ]


def scenario(verdict: Verdict, reason: str = "") -> ScenarioResult:
    return ScenarioResult(id=verdict.value, verdict=verdict, reason=reason)


@pytest.mark.parametrize(
    ("verdicts", "verdict", "reason"),
    [
        ("passed skipped", Verdict.PASSED, ""),
        ("passed inconclusive", Verdict.INCONCLUSIVE, "inconclusive: why"),
        ("inconclusive failed passed", Verdict.FAILED, "failed: why"),
        ("skipped", Verdict.INCONCLUSIVE, "no scenario could be tried"),
        ("", Verdict.INCONCLUSIVE, "no scenario could be tried"),
    ],
)
def test_the_run_is_as_bad_as_its_worst_scenario(verdicts: str, verdict: Verdict, reason: str) -> None:
    decision = score_run([scenario(Verdict(name), "why") for name in verdicts.split()], Bar())
    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_the_runs_findings_are_those_of_its_scenarios_the_worst_first() -> None:
    tab = user("A").connects("s1", at=0).is_refused(at=1, message="no")
    results = score_scenarios(phase(tab, scenario="second-tab") + phase(faulty()), RuleOptions(), Bar())
    severities = [finding.severity for finding in all_findings(results)]
    assert severities[0] is Severity.ERROR and severities[-1] is Severity.NOTE
    assert len(severities) == sum(len(r.findings) for r in results)


def asked(*came: str, assumed: bool) -> list[AnyEvent]:
    """Two events were asked for, and these came."""
    said = healthy()
    for name in ("status", "sync"):
        said.expects("delivered", at=0.2, name=name, within=0.5, assumed=assumed)
    for name in came:
        said.receives(name, at=0.3)
    return phase(said) + phase(faulty(), "control")


@pytest.mark.parametrize(
    ("came", "assumed", "verdict"),
    [
        ((), True, Verdict.INCONCLUSIVE),
        ((), False, Verdict.FAILED),
        (("sync",), True, Verdict.FAILED),
        (("status", "sync"), True, Verdict.PASSED),
    ],
)
def test_a_server_that_knows_none_of_the_events_that_nobody_said_it_has(
    came: tuple[str, ...], assumed: bool, verdict: Verdict
) -> None:
    told = result(asked(*came, assumed=assumed))
    assert told.verdict is verdict
    assert ("wscheck init" in told.reason) is (verdict is Verdict.INCONCLUSIVE)


def turned_away(credential: str) -> list[AnyEvent]:
    refused = Refused(at=START + 1, source="client", user="A", reason="refused", message="jwt", credential=credential)
    said = user("A", page="tab-1").expects("connected", at=2)
    return phase(_and(said, refused), scenario="reconnect") + phase(faulty(), "control", scenario="reconnect")


def test_a_server_that_begins_to_refuse_the_users_own_token_is_not_blamed_for_the_absence() -> None:
    told = result(turned_away("own"))
    assert (told.verdict, told.findings) == (Verdict.INCONCLUSIVE, [])
    assert told.reason == "the server now refuses the user's own credentials (jwt): has the token expired?"
    assert result(turned_away("invalid")).verdict is Verdict.FAILED


def test_that_the_server_went_away_is_told_before_what_else_could_not_be_judged() -> None:
    dead = Refused(at=START + 2, source="client", reason="unreachable", message="connection refused")
    told = result(with_(NotEvaluated(at=START + 1, reason="the contract names no event"), dead)())
    assert told.reason.startswith("the server went away")


OWN, FOREIGN = "A", "B"


def borrowed(*events: AnyEvent) -> list[AnyEvent]:
    """A's token was let in under B's id while A was connected, and this is what the server then did."""
    said = user(OWN, page="tab-1").connects("s1", at=0, credential="own")
    other = user(FOREIGN, page="tab-2").connects("s2", at=0.5, credential="foreign")
    return phase(_and(said, *other.events, *events), scenario="identity-binding")


def sent(about: str) -> AnyEvent:
    return Delivered(at=START + 1, source="client", user=FOREIGN, sid="s2", page="tab-2", name="status", about=about)


def logged(who: str | None) -> AnyEvent:
    return Connected(at=START + 0.4, source="server-log", user=who, sid="s2")


KICK = Disconnected(at=START + 0.5, source="client", user=OWN, sid="s1", page="tab-1", reason=KICKED_CLIENT)


@pytest.mark.parametrize("told", [sent(FOREIGN), logged(FOREIGN)], ids=["sent", "logged"])
def test_a_token_that_opens_the_connection_of_another_fails(told: AnyEvent) -> None:
    failed = result(borrowed(told))
    assert failed.verdict is Verdict.FAILED and [f.rule for f in failed.findings] == ["identity-unverified"]


@pytest.mark.parametrize("told", [sent(OWN), logged(OWN), KICK], ids=["sent", "logged", "closed"])
def test_a_server_that_ignores_the_id_and_goes_by_the_token_passes(told: AnyEvent) -> None:
    assert (result(borrowed(told)).verdict, result(borrowed(told)).findings) == (Verdict.PASSED, [])


@pytest.mark.parametrize("told", [(), (logged(None),)], ids=["nothing", "no user"])
def test_whose_connection_it_became_is_not_guessed(told: tuple[AnyEvent, ...]) -> None:
    unsure = result(borrowed(*told))
    assert unsure.verdict is Verdict.INCONCLUSIVE and not unsure.findings
    assert "--server-log" in unsure.reason
