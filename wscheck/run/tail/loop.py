"""The loop of a run of tail-logs: when to poll, when to stop, and the checkpoint for the next run.

Between two polls the loop waits until a log may have changed.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from wscheck.model.errors import UsageError
from wscheck.observe.logs.sources import FollowedLog, PipedLog
from wscheck.run.tail.watch import LogWatch

if TYPE_CHECKING:
    from wscheck.observe.tailing.checkpoint import Checkpoint

IDLE_S = 1.0
SOON_S = 0.1
RESCAN_S = 0.5
QUIET_PIPE_S = 0.05
MAX_POLL_S = 0.25
"""Seconds of reading after which results are reported and saved, even if there is more to read."""
FINAL_POLL_S = 1.0
"""Seconds of reading after an interruption, so that a loop that was up to date reads everything written before."""
MANY_CONNECTIONS = 2000
SAVE_INTERVAL_S = 1.0
UNNOTIFIED_S = 0.1
"""Longest wait between two polls if the operating system does not report changes of files (seconds)."""


class StopReason(Enum):
    """The reason for the end of a run."""

    DONE = "done"
    """The logs ended, or the requested time is over."""
    INTERRUPTED = "interrupted"
    """SIGINT."""
    TERMINATED = "terminated"
    """SIGTERM, with which a service manager ends a service."""


class LoopPlan(msgspec.Struct, kw_only=True):
    """The settings of the loop.

    follow         continue at the end of the logs
    seconds        stop after this time, None for never
    until          stop at this time, in seconds since the Unix epoch
    checkpoint     the file for the saved state
    recording_fd   descriptor of the NDJSON output, None without one
    stdout_pipe    descriptor of standard output if it is a pipe: the run ends when the reader has closed the pipe
    directories    directories where further logs may appear
    find_new_logs  function that returns the logs that appeared since its last call
    """

    follow: bool
    seconds: float | None
    until: float | None
    checkpoint: Path | None
    recording_fd: int | None
    stdout_pipe: int | None
    directories: Sequence[Path]
    find_new_logs: Callable[[], Iterable[FollowedLog]]


class ReadProgress(Protocol):
    """A progress display.

    It is called with the size of each piece of a log that was read. `done` is called when everything that the logs
    contained at the start was read.
    """

    def __call__(self, size: int) -> None: ...
    def done(self) -> None: ...


class TailLoop:
    """The loop that polls whenever a log may contain something new, until the run ends."""

    def __init__(self, watch: LogWatch, plan: LoopPlan, progress: ReadProgress) -> None:
        self._watch, self._plan, self._progress = watch, plan, progress
        self._pipes = {log.fd: log for log in watch.logs if isinstance(log, PipedLog)}
        self._monitor = ChangeMonitor(self._pipes, plan.stdout_pipe)
        self._stop_reason: StopReason | None = None
        self._read_until = 0.0
        self._pause_at, self._paused = float("inf"), False
        self._deadline = time.monotonic() + plan.seconds if plan.seconds is not None else None
        self._scanned_at = self._saved_at = 0.0
        self._saved_progress: object = None

    def run(self) -> StopReason:
        """Poll until the end. When this method returns, everything was reported."""
        try:
            with self._handle_signals():
                self._run()
        finally:
            self._monitor.close()
        return self._stop_reason or StopReason.DONE

    def _run(self) -> None:
        self._monitor.watch(self._watched_paths())
        # The start position is saved before anything is read, so that a killed process loses no lines.
        self._save(force=True)
        self._catch_up()
        while self._stop_reason is None and self._can_continue():
            self._wait()
            self._poll()
        self._pause_at = float("inf")
        self._watch.poll(self._halt, final=True)
        self._save(force=True)

    def _catch_up(self) -> None:
        """Read and evaluate what the logs contained at the start.

        Only what is added afterwards counts as written now.
        """
        # Several logs are merged by their times, so reading them must not pause in the middle.
        may_pause = len(self._watch.logs) == 1
        while True:
            self._start_poll(may_pause=may_pause)
            self._watch.read_new(self._halt)
            if not self._paused or self._stop_reason is not None:
                break
            self._watch.finish_poll()
            self._save()
        self._progress.done()
        self._watch.catching_up = False
        self._watch.finish_poll()
        self._save()

    def _start_poll(self, *, may_pause: bool = True) -> None:
        self._paused = False
        self._pause_at = time.monotonic() + MAX_POLL_S if may_pause else float("inf")

    def _poll(self) -> None:
        self._add_new_logs()
        self._start_poll()
        self._watch.poll(self._halt)
        self._monitor.watch(self._watched_paths())
        self._remove_ended_pipes()
        self._save()

    def _can_continue(self) -> bool:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return False
        if self._plan.until is not None and time.time() >= self._plan.until:
            return False
        if self._plan.follow and self._plan.directories:
            return True
        return any(not log.ended and (self._plan.follow or isinstance(log, PipedLog)) for log in self._watch.logs)

    def _wait(self) -> None:
        timeout = 0.0 if self._paused else SOON_S if self._watch.needs_poll_soon else IDLE_S
        if self._deadline is not None:
            timeout = min(timeout, max(0.0, self._deadline - time.monotonic()))
        started = time.monotonic()
        self._monitor.wait(timeout)
        if self._monitor.output_closed:
            raise BrokenPipeError
        # Until a pipe was empty once, it may deliver an old log with lines that were not written now.
        if self._plan.follow and (not self._pipes or time.monotonic() - started > QUIET_PIPE_S):
            self._watch.live = True

    def _halt(self, size: int) -> bool:
        """Record the size of a piece of a log that was read; return whether reading must stop or pause."""
        self._progress(size)
        now = time.monotonic()
        if self._stop_reason is not None:
            return now >= self._read_until
        self._paused |= now >= self._pause_at
        return self._paused

    def _watched_paths(self) -> list[Path]:
        """Return the paths whose changes end a wait: the logs, and the pattern `*` in each directory for new files."""
        logs = [log.path for log in self._watch.logs if isinstance(log, FollowedLog)]
        return [*logs, *(directory / "*" for directory in self._plan.directories)] if self._plan.follow else []

    def _add_new_logs(self) -> None:
        """Add the logs that appeared in a followed directory; they are read from their start."""
        if self._plan.directories and time.monotonic() - self._scanned_at > RESCAN_S:
            self._scanned_at = time.monotonic()
            self._watch.logs.extend(self._plan.find_new_logs())

    def _remove_ended_pipes(self) -> None:
        for fd in [fd for fd, log in self._pipes.items() if log.ended]:
            self._monitor.remove_input(fd)
            del self._pipes[fd]

    # --- checkpoint ------------------------------------------------------------------------------------------------

    def _save(self, *, force: bool = False) -> None:
        """Save the checkpoint if anything was read or evaluated since the last time.

        With many open connections, it is saved at most once a second.
        """
        path, progress, now = self._plan.checkpoint, self._watch.progress, time.monotonic()
        if path is None or (progress == self._saved_progress and not force):
            return
        if self._watch.is_waiting:
            # A checkpoint contains the state after everything that was read.
            if not force and now - self._saved_at < SAVE_INTERVAL_S:
                return
            self._watch.evaluate_waiting()
        if not force and self._watch.connection_count > MANY_CONNECTIONS and now - self._saved_at < SAVE_INTERVAL_S:
            return
        from wscheck.observe.tailing.checkpoint import save_checkpoint

        self._saved_at, self._saved_progress = now, progress
        save_checkpoint(path, self._checkpoint())

    def _checkpoint(self) -> "Checkpoint":
        from wscheck.observe.tailing.checkpoint import Checkpoint, output_state

        logs = [log for log in self._watch.logs if isinstance(log, FollowedLog)]
        fd = self._plan.recording_fd
        return Checkpoint(
            logs={log.name: resume_point for log in logs if (resume_point := log.resume_point()) is not None},
            open_connections=list(self._watch.judge.ledger.opening_events()),
            incidents=[msgspec.structs.replace(incident, evidence=[]) for incident in self._watch.open_incidents],
            recording=output_state(fd) if fd is not None else None,
        )

    # --- end -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _handle_signals(self) -> Iterator[None]:
        """Within the `with` block, the first signal ends the loop after the current read, a second one immediately."""
        reasons = {signal.SIGINT: StopReason.INTERRUPTED, signal.SIGTERM: StopReason.TERMINATED}

        def stop(number: int, frame: FrameType | None) -> None:
            if self._stop_reason is not None:
                raise KeyboardInterrupt
            self._stop_reason = reasons[signal.Signals(number)]
            self._read_until = time.monotonic() + FINAL_POLL_S if not self._watch.catching_up else 0.0
            self._monitor.wake()

        def poll_now(number: int, frame: FrameType | None) -> None:
            self._monitor.wake()

        previous: dict[signal.Signals, Any] = {number: signal.signal(number, stop) for number in reasons}
        # The terminal was resized, so the live view must be drawn again.
        previous[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, poll_now)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


class ChangeMonitor:
    """A wait for one of three events: a watched log may have changed, one of `inputs` can be read, or the time is over.

    `wake` ends a wait from a signal handler or another thread. `output` is a pipe to which this process writes. When
    the reader closes this pipe, a wait ends and `output_closed` becomes true.
    """

    def __init__(self, inputs: Iterable[int], output: int | None) -> None:
        if not hasattr(select, "poll"):
            raise UsageError(
                "`wscheck tail-logs` does not run on Windows: it waits for pipes and signals that Windows lacks.",
                "Run it in WSL or in a container; wscheck.read_log() in Python evaluates a finished log.",
            )
        self._output, self.output_closed = output, False
        self._watching = False
        self._inotify: _Inotify | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        for fd in (self._wake_read, *inputs):
            self._poll.register(fd, select.POLLIN | select.POLLHUP)
        if output is not None:
            self._poll.register(output, 0)  # poll(2) reports errors without a flag for them

    def watch(self, paths: Iterable[Path]) -> None:
        """Watch these logs for changes and their directories for new files, from now on. A repeated call adds paths."""
        paths = list(paths)
        if paths and not self._watching:
            self._watching, self._inotify = True, _start_inotify()
            if self._inotify is not None:
                self._poll.register(self._inotify.fileno(), select.POLLIN | select.POLLHUP)
        if self._inotify is not None:
            self._inotify.watch(paths)

    def wait(self, seconds: float) -> None:
        """Return when something may have changed, at the latest after `seconds`."""
        reliable = not self._watching or (self._inotify is not None and self._inotify.reliable)
        ready = self._poll.poll(1000 * (seconds if reliable else min(seconds, UNNOTIFIED_S)))
        self.output_closed = any(fd == self._output for fd, _ in ready)
        if self._inotify is not None:
            self._inotify.clear()
        _drain(self._wake_read)

    def remove_input(self, fd: int) -> None:
        """Stop waiting for `fd`, one of the `inputs`."""
        self._poll.unregister(fd)

    def wake(self) -> None:
        """End the current wait, or the next one immediately."""
        with suppress(BlockingIOError):  # the pipe is full, so the wait ends anyway
            os.write(self._wake_write, b"!")

    def close(self) -> None:
        os.close(self._wake_read)
        os.close(self._wake_write)
        if self._inotify is not None:
            self._inotify.close()


class _Inotify:
    """Watches of inotify(7): for writes to each log, and for new or renamed files in its directory.

    reliable  every watch could be added; otherwise changes can go unnoticed
    """

    def __init__(self) -> None:
        from inotify_simple import INotify, flags

        self._inotify = INotify(nonblocking=True)
        self._file_events = flags.MODIFY | flags.ATTRIB | flags.MOVE_SELF | flags.DELETE_SELF | flags.CLOSE_WRITE
        self._directory_events = flags.CREATE | flags.MOVED_TO | flags.ONLYDIR
        self.reliable = True

    def watch(self, paths: Iterable[Path]) -> None:
        """Add watches. The kernel has one watch per inode, so repeated calls are cheap and follow a rotation."""
        for path in paths:
            for target in {path, Path(os.path.realpath(path))}:
                self._add(target.parent, self._directory_events)
                self._add(target, self._file_events)

    def _add(self, path: Path, events: int) -> None:
        try:
            self._inotify.add_watch(path, events)
        except FileNotFoundError:
            pass  # the watch of the directory reports the file when it appears
        except OSError:
            self.reliable = False  # no watches left, or a file system without notifications

    def fileno(self) -> int:
        return int(self._inotify.fileno())

    def clear(self) -> None:
        _drain(self._inotify.fileno())

    def close(self) -> None:
        self._inotify.close()


def _drain(fd: int) -> None:
    with suppress(BlockingIOError):
        while os.read(fd, 1 << 16):
            pass


def _start_inotify() -> _Inotify | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        return _Inotify()
    except (OSError, ImportError):
        return None
