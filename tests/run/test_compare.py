"""Comparison of two runs."""

import pytest

from tests.report import runs
from tests.report.load_runs import duplicated, unified
from wscheck.model.comparison import ComparedMeasure, CompareReport, MeasureChange
from wscheck.model.findings import Verdict
from wscheck.model.load_report import Second, ServerSide, check_thresholds
from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import VerifyReport
from wscheck.report.load_figures import format_change
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


@pytest.mark.parametrize(
    ("before", "after", "change", "basis"),
    [
        (Percentiles(2, 9, 14, 400), Percentiles(2, 700, 800, 400), "worse", "values"),
        (Percentiles(2, 9, 14, 400), Percentiles(2, 700, 800, 20), "same", "medians"),
        (Percentiles(2, 9, 14, 20), Percentiles(600, 700, 800, 400), "worse", "medians"),
        (Percentiles(2, 9, 14, 400), Percentiles(600, 700, 800, 9), "unknown", "none"),
        (Percentiles(600, 700, 800, 99), Percentiles(2, 9, 14, 99), "better", "medians"),
    ],
)
def test_a_high_percentile_of_few_durations_decides_nothing(
    before: Percentiles, after: Percentiles, change: str, basis: str
) -> None:
    """One late packet is the p95 of 20 durations."""
    report = compare(unified(ack_ms=before), unified(ack_ms=after))
    acknowledgement = measure(report, "ack_p95_ms")
    assert (acknowledgement.change, acknowledgement.basis) == (change, basis)
    assert (report.verdict is Verdict.FAILED) == (change == "worse")
    text = {"unknown": "too few to compare", "same": "medians about the same", "better": "median 300× less"}
    assert format_change(acknowledgement) == text.get(change, format_change(acknowledgement))


def test_a_difference_below_the_delay_of_the_generator_is_none() -> None:
    slow, lag = Percentiles(300, 900, 950, 500), Percentiles(20, 300, 460, 900)
    assert measure(compare(unified(), unified(ack_ms=slow)), "ack_p95_ms").change is MeasureChange.WORSE
    for late in (unified(ack_ms=slow, heartbeat_lag_ms=lag), unified(ack_ms=slow)):
        report = compare(unified(heartbeat_lag_ms=lag), late)
        assert measure(report, "ack_p95_ms").change is MeasureChange.SAME


def test_a_hundredth_of_a_second_of_cpu_time_is_no_difference() -> None:
    idle, once = (ServerSide(connects=50, replaced=0, refused=0, peak=50, emitted=0, cpu_s=cpu) for cpu in (0.0, 0.01))
    assert measure(compare(unified(server=idle), unified(server=once)), "server_cpu_s").change is MeasureChange.SAME


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
