"""Findings and verdict from statistics: rule, cause, confidence, and when nothing was shown."""

from typing import Any

import pytest

from tests.run.load.plans import (
    START,
    healthy_statistics,
    histogram,
    load_plan,
    loop_statistics,
    run_ending,
    run_progress,
)
from wscheck.config.connect import ConnectOptions, ConnectStep
from wscheck.config.target import ServerTarget
from wscheck.detect.verdict import Ground
from wscheck.model.findings import Bar, Confidence, Finding, Severity, Verdict
from wscheck.model.load_report import LoadReport
from wscheck.model.load_statistics import LoadStatistics, SecondCounts
from wscheck.model.policy import UNDECIDED, ConnectionPolicy
from wscheck.model.secrets import Secret
from wscheck.run.load.plan import LoadPlan
from wscheck.run.load.progress_stream import RunProgress
from wscheck.run.load.report import Ending, LoadOutcome, evaluate_load_run, load_findings
from wscheck.run.load.run import before_after_plans, compare_before_after


def by_rule(statistics: LoadStatistics, **plan: Any) -> dict[str, Finding]:
    return {finding.rule: finding for finding in load_findings(load_plan(**plan), statistics)}


def outcome(statistics: LoadStatistics, plan: LoadPlan | None = None, **end: Any) -> LoadOutcome:
    return evaluate_load_run(plan or load_plan(profile="unified"), run_progress(statistics), run_ending(**end))


def judged(statistics: LoadStatistics, plan: LoadPlan | None = None, **end: Any) -> LoadReport:
    return outcome(statistics, plan, **end).report


def report(plan: LoadPlan, progress: RunProgress, end: Ending) -> LoadReport:
    return evaluate_load_run(plan, progress, end).report


def test_the_documented_fault_has_three_findings_with_their_causes() -> None:
    findings = by_rule(loop_statistics())
    assert list(findings) == ["multiple-connections", "connection-replaced", "excessive-attempts"]
    assert {rule: f.cause.id for rule, f in findings.items() if f.cause} == {
        "multiple-connections": "two-openers",
        "connection-replaced": "reconnect-on-kick",
        "excessive-attempts": "reconnect-on-kick",
    }
    replaced = findings["connection-replaced"]
    assert (replaced.count, replaced.rate, replaced.severity) == (300, 29.9, Severity.ERROR)
    assert replaced.cause is not None and "a connection lives 3" in replaced.cause.because
    assert findings["excessive-attempts"].message.startswith("31.0 connection attempts of a user in 10 s")


def test_one_connection_each_is_no_finding() -> None:
    assert by_rule(healthy_statistics()) == by_rule(healthy_statistics(), profile="unified") == {}


def test_a_server_that_closes_the_transport_is_the_cause() -> None:
    cut = loop_statistics(disconnects={"transport close": 300, "io client disconnect": 10})
    cause = by_rule(cut)["connection-replaced"].cause
    assert cause is not None and cause.id == "transport-closed"


def test_a_closed_transport_is_not_the_cause_if_the_server_also_disconnects() -> None:
    both = loop_statistics(disconnects={"transport close": 300, "io server disconnect": 300})
    cause = by_rule(both)["connection-replaced"].cause
    assert cause is not None and cause.id == "reconnect-on-kick"


def test_a_run_that_did_not_end_has_the_last_reported_peak() -> None:
    assert (
        report(load_plan(), run_progress(healthy_statistics(), ended=False), run_ending(broken="gone")).connections_peak
        == 10
    )


def test_one_replacement_per_user_is_no_loop() -> None:
    once = loop_statistics(replaced=10, attempts=20, connects=20)
    cause = by_rule(once)["connection-replaced"].cause
    assert cause is not None and cause.id == "two-openers"
    assert "excessive-attempts" not in by_rule(once)


def test_an_event_that_each_tab_receives_is_not_duplicated() -> None:
    held = healthy_statistics(users_multiple=10, sum_of_user_peaks=20, duplicated=50)
    assert list(by_rule(held, profile="tabs")) == ["multiple-connections"]
    duplicated = by_rule(held)["event-duplicated"]
    assert duplicated.message.startswith("50 of 100 events (50 %) reached a second connection")


def test_a_healthy_profile_with_ping_timeouts_has_zombie_connections() -> None:
    held = healthy_statistics(
        users_multiple=2, sum_of_user_peaks=12, disconnects={"ping timeout": 2, "io client disconnect": 10}
    )
    cause = by_rule(held, profile="unified")["multiple-connections"].cause
    assert cause is not None and cause.id == "zombie" and cause.confidence is Confidence.MEDIUM
    assert (
        by_rule(healthy_statistics(users_multiple=2, sum_of_user_peaks=12), profile="unified")[
            "multiple-connections"
        ].cause
        is None
    )


def test_many_attempts_are_not_excessive_if_they_are_slow() -> None:
    assert "excessive-attempts" in by_rule(healthy_statistics(attempts=100, user_s=100.0))
    assert "excessive-attempts" not in by_rule(healthy_statistics(attempts=100, user_s=1000.0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lag": histogram(*[900.0] * 10)}, "the load generator lagged by"),
        ({"stalled": 3}, "the load generator stalled and let 3 connections run into a ping timeout"),
    ],
)
def test_our_own_lag_lowers_the_confidence(changes: dict[str, Any], said: str) -> None:
    for finding in by_rule(loop_statistics(**changes)).values():
        assert finding.confidence is Confidence.MEDIUM
        assert said in finding.message and "may have caused some of it" in finding.message
    assert said in " ".join(judged(healthy_statistics(**changes)).notes)
    assert {f.confidence for f in by_rule(loop_statistics()).values()} == {Confidence.HIGH}


def test_a_healthy_run_passes_and_reports_the_connections_open_before_the_end() -> None:
    told = judged(healthy_statistics())
    assert (told.verdict, told.reason, told.notes) == (Verdict.PASSED, "", [])
    assert (told.users, told.connects, told.connections_open, told.connections_per_user) == (10, 10, 10, 1.0)
    assert [second.second for second in told.series] == [0, 1, 2]


def test_the_series_starts_with_the_first_attempt() -> None:
    progress = run_progress(healthy_statistics())
    progress.seconds.insert(0, SecondCounts(START - 1))
    assert [second.second for second in report(load_plan(profile="unified"), progress, run_ending()).series] == [
        0,
        1,
        2,
    ]


def test_users_that_stopped_before_the_end_do_not_matter() -> None:
    assert (
        report(load_plan(profile="unified"), run_progress(healthy_statistics(), open_at_end=8), run_ending()).verdict
        is Verdict.PASSED
    )


@pytest.mark.parametrize(
    ("statistics", "end", "reason"),
    [
        (LoadStatistics(), {}, "nothing connected: no user started"),
        (
            LoadStatistics(users=9, attempts=9),
            {},
            "nothing connected: 9 attempts were not answered before the run ended",
        ),
        (
            LoadStatistics(users=9, attempts=9, refused={"timeout": 9}),
            {},
            "nothing connected: 9 of 9 attempts were refused (9 timeout)",
        ),
        (LoadStatistics(), {"lost": "Nothing answers"}, "nothing connected: Nothing answers"),
        (LoadStatistics(), {"broken": "Locust ended"}, "Locust ended"),
        (healthy_statistics(), {"lost": "Nothing answers"}, "the server was lost during the run: Nothing answers"),
        (healthy_statistics(), {"broken": "Locust ended before the run did"}, "Locust ended before the run did"),
        (healthy_statistics(), {"interrupted": True}, "the run was interrupted"),
        (
            healthy_statistics(users=12, refused={"timeout": 2}),
            {},
            "2 of 12 users never connected: 2 timeout",
        ),
        (healthy_statistics(users=7, connects=7), {}, "only 7 of 10 users started before the run ended"),
    ],
)
def test_a_run_that_shows_nothing_is_no_pass(statistics: LoadStatistics, end: dict[str, Any], reason: str) -> None:
    told = judged(statistics, load_plan(profile="unified", limits={"max-replaced": 0.0}), **end)
    assert (told.verdict, told.reason) == (Verdict.INCONCLUSIVE, reason)


def test_a_lost_worker_is_reported_and_is_no_pass() -> None:
    progress = run_progress(healthy_statistics(), lost=1, workers=2)
    told = report(load_plan(profile="unified"), progress, run_ending())
    assert (told.verdict, told.workers, told.workers_lost) == (Verdict.INCONCLUSIVE, 2, 1)
    assert told.notes == [
        "worker 0 died during the run with 5 users and 5 connections: "
        "its reports until then are counted, later events are not"
    ]


def test_users_that_did_not_reconnect_are_no_pass() -> None:
    back = healthy_statistics(connects=20, disconnects={"transport close": 10, "io client disconnect": 10})
    assert judged(back).verdict is Verdict.PASSED
    away = report(load_plan(profile="storm"), run_progress(back, open_at_end=4), run_ending())
    assert (away.verdict, away.reason) == (Verdict.INCONCLUSIVE, "6 of 10 users had no connection when the run ended")


@pytest.mark.parametrize(("token", "shared"), [("a-jwt", True), ("token-of-{user}", False)])
def test_users_with_one_token_may_be_one_user_for_the_server(token: str, shared: bool) -> None:
    back = healthy_statistics(connects=20, disconnects={"transport close": 10, "io client disconnect": 10})
    told = report(load_plan(profile="unified", token=Secret(token)), run_progress(back, open_at_end=4), run_ending())
    assert told.verdict is Verdict.INCONCLUSIVE
    assert ("they share one token" in told.reason) is shared


def test_a_killed_run_has_its_last_totals() -> None:
    told = report(
        load_plan(), run_progress(loop_statistics(), ended=False), run_ending(broken="Locust ended before the run did")
    )
    assert (told.connects, told.replaced, told.verdict) == (310, 300, Verdict.INCONCLUSIVE)


def test_findings_at_the_configured_severity_fail_the_run() -> None:
    assert judged(loop_statistics(), load_plan()).verdict is Verdict.FAILED
    crossed = judged(healthy_statistics(), load_plan(profile="unified", limits={"max-churn": 0.01}))
    assert crossed.verdict is Verdict.FAILED and crossed.reason.startswith("--max-churn 0.01: ")


def test_the_options_describe_the_profile_and_contain_no_secret() -> None:
    plan = load_plan(profile="tabs", options={"tabs": 4, "headers": "Cookie: secret", "ca_file": None})
    told = report(plan, run_progress(healthy_statistics()), run_ending()).options
    assert told == {
        **{"users": 10, "spawn_rate": 10.0, "run_time_s": 5.0, "processes": 1, "connections": "per-user"},
        **{"tabs": 4, "reconnect_delay": 0.3},
    }


def test_missing_acknowledgements_are_a_note() -> None:
    assert judged(healthy_statistics(ack_timeouts=3, acks=7)).notes == ["3 of 10 events were not acknowledged in time"]
    assert judged(healthy_statistics(unanswered=3)).notes == []
    none = judged(healthy_statistics(acks=0, unanswered=12)).notes
    assert none == ["none of the 12 events that users sent was acknowledged"]


SILENT = {"sent": 60, "acks": 0, "received": 10, "greetings": 10}


@pytest.mark.parametrize(
    ("plan", "statistics", "blocks"),
    [
        ({"options": {"emit_event": "ask"}}, {"unanswered": 60}, True),
        ({"options": {"emit_event": "ask"}}, {"ack_timeouts": 60}, True),
        ({"options": {"emit_event": "ask"}}, {"acks": 1, "ack_timeouts": 59}, False),
        ({"options": {"emit_event": "ask"}}, {"received": 11}, False),  # it answers with events
        ({"options": {"emit_event": "ask"}}, {"sent": 0, "received": 0, "greetings": 0}, False),
        ({"options": {"emit_event": "tell", "no_acks": True}}, {}, False),
        ({"options": {"emit_event": "ask", "no_acks": True}, "is_answered": True}, {}, True),
        ({"options": {"emit_event": "ask"}, "is_answered": False}, {"unanswered": 60}, False),
        ({"options": {"emit_every": 1.0}}, {"unanswered": 60}, False),  # the server need not know the event
        ({"embedded": True}, {"unanswered": 60}, True),
    ],
)
def test_a_server_that_answers_none_of_the_events_it_should_answer_does_not_pass(
    *, plan: dict[str, Any], statistics: dict[str, Any], blocks: bool
) -> None:
    told = judged(healthy_statistics(**SILENT | statistics), load_plan(profile="unified", **plan))
    assert [gap.id for gap in told.gaps] == (["event-unanswered"] if blocks else [])
    assert told.verdict is (Verdict.INCONCLUSIVE if blocks else Verdict.PASSED)


def test_answers_to_the_steps_after_connecting_answer_no_event_of_a_user() -> None:
    steps = ConnectOptions(steps=(ConnectStep(emit="login", wait_for="welcome"), ConnectStep(wait_for="ready")))
    target = ServerTarget(url="http://127.0.0.1:1", connect=steps)
    plan = load_plan(profile="unified", target=target, options={"emit_event": "ask"})
    assert not judged(healthy_statistics(**SILENT | {"sent": 10}), plan).gaps
    [gap] = judged(healthy_statistics(**SILENT | {"sent": 25}), plan).gaps
    assert "none of the 15 events" in gap.reason


def test_tokens_that_the_server_repeats_are_redacted() -> None:
    kinds = {"connect_error: bad token secret-of-load-user-1": 1, "connect_error: bad token secret-of-load-user-2": 1}
    plan = load_plan(token=Secret("secret-of-{user}"))
    told = report(plan, run_progress(LoadStatistics(users=2, attempts=2, refused=kinds)), run_ending())
    assert "secret-of" not in str(told) and sum(told.refused.values()) == 2


def test_thresholds_apply_to_the_second_run() -> None:
    plan = load_plan(limits={"max-replaced": 0.0})
    before, after = before_after_plans(plan)
    assert (before.limits, after.limits) == ({}, plan.limits)


def test_the_comparison_fails_if_the_second_run_fails() -> None:
    before, after = outcome(loop_statistics(), load_plan()), outcome(healthy_statistics())
    compared, decision = compare_before_after(before, after, Bar())
    assert compared.verdict is decision.verdict is Verdict.PASSED
    half = outcome(loop_statistics(replaced=20, attempts=30, connects=30), load_plan(profile="unified"))
    compared, decision = compare_before_after(before, half, Bar())
    assert compared.verdict is Verdict.FAILED and compared.reason.startswith("the run after is failed: ")
    assert compared.findings == half.report.findings and decision == half.decision


@pytest.mark.parametrize(("strict", "verdict"), [(False, Verdict.INCONCLUSIVE), (True, Verdict.FAILED)])
def test_a_second_run_in_which_nothing_connected_does_not_pass(strict: bool, verdict: Verdict) -> None:
    bar = Bar(strict=strict)
    nothing = outcome(LoadStatistics(), load_plan(profile="unified", bar=bar))
    compared, decision = compare_before_after(outcome(loop_statistics(), load_plan(bar=bar)), nothing, bar)
    assert (compared.verdict, decision.ground) == (verdict, Ground.GAP)


def test_a_first_run_in_which_nothing_connected_does_not_pass_either() -> None:
    for strict, verdict in ((False, Verdict.INCONCLUSIVE), (True, Verdict.FAILED)):
        bar = Bar(strict=strict)
        nothing = outcome(LoadStatistics(), load_plan(bar=bar))
        compared, _ = compare_before_after(nothing, outcome(healthy_statistics()), bar)
        assert compared.verdict is verdict and compared.reason.startswith("the run before showed nothing")


@pytest.mark.parametrize("strict", [False, True])
def test_a_user_that_never_connected_fails_a_strict_run_by_the_gap(strict: bool) -> None:
    decision = outcome(healthy_statistics(users=11), load_plan(profile="unified", bar=Bar(strict=strict))).decision
    assert decision.verdict is (Verdict.FAILED if strict else Verdict.INCONCLUSIVE)
    assert (decision.reason, decision.ground) == ("1 of 11 users never connected", Ground.GAP)


def test_a_finding_precedes_a_threshold_and_a_threshold_precedes_a_gap() -> None:
    limits = {"max-replaced": 0.0}
    found_and_crossed = outcome(loop_statistics(), load_plan(limits=limits)).decision
    assert (found_and_crossed.verdict, found_and_crossed.ground) == (Verdict.FAILED, Ground.FINDING)
    crossed = outcome(
        healthy_statistics(replaced=1, users=11), load_plan(profile="unified", limits=limits, bar=Bar(Severity.ERROR))
    )
    rules = {finding.rule: finding.severity for finding in crossed.report.findings}
    assert rules == {"connection-replaced": Severity.ERROR} and crossed.decision.ground is Ground.FINDING
    slow = outcome(healthy_statistics(users=11), load_plan(profile="unified", limits={"max-connect-p95": 1.0})).decision
    assert (slow.verdict, slow.ground) == (Verdict.FAILED, Ground.LIMIT)


@pytest.mark.parametrize("end", [{"lost": "Nothing answers"}, {"broken": "Locust ended before the run did"}])
def test_the_findings_of_a_run_that_broke_prove_nothing(end: dict[str, Any]) -> None:
    for strict, verdict in ((False, Verdict.INCONCLUSIVE), (True, Verdict.FAILED)):
        broken = outcome(loop_statistics(), load_plan(limits={"max-replaced": 0.0}, bar=Bar(strict=strict)), **end)
        assert (broken.decision.verdict, broken.decision.ground) == (verdict, Ground.GAP)
        assert broken.report.findings


def test_unreadable_lines_are_counted_and_change_nothing() -> None:
    progress = RunProgress()
    progress.add_line(b'{"type":"totals"')
    progress.add_line(b"nonsense")
    assert progress.unreadable_lines == 2 and progress.statistics == LoadStatistics()


def test_without_a_policy_only_the_thresholds_fail_the_run() -> None:
    plan = load_plan(policy=ConnectionPolicy(), limits={"max-replaced": 0.0})
    decision = outcome(loop_statistics(), plan).decision
    assert (decision.verdict, decision.ground) == (Verdict.FAILED, Ground.LIMIT)
    unlimited = outcome(loop_statistics(), load_plan(policy=ConnectionPolicy())).report
    assert unlimited.verdict is Verdict.PASSED
    assert {finding.severity for finding in unlimited.findings} == {Severity.NOTE}
    assert UNDECIDED in unlimited.gaps


def test_each_simulated_page_may_have_one_connection_with_the_policy_per_tab() -> None:
    three_tabs = healthy_statistics(users_multiple=10, user_peaks={3: 10}, sum_of_user_peaks=30)
    tabs = {"profile": "tabs", "options": {"tabs": 3}, "policy": ConnectionPolicy("per-tab")}
    assert load_findings(load_plan(**tabs), three_tabs) == []
    four = healthy_statistics(users_multiple=10, user_peaks={3: 9, 4: 1}, sum_of_user_peaks=31)
    (found,) = load_findings(load_plan(**tabs), four)
    assert (found.severity, found.count) == (Severity.ERROR, 1)
    (one_page, *_) = load_findings(load_plan(policy=ConnectionPolicy("per-tab")), three_tabs)
    assert (one_page.rule, one_page.count) == ("multiple-connections", 10)


def test_users_above_the_number_of_the_policy_are_found() -> None:
    statistics = healthy_statistics(users_multiple=10, user_peaks={2: 8, 3: 2}, sum_of_user_peaks=22)
    (found,) = load_findings(load_plan(policy=ConnectionPolicy(2)), statistics)
    assert found.count == 2 and found.message.startswith("2 of 10 users had more than 2 connections at once")
    assert load_findings(load_plan(policy=ConnectionPolicy(3)), statistics) == []
