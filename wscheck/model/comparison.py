"""BEFORE AND AFTER: the documented benefits as measured numbers, from two reports of one kind; pure."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from wscheck.model.comparison_measures import LOAD, VERIFY, Kind, Row
from wscheck.model.findings import Verdict
from wscheck.model.load_report import LoadReport, Second
from wscheck.model.report import Report, VerifyReport

SCHEMA = "wscheck.compare/1"

# Counts of two runs differ by chance; times differ by more than that on a busy machine, and nobody notices 100 ms.
COUNT_SLACK = 0.05
TIME_SLACK, TIME_SLACK_MS = 0.5, 100.0


class MeasureChange(StrEnum):
    """What became of a measure. UNKNOWN: one of the runs did not measure it."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    UNKNOWN = "unknown"


class ComparedMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of both runs.

    benefit  the documented one it stands for
    unit     "" for a count, "/user" for a mean, "ms", "s" or "/s"
    ratio    after over before, by the user and second where one run was larger; None when either is unknown or 0
    """

    id: str
    benefit: str
    name: str
    unit: str
    before: float | None
    after: float | None
    change: MeasureChange
    ratio: float | None = None


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two runs. `told` is what ran: the profile of a load run, the client of a verify run."""

    label: str
    schema: str
    target: str
    told: str
    verdict: Verdict
    duration_s: float
    users: int | None = None
    series: list[Second] = msgspec.field(default_factory=list)


class CompareReport(Report, kw_only=True):
    """`wscheck compare` (schema `wscheck.compare/1`).

    verdict   FAILED when anything got worse, INCONCLUSIVE when a run showed nothing, else PASSED
    notes     what makes the two runs less comparable: other users, another duration, another target
    """

    before: ComparedRun
    after: ComparedRun
    measures: list[ComparedMeasure] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def has_results(self) -> bool:
        return bool(self.measures)


def compare(before: Report, after: Report) -> CompareReport:
    """The two reports, which must be of one kind, measure by measure. Raises TypeError for any other pair."""
    measures, notes = _measured(before, after)
    sides = _side(before, "before"), _side(after, "after")
    verdict, reason = _verdict(measures, sides)
    return CompareReport(
        schema=SCHEMA,
        target=before.target if before.target == after.target else f"{before.target} and {after.target}",
        verdict=verdict,
        reason=reason,
        started_at=before.started_at,
        duration_s=round(before.duration_s + after.duration_s, 3),
        interrupted=before.interrupted or after.interrupted,
        before=sides[0],
        after=sides[1],
        measures=measures,
        notes=[*notes, *_differences(*sides)],
    )


def blank(before: str, after: str) -> CompareReport:
    """The comparison of two reports, by their names, that could not be read."""
    sides = [
        ComparedRun(label=label, schema="", target=name, told="", verdict=Verdict.INCONCLUSIVE, duration_s=0.0)
        for label, name in (("before", before), ("after", after))
    ]
    return CompareReport(
        schema=SCHEMA, target=f"{before} and {after}", verdict=Verdict.INCONCLUSIVE, before=sides[0], after=sides[1]
    )


def _measured(before: Report, after: Report) -> tuple[list[ComparedMeasure], list[str]]:
    if isinstance(before, LoadReport) and isinstance(after, LoadReport):
        return [_take(row, before, after) for row in LOAD], _of_load(before, after)
    if isinstance(before, VerifyReport) and isinstance(after, VerifyReport):
        first, second, notes = _shared(before, after)
        return [_take(row, first, second) for row in VERIFY], notes
    raise TypeError(f"{before.schema} and {after.schema} cannot be compared")


def _take(row: Row[Kind], before: Kind, after: Kind) -> ComparedMeasure:
    old, new = row.take(before), row.take(after)
    change, ratio = MeasureChange.UNKNOWN, None
    if old is not None and new is not None:
        was, now = max(old / row.per(before), row.at_least), max(new / row.per(after), row.at_least)
        change = _change(was, now, row.unit, row.more_is_better)
        ratio = float(f"{now / was:.4g}") if was and now else None
    return ComparedMeasure(
        id=row.id,
        benefit=row.benefit,
        name=row.name,
        unit=row.unit,
        before=_rounded(old),
        after=_rounded(new),
        change=change,
        ratio=ratio,
    )


def _change(old: float, new: float, unit: str, more_is_better: bool) -> MeasureChange:
    """Which way it went, once it is more than two equal runs would differ by."""
    timed = unit in ("ms", "s")
    slack = max(TIME_SLACK * old, TIME_SLACK_MS if unit == "ms" else 0.0) if timed else COUNT_SLACK * old
    if abs(new - old) <= slack:
        return MeasureChange.SAME
    return MeasureChange.BETTER if (new > old) is more_is_better else MeasureChange.WORSE


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _shared(before: VerifyReport, after: VerifyReport) -> tuple[VerifyReport, VerifyReport, list[str]]:
    """Both without the scenarios, and their findings, that the other did not run."""
    both = {s.id for s in before.scenarios} & {s.id for s in after.scenarios}
    left_out = sorted(({s.id for s in before.scenarios} | {s.id for s in after.scenarios}) - both)
    notes = [f"not compared, because only one of them ran it: {', '.join(left_out)}"] if left_out else []
    first, second = _only(before, both), _only(after, both)
    return first, second, notes


def _only(report: VerifyReport, scenarios: set[str]) -> VerifyReport:
    return msgspec.structs.replace(
        report,
        scenarios=[s for s in report.scenarios if s.id in scenarios],
        findings=[f for f in report.findings if f.scenario is None or f.scenario in scenarios],
    )


def _side(report: Report, label: str) -> ComparedRun:
    load = report if isinstance(report, LoadReport) else None
    told = load.profile if load else getattr(report, "client", "")
    return ComparedRun(
        label=label,
        schema=report.schema,
        target=report.target,
        told=told,
        verdict=report.verdict,
        duration_s=report.duration_s,
        users=load.users if load else None,
        series=load.series if load else [],
    )


def _of_load(before: LoadReport, after: LoadReport) -> list[str]:
    return [f"{name}: {note}" for name, report in (("before", before), ("after", after)) for note in report.notes]


def _differences(before: ComparedRun, after: ComparedRun) -> list[str]:
    notes = []
    if before.target != after.target:
        notes.append(f"other targets: {before.target} and {after.target}")
    if before.users is None or after.users is None:
        return notes
    if before.users != after.users:
        notes.append(f"other numbers of users: {before.users:,} and {after.users:,}")
    longer, shorter = max(before.duration_s, after.duration_s), min(before.duration_s, after.duration_s)
    if longer - shorter > max(0.2 * longer, 2.0):
        notes.append(f"other durations: {before.duration_s:.0f} s and {after.duration_s:.0f} s")
    return notes


def _verdict(measures: Sequence[ComparedMeasure], sides: Sequence[ComparedRun]) -> tuple[Verdict, str]:
    for side in sides:
        if side.verdict in (Verdict.INCONCLUSIVE, Verdict.SKIPPED):
            return Verdict.INCONCLUSIVE, f"the run {side.label} showed nothing: it is {side.verdict}"
    if all(measure.change is MeasureChange.UNKNOWN for measure in measures):
        return Verdict.INCONCLUSIVE, "the two runs have no measure in common"
    worse = [measure.name for measure in measures if measure.change is MeasureChange.WORSE]
    if worse:
        return Verdict.FAILED, f"worse than before: {'; '.join(worse)}"
    return Verdict.PASSED, ""
