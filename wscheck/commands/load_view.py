"""Progress of a load run on stderr: a live view on a terminal, a line every few seconds elsewhere."""

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
    from wscheck.run.load.plan import LoadPlan
    from wscheck.run.load.progress_stream import RunProgress
    from wscheck.run.load.run import ProgressCallback

LINE_INTERVAL_S = 5.0
REFRESH_INTERVAL_S = 0.25
SPARKLINE_SECONDS = 40
OVERLAP_TOLERANCE = 1.05
"""Connections per user above which the view shows the figure in red. A reconnect may overlap a little."""


@contextmanager
def show_progress(plan: "LoadPlan") -> "Iterator[ProgressCallback]":
    """Yield a function that shows the progress given to it. The live view disappears at the end of the block."""
    if not sys.stderr.isatty():
        yield _line_printer(plan)
        return
    from rich.live import Live

    from wscheck.report.console import new_console
    from wscheck.run.load.progress_stream import RunProgress

    console = new_console(stderr=True)
    with Live(console=console, transient=True, auto_refresh=False, vertical_overflow="crop") as live:
        live.update(live_view(plan, RunProgress(), 0.0), refresh=True)
        updated_at = 0.0

        def update(progress: RunProgress, elapsed_s: float) -> None:
            nonlocal updated_at
            if time.monotonic() - updated_at >= REFRESH_INTERVAL_S:
                updated_at = time.monotonic()
                live.update(live_view(plan, progress, elapsed_s), refresh=True)

        yield update


def _line_printer(plan: "LoadPlan") -> "ProgressCallback":
    from wscheck.report.formatting import plural

    printed_at: float | None = None

    def print_line(progress: "RunProgress", elapsed_s: float) -> None:
        nonlocal printed_at
        if progress.run is not None and printed_at is None:
            printed_at = 0.0
            users = plural(plan.users, "user")
            typer.echo(f"wscheck load: {plan.profile} started: {users}, {plan.run_time_s:g} s", err=True)
        elif printed_at is not None and elapsed_s - printed_at >= LINE_INTERVAL_S and progress.totals is not None:
            printed_at = elapsed_s
            typer.echo(progress_line(plan, progress, elapsed_s), err=True)

    return print_line


def progress_line(plan: "LoadPlan", progress: "RunProgress", elapsed_s: float) -> str:
    """Return the progress as one line.

    `wscheck load: duplicated 12 s of 30 s: 50 users, 53 open, 1,203 connects, 1,150 replaced, 0 refused`
    """
    totals, statistics = progress.totals, progress.statistics
    levels = f"{totals.users:,} users, {totals.open:,} open, " if totals else ""
    return (
        f"wscheck load: {plan.profile} {elapsed_s:.0f} s of {plan.run_time_s:g} s: {levels}"
        f"{statistics.connects:,} connects, {statistics.replaced:,} replaced, {progress.refusals:,} refused"
    )


def live_view(plan: "LoadPlan", progress: "RunProgress", elapsed_s: float) -> "RenderableType":
    """Return the view of a run: target, profile, elapsed time and figures."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    title = Text.assemble(("wscheck load", "bold"), f"  {plan.target_name}  ", (f"{plan.profile} profile", "cyan"))
    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_row(
        ProgressBar(total=plan.run_time_s, completed=min(elapsed_s, plan.run_time_s), width=50),
        _stage(plan, progress, elapsed_s),
    )
    return Group(title, bar, Text(), *_figures(plan, progress))


def _stage(plan: "LoadPlan", progress: "RunProgress", elapsed_s: float) -> str:
    if progress.run is None:
        return "starting"
    if elapsed_s > plan.run_time_s:
        return "closing the connections"
    return f"{elapsed_s:.0f} of {plan.run_time_s:g} s"


def _figures(plan: "LoadPlan", progress: "RunProgress") -> "list[RenderableType]":
    from rich.table import Table
    from rich.text import Text

    totals, statistics = progress.totals, progress.statistics
    if totals is None:
        return [Text("no figures yet" + (": workers report every few seconds" if plan.processes > 1 else ""), "dim")]
    per_user, replaced, refused = statistics.connections_per_user or 0.0, statistics.replaced, progress.refusals
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_row("users", f"{totals.users:,}", _dim(f"of {plan.users:,}"))
    grid.add_row("connections open", f"{totals.open:,}", _sparkline(progress, lambda second: second.open, ""))
    grid.add_row(
        "connections per user", Text(f"{per_user:.2f}", _colour(per_user > OVERLAP_TOLERANCE)), _dim("most at once")
    )
    grid.add_row("connects", f"{statistics.connects:,}", _sparkline(progress, lambda second: second.connects))
    grid.add_row(
        "replaced", Text(f"{replaced:,}", _colour(replaced > 0)), _sparkline(progress, lambda second: second.replaced)
    )
    grid.add_row("refused", Text(f"{refused:,}", _colour(refused > 0)), _dim(_refusal_kinds(progress)))
    grid.add_row("events", f"{statistics.received:,}", _dim(f"{statistics.duplicated:,} duplicates"))
    grid.add_row("heartbeat lag", _last_lag(progress), _dim("of this machine, longest in the last second"))
    lost_workers = (
        [Text(f"{len(progress.lost_workers)} of {progress.run.workers} workers died", "yellow")]
        if progress.lost_workers and progress.run
        else []
    )
    return [grid, *lost_workers]


def _sparkline(progress: "RunProgress", value: "Callable[[SecondCounts], int]", unit: str = "/s") -> "Text":
    """Return a sparkline of one figure over the last seconds, followed by the latest number and its `unit`.

    `value` is a function that returns the figure of one second.
    """
    from rich.text import Text

    from wscheck.report.terminal import sparkline

    values = [value(second) for second in progress.seconds[-SPARKLINE_SECONDS:]]
    latest = f"  {values[-1]:,}{unit}" if values else ""
    return Text.assemble((sparkline(values, SPARKLINE_SECONDS), "cyan"), (latest, "dim"))


def _refusal_kinds(progress: "RunProgress") -> str:
    from wscheck.report.load_figures import format_counts

    return format_counts(progress.statistics.refused, most=2)


def _last_lag(progress: "RunProgress") -> str:
    return f"{progress.seconds[-1].heartbeat_lag_ms:.0f} ms" if progress.seconds else "-"


def _colour(is_bad: bool) -> str:
    return "bold red" if is_bad else "bold green"


def _dim(text: str) -> "Text":
    from rich.text import Text

    return Text(text, "dim")
