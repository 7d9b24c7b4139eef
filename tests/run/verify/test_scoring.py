"""Tests of the verdicts of recorded phases."""

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
from wscheck.run.verify.inconclusive import KICKED_WITHOUT_EVENTS, unanswered_reason
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


def test_a_healthy_subject_with_a_faulty_control_passes() -> None:
    told = result(phase(healthy()) + phase(faulty(), "control"))
    assert (told.verdict, told.reason, told.findings) == (Verdict.PASSED, "", [])
    assert (told.connections_opened, told.connections_peak, told.replacements) == (1, 1, 0)
    assert told.duration_s == 3
    control = told.control
    assert control is not None
    assert (control.verdict, control.connections_opened, control.replacements) == (Verdict.FAILED, 2, 1)
    assert control.did == "it opened 2 connections, the server replaced 1"
    assert set(control.findings) == {"multiple-connections", "connection-replaced"}


def test_the_findings_of_a_faulty_subject_name_the_scenario() -> None:
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
"""Event of a server that hangs: it neither accepts nor refuses the connection."""

UNSURE: dict[str, tuple[Callable[[], list[AnyEvent]], str]] = {
    "nothing was observed": (lambda: phase(user("A")), "no connection was observed"),
    "said so": (with_(NotEvaluated(at=START + 2, reason="no event can be asked for")), "no event can be asked for"),
    "server gone": (
        with_(Refused(at=START + 2, source="client", reason="unreachable", message="connection refused")),
        "the server went away during the scenario: connection refused; look in its log for why, and run again",
    ),
    "server silent": (
        lambda: phase(_and(user("A"), SILENCE), scenario="auth-refused"),
        "no connection was observed: no answer within 5 s",
    ),
    "control silent": (
        lambda: phase(healthy()) + phase(_and(user("A"), SILENCE), "control"),
        "the control run (a client with the known fault) did not show the fault, "
        "so this check could not have failed: nothing was observed",
    ),
    "nonsense": (
        with_(Unreadable(at=START + 2, source="client", reason="a packet of type 9")),
        "a packet of type 9: what the server did afterwards proves nothing",
    ),
    "cut short": (lambda: phase(healthy())[:-1], "the run was interrupted before this scenario ended"),
    "blind": (
        lambda: phase(healthy()) + phase(user("A").connects("c1", at=0), "control"),
        "the control run (a client with the known fault) did not show the fault, "
        "so this check could not have failed: it opened 1 connection",
    ),
    "unknown": (
        lambda: phase(healthy(), scenario="of-tomorrow"),
        "this version of wscheck does not know the scenario",
    ),
}


@pytest.mark.parametrize("case", UNSURE)
def test_missing_evidence_is_inconclusive_with_a_reason(case: str) -> None:
    events, reason = UNSURE[case]
    told = result(events())
    assert (told.verdict, told.reason) == (Verdict.INCONCLUSIVE, reason)


@pytest.mark.parametrize("case", UNSURE)
def test_strict_fails_missing_evidence(case: str) -> None:
    events, reason = UNSURE[case]
    told = result(events(), Bar(strict=True))
    assert (told.verdict, told.reason) == (Verdict.FAILED, reason)


def test_a_scenario_that_was_not_tried_is_skipped() -> None:
    told = result(phase(_and(user("A"), NotEvaluated(at=START, reason="no second user", skipped=True))))
    assert (told.verdict, told.reason) == (Verdict.SKIPPED, "no second user")


def test_a_finding_outweighs_missing_evidence() -> None:
    events = phase(_and(faulty(), NotEvaluated(at=START + 2, reason="and more")))
    assert result(events).verdict is Verdict.FAILED


def test_consequences_of_a_lost_server_are_not_findings() -> None:
    gone = Refused(at=START + 1, source="client", reason="unreachable", message="reset")
    said = _and(user("A").connects("s1", at=0).disconnects("s1", at=1, reason="transport close"), gone)
    told = result(phase(said.expects("connected", at=2)))
    assert (told.verdict, told.findings) == (Verdict.INCONCLUSIVE, [])


def test_a_disconnect_explains_missing_documented_events() -> None:
    said = user("A").connects("s1", at=0).disconnects("s1", at=0.1, reason=KICKED_CLIENT)
    told = result(
        phase(said.expects("delivered", at=1, name="sync", within=0.5, assumed=True), scenario="event-handling")
    )
    assert told.verdict is Verdict.INCONCLUSIVE
    assert told.reason == KICKED_WITHOUT_EVENTS


def test_a_refusal_in_the_control_also_shows_the_fault() -> None:
    said = user("A").connects("c1", at=0).is_refused(at=0.1, message="already connected")
    told = result(phase(healthy()) + phase(said, "control"))
    assert told.verdict is Verdict.PASSED
    assert told.control is not None
    assert told.control.did == 'it opened 1 connection, the server refused 1 ("already connected")'


@pytest.mark.parametrize(
    ("fail_on", "verdict"),
    [(Severity.ERROR, Verdict.PASSED), (Severity.WARNING, Verdict.FAILED), (Severity.NOTE, Verdict.FAILED)],
)
def test_the_bar_decides_which_severity_fails(fail_on: Severity, verdict: Verdict) -> None:
    said = user("A").connects("s1", at=0, page="tab-1").connects("s2", at=1, page="tab-2")
    said.is_replaced("s1", "s2", at=1).disconnects("s1", at=1, reason=KICKED_CLIENT)
    told = result(phase(said, scenario="second-tab"), Bar(fail_on))
    assert told.verdict is verdict
    assert [finding.rule for finding in told.findings] == ["tab-displaced"]


def test_two_namespaces_of_one_session_count_as_one_connection() -> None:
    said = (
        user("A", page="tab-1", eio="e1").connects("s1", at=0, namespace="/").connects("s2", at=0.1, namespace="/bot")
    )
    told = result(phase(said.expects("connected", at=1)))
    assert (told.verdict, told.connections_opened, told.connections_peak) == (Verdict.PASSED, 1, 1)


def test_findings_state_a_stall_of_this_machine() -> None:
    told = result(phase(_and(faulty(), ProcessStalled(at=START + 1, source="wscheck", seconds=0.7))))
    assert all(f.message.endswith("(this machine stalled for 0.7 s meanwhile)") for f in told.findings)


def test_log_events_get_the_page_and_component_of_the_client() -> None:
    said = user("A", "server-log").connects("c1", at=0).connects("c2", at=0.5).is_replaced("c1", "c2", at=0.5)
    said.seen_by("client", page="tab-1").connects("c1", at=0.01, by="Dashboard").connects("c2", at=0.51, by="Wizard")
    told = result(phase(said))
    found = next(f for f in told.findings if f.rule == "multiple-connections")
    assert found.message == "one page opened 2 connections: one by Dashboard, one by Wizard"
    opened = [event for event in found.evidence if isinstance(event, Connected)]
    assert {(event.source, event.page) for event in opened} == {("server-log", "tab-1")}


def test_phases_are_evaluated_separately_in_the_order_of_the_run() -> None:
    events = phase(faulty(), scenario="race") + phase(healthy()) + phase(faulty(), "control")
    told = score_scenarios(events, RuleOptions(), Bar())
    assert [(r.id, r.verdict) for r in told] == [("race", Verdict.FAILED), (SCENARIO, Verdict.PASSED)]
    cut = list(split_phases(events[:-1]))
    assert [(part.scenario, part.name, part.ended) for part in cut] == [
        ("race", "subject", True),
        (SCENARIO, "subject", True),
        (SCENARIO, "control", False),
    ]


@pytest.mark.parametrize(("reason", "verdict"), [("refused", Verdict.PASSED), ("timeout", Verdict.INCONCLUSIVE)])
@pytest.mark.parametrize("scenario", ["identity-binding", "auth-refused"])
def test_an_attempt_without_an_answer_was_not_refused(scenario: str, reason: str, verdict: Verdict) -> None:
    credential = "foreign" if scenario == "identity-binding" else "altered"
    attempt = Refused(at=START + 1, source="client", user="B", reason=reason, credential=credential, message="why")
    said = _and(user("A", page="tab-1").connects("s1", at=0, by="Header"), attempt)
    told = result(phase(said, scenario=scenario))
    assert told.verdict is verdict
    assert told.reason == ("the server did not answer an attempt that it must refuse: why" if told.reason else "")


def raced(*ended: tuple[str, float, str]) -> list[AnyEvent]:
    """Five pages connect at once, and the server ends some of the connections (sid, time, reason)."""
    events: list[AnyEvent] = []
    for n in range(1, 6):
        events += user("A", page=f"tab-{n}").connects(f"r{n}", at=0.01 * n, by="Header").events
    events += [Disconnected(at=START + at, source="client", user="A", sid=sid, reason=why) for sid, at, why in ended]
    said = user("A")
    said.events += sorted(events, key=lambda event: event.at or 0.0)
    return phase(said, scenario="race")


def each_newer(why: str) -> list[tuple[str, float, str]]:
    return [(f"r{n}", 0.1, why) for n in range(2, 6)]


def second(*ended: tuple[str, float, str]) -> list[AnyEvent]:
    """A page opens a second connection after 0.6 s, and the server ends some of the connections."""
    said = user("A", page="tab-1").connects("c1", at=0, by="Header").connects("c2", at=0.6, by="Chat")
    for sid, at, why in ended:
        said.disconnects(sid, at=at, reason=why)
    return phase(said, "control", "race")


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        (raced(*each_newer(KICKED_CLIENT)) + second(("c2", 0.61, KICKED_CLIENT)), "passed"),
        (raced(*each_newer("transport close")) + second(("c2", 0.7, "transport close")), "passed"),
        (raced() + second(("c2", 0.61, KICKED_CLIENT)), "failed"),
        (raced() + second(), "inconclusive"),
        (raced() + second(("c2", 2.0, "transport close")), "inconclusive"),
    ],
    ids=["turned away", "by the transport", "but not when simultaneous", "never", "lost its network later"],
)  # fmt: skip
def test_a_server_that_admits_a_second_connection_and_ends_it_allows_one(events: list[AnyEvent], verdict: str) -> None:
    told = result(events)
    assert told.verdict == verdict, told.reason
    if verdict != "inconclusive":
        assert told.control is not None and told.control.did.endswith("the server accepted and ended 1")


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
def test_the_run_has_the_verdict_of_its_worst_scenario(verdicts: str, verdict: Verdict, reason: str) -> None:
    decision = score_run([scenario(Verdict(name), "why") for name in verdicts.split()], Bar())
    assert (decision.verdict, decision.reason) == (verdict, reason)


def test_the_findings_of_all_scenarios_are_sorted_by_severity() -> None:
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
        (("sync",), True, Verdict.INCONCLUSIVE),
        (("sync",), False, Verdict.FAILED),
        (("status", "sync"), True, Verdict.PASSED),
    ],
)
def test_missing_events_of_an_assumed_contract_are_inconclusive(
    came: tuple[str, ...], assumed: bool, verdict: Verdict
) -> None:
    told = result(asked(*came, assumed=assumed))
    assert told.verdict is verdict
    assert ("wscheck init" in told.reason) is (verdict is Verdict.INCONCLUSIVE)


def turned_away(credential: str) -> list[AnyEvent]:
    refused = Refused(at=START + 1, source="client", user="A", reason="refused", message="jwt", credential=credential)
    said = user("A", page="tab-1").expects("connected", at=2)
    return phase(_and(said, refused), scenario="reconnect") + phase(faulty(), "control", scenario="reconnect")


def test_refusal_of_the_own_token_during_the_run_is_inconclusive() -> None:
    told = result(turned_away("own"))
    assert (told.verdict, told.findings) == (Verdict.INCONCLUSIVE, [])
    assert told.reason.startswith("the server now refuses the user's own credentials (jwt): has the token expired, ")
    assert result(turned_away("invalid")).verdict is Verdict.FAILED


def test_the_loss_of_the_server_is_the_first_reason() -> None:
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
def test_a_token_that_opens_another_users_connection_fails(told: AnyEvent) -> None:
    failed = result(borrowed(told))
    assert failed.verdict is Verdict.FAILED and [f.rule for f in failed.findings] == ["identity-unverified"]


@pytest.mark.parametrize("told", [sent(OWN), logged(OWN), KICK], ids=["sent", "logged", "closed"])
def test_a_server_that_uses_the_owner_of_the_token_passes(told: AnyEvent) -> None:
    assert (result(borrowed(told)).verdict, result(borrowed(told)).findings) == (Verdict.PASSED, [])


@pytest.mark.parametrize("told", [(), (logged(None),)], ids=["nothing", "no user"])
def test_an_unknown_owner_of_the_connection_is_inconclusive(told: tuple[AnyEvent, ...]) -> None:
    unsure = result(borrowed(*told))
    assert unsure.verdict is Verdict.INCONCLUSIVE and not unsure.findings
    assert "--server-log" in unsure.reason


@pytest.mark.parametrize(("credential", "asks_for_login"), [("own", True), ("invalid", False)])
def test_only_what_a_server_tells_the_user_is_a_sign_of_a_login(credential: str, asks_for_login: bool) -> None:
    said = user("A").connects("s1", at=0, credential=credential, namespace="/desk").expects("delivered", 0, name="job")
    reason = unanswered_reason(said.receives("sorry", at=0.1).disconnects("s1", at=0.2, reason=KICKED_CLIENT).events)
    assert (reason is not None and "login" in reason) is asks_for_login


@pytest.mark.parametrize(
    ("newer_at", "reason"),
    [(0.4, None), (None, KICKED_WITHOUT_EVENTS), (-0.3, KICKED_WITHOUT_EVENTS), (5.0, KICKED_WITHOUT_EVENTS)],
    ids=["replaced", "alone", "the newer one itself", "long before the other one"],
)
def test_the_end_of_a_replaced_connection_is_no_sign_of_a_missing_login(
    newer_at: float | None, reason: str | None
) -> None:
    said = user("A").connects("s1", at=0).disconnects("s1", at=0.5, reason=KICKED_CLIENT)
    if newer_at is not None:
        said.connects("s2", at=newer_at)
    assert unanswered_reason(said.expects("delivered", at=1, name="job").events) == reason
