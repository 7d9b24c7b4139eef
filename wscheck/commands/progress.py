"""A progress bar on stderr, on a terminal only: a run of a minute must not look like a hang."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wscheck.run.verify.run import ReportProgress


@contextmanager
def progress_bar(title: str) -> Iterator[ReportProgress]:
    """While the block runs, a bar that the yielded function moves; nothing at all away from a terminal."""
    if not sys.stderr.isatty():
        yield lambda scenario, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda scenario, done, total: bar.update(
            task, completed=done, total=total, description=f"{title} [dim]{scenario}[/dim]"
        )
