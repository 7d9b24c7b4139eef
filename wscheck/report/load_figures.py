"""Figures of load reports and comparisons as text, for every format that contains tables."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from wscheck.model.comparison import TIME_TOLERANCE_MS, Basis, ComparedMeasure, CompareReport, MeasureChange
from wscheck.model.load_report import LoadReport, Threshold
from wscheck.model.load_statistics import Percentiles
from wscheck.report.formatting import one_line, plural

RATIO_TOLERANCE = 0.1
"""Largest relative difference between the ratio of two shown numbers and their ratio per user and second.

Up to this difference, the report contains the ratio of the shown numbers, because readers can check it.
"""

NOT_MEASURED = "-"


@dataclass(frozen=True)
class LoadFigure:
    """Row of the table of a load report. `is_bad` marks a value that indicates a problem."""

    name: str
    value: str
    details: str
    is_bad: bool = False


def load_figure_rows(report: LoadReport) -> list[LoadFigure]:
    """Return the rows of the table of a load report."""
    refused, disconnects = sum(report.refused.values()), sum(report.disconnects.values())
    per_user, events = report.connections_per_user, report.events
    # Each worker reports only its own peak. The peaks may be at different times, so their sum is an upper bound.
    bound = "at most " if report.workers > 1 else ""
    return [
        LoadFigure(
            "connections per user",
            format_amount(per_user, "/user"),
            f"{report.connections_open:,} open at the end, peak {bound}{report.connections_peak:,}",
            per_user > 1.05,
        ),
        LoadFigure("replaced", f"{report.replaced:,}", "", report.replaced > 0),
        LoadFigure(
            "churn",
            format_amount(report.churn_per_user_s, "/s"),
            f"per user; {plural(report.connects, 'connect')} and {plural(disconnects, 'disconnect')} in total",
        ),
        LoadFigure("refused", f"{refused:,}", format_counts(report.refused), refused > 0),
        LoadFigure("disconnects", f"{disconnects:,}", format_counts(report.disconnects)),
        _time_row("time to connect", report.connect_ms),
        _time_row("connection lifetime", report.lifetime_ms),
        _acknowledgement_row(report),
        LoadFigure(
            "events", f"{events.received:,}", f"{events.duplicated:,} of them duplicates", events.duplicated > 0
        ),
        _time_row("heartbeat lag", report.heartbeat_lag_ms, "of the load generator itself"),
    ]


def server_counts_sentence(report: LoadReport) -> str:
    """Return a sentence with what the embedded backend counted in the run, "" for any other target."""
    server = report.server
    if server is None:
        return ""
    cost = f", in {format_amount(server.cpu_s, 's')} of CPU time" if server.cpu_s is not None else ""
    return (
        f"{plural(server.connects, 'connect')}, {server.replaced:,} replaced, {server.refused:,} refused, "
        f"peak {server.peak:,}, {plural(server.emitted, 'event')} sent{cost}"
    )


def _acknowledgement_row(report: LoadReport) -> LoadFigure:
    timeouts = f"{plural(report.ack_timeouts, 'timeout')}" if report.ack_timeouts else ""
    return dataclasses.replace(_time_row("time to acknowledgement", report.ack_ms, timeouts), is_bad=bool(timeouts))


def _time_row(name: str, times: Percentiles, details: str = "") -> LoadFigure:
    if times.p50 is None:
        return LoadFigure(name, NOT_MEASURED, details)
    percentiles = f"median; p95 {format_milliseconds(times.p95)}, p99 {format_milliseconds(times.p99)}"
    return LoadFigure(name, format_milliseconds(times.p50), f"{percentiles}; {details}" if details else percentiles)


def format_counts(counts: Mapping[str, int], most: int = 4) -> str:
    """Return counts by kind, the most frequent kinds first: `12 transport close, 3 ping timeout and 2 more`."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    shown = [f"{count:,} {one_line(kind)}" for kind, count in ranked[:most]]
    rest = sum(count for _, count in ranked[most:])
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def format_milliseconds(value: float | None) -> str:
    """Return for example `0.4 ms`, `12 ms`, `1.2 s` or `3.5 min`."""
    if value is None:
        return NOT_MEASURED
    if value < 1000:
        return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 120_000 else f"{value / 60_000:.1f} min"


def format_amount(value: float | None, unit: str) -> str:
    """Return a number with its unit: `1,840`, `12 ms`, `0.42/s`. A mean (unit "/user") has two decimals: `1.00`."""
    if value is None:
        return NOT_MEASURED
    if unit == "ms":
        return format_milliseconds(value)
    if unit == "s":
        if value < 0.1:
            return f"{value:.2f} s"
        return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"
    number = f"{value:,.0f}" if value >= 100 or (value == int(value) and not unit) else f"{value:.2f}"
    return number + (unit if unit != "/user" else "")


def format_threshold(threshold: Threshold) -> str:
    """Return for example `--max-replaced 0: measured 1,840, crossed`."""
    unit = "ms" if threshold.id.endswith("p95") else ""
    limit = f"{threshold.limit:g} ms" if unit else f"{threshold.limit:g}"
    if threshold.measured is None:
        measured = "nothing measured"
    else:
        measured = f"measured {format_amount(threshold.measured, unit)}"
    return f"--{one_line(threshold.id)} {limit}: {measured}, {'crossed' if threshold.crossed else 'not crossed'}"


def format_change(measure: ComparedMeasure) -> str:
    """Return for example `none left`, `20× less`, `35 % less` or `the same`, "" if the change is unknown."""
    before, after = measure.before, measure.after
    if before is None or after is None:
        return ""
    if measure.basis is not Basis.VALUES:
        return _format_few(measure)
    if measure.change is MeasureChange.UNKNOWN:
        return ""
    return _format_known_change(measure, before, after)


def _format_few(measure: ComparedMeasure) -> str:
    """Return the change of a measure with too few durations to compare a high percentile: the change of the median.

    Return "too few to compare" if there are too few even for a median.
    """
    if measure.basis is Basis.NONE:
        return "too few to compare"
    if measure.change is MeasureChange.SAME or measure.ratio is None:
        return "medians about the same"
    return f"median {_format_ratio(measure.ratio)}"


def _format_known_change(measure: ComparedMeasure, before: float, after: float) -> str:
    if measure.change is MeasureChange.SAME or before == after == 0:
        return _format_no_change(before, after, measure.unit)
    if after == 0:
        return "none left"
    if before == 0:
        return f"{format_amount(after, measure.unit)} more"
    ratio = after / before
    if measure.ratio is None or abs(measure.ratio / ratio - 1) < RATIO_TOLERANCE:
        return _format_ratio(ratio)
    return f"{_format_ratio(measure.ratio)}, relative to its size"


def _format_no_change(before: float, after: float, unit: str) -> str:
    """Return a text for two numbers that count as the same, for example `about the same`."""
    if format_amount(before, unit) == format_amount(after, unit):
        return "the same"
    close = unit == "ms" and abs(after - before) <= TIME_TOLERANCE_MS
    return f"less than {TIME_TOLERANCE_MS:.0f} ms apart" if close else "about the same"


def _format_ratio(ratio: float) -> str:
    """Return 2.0 as `2.0× more`, 0.05 as `20× less`, 1.3 as `30 % more`."""
    factor, direction = (1 / ratio, "less") if ratio < 1 else (ratio, "more")
    if factor >= 2:
        return f"{factor:,.0f}× {direction}" if factor >= 10 else f"{factor:.1f}× {direction}"
    return f"{abs(ratio - 1) * 100:.0f} % {direction}"


def measures_by_benefit(report: CompareReport) -> list[tuple[str, list[ComparedMeasure]]]:
    """Return (heading, measures) pairs, for example ("Server load", [...]). A measure without any value is omitted."""
    groups: dict[str, list[ComparedMeasure]] = {}
    for measure in report.measures:
        if measure.before is not None or measure.after is not None:
            groups.setdefault(measure.benefit, []).append(measure)
    return list(groups.items())
