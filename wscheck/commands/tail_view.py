"""The terminal output of tail-logs: a live view or lines while logs are followed, a progress bar for a large log."""

import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from wscheck.report.formatting import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

    from wscheck.model.secrets import Redactor
    from wscheck.notify.live_view import LiveView
    from wscheck.run.tail.setup import TailRequest, TailSession
    from wscheck.run.tail.watch import LogWatch

PROGRESS_BAR_BYTES = 16_000_000
"""Size of the logs from which reading takes long enough for a progress bar."""


class TailScreen:
    """Display of a run of tail-logs: a live view, printed lines, or a progress bar, as the terminal permits.

    stdout carries the chosen format; everything else goes to stderr.
    """

    def __init__(self, request: "TailRequest") -> None:
        self._request = request
        self._bar: Progress | None = None
        self._view: LiveView | None = None
        self._finished_watch: LogWatch | None = None
        self._printed: set[str] = set()

    def start(self, session: "TailSession") -> "TailScreen":
        """Start the display and return this object.

        The caller then calls this object with the number of bytes after each read, which advances the progress bar.
        """
        out = self._incident_output()
        reads_content = self._request.from_start or not self._request.follow
        if session.size >= PROGRESS_BAR_BYTES and reads_content and sys.stderr.isatty():
            self._start_bar(session.size)
        if not self._request.follow or out is None:
            self._finished_watch = session.watch if out is not None else None
            return self
        self._view = self._start_view(session.watch, out, self._request.redactor) if out.isatty() else None
        if self._view is None:
            from wscheck.notify.lines import IncidentPrinter

            session.watch.listeners.append(IncidentPrinter(out, self._request.redactor))
        return self

    @staticmethod
    def _start_view(watch: "LogWatch", out: TextIO, redactor: "Redactor") -> "LiveView | None":
        """Return the live view, None for a terminal that cannot draw one."""
        from wscheck.notify.live_view import LiveView
        from wscheck.report.console import new_console

        console = new_console(out)
        if console.is_dumb_terminal:
            return None
        view = LiveView(watch, console, redactor)
        watch.listeners.append(view)
        return view

    def _incident_output(self) -> TextIO | None:
        """Return the stream on which to print incidents while logs are followed.

        Return None if stdout gets an NDJSON recording, which already contains the incidents.
        """
        on_stdout = next((output.format for output in self._request.outputs if output.path is None), None)
        if on_stdout == "ndjson":
            return None
        return sys.stdout if on_stdout == "terminal" else sys.stderr

    def note(self, text: str) -> None:
        """Show a message about the logs, for example about a rotation. A repeated message is shown only once."""
        if text in self._printed:
            return
        self._printed.add(text)
        if self._view is not None:
            self._view.note(text)
        else:
            print(f"wscheck: {one_line(self._request.redactor.redact(text))}", file=sys.stderr, flush=True)

    def print_unreadable(self) -> None:
        """Print the first unreadable lines of finished logs.

        Unreadable lines of followed logs were printed when they were read.
        """
        if self._finished_watch is None or not self._finished_watch.counts.unreadable:
            return
        from wscheck.notify.lines import UnreadableMessages

        messages = UnreadableMessages()
        for event in self._finished_watch.counts.unreadable:
            self.note(messages.message_for(event))

    def _start_bar(self, size: int) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        from wscheck.report.console import new_console

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=new_console(stderr=True), transient=True)
        self._bar.add_task("Reading", total=size)
        self._bar.start()

    def __call__(self, size: int) -> None:
        """Advance the progress bar by `size` bytes."""
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0], size)

    def done(self) -> None:
        """Remove the progress bar. It is needed only until all existing content has been read."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def close(self) -> None:
        """Remove the display, so that the report can be printed."""
        with suppress(OSError):  # the terminal was closed
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
