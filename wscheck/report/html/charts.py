"""Charts of load runs and comparisons over time, and of the rounds of a browser's loop.

The input is one value per second, or per round. Positions in a chart are percentages, so that the chart fits any width.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from wscheck.model.comparison import ComparedRun, CompareReport
from wscheck.model.load_report import LoadReport, Second
from wscheck.model.report import BrowserReport, Report
from wscheck.report import loop_figures
from wscheck.report.formatting import one_line

POINTS = 240
"""Largest number of points per line. In a longer run, each point is the mean of several seconds."""

BLUE, ORANGE, PURPLE, PINK = 0, 1, 2, 4
HUES = 6

ONE_CONNECTION_NOTE = "With one connection per user the two lines coincide."
REPLACEMENT_NOTE = (
    "The server replaces older connections, so the two lines stay close: the cost shows in the connection cycles."
)

SecondValue = Callable[[Second], float | None]


@dataclass(frozen=True)
class ChartLine:
    """Line to draw: one value per second, None for a second without a measurement. A reference line is dashed."""

    name: str
    values: Sequence[float | None]
    hue: int
    dashed: bool = False


@dataclass(frozen=True)
class DrawnLine:
    """SVG paths of a line, with gaps where nothing was measured, and the largest value of the line as text."""

    name: str
    hue: int
    dashed: bool
    paths: list[str]
    maximum: str


@dataclass(frozen=True)
class Chart:
    """Variables of `templates/chart.html.j2`. Each tick is a pair (position in per cent, text)."""

    title: str
    unit: str
    lines: list[DrawnLine]
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    description: str
    note: str


def report_charts(report: Report) -> list[Chart]:
    """Return the charts of `report`, an empty list if the report contains no values over time."""
    if isinstance(report, LoadReport):
        charts = _load_charts(report)
    elif isinstance(report, CompareReport):
        charts = _comparison_charts(report)
    elif isinstance(report, BrowserReport):
        charts = [_round_chart(report)]
    else:
        charts = []
    return [chart for chart in charts if chart is not None]


def _load_charts(report: LoadReport) -> list[Chart | None]:
    def line(name: str, value: SecondValue, hue: int, dashed: bool = False) -> ChartLine:
        return ChartLine(name, _values(report.series, value), hue, dashed)

    charts = [
        _draw_chart(
            "Connections open",
            [
                line("connections", lambda second: second.open, BLUE),
                line("users", lambda second: second.users, ORANGE, dashed=True),
            ],
            note=REPLACEMENT_NOTE if report.replaced else ONE_CONNECTION_NOTE,
        ),
        _draw_chart(
            "Connection cycles",
            [
                line("connects", lambda second: second.connects, BLUE),
                line("disconnects", lambda second: second.disconnects, PURPLE, dashed=True),
                line("replaced", lambda second: second.replaced, PINK),
                *([line("refused", lambda second: second.refused, ORANGE)] if report.refused else []),
            ],
            unit="/s",
        ),
    ]
    if report.events.received:
        charts.append(
            _draw_chart(
                "Events",
                [
                    line("received", lambda second: second.received, BLUE),
                    line("duplicates", lambda second: second.duplicated, PINK),
                ],
                unit="/s",
            )
        )
    charts.append(
        _draw_chart(
            "Heartbeat lag of the load generator",
            [line("maximum", lambda second: second.heartbeat_lag_ms, ORANGE)],
            unit=" ms",
            note="While the lag is high, measured times depend on this machine more than on the server.",
        )
    )
    return charts


def _comparison_charts(report: CompareReport) -> list[Chart | None]:
    runs = (report.before, report.after)
    if not all(run.series for run in runs):
        return []
    return [
        _before_after_chart(
            "Connections open per user", runs, lambda second: second.open / second.users if second.users else None
        ),
        _before_after_chart(
            "Connects and disconnects", runs, lambda second: second.connects + second.disconnects, "/s"
        ),
        _before_after_chart("Connections replaced", runs, lambda second: second.replaced, "/s"),
        _before_after_chart("Events received", runs, lambda second: second.received, "/s"),
        _before_after_chart("Events delivered twice", runs, lambda second: second.duplicated, "/s"),
    ]


def _round_chart(report: BrowserReport) -> Chart | None:
    """Return a chart of the connections after each round of a loop, None without rounds.

    There is one line per place that the loop visits (the path of a link, or the line of a step).
    """
    places = loop_figures.connections_per_round(report)
    lines = [ChartLine(one_line(place), counts, number % HUES) for number, (place, counts) in enumerate(places.items())]
    return _draw_chart("Connections open after each round", lines, step="round ")


def _before_after_chart(title: str, runs: Sequence[ComparedRun], value: SecondValue, unit: str = "") -> Chart | None:
    """Return a chart with a line for each of the two compared runs on the same scale, None if both are zero throughout.

    value  function that returns the value of one second of a run
    unit   unit of the values, as text
    """
    before, after = (_values(run.series, value) for run in runs)
    if not any(before) and not any(after):
        return None
    names = [f"{run.label} ({run.variant})" if run.variant != run.label else run.label for run in runs]
    lines = [ChartLine(names[0], before, ORANGE, dashed=True), ChartLine(names[1], after, BLUE)]
    return _draw_chart(title, lines, unit)


def _values(series: Sequence[Second], value: SecondValue) -> list[float | None]:
    """Return a list of `value(second)` for each second from 0 to the last second that has at least one user.

    An element is None if `series` does not contain this second, or if `value` returns None for it.
    """
    values: list[float | None] = [None] * max((second.second + 1 for second in series if second.users), default=0)
    for second in series:
        if second.second < len(values):
            values[second.second] = value(second)
    return values


def _draw_chart(title: str, lines: Iterable[ChartLine], unit: str = "", note: str = "", step: str = "") -> Chart | None:
    """Return a chart of the lines that have at least two values, None if no line has two.

    unit  unit of the values, as text
    note  text about the chart
    step  name of the unit of the horizontal axis, such as "round "; empty for seconds. A line has one value per unit.
    """
    drawable = [line for line in lines if sum(value is not None for value in line.values) > 1]
    if not drawable:
        return None
    seconds = max(len(line.values) for line in drawable) - 1
    top = _round_up(max(value for line in drawable for value in line.values if value is not None))
    drawn = [_draw_line(line, seconds, top, unit) for line in drawable]
    return Chart(
        title=title,
        unit=unit,
        lines=drawn,
        x_ticks=[
            (round(100 * second / seconds, 3), f"{step}{second:g}" if step else f"{second:g} s")
            for second in _tick_seconds(seconds)
        ],
        y_ticks=[(round(100 * share, 1), _format_value(share * top)) for share in (0.0, 0.5, 1.0)],
        description=f"{title}: " + "; ".join(f"{line.name} at most {line.maximum}" for line in drawn),
        note=note,
    )


def _draw_line(line: ChartLine, seconds: int, top: float, unit: str) -> DrawnLine:
    maximum = max(value for value in line.values if value is not None)
    paths = list(_paths(line.values, seconds, top))
    return DrawnLine(line.name, line.hue, line.dashed, paths, _format_value(maximum) + unit)


def _paths(values: Sequence[float | None], seconds: int, top: float) -> Iterator[str]:
    """Yield one SVG path per uninterrupted section of a line.

    The paths fit a square of 100 by 100 with the origin at the top left. Its right edge stands for the second
    `seconds`, its top edge for the value `top`, and its bottom edge for 0.
    """
    step = max(1, math.ceil(len(values) / POINTS))
    section: list[str] = []
    for start in range(0, len(values), step):
        measured = [value for value in values[start : start + step] if value is not None]
        if measured:
            x, y = 100 * start / seconds, 100 - 100 * (sum(measured) / len(measured)) / top
            section.append(f"{'L' if section else 'M'}{x:.2f} {y:.2f}")
        elif section:
            yield "".join(section)
            section = []
    if section:
        yield "".join(section)


def _round_up(maximum: float) -> float:
    """Return the upper end of the scale: the next larger value that is round, and whose half is round too."""
    if maximum <= 0:
        return 1.0
    power: float = 10 ** math.floor(math.log10(maximum))
    return next(power * digit for digit in (1, 2, 4, 6, 8, 10) if maximum <= power * digit)


def _tick_seconds(seconds: int) -> range:
    """Return about five round numbers of seconds for the time axis."""
    steps = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
    step = next((step for step in steps if seconds / step <= 6), 7200)
    return range(0, seconds + 1, step)


def _format_value(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
