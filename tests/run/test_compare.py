"""Comparison of two runs."""

import pytest

from tests.report import runs
from tests.report.load_runs import duplicated, unified
from wscheck.model.comparison import ComparedMeasure, CompareReport, MeasureChange
from wscheck.model.findings import Verdict
from wscheck.model.load_report import Second, check_thresholds
from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import VerifyReport
from wscheck.run.compare import compare


def measure(report: CompareReport, name: str) -> ComparedMeasure:
    return next(measure for measure in report.measures if measure.id == name)


def test_fixing_the_fault_improves_every_benefit() -> None:
    report = compare(duplicated(), unified())
    assert (report.verdict, report.reason, report.notes) == (Verdict.PASSED, "", [])
    per_user = measure(report, "connections_per_user")
    assert (per_user.before, per_user.after, per_user.change) == (2.0, 1.0, MeasureChange.BETTER)
    replaced = measure(report, "replaced")
    assert (replaced.before, replaced.after, replaced.change) == (2940, 0, MeasureChange.BETTER)
    assert replaced.ratio is None
    received = measure(report, "received_per_user")
    assert received.before == (1400 - 400) / 50, "what arrived twice arrived once"
    assert measure(report, "server_cpu_s").change is MeasureChange.BETTER
    assert measure(report, "lifetime_p50_ms").change is MeasureChange.BETTER
    assert {m.benefit for m in report.measures if m.change is MeasureChange.BETTER} == {
        "Performance",
        "Server load",
        "Resource efficiency",
        "User experience",
    }


def test_introducing_the_fault_fails_the_comparison() -> None:
    report = compare(unified(), duplicated())
    assert report.verdict is Verdict.FAILED
    assert "connections per user" in report.reason and "connections replaced" in report.reason
    assert not [m for m in report.measures if m.change is MeasureChange.BETTER]


def test_differences_within_the_tolerance_count_as_the_same() -> None:
    slower = unified(connect_ms=Percentiles(2.5, 20.0, 30.0), connects=51)
    report = compare(unified(), slower)
    assert report.verdict is Verdict.PASSED
    assert {m.change for m in report.measures} == {MeasureChange.SAME}
    assert measure(compare(unified(), unified(connect_ms=Percentiles(9.0, 160.0, 170.0))), "connect_p95_ms").change is (
        MeasureChange.WORSE
    )


def test_runs_of_different_size_are_compared_per_user_and_second_with_a_note() -> None:
    twice = duplicated(users=100, connects=6000, replaced=5880, connections_peak=122, duration_s=20.0)
    report = compare(duplicated(), twice)
    assert measure(report, "replaced").change is MeasureChange.SAME
    assert measure(report, "connects").change is MeasureChange.SAME
    assert report.notes == ["the numbers of users differ: 50 and 100"]
    assert measure(report, "replaced").ratio == 1.0
    longer = compare(unified(), unified(duration_s=60.0, target="http://127.0.0.1:8000"))
    assert longer.notes == [
        "the targets differ: embedded backend and http://127.0.0.1:8000",
        "the durations differ: 20 s and 60 s",
    ]


def test_short_runs_may_differ_by_two_seconds() -> None:
    assert compare(unified(duration_s=2.0), unified(duration_s=3.5)).notes == []


def test_a_measure_of_one_run_is_unknown_and_does_not_decide() -> None:
    report = compare(duplicated(server=None, ack_ms=Percentiles()), unified())
    assert measure(report, "server_cpu_s").change is measure(report, "ack_p95_ms").change is MeasureChange.UNKNOWN
    assert report.verdict is Verdict.PASSED


def test_users_without_a_connection_do_not_count_as_better() -> None:
    away = [Second(second=n, users=50, open=40) for n in range(20)]
    open_per_user = measure(compare(unified(series=away), unified()), "open_per_user")
    assert (open_per_user.before, open_per_user.after, open_per_user.change) == (0.8, 1.0, MeasureChange.SAME)


def test_an_inconclusive_run_makes_the_comparison_inconclusive() -> None:
    report = compare(duplicated(), unified(verdict=Verdict.INCONCLUSIVE, connects=0))
    assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "the run after showed nothing: it is inconclusive")


def test_verify_runs_are_compared_over_the_scenarios_that_both_ran() -> None:
    broken, mended = runs.failing()[0], runs.passing()[0]
    report = compare(broken, mended)
    assert measure(report, "connections_peak").before == 2
    assert measure(report, "connections_peak").after == 1
    assert measure(report, "replaced").before == 1 and measure(report, "replaced").change is MeasureChange.BETTER
    assert measure(report, "passed").change is MeasureChange.BETTER
    assert report.verdict is Verdict.PASSED
    assert report.notes[0].startswith(
        "scenarios that only one of the runs contains are not compared: component-sharing"
    )


def test_reports_of_two_kinds_raise_type_error() -> None:
    with pytest.raises(TypeError, match="cannot be compared"):
        compare(duplicated(), VerifyReport(schema="wscheck.verify/1", target="x", verdict=Verdict.PASSED))


def test_a_threshold_is_crossed_above_its_limit_and_not_at_it() -> None:
    kept, crossed = check_thresholds(duplicated(), {"max-connections-per-user": 2.0, "max-replaced": 2939.0})
    assert (kept.crossed, kept.measured) == (False, 2.0)
    assert (crossed.crossed, crossed.measured) == (True, 2940)


def test_a_threshold_is_crossed_by_a_run_without_connections() -> None:
    (text,) = check_thresholds(duplicated(connects=0, replaced=0), {"max-replaced": 0.0})
    assert (text.measured, text.crossed) == (None, True)
