"""What a load run and a comparison show on the page: their plots."""

from collections.abc import Callable, Sequence

from wscheck.model.comparison import ComparedRun, CompareReport
from wscheck.model.load_report import LoadReport, Second
from wscheck.model.report import Report
from wscheck.report.html.plots import Line, Plot, plot

BLUE, ORANGE, PURPLE, PINK = 0, 1, 2, 4

ONE_EACH = "One connection for each user would lay the two lines on each other."
REPLACING = "The server replaces, which keeps the two lines together: what it costs are the cycles."

Take = Callable[[Second], float | None]


def courses(report: Report) -> list[Plot]:
    """The plots of `report` over time, empty for one that has no series."""
    if isinstance(report, LoadReport):
        drawn = _load(report)
    elif isinstance(report, CompareReport):
        drawn = _compare(report)
    else:
        drawn = []
    return [each for each in drawn if each is not None]


def _load(report: LoadReport) -> list[Plot | None]:
    def line(name: str, take: Take, hue: int, dashed: bool = False) -> Line:
        return Line(name, _course(report.series, take), hue, dashed)

    return [
        plot(
            "Connections open",
            [
                line("connections", lambda s: s.open, BLUE),
                line("users", lambda s: s.users, ORANGE, dashed=True),
            ],
            note=REPLACING if report.replaced else ONE_EACH,
        ),
        plot(
            "Connection cycles",
            [
                line("connects", lambda s: s.connects, BLUE),
                line("disconnects", lambda s: s.disconnects, PURPLE, dashed=True),
                line("replaced", lambda s: s.replaced, PINK),
                *([line("refused", lambda s: s.refused, ORANGE)] if report.refused else []),
            ],
            unit="/s",
        ),
        plot(
            "Events",
            [
                line("received", lambda s: s.received, BLUE),
                line("duplicates", lambda s: s.duplicated, PINK),
            ],
            unit="/s",
        )
        if report.events.received
        else None,
        plot(
            "Heartbeat lag of the load generator",
            [line("worst", lambda s: s.heartbeat_lag_ms, ORANGE)],
            unit=" ms",
            note="Times measured while it is high say more of this machine than of the server.",
        ),
    ]


def _compare(report: CompareReport) -> list[Plot | None]:
    sides = (report.before, report.after)
    if not all(side.series for side in sides):
        return []
    return [
        _both("Connections open per user", sides, lambda s: s.open / s.users if s.users else None),
        _both("Connects and disconnects", sides, lambda s: s.connects + s.disconnects, "/s"),
        _both("Connections replaced", sides, lambda s: s.replaced, "/s"),
        _both("Events received", sides, lambda s: s.received, "/s"),
        _both("Events delivered twice", sides, lambda s: s.duplicated, "/s"),
    ]


def _both(title: str, sides: Sequence[ComparedRun], take: Take, unit: str = "") -> Plot | None:
    """Before and after on one scale; nothing where both stayed at nought."""
    before, after = (_course(side.series, take) for side in sides)
    if not any(before) and not any(after):
        return None
    names = [f"{side.label} ({side.variant})" if side.variant != side.label else side.label for side in sides]
    return plot(title, [Line(names[0], before, ORANGE, dashed=True), Line(names[1], after, BLUE)], unit)


def _course(series: Sequence[Second], take: Take) -> list[float | None]:
    """One value for each second in which users were there, None in seconds that nobody reported."""
    values: list[float | None] = [None] * max((second.second + 1 for second in series if second.users), default=0)
    for second in series:
        if second.second < len(values):
            values[second.second] = take(second)
    return values
