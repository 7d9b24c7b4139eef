"""The decision table of `verdict` and `run_verdict`, and the gaps of observed connections."""

from itertools import product

import msgspec
import pytest

from tests.conversation import user
from wscheck.detect.ledger import Ledger
from wscheck.detect.verdict import (
    Decision,
    Evidence,
    Ground,
    evidence_gaps,
    first_message,
    run_verdict,
    verdict,
)
from wscheck.model.events import Connected, Disconnected
from wscheck.model.findings import Bar, Confidence, Finding, Severity, Verdict
from wscheck.model.gaps import INTERRUPTED, Gap, NotTried

GAP = Gap(id="log-unread", reason="the log could not be read")
SCOPE = Gap(id="log-unread", reason="no log was given", blocks=False)
NOT_TRIED = NotTried(id="files-left-out", reason="no second user")
LIMIT = "--max-replaced 0: 1, crossed"


def finding(severity: Severity = Severity.ERROR, user: str | None = "ann", message: str = "2 connections") -> Finding:
    return Finding(
        rule="multiple-connections", severity=severity, confidence=Confidence.HIGH, user=user, message=message
    )


def without_gaps(decision: Decision) -> Decision:
    return msgspec.structs.replace(decision, gaps=(), findings=())


def failed(reason: str, ground: Ground) -> Decision:
    return Decision(verdict=Verdict.FAILED, reason=reason, ground=ground)


BY_FINDING = failed("ann: 2 connections", Ground.FINDING)
BY_LIMIT = failed(LIMIT, Ground.LIMIT)
PASSED = Decision(verdict=Verdict.PASSED)


@pytest.mark.parametrize(("severity", "fail_on", "strict"), list(product(Severity, Severity, [False, True])))
def test_a_finding_fails_the_run_from_the_chosen_severity_on(
    severity: Severity, fail_on: Severity, strict: bool
) -> None:
    order = [Severity.NOTE, Severity.WARNING, Severity.ERROR]
    reaches = order.index(severity) >= order.index(fail_on)
    assert without_gaps(verdict([finding(severity)], [], Bar(fail_on, strict))) == (BY_FINDING if reaches else PASSED)


@pytest.mark.parametrize(
    ("findings", "limits", "gaps", "decision", "strict_decision"),
    [
        ([], [], [], PASSED, PASSED),
        ([], [], [SCOPE], PASSED, PASSED),
        ([], [], [GAP], Decision(verdict=Verdict.INCONCLUSIVE, reason=GAP.reason, ground=Ground.GAP), None),
        ([], [], [SCOPE, GAP], Decision(verdict=Verdict.INCONCLUSIVE, reason=GAP.reason, ground=Ground.GAP), None),
        ([], [], [NOT_TRIED], Decision(verdict=Verdict.SKIPPED, reason=NOT_TRIED.reason, ground=Ground.GAP), None),
        ([], [], [NOT_TRIED, GAP], Decision(verdict=Verdict.SKIPPED, reason=NOT_TRIED.reason, ground=Ground.GAP), None),
        ([], [], [GAP, NOT_TRIED], Decision(verdict=Verdict.INCONCLUSIVE, reason=GAP.reason, ground=Ground.GAP), None),
        ([], [LIMIT], [], BY_LIMIT, BY_LIMIT),
        ([], [LIMIT], [GAP], BY_LIMIT, BY_LIMIT),
        ([finding()], [], [], BY_FINDING, BY_FINDING),
        ([finding()], [], [GAP], BY_FINDING, BY_FINDING),
        ([finding()], [], [NOT_TRIED], BY_FINDING, BY_FINDING),
        ([finding()], [LIMIT], [], BY_FINDING, BY_FINDING),
        ([finding()], [LIMIT], [GAP], BY_FINDING, BY_FINDING),
        ([finding(Severity.NOTE)], [LIMIT], [GAP], BY_LIMIT, BY_LIMIT),
        (
            [finding(Severity.NOTE)],
            [],
            [GAP],
            Decision(verdict=Verdict.INCONCLUSIVE, reason=GAP.reason, ground=Ground.GAP),
            None,
        ),
    ],
)
def test_a_finding_precedes_a_limit_and_a_limit_precedes_a_gap(
    findings: list[Finding], limits: list[str], gaps: list[Gap], decision: Decision, strict_decision: Decision | None
) -> None:
    """`strict_decision` None: strict turns the decision into a failure, by the same gap."""
    assert without_gaps(verdict(findings, gaps, Bar(), limits=limits)) == decision
    strict = strict_decision or failed(decision.reason, Ground.GAP)
    assert without_gaps(verdict(findings, gaps, Bar(strict=True), limits=limits)) == strict
    assert verdict(findings, gaps, Bar(), limits=limits).gaps == tuple(gaps)


def test_the_reason_names_every_limit() -> None:
    assert verdict([], [], Bar(), limits=["a", "b"]).reason == "a; b"


def test_the_reason_is_that_of_the_first_finding_that_fails_the_run() -> None:
    found = [finding(Severity.NOTE, message="a note"), finding(message="first"), finding(message="second")]
    assert verdict(found, [], Bar()).reason == "ann: first"
    assert verdict(found, [], Bar(), describe=first_message).reason == "first"
    assert verdict(found, [], Bar(), describe=lambda failing: str(len(failing))).reason == "2"
    assert verdict([finding(user=None)], [], Bar()).reason == "unknown user: 2 connections"


def test_the_reason_is_that_of_the_first_gap_that_blocks() -> None:
    assert verdict([], [SCOPE, GAP, INTERRUPTED], Bar()).reason == GAP.reason


@pytest.mark.parametrize("strict", [False, True])
def test_an_interruption_takes_back_a_pass_and_nothing_else(strict: bool) -> None:
    bar, without_pass = Bar(strict=strict), Verdict.FAILED if strict else Verdict.INCONCLUSIVE
    assert verdict([], [INTERRUPTED], bar).verdict is without_pass
    assert without_gaps(verdict([finding()], [INTERRUPTED], bar)) == BY_FINDING
    assert verdict([], [GAP, INTERRUPTED], bar).reason == GAP.reason


SCENARIO_VERDICTS = {
    "passed": (Verdict.PASSED, ""),
    "passed passed": (Verdict.PASSED, ""),
    "passed skipped": (Verdict.PASSED, ""),
    "skipped passed": (Verdict.PASSED, ""),
    "passed inconclusive": (Verdict.INCONCLUSIVE, "1: why"),
    "inconclusive skipped": (Verdict.INCONCLUSIVE, "0: why"),
    "inconclusive inconclusive": (Verdict.INCONCLUSIVE, "0: why"),
    "inconclusive failed passed": (Verdict.FAILED, "1: why"),
    "skipped failed": (Verdict.FAILED, "1: why"),
    "failed failed": (Verdict.FAILED, "0: why"),
    "skipped": (Verdict.INCONCLUSIVE, "no scenario could be tried"),
    "skipped skipped": (Verdict.INCONCLUSIVE, "no scenario could be tried"),
    "": (Verdict.INCONCLUSIVE, "no scenario could be tried"),
}


def parts(verdicts: str) -> list[tuple[str, Decision]]:
    return [(str(n), Decision(verdict=Verdict(name), reason="why")) for n, name in enumerate(verdicts.split())]


@pytest.mark.parametrize("verdicts", SCENARIO_VERDICTS)
def test_a_run_is_as_bad_as_its_worst_scenario(verdicts: str) -> None:
    decision = run_verdict(parts(verdicts), [], Bar())
    assert (decision.verdict, decision.reason) == SCENARIO_VERDICTS[verdicts]


@pytest.mark.parametrize("verdicts", ["", "skipped"])
def test_a_strict_run_in_which_nothing_was_tried_fails(verdicts: str) -> None:
    assert run_verdict(parts(verdicts), [], Bar(strict=True)).verdict is Verdict.FAILED


@pytest.mark.parametrize(
    ("verdicts", "verdict_", "reason"),
    [
        ("passed", Verdict.INCONCLUSIVE, INTERRUPTED.reason),
        ("failed", Verdict.FAILED, "0: why"),
        ("inconclusive", Verdict.INCONCLUSIVE, "0: why"),
        ("skipped", Verdict.INCONCLUSIVE, "no scenario could be tried"),
    ],
)
def test_a_gap_of_the_run_counts_after_its_scenarios(verdicts: str, verdict_: Verdict, reason: str) -> None:
    decision = run_verdict(parts(verdicts), [INTERRUPTED], Bar())
    assert (decision.verdict, decision.reason) == (verdict_, reason)


def connected(*sids: str, sid_known: bool = True) -> Ledger:
    ledger = Ledger()
    for at, sid in enumerate(sids):
        for event in user("A").connects(sid, at=at).events:
            ledger.apply(event)
    if not sid_known:
        for event in user("B").connects(None, at=5).events:
            ledger.apply(event)
    return ledger


def gaps_of(
    ledger: Ledger,
    *,
    connections: int = 1,
    unreadable: int = 0,
    timed: bool = True,
    anonymous: int = 0,
    empty: bool = False,
    gaps: tuple[Gap, ...] = (),
) -> list[str]:
    evidence = Evidence(
        connections=connections,
        unreadable=unreadable,
        ledger=ledger,
        timed=timed,
        anonymous=anonymous,
        empty=empty,
        gaps=gaps,
    )
    return [gap.reason for gap in evidence_gaps(evidence)]


def test_one_timed_connection_with_user_and_sid_has_no_gap() -> None:
    assert gaps_of(connected("s1")) == []


def test_nothing_about_connections_is_the_first_gap() -> None:
    first, *_ = gaps_of(Ledger(), connections=0, unreadable=2, timed=False)
    assert first == "no connection event was found: nothing that was read is about a connection"


def test_an_empty_source_is_not_said_to_be_about_something_else() -> None:
    first, *_ = gaps_of(Ledger(), connections=0, timed=False, empty=True)
    assert first == "no connection event was found: there was nothing to read"


def test_unreadable_lines_precede_unknown_ids() -> None:
    first, second = gaps_of(Ledger(), unreadable=2)
    assert first == "2 of the lines that look like events could not be read"
    assert second.startswith("no connection is known with both its user and its socket id")


def test_missing_times_precede_the_gaps_of_the_source() -> None:
    assert gaps_of(connected("s1"), timed=False, gaps=(GAP,)) == [
        "no event has a time, so overlaps and attempts per second could not be checked",
        GAP.reason,
    ]


@pytest.mark.parametrize(
    ("users", "turns", "ordered", "blocks"),
    [(4, 3, True, False), (4, 3, False, True), (2, 6, True, True), (3, 1, True, True)],
)
def test_the_order_of_lines_without_times_suffices_if_nobody_came_often(
    users: int, turns: int, *, ordered: bool, blocks: bool
) -> None:
    ledger = Ledger()
    for number in range(users * turns):
        who, sid = f"u{number % users}", f"s{number}"
        ledger.apply(Connected(source="server-log", user=who, sid=sid))
        ledger.apply(Disconnected(source="server-log", user=who, sid=sid))
    evidence = Evidence(connections=9, unreadable=0, ledger=ledger, timed=False, ordered=ordered, max_attempts=5)
    assert [(gap.id, gap.blocks) for gap in evidence_gaps(evidence)] == [("no-times", blocks)]


def test_connections_without_user_or_sid_are_the_last_gap() -> None:
    (only,) = gaps_of(connected("s1", sid_known=False))
    assert only.startswith("1 connection is not known with both user and socket id")
    assert only.endswith("log both with each, or name their keys (--key)")


def test_connections_that_the_log_calls_anonymous_are_named_so() -> None:
    (only,) = gaps_of(connected("s1", sid_known=False), anonymous=1)
    assert only.startswith("1 connection is anonymous in the log, so nobody is known as the user, and may be a user's")
