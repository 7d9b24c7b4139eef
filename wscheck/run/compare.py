"""Comparison of two JSON reports of the same command, one measure (number of a report) after the other."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from wscheck.detect.verdict import Decision, verdict
from wscheck.model import load_report
from wscheck.model.comparison import (
    SCHEMA,
    TIME_TOLERANCE_MS,
    Basis,
    ComparedMeasure,
    ComparedRun,
    CompareReport,
    MeasureChange,
)
from wscheck.model.errors import BadEvidence, UsageError
from wscheck.model.findings import Bar, Verdict
from wscheck.model.gaps import Gap
from wscheck.model.load_report import LoadReport
from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import Report, Scope, VerifyReport

# Relative differences between two equal runs by chance. On a busy machine, times vary more than counts.
COUNT_TOLERANCE = 0.05
TIME_TOLERANCE = 0.5

SAMPLES_ABOVE = 5
"""Durations that must be above a percentile, so that it does not depend on a single one."""

CPU_NOISE_S = 0.05
"""Difference between the CPU times of two equal runs (seconds): the system counts them in hundredths of a second."""

NOISE_FACTOR = 2
"""Delay of a measured time relative to that of the load generator: it waits to send, and again to receive."""

DEFAULT_BAR = Bar()

# Headings of the document that describes the benefits of one connection per user (docs/origin.md).
PERFORMANCE = "Performance"
SERVER_LOAD = "Server load"
RESOURCES = "Resource efficiency"
EXPERIENCE = "User experience"

ReportKind = TypeVar("ReportKind", bound=Report)

COMPARABLE: dict[str, type[Report]] = {"wscheck.verify/1": VerifyReport, load_report.SCHEMA: LoadReport}
"""Value of `schema` to the type of the report, for reports that can be compared."""


@dataclass(frozen=True)
class Measure(Generic[ReportKind]):
    """One number of a report, such as the time to connect.

    read     function that returns the number, None if the report does not contain it
    divisor  function that returns the size of the run, by which the number is divided before the comparison
    floor    smallest number in the comparison. A smaller number is replaced by it: for example, users without a
             connection are no improvement over users with one connection
    times    if the number is a percentile of durations, function that returns all percentiles; otherwise None
    percent  the percentile that is compared, such as 95; without meaning for other numbers
    """

    id: str
    benefit: str
    name: str
    read: Callable[[ReportKind], float | None]
    unit: str = ""
    more_is_better: bool = False
    divisor: Callable[[ReportKind], float] = lambda report: 1.0
    floor: float = 0.0
    times: Callable[[ReportKind], Percentiles] | None = None
    percent: int = 95


def _user_seconds(report: LoadReport) -> float:
    return max(report.users, 1) * _seconds(report)


def _seconds(report: LoadReport) -> float:
    return max(report.duration_s, 0.001)


def _users(report: LoadReport) -> float:
    return max(report.users, 1)


def _mean_open(report: LoadReport) -> float | None:
    """Return the open connections per user, averaged over the seconds that had users."""
    shares = [second.open / second.users for second in report.series if second.users]
    return sum(shares) / len(shares) if shares else None


def _received_per_user(report: LoadReport) -> float | None:
    """Return the events received per user, without duplicates and greetings; None if no event arrived.

    Greetings are events that the server sends to each new connection. They are left out because their number depends on
    the number of connections.
    """
    events = report.events
    if not report.users or not events.received:
        return None
    return (events.received - events.duplicated - events.greetings) / report.users


def _opened_per_user(report: LoadReport) -> float | None:
    return report.connects / report.users if report.users else None


def _server_cpu(report: LoadReport) -> float | None:
    return report.server.cpu_s if report.server else None


LOAD_MEASURES: tuple[Measure[LoadReport], ...] = (
    Measure(
        "connections_per_user", PERFORMANCE, "connections per user, most at once",
        lambda report: report.connections_per_user, "/user",
    ),
    Measure("connects_per_user", PERFORMANCE, "connections opened per user", _opened_per_user, "/user"),
    Measure(
        "churn_per_user_s", SERVER_LOAD, "connects and disconnects per user",
        lambda report: report.churn_per_user_s, "/s",
    ),
    Measure("replaced", SERVER_LOAD, "connections replaced", lambda report: report.replaced, divisor=_user_seconds),
    Measure("connects", SERVER_LOAD, "handshakes completed", lambda report: report.connects, divisor=_users),
    Measure(
        "connections_peak", RESOURCES, "open connections, peak", lambda report: report.connections_peak, divisor=_users,
    ),
    Measure("open_per_user", RESOURCES, "open connections per user, mean", _mean_open, "/user", floor=1.0),
    Measure("server_cpu_s", RESOURCES, "CPU time of the server", _server_cpu, "s", divisor=_user_seconds),
    Measure(
        "connect_p95_ms", EXPERIENCE, "time to connect, p95", lambda report: report.connect_ms.p95, "ms",
        times=lambda report: report.connect_ms,
    ),
    Measure(
        "lifetime_p50_ms", EXPERIENCE, "connection lifetime, median", lambda report: report.lifetime_ms.p50, "ms", True,
        times=lambda report: report.lifetime_ms, percent=50,
    ),
    Measure(
        "ack_p95_ms", EXPERIENCE, "time to acknowledgement, p95", lambda report: report.ack_ms.p95, "ms",
        times=lambda report: report.ack_ms,
    ),
    Measure(
        "received_per_user", EXPERIENCE, "events received per user", _received_per_user, "/user", True,
        divisor=_seconds,
    ),
    Measure("duplicated", EXPERIENCE, "events delivered twice", lambda report: report.events.duplicated,
            divisor=_user_seconds),
)  # fmt: skip


def _peak(report: VerifyReport) -> float | None:
    return max((scenario.connections_peak for scenario in report.scenarios), default=None)


def _finding_count(rule: str) -> Callable[[VerifyReport], float | None]:
    return lambda report: sum(finding.count for finding in report.findings if finding.rule == rule)


def _total(field: str) -> Callable[[VerifyReport], float | None]:
    return lambda report: sum(getattr(scenario, field) for scenario in report.scenarios) if report.scenarios else None


def _scenarios_passed(report: VerifyReport) -> float | None:
    return sum(scenario.verdict is Verdict.PASSED for scenario in report.scenarios) if report.scenarios else None


VERIFY_MEASURES: tuple[Measure[VerifyReport], ...] = (
    Measure("connections_peak", PERFORMANCE, "connections of one user, most at once", _peak),
    Measure(
        "multiple_connections", PERFORMANCE, "times a user had several connections",
        _finding_count("multiple-connections"),
    ),
    Measure("connects", SERVER_LOAD, "connections opened", _total("connections_opened")),
    Measure("replaced", SERVER_LOAD, "connections replaced", _total("replacements")),
    Measure("excessive_attempts", SERVER_LOAD, "times the limit of attempts was exceeded",
            _finding_count("excessive-attempts")),
    Measure("connection_leaked", RESOURCES, "connections leaked", _finding_count("connection-leaked")),
    Measure("duplicated", EXPERIENCE, "events delivered or handled twice", _finding_count("event-duplicated")),
    Measure("missing", EXPERIENCE, "events that did not arrive", _finding_count("event-missing")),
    Measure("passed", EXPERIENCE, "scenarios passed", _scenarios_passed, "", True),
)  # fmt: skip
"""Measures of two reports of `wscheck verify`. They count only the scenarios that both runs contain."""


def compare(before: Report, after: Report, bar: Bar = DEFAULT_BAR) -> CompareReport:
    """Compare two load reports or two verify reports.

    If one of the runs proved nothing, the comparison is inconclusive, or failed if `bar` is strict (--strict).

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
        scope=Scope(
            checked="whether the second run got worse", not_checked="whether either is free of faults, see its report"
        ),
        before=runs[0],
        after=runs[1],
        measures=measures,
        notes=[*notes, *_differences(*runs)],
    )


def empty_comparison(before: str, after: str) -> CompareReport:
    """Return an inconclusive comparison for two report files (given by name) that could not be read."""
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
    basis = _basis(measure, before, after)
    compared = _compared_numbers(measure, basis, before, after)
    if compared is not None:
        old_scaled, new_scaled = compared
        noise = _noise(measure, before, after)
        change = _change(old_scaled, new_scaled, measure.unit, measure.more_is_better, noise)
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
        basis=basis,
    )


def _basis(measure: Measure[ReportKind], before: ReportKind, after: ReportKind) -> Basis:
    """Return which numbers of a measure are compared: its values, the medians of the durations, or none.

    A high percentile is compared only if there are many durations. Otherwise one late packet would determine it.
    """
    if measure.times is None:
        return Basis.VALUES
    samples = min((n for report in (before, after) if (n := measure.times(report).samples) is not None), default=None)
    if samples is None or samples >= _samples_for(measure.percent):
        return Basis.VALUES
    return Basis.MEDIANS if samples >= _samples_for(50) else Basis.NONE


def _samples_for(percent: int) -> int:
    """Return how many durations are needed so that at least `SAMPLES_ABOVE` of them are above a percentile."""
    return -(-SAMPLES_ABOVE * 100 // (100 - percent))


def _compared_numbers(
    measure: Measure[ReportKind], basis: Basis, before: ReportKind, after: ReportKind
) -> tuple[float, float] | None:
    """Return the two numbers to compare, scaled by the sizes of the runs; None if one is missing."""
    if basis is Basis.NONE:
        return None
    if basis is Basis.MEDIANS and measure.times is not None:
        old, new = measure.times(before).p50, measure.times(after).p50
    else:
        old, new = measure.read(before), measure.read(after)
    if old is None or new is None:
        return None
    return max(old / measure.divisor(before), measure.floor), max(new / measure.divisor(after), measure.floor)


def _noise(measure: Measure[ReportKind], before: ReportKind, after: ReportKind) -> float:
    """Return by how much a measure may differ between two equal runs because of this machine, in the measure's unit.

    The delay of the load generator is included in every time that it measured.
    """
    if measure.unit == "s":
        return CPU_NOISE_S / min(measure.divisor(before), measure.divisor(after))
    lags = [report.heartbeat_lag_ms.p99 for report in (before, after) if isinstance(report, LoadReport)]
    return NOISE_FACTOR * max((lag or 0.0 for lag in lags), default=0.0) if measure.unit == "ms" else 0.0


def _change(old: float, new: float, unit: str, more_is_better: bool, noise: float) -> MeasureChange:
    """Return whether `new` is BETTER or WORSE than `old`, or the SAME.

    The numbers are the same if their difference is within the tolerance, which is at least `noise`.
    """
    tolerance = max((TIME_TOLERANCE if unit in ("ms", "s") else COUNT_TOLERANCE) * old, noise)
    if unit == "ms":
        tolerance = max(tolerance, TIME_TOLERANCE_MS)
    if abs(new - old) <= tolerance:
        return MeasureChange.SAME
    return MeasureChange.BETTER if (new > old) is more_is_better else MeasureChange.WORSE


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _restrict_to_shared_scenarios(
    before: VerifyReport, after: VerifyReport
) -> tuple[VerifyReport, VerifyReport, list[str]]:
    """Return both reports reduced to the scenarios that both contain, and a note that lists the other scenarios."""
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
    """Return the verdict: failed if a measure got worse, inconclusive if one of the runs proved nothing."""
    gaps = [*_run_gaps(before, "before"), *_run_gaps(after, "after")]
    if all(measure.change is MeasureChange.UNKNOWN for measure in measures):
        gaps.append(Gap(id="no-common-measure", reason="the two runs have no measure in common"))
    worse = [measure.name for measure in measures if measure.change is MeasureChange.WORSE]
    limits = [f"worse than before: {'; '.join(worse)}"] if worse and not gaps else []
    return verdict([], gaps, bar, limits=limits)


def _run_gaps(report: Report, label: str) -> list[Gap]:
    """Return a gap (missing evidence) in a list if the run proved nothing, otherwise an empty list."""
    if report.verdict in (Verdict.INCONCLUSIVE, Verdict.SKIPPED):
        return [Gap(id="run-without-result", reason=f"the run {label} showed nothing: it is {report.verdict}")]
    if report.verdict is Verdict.FAILED and _lacks_evidence(report):
        return [
            Gap(
                id="run-without-result",
                reason=f"the run {label} showed nothing: it failed because of missing evidence (--strict)",
            )
        ]
    return []


def _lacks_evidence(report: Report) -> bool:
    """Return whether a failed run has only missing evidence against it. With --strict, missing evidence fails a run."""
    if isinstance(report, LoadReport):
        crossed = any(threshold.crossed for threshold in report.thresholds)
        return not report.connects or not (report.findings or crossed)
    return not report.findings


class _SchemaField(msgspec.Struct):
    schema: str


def read_reports(before: Path, after: Path) -> tuple[Report, Report]:
    """Return the two reports in the given files.

    Raises:
        BadEvidence: A file is missing, broken or of another version.
        UsageError: A report cannot be compared, or the two reports are of different kinds.
    """
    first, second = read_report(before), read_report(after)
    if type(first) is not type(second):
        raise UsageError(
            f"{before} is {first.schema} and {after} is {second.schema}: they have no measure in common.",
            "Compare two load reports or two verify reports.",
        )
    return first, second


def read_report(path: Path) -> Report:
    """Return the report in a file. Raise BadEvidence and UsageError as `read_reports` does."""
    raw = _read_bytes(path)
    try:
        schema = msgspec.json.decode(raw, type=_SchemaField).schema
    except msgspec.DecodeError as error:
        raise BadEvidence(
            f"{path} is not a wscheck report: {error}.",
            "Write a report with `report.format=json=PATH`. If the file was copied, copy it again: it may be "
            "incomplete.",
        ) from None
    kind = COMPARABLE.get(schema)
    if kind is None:
        raise _not_comparable(path, schema)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError as error:
        raise BadEvidence(
            f"{path} does not match its schema {schema}: {error}.",
            "Write the report again with `report.format=json=PATH`.",
        ) from None


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadEvidence(
            f"{path} cannot be read: {error.strerror}.",
            "Write a report with `wscheck load --format json=PATH` or `wscheck verify --format json=PATH`.",
        ) from None


def _not_comparable(path: Path, schema: str) -> UsageError | BadEvidence:
    name = schema.partition("/")[0]
    if any(name == known.partition("/")[0] for known in COMPARABLE):
        return BadEvidence(
            f"{path} has the schema {schema}, which this version of wscheck cannot read.",
            "Use the version of wscheck that wrote it.",
        )
    known = " or ".join(COMPARABLE)
    return UsageError(
        f"{path} has {f'the schema {schema}' if schema else 'no schema'}, which cannot be compared.",
        f"Give two reports of the schema {known}.",
    )
