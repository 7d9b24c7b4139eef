"""How a load run goes, on stderr: a live view on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from wscheck.model.load_statistics import SecondCounts
    from wscheck.run.load.plan import Plan
    from wscheck.run.load.progress_stream import Course
    from wscheck.run.load.run import Watcher

LINE_EVERY_S = 5.0
REFRESH_S = 0.25
SPARKS = 40


@contextmanager
def shown(plan: "Plan") -> "Iterator[Watcher]":
    """While the block runs, what the yielded function is told is shown; afterwards nothing of it is left."""
    if not sys.stderr.isatty():
        yield _lines(plan)
        return
    from rich.console import Console
    from rich.live import Live

    from wscheck.run.load.progress_stream import Course

    console = Console(stderr=True, highlight=False)
    with Live(console=console, transient=True, auto_refresh=False, vertical_overflow="crop") as live:
        live.update(picture(plan, Course(), 0.0), refresh=True)
        drawn = 0.0

        def draw(course: Course, at: float) -> None:
            nonlocal drawn
            if time.monotonic() - drawn >= REFRESH_S:
                drawn = time.monotonic()
                live.update(picture(plan, course, at), refresh=True)

        yield draw


def _lines(plan: "Plan") -> "Watcher":
    from wscheck.report.formatting import plural

    told: float | None = None

    def tell(course: "Course", at: float) -> None:
        nonlocal told
        if course.begun is not None and told is None:
            told = 0.0
            users = plural(plan.users, "user")
            typer.echo(f"wscheck load: {plan.profile} begins: {users}, {plan.run_time_s:g} s", err=True)
        elif told is not None and at - told >= LINE_EVERY_S and course.totals is not None:
            told = at
            typer.echo(line(plan, course, at), err=True)

    return tell


def line(plan: "Plan", course: "Course", at: float) -> str:
    """`wscheck load: duplicated 12 s of 30 s: 50 users, 53 open, 1,203 connects, 1,150 replaced, 0 refused`."""
    totals, s = course.totals, course.statistics
    levels = f"{totals.users:,} users, {totals.open:,} open, " if totals else ""
    return (
        f"wscheck load: {plan.profile} {at:.0f} s of {plan.run_time_s:g} s: {levels}{s.connects:,} connects, "
        f"{s.replaced:,} replaced, {course.refused:,} refused"
    )


def picture(plan: "Plan", course: "Course", at: float) -> "RenderableType":
    """The whole view: what runs, how far it is, and the figures that tell the fault."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    title = Text.assemble(("wscheck load", "bold"), f"  {plan.shown}  ", (f"{plan.profile} profile", "cyan"))
    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_row(
        ProgressBar(total=plan.run_time_s, completed=min(at, plan.run_time_s), width=50), _stage(plan, course, at)
    )
    return Group(title, bar, Text(), *_figures(plan, course))


def _stage(plan: "Plan", course: "Course", at: float) -> str:
    if course.begun is None:
        return "starting"
    if at > plan.run_time_s:
        return "closing the connections"
    return f"{at:.0f} of {plan.run_time_s:g} s"


def _figures(plan: "Plan", course: "Course") -> "list[RenderableType]":
    from rich.table import Table
    from rich.text import Text

    totals, s = course.totals, course.statistics
    if totals is None:
        return [Text("no figures yet" + (": workers report every few seconds" if plan.processes > 1 else ""), "dim")]
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    per_user = s.connections_per_user or 0.0
    grid.add_row("users", f"{totals.users:,}", _faint(f"of {plan.users:,}"))
    grid.add_row("connections open", f"{totals.open:,}", _course(course, lambda b: b.open, ""))
    grid.add_row("connections per user", Text(f"{per_user:.2f}", _alarm(per_user > 1.05)), _faint("most at once"))
    grid.add_row("connects", f"{s.connects:,}", _course(course, lambda b: b.connects))
    grid.add_row("replaced", Text(f"{s.replaced:,}", _alarm(s.replaced > 0)), _course(course, lambda b: b.replaced))
    grid.add_row("refused", Text(f"{course.refused:,}", _alarm(course.refused > 0)), _faint(_kinds(course)))
    grid.add_row("events", f"{s.received:,}", _faint(f"{s.duplicated:,} duplicates"))
    grid.add_row("heartbeat lag", _lag(course), _faint("of this machine, worst of a second"))
    lost = (
        [Text(f"{len(course.lost)} of {course.begun.workers} workers died", "yellow")]
        if course.lost and course.begun
        else []
    )
    return [grid, *lost]


def _course(course: "Course", take: "Callable[[SecondCounts], int]", unit: str = "/s") -> "Text":
    """The last seconds as a sparkline, with the newest in numbers."""
    from rich.text import Text

    from wscheck.report.terminal import sparkline

    values = [take(bucket) for bucket in course.seconds[-SPARKS:]]
    return Text.assemble((sparkline(values, SPARKS), "cyan"), (f"  {values[-1]:,}{unit}" if values else "", "dim"))


def _kinds(course: "Course") -> str:
    from wscheck.report.load_figures import format_counts

    return format_counts(course.statistics.refused, most=2)


def _lag(course: "Course") -> str:
    return f"{course.seconds[-1].heartbeat_lag_ms:.0f} ms" if course.seconds else "-"


def _alarm(wrong: bool) -> str:
    return "bold red" if wrong else "bold green"


def _faint(text: str) -> "Text":
    from rich.text import Text

    return Text(text, "dim")
