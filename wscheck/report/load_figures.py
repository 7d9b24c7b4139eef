"""What a load run and a comparison say in numbers: rows of words, for every reporter that draws a table."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from wscheck.model.comparison import TIME_TOLERANCE_MS, ComparedMeasure, CompareReport, MeasureChange
from wscheck.model.load_report import LoadReport, Threshold
from wscheck.model.load_statistics import Percentiles
from wscheck.report.formatting import one_line, plural

ALIKE = 0.1
"""Runs whose sizes differ by less are compared by the numbers that the table shows."""

NOTHING = "-"
"""Stands where nothing was measured."""


@dataclass(frozen=True)
class Figure:
    """One row: what, how much, and what else there is to say. `bad`: this is what the run is about to be blamed for."""

    name: str
    value: str
    more: str
    bad: bool = False


def load_figure_rows(report: LoadReport) -> list[Figure]:
    """A load run's statistics in telling order."""
    refused, gone = sum(report.refused.values()), sum(report.disconnects.values())
    per_user, events = report.connections_per_user, report.events
    # Each worker knows its own peak, and they need not have had it at the same moment.
    at_most = "at most " if report.workers > 1 else ""
    return [
        Figure(
            "connections per user",
            format_amount(per_user, "/user"),
            f"{report.connections_open:,} open at the end, peak {at_most}{report.connections_peak:,}",
            per_user > 1.05,
        ),
        Figure("replaced", f"{report.replaced:,}", "", report.replaced > 0),
        Figure(
            "churn",
            format_amount(report.churn_per_user_s, "/s"),
            f"per user: {plural(report.connects, 'connect')}, {plural(gone, 'disconnect')}",
        ),
        Figure("refused", f"{refused:,}", format_counts(report.refused), refused > 0),
        Figure("disconnects", f"{gone:,}", format_counts(report.disconnects)),
        _time("connect", report.connect_ms),
        _time("lifetime", report.lifetime_ms),
        _acks(report),
        Figure("events", f"{events.received:,}", f"{events.duplicated:,} of them duplicates", events.duplicated > 0),
        _time("heartbeat lag", report.heartbeat_lag_ms, "of this generator itself"),
    ]


def server_counts_sentence(report: LoadReport) -> str:
    """What the embedded backend counted of the same run, in a sentence; empty against any other target."""
    server = report.server
    if server is None:
        return ""
    cost = f", in {format_amount(server.cpu_s, 's')} of processor time" if server.cpu_s is not None else ""
    return (
        f"{plural(server.connects, 'connect')}, {server.replaced:,} replaced, {server.refused:,} refused, "
        f"peak {server.peak:,}, {plural(server.emitted, 'event')} sent{cost}"
    )


def _acks(report: LoadReport) -> Figure:
    late = f"{report.ack_timeouts:,} not in time" if report.ack_timeouts else ""
    return dataclasses.replace(_time("ack", report.ack_ms, late), bad=bool(late))


def _time(name: str, times: Percentiles, more: str = "") -> Figure:
    if times.p50 is None:
        return Figure(name, NOTHING, more)
    rest = f"p95 {format_milliseconds(times.p95)}, p99 {format_milliseconds(times.p99)}"
    return Figure(name, format_milliseconds(times.p50), f"{rest}{f', {more}' if more else ''}")


def format_counts(kinds: Mapping[str, int], most: int = 4) -> str:
    """`12 transport close, 3 ping timeout and 2 more`: the most frequent first."""
    ranked = sorted(kinds.items(), key=lambda item: -item[1])
    told = [f"{count:,} {one_line(kind)}" for kind, count in ranked[:most]]
    rest = sum(count for _, count in ranked[most:])
    return ", ".join(told) + (f" and {rest:,} more" if rest else "")


def format_milliseconds(value: float | None) -> str:
    """0.4 ms, 12 ms, 1.2 s, 3.5 min: as fine as it is useful."""
    if value is None:
        return NOTHING
    if value < 1000:
        return f"{value:.1f} ms" if value < 10 else f"{value:.0f} ms"
    return f"{value / 1000:.1f} s" if value < 120_000 else f"{value / 60_000:.1f} min"


def format_amount(value: float | None, unit: str) -> str:
    """A number in its unit: 1,840, 12 ms, 0.42/s; means, whose unit is "/user", with two decimals: 1.00."""
    if value is None:
        return NOTHING
    if unit == "ms":
        return format_milliseconds(value)
    if unit == "s":
        if value < 0.1:
            return f"{value:.2f} s"
        return f"{value:.1f} s" if value < 120 else f"{value / 60:.1f} min"
    number = f"{value:,.0f}" if value >= 100 or (value == int(value) and not unit) else f"{value:.2f}"
    return number + (unit if unit != "/user" else "")


def format_threshold(told: Threshold) -> str:
    """`--max-replaced 0: 1,840, crossed`."""
    unit = "ms" if told.id.endswith("p95") else ""
    measured = format_amount(told.measured, unit) if told.measured is not None else "nothing measured"
    limit = f"{told.limit:g} ms" if unit else f"{told.limit:g}"
    return f"--{told.id} {limit}: {measured}, {'crossed' if told.crossed else 'kept'}"


def format_change(measure: ComparedMeasure) -> str:
    """How much became of a measure: `none left`, `20× less`, `35 % less`, `the same`, or nothing."""
    before, after = measure.before, measure.after
    if measure.change is MeasureChange.UNKNOWN or before is None or after is None:
        return ""
    if measure.change is MeasureChange.SAME or before == after == 0:
        return _hardly(before, after, measure.unit)
    if after == 0:
        return "none left"
    if before == 0:
        return f"{format_amount(after, measure.unit)} more"
    ratio = after / before
    if measure.ratio is None or abs(measure.ratio / ratio - 1) < ALIKE:
        return _times(ratio)
    return f"{_times(measure.ratio)} for its size"


def _hardly(before: float, after: float, unit: str) -> str:
    """Why two numbers that differ count as the same."""
    if format_amount(before, unit) == format_amount(after, unit):
        return "the same"
    close = unit == "ms" and abs(after - before) <= TIME_TOLERANCE_MS
    return f"under {TIME_TOLERANCE_MS:.0f} ms apart" if close else "about the same"


def _times(ratio: float) -> str:
    """2.0 as `2.0× more`, 0.05 as `20× less`, 1.3 as `30 % more`."""
    factor, word = (1 / ratio, "less") if ratio < 1 else (ratio, "more")
    if factor >= 2:
        return f"{factor:,.0f}× {word}" if factor >= 10 else f"{factor:.1f}× {word}"
    return f"{abs(ratio - 1) * 100:.0f} % {word}"


def measures_by_benefit(report: CompareReport) -> list[tuple[str, list[ComparedMeasure]]]:
    """The measures under the documented benefit each stands for; what neither run measured is left out."""
    told: dict[str, list[ComparedMeasure]] = {}
    for measure in report.measures:
        if measure.before is not None or measure.after is not None:
            told.setdefault(measure.benefit, []).append(measure)
    return list(told.items())
