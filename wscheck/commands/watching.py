"""`--watch`: run again when a source file has changed, and print what changed in the result.

The files are polled. Notifications of the operating system do not pass the mounts of containers and virtual machines
or network drives, and a comparison of two states also finds what changed while a run was going on.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import typer

if TYPE_CHECKING:
    from wscheck.model.events import AnyEvent
    from wscheck.model.report import Report
    from wscheck.report.formats import ReportOutput

_PAGES = ("js", "jsx", "mjs", "cjs", "ts", "tsx", "mts", "cts", "vue", "svelte", "astro", "html")
_SERVERS = ("py", "rb", "php", "go", "rs", "java", "kt", "scala", "cs", "fs", "ex", "exs", "erl", "clj")
SUFFIXES = frozenset({*_PAGES, *_SERVERS, "toml"})
"""Suffixes of the files whose changes repeat a run. Logs and reports, which a run itself writes, have others."""

SKIPPED_FOLDERS = frozenset(
    {"node_modules", "bower_components", "vendor", "venv", "__pycache__", "coverage", "test-results", "target"}
)
"""Folders without source files of the project. Build folders are watched: pages are served from them."""

PAUSE_S = 0.5
"""Shortest time between two looks at the files."""

SHARE = 10
"""Time between two looks, as a multiple of what a look takes: a large folder is looked at less often."""

CHANGES_NAMED = 3


class Outcome(Protocol):
    """Result of a run: its report and the events that it observed."""

    @property
    def report(self) -> "Report": ...
    @property
    def events(self) -> "Sequence[AnyEvent]": ...


Snapshot = dict[str, tuple[int, int]]
"""Path to the time of the last change (nanoseconds) and size of each file."""


def finish_run(run: Callable[[], Outcome], outputs: "Sequence[ReportOutput]", *, watch: bool) -> NoReturn:
    """Call `run`, write its report and events to `outputs`, and exit.

    With `watch`, call `run` again after each change of a source file in the working folder, instead of exiting.

    Raises:
        typer.Exit: The run ended; the exit code states its verdict.
        UsageError: With `watch`, a format would be written to stdout again and again.
        KeyboardInterrupt: A signal ended the watch.
    """
    from wscheck.commands.exit_codes import exit_code
    from wscheck.report import formats

    if watch:
        _reject_stdout(outputs)
        run_on_change(run, outputs, Path())
    outcome = run()
    formats.write_outputs(outputs, outcome.report, outcome.events)
    raise typer.Exit(exit_code(outcome.report.verdict, interrupted=outcome.report.interrupted))


def _reject_stdout(outputs: "Sequence[ReportOutput]") -> None:
    from wscheck.model.errors import UsageError

    for output in outputs:
        if output.path is None and output.format != "terminal":
            problem = f"With --watch, the format `{output.format}` needs a file."
            raise UsageError(problem, f"Write `report.format={output.format}=PATH`.")


def run_on_change(run: Callable[[], Outcome], outputs: "Sequence[ReportOutput]", folder: Path) -> NoReturn:
    """Run now and after each change of a source file below `folder`, until a signal ends it.

    The first run prints the whole report, each later one what changed. A later run that cannot start, for example
    because the configuration is invalid at the moment, prints the reason.

    Raises:
        KeyboardInterrupt: A signal ended the watch.
    """
    from wscheck.commands.exit_codes import run_until_signal
    from wscheck.model.errors import WscheckError
    from wscheck.report import formats

    to_files = [output for output in outputs if output.path is not None]
    written = [output.path.absolute() for output in to_files if output.path is not None]
    files = take_snapshot(folder, written)
    outcome = run()
    formats.write_outputs(outputs, outcome.report, outcome.events)
    while not outcome.report.interrupted:
        print(f"watching {folder.absolute()} for changes; Ctrl-C ends", file=sys.stderr)
        changed, files = run_until_signal(_next_change(files, folder, written))
        _print_head(changed)
        before = outcome.report
        try:
            outcome = run()
        except WscheckError as error:
            _print_problem(error)
            continue
        formats.write_outputs(to_files, outcome.report, outcome.events)
        if not outcome.report.interrupted:
            _print_changes(before, outcome.report)
    raise KeyboardInterrupt


def take_snapshot(folder: Path, ignored: Iterable[Path] = ()) -> Snapshot:
    """Return the state of the source files below `folder`, without hidden folders and those of `SKIPPED_FOLDERS`."""
    found: Snapshot = {}
    skip = {str(path) for path in ignored}
    for root, folders, names in os.walk(folder.absolute()):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS and not name.startswith(".")]
        for name in names:
            path = f"{root}{os.sep}{name}"
            if name.rpartition(".")[2].lower() in SUFFIXES and path not in skip:
                try:
                    status = Path(path).stat()
                except OSError:
                    continue  # removed in the meantime, or a broken link
                found[path] = status.st_mtime_ns, status.st_size
    return found


def changed_files(before: Snapshot, after: Snapshot) -> list[str]:
    """Return the paths that were added, changed or removed, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


async def _next_change(known: Snapshot, folder: Path, ignored: Sequence[Path]) -> tuple[list[str], Snapshot]:
    """Wait for a change of the source files, and return the changed paths and the new snapshot.

    An editor, a formatter and a build write several files in turn. The change is therefore returned only when two
    consecutive snapshots are equal.
    """
    latest = known
    while True:
        begin = time.perf_counter()
        current = take_snapshot(folder, ignored)
        if current == latest and (changed := changed_files(known, current)):
            return changed, current
        latest = current
        await asyncio.sleep(max(PAUSE_S, SHARE * (time.perf_counter() - begin)))


def _print_head(changed: Sequence[str]) -> None:
    from wscheck.report.formatting import format_clock_time, one_line

    names = [one_line(os.path.relpath(path)) for path in changed[:CHANGES_NAMED]]
    more = [f"{len(changed) - CHANGES_NAMED} more"] if len(changed) > CHANGES_NAMED else []
    print(f"\n{format_clock_time(time.time())}  changed: {', '.join([*names, *more])}", flush=True)


def _print_changes(before: "Report", after: "Report") -> None:
    from wscheck.report.terminal import print_changes

    print_changes(before, after, sys.stdout, os.environ)


def _print_problem(error: Exception) -> None:
    from wscheck.config.settings import with_flags
    from wscheck.report.formatting import escape_control

    print(escape_control(with_flags(f"wscheck: {error}")), file=sys.stderr)
