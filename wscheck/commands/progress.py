"""Progress bar on stderr, if that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wscheck.run.verify.run import ReportProgress


@contextmanager
def progress_bar(title: str) -> Iterator[ReportProgress]:
    """Show a bar while the block runs, if stderr is a terminal, and yield a function that updates the bar.

    The function takes the name of the current item, the number of finished items, and the number of all items.
    """
    if not sys.stderr.isatty():
        yield lambda scenario, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from wscheck.report.console import new_console

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=new_console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda scenario, done, total: bar.update(
            task, completed=done, total=total, description=f"{title} [dim]{scenario}[/dim]"
        )
