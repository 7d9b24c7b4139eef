"""What a person sees while logs are read: a view or lines when they are followed, a bar when an old one is long."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from wscheck.report.formatting import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from wscheck.notify.live_view import LiveView
    from wscheck.run.tail.setup import TailRequest, TailSession
    from wscheck.run.tail.watch import LogWatch

LONG = 16_000_000
"""Bytes from which on reading takes long enough to be watched."""


class TailScreen:
    """The terminal, or what stands in for it. stdout carries the chosen format; everything else goes to stderr."""

    def __init__(self, wanted: "TailRequest") -> None:
        self._wanted = wanted
        self._bar: Progress | None = None
        self._view: LiveView | None = None
        self._watch: LogWatch | None = None
        self._said: set[str] = set()

    def begin(self, session: "TailSession") -> "TailScreen":
        """Show what is read from now on; what this returns hears how far the reading came."""
        out = self._where()
        if session.size >= LONG and (self._wanted.from_start or not self._wanted.follow) and sys.stderr.isatty():
            self._begin_bar(session.size)
        if not self._wanted.follow or out is None:
            self._watch = session.watch if out is not None else None
            return self
        self._view = self._begin_view(session.watch, out) if out.isatty() else None
        if self._view is None:
            from wscheck.notify.text import IncidentPrinter

            session.watch.listeners.append(IncidentPrinter(out))
        return self

    @staticmethod
    def _begin_view(watch: "LogWatch", out: TextIO) -> "LiveView | None":
        """The live view, None on a terminal that cannot draw one."""
        from rich.console import Console

        from wscheck.notify.live_view import LiveView

        console = Console(file=out, highlight=False)
        if console.is_dumb_terminal:
            return None
        view = LiveView(watch, console)
        watch.listeners.append(view)
        return view

    def _where(self) -> TextIO | None:
        """Where incidents are told as they happen; None where a recording on stdout tells of them."""
        on_stdout = next((output.format for output in self._wanted.outputs if output.path is None), None)
        if on_stdout == "ndjson":
            return None
        return sys.stdout if on_stdout == "terminal" else sys.stderr

    def note(self, text: str) -> None:
        """Something about the logs themselves; said once."""
        if text in self._said:
            return
        self._said.add(text)
        if self._view is not None:
            self._view.note(text)
        else:
            print(f"wscheck: {one_line(text)}", file=sys.stderr, flush=True)

    def doubt(self) -> None:
        """What could not be read of logs that were not followed; of others it was said as it came."""
        from wscheck.notify.text import UnreadableMessages

        doubts = UnreadableMessages()
        for event in self._watch.seen.unreadable if self._watch is not None else ():
            self.note(doubts.of(event))

    def _begin_bar(self, size: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.add_task("Reading", total=size)
        self._bar.start()

    def __call__(self, size: int) -> None:
        """So many bytes more were read."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], size)

    def done(self) -> None:
        """What was there at the beginning has been read."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def close(self) -> None:
        """Take everything away, so that the report can stand there."""
        self.done()
        if self._view is not None:
            self._view.close()
            self._view = None

    def __enter__(self) -> "TailScreen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
