"""A load run, a comparison, a browser's run and what was read of logs as tables of a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from wscheck.model.comparison import CompareReport, MeasureChange
from wscheck.model.load_report import LoadReport, Threshold
from wscheck.model.report import BrowserReport, LogsReport, Report
from wscheck.report import connections, load_figures, log_figures
from wscheck.report.formatting import format_duration, one_line

SPARKS = " ▁▂▃▄▅▆▇█"
SPARK_COLUMNS = 60

_STYLE = {
    MeasureChange.BETTER: "green",
    MeasureChange.WORSE: "bold red",
    MeasureChange.SAME: "dim",
    MeasureChange.UNKNOWN: "dim",
}


def body(report: Report) -> Iterator[RenderableType]:
    """What there is to show of `report` beyond its findings; nothing for one that is all findings or never began."""
    if not report.has_results:
        return
    if isinstance(report, LoadReport):
        yield from _load(report)
    elif isinstance(report, CompareReport):
        yield from _compare(report)
    elif isinstance(report, LogsReport):
        yield from _logs(report)
    elif isinstance(report, BrowserReport):
        yield from connections.table(report)


def _load(report: LoadReport) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for figure in load_figures.load_figure_rows(report):
        table.add_row(figure.name, Text(figure.value, "bold red" if figure.bad else "bold"), figure.more)
    yield table
    yield from _courses(report)
    if server := load_figures.server_counts_sentence(report):
        yield Text.assemble(("the server itself counted ", "dim"), server)
    yield from _notes(report)


def _notes(report: LoadReport) -> Iterator[RenderableType]:
    if report.thresholds:
        yield Text("\n").join(_threshold(told) for told in report.thresholds)
    if report.notes:
        yield _remarks(report.notes)


def _remarks(notes: Sequence[str]) -> Text:
    return Text("\n").join(Text(f"! {one_line(note)}", "yellow") for note in notes)


def _threshold(told: Threshold) -> Text:
    mark, style = ("✗", "bold red") if told.crossed else ("✓", "green")
    return Text(f"{mark} {load_figures.format_threshold(told)}", style)


def _courses(report: LoadReport) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    for name in ("open", "connects", "replaced"):
        values = [getattr(second, name) for second in report.series]
        if any(values):
            label = name if name == "open" else f"{name}/s"
            table.add_row(label, Text.assemble((sparkline(values), "cyan"), (f" max {max(values):,}", "dim")))
    if table.row_count:
        yield table


def sparkline(values: Sequence[int], columns: int = SPARK_COLUMNS) -> str:
    """One character for each value, or for the largest of several when there are more than `columns`."""
    step = max(-(-len(values) // columns), 1)
    held = [max(values[at : at + step]) for at in range(0, len(values), step)]
    most = max(held, default=0)
    return "".join(SPARKS[-(-value * 8 // most)] if most else SPARKS[1] for value in held)


def _logs(report: LogsReport) -> Iterator[RenderableType]:
    yield Text("\n").join(
        Text(fact, "dim" if number == 0 else "yellow") for number, fact in enumerate(log_figures.facts(report))
    )
    rows = log_figures.rows(report)
    if not rows:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in log_figures.HEAD:
        number = name in ("connects", "replaced", "most at once")
        table.add_column(name, justify="right" if number else "left", header_style="dim", overflow="fold")
    for row in rows[: log_figures.SHOWN]:
        table.add_row(*row)
    yield table
    if len(rows) > log_figures.SHOWN:
        yield Text(f"and {len(rows) - log_figures.SHOWN:,} more", "dim")


def _compare(report: CompareReport) -> Iterator[RenderableType]:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for side in (report.before, report.after):
        table.add_column(one_line(side.label), justify="right", header_style="dim", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_row("", *(Text(one_line(side.variant), "dim") for side in (report.before, report.after)), "")
    for benefit, measures in load_figures.measures_by_benefit(report):
        table.add_row(Text(benefit, "bold"), "", "", "")
        for measure in measures:
            before, after = (load_figures.format_amount(v, measure.unit) for v in (measure.before, measure.after))
            change = Text(load_figures.format_change(measure), _STYLE[measure.change])
            table.add_row(f"  {measure.name}", before, Text(after, "bold"), change)
    yield table
    if report.notes:
        yield _remarks(report.notes)
    took = f"{format_duration(report.before.duration_s)} and {format_duration(report.after.duration_s)}"
    yield Text(f"Compared: {one_line(report.before.target)}, runs of {took}.", "dim")
