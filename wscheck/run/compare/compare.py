"""Comparison of two reports of the same command, measure by measure."""

from collections.abc import Sequence

import msgspec

from wscheck.detect.verdict import Decision, verdict
from wscheck.model.comparison import (
    SCHEMA,
    TIME_TOLERANCE_MS,
    ComparedMeasure,
    ComparedRun,
    CompareReport,
    MeasureChange,
)
from wscheck.model.findings import Bar, Verdict
from wscheck.model.gaps import Gap
from wscheck.model.load_report import LoadReport
from wscheck.model.report import Report, VerifyReport
from wscheck.run.compare.measures import LOAD_MEASURES, VERIFY_MEASURES, Measure, ReportKind

# Two runs of the same thing differ this much by chance. Times vary more than counts on a busy machine.
COUNT_TOLERANCE = 0.05
TIME_TOLERANCE = 0.5

DEFAULT_BAR = Bar()


def compare(before: Report, after: Report, bar: Bar = DEFAULT_BAR) -> CompareReport:
    """Compare two load reports or two verify reports. With a strict bar a run that proved nothing fails.

    Raises:
        TypeError: The reports are of different kinds, or of a kind that cannot be compared.
    """
    measures, notes = _compare_measures(before, after)
    runs = _compared_run(before, "before"), _compared_run(after, "after")
    decision = _decide(measures, before, after, bar)
    return CompareReport(
        schema=SCHEMA,
        target=before.target if before.target == after.target else f"{before.target} and {after.target}",
        verdict=decision.verdict,
        reason=decision.reason,
        gaps=list(decision.gaps),
        started_at=before.started_at,
        duration_s=round(before.duration_s + after.duration_s, 3),
        interrupted=before.interrupted or after.interrupted,
        before=runs[0],
        after=runs[1],
        measures=measures,
        notes=[*notes, *_differences(*runs)],
    )


def empty_comparison(before: str, after: str) -> CompareReport:
    """Return the comparison of two report files, by name, that could not be read."""
    runs = [
        ComparedRun(label=label, schema="", target=name, variant="", verdict=Verdict.INCONCLUSIVE, duration_s=0.0)
        for label, name in (("before", before), ("after", after))
    ]
    return CompareReport(
        schema=SCHEMA, target=f"{before} and {after}", verdict=Verdict.INCONCLUSIVE, before=runs[0], after=runs[1]
    )


def _compare_measures(before: Report, after: Report) -> tuple[list[ComparedMeasure], list[str]]:
    if isinstance(before, LoadReport) and isinstance(after, LoadReport):
        return [_compare_measure(measure, before, after) for measure in LOAD_MEASURES], _load_notes(before, after)
    if isinstance(before, VerifyReport) and isinstance(after, VerifyReport):
        first, second, notes = _restrict_to_shared_scenarios(before, after)
        return [_compare_measure(measure, first, second) for measure in VERIFY_MEASURES], notes
    raise TypeError(f"{before.schema} and {after.schema} cannot be compared")


def _compare_measure(measure: Measure[ReportKind], before: ReportKind, after: ReportKind) -> ComparedMeasure:
    old, new = measure.read(before), measure.read(after)
    change, ratio = MeasureChange.UNKNOWN, None
    if old is not None and new is not None:
        old_scaled = max(old / measure.divisor(before), measure.floor)
        new_scaled = max(new / measure.divisor(after), measure.floor)
        change = _change(old_scaled, new_scaled, measure.unit, measure.more_is_better)
        ratio = float(f"{new_scaled / old_scaled:.4g}") if old_scaled and new_scaled else None
    return ComparedMeasure(
        id=measure.id,
        benefit=measure.benefit,
        name=measure.name,
        unit=measure.unit,
        before=_rounded(old),
        after=_rounded(new),
        change=change,
        ratio=ratio,
    )


def _change(old: float, new: float, unit: str, more_is_better: bool) -> MeasureChange:
    """Return the direction of the change, SAME if it is within the tolerance."""
    is_time = unit in ("ms", "s")
    tolerance = (
        max(TIME_TOLERANCE * old, TIME_TOLERANCE_MS if unit == "ms" else 0.0) if is_time else COUNT_TOLERANCE * old
    )
    if abs(new - old) <= tolerance:
        return MeasureChange.SAME
    return MeasureChange.BETTER if (new > old) is more_is_better else MeasureChange.WORSE


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _restrict_to_shared_scenarios(
    before: VerifyReport, after: VerifyReport
) -> tuple[VerifyReport, VerifyReport, list[str]]:
    """Return both reports with only the scenarios that both contain, and a note that names the others."""
    before_ids, after_ids = ({scenario.id for scenario in report.scenarios} for report in (before, after))
    shared = before_ids & after_ids
    unshared = sorted((before_ids | after_ids) - shared)
    notes = (
        [f"scenarios that only one of the runs contains are not compared: {', '.join(unshared)}"] if unshared else []
    )
    return _restrict(before, shared), _restrict(after, shared), notes


def _restrict(report: VerifyReport, scenarios: set[str]) -> VerifyReport:
    return msgspec.structs.replace(
        report,
        scenarios=[scenario for scenario in report.scenarios if scenario.id in scenarios],
        findings=[finding for finding in report.findings if finding.scenario is None or finding.scenario in scenarios],
    )


def _compared_run(report: Report, label: str) -> ComparedRun:
    load = report if isinstance(report, LoadReport) else None
    return ComparedRun(
        label=label,
        schema=report.schema,
        target=report.target,
        variant=load.profile if load else getattr(report, "client", ""),
        verdict=report.verdict,
        duration_s=report.duration_s,
        users=load.users if load else None,
        series=load.series if load else [],
    )


def _load_notes(before: LoadReport, after: LoadReport) -> list[str]:
    return [f"{label}: {note}" for label, report in (("before", before), ("after", after)) for note in report.notes]


def _differences(before: ComparedRun, after: ComparedRun) -> list[str]:
    notes = []
    if before.target != after.target:
        notes.append(f"the targets differ: {before.target} and {after.target}")
    if before.users is None or after.users is None:
        return notes
    if before.users != after.users:
        notes.append(f"the numbers of users differ: {before.users:,} and {after.users:,}")
    longer, shorter = max(before.duration_s, after.duration_s), min(before.duration_s, after.duration_s)
    if longer - shorter > max(0.2 * longer, 2.0):
        notes.append(f"the durations differ: {before.duration_s:.0f} s and {after.duration_s:.0f} s")
    return notes


def _decide(measures: Sequence[ComparedMeasure], before: Report, after: Report, bar: Bar) -> Decision:
    """Return the verdict. A measure that got worse is beyond its limit, unless one of the runs proved nothing."""
    gaps = [*_run_gaps(before, "before"), *_run_gaps(after, "after")]
    if all(measure.change is MeasureChange.UNKNOWN for measure in measures):
        gaps.append(Gap(reason="the two runs have no measure in common"))
    worse = [measure.name for measure in measures if measure.change is MeasureChange.WORSE]
    limits = [f"worse than before: {'; '.join(worse)}"] if worse and not gaps else []
    return verdict([], gaps, bar, limits=limits)


def _run_gaps(report: Report, label: str) -> list[Gap]:
    """Return a gap if a run proved nothing."""
    if report.verdict in (Verdict.INCONCLUSIVE, Verdict.SKIPPED):
        return [Gap(reason=f"the run {label} showed nothing: it is {report.verdict}")]
    if report.verdict is Verdict.FAILED and _lacks_evidence(report):
        return [Gap(reason=f"the run {label} showed nothing: it failed because of missing evidence (--strict)")]
    return []


def _lacks_evidence(report: Report) -> bool:
    """Return whether nothing but a gap can have failed the run."""
    if isinstance(report, LoadReport):
        crossed = any(threshold.crossed for threshold in report.thresholds)
        return not report.connects or not (report.findings or crossed)
    return not report.findings
