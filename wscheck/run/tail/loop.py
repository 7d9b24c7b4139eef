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
from wscheck.run.tail.watch import AnyLog, LogWatch

if TYPE_CHECKING:
    from wscheck.observe.tailing.checkpoint import Checkpoint
    from wscheck.observe.tailing.follower import ResumePoint

IDLE_S = 1.0
SWEEP_SHARE, UNNOTIFIED_SWEEP_SHARE = 200, 10
"""Looking for changes that nobody reported takes at most one part in so many of the time."""
SOON_S = 0.1
QUIET_PIPE_S = 0.05
MAX_POLL_S = 0.25
"""Seconds of reading after which results are reported and saved, even if there is more to read."""
FINAL_POLL_S = 1.0
"""Seconds of reading after an interruption, so that a loop that was up to date reads everything written before."""
MANY_CONNECTIONS = 2000
SAVE_INTERVAL_S = 1.0
SAVE_SHARE = 20
"""Saving takes at most one part in so many of the time."""
UNNOTIFIED_S = 0.1
"""Longest wait between two polls if the operating system does not report changes of files (seconds)."""


class StopReason(Enum):
    """The reason for the end of a run."""

    DONE = "done"
    """The logs ended, or the requested time is over."""
    INTERRUPTED = "interrupted"
    """SIGINT."""
    TERMINATED = "terminated"
    """SIGTERM, with which a service manager ends a service, or SIGHUP: the terminal was closed."""


class LoopPlan(msgspec.Struct, kw_only=True):
    """The settings of the loop.

    follow         continue at the end of the logs
    seconds        stop after this time, None for never
    until          stop at this time, in seconds since the Unix epoch
    checkpoint     the file for the saved state
    recording_fd   descriptor of the NDJSON output, None without one
    stdout_pipe    descriptor of standard output if it is a pipe: the run ends when the reader has closed the pipe
    directories    function that returns the directories where further logs may appear
    find_new_logs  function that returns the logs that appeared since its last call. Its argument contains the only
                   names that can have appeared, None if they are unknown
    note           function that receives messages
    """

    follow: bool
    seconds: float | None
    until: float | None
    checkpoint: Path | None
    recording_fd: int | None
    stdout_pipe: int | None
    directories: Callable[[], Sequence[Path]]
    find_new_logs: Callable[[Iterable[Path] | None], Iterable[FollowedLog]]
    note: Callable[[str], None]


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
        self._by_path: dict[Path, dict[FollowedLog, None]] = {}
        self._may_grow = plan.follow and bool(plan.directories())
        self._sweep_at = self._save_at = self._saved_at = 0.0
        self._resume_points: dict[str, ResumePoint] = {}
        self._unsaved: dict[AnyLog, None] = dict.fromkeys(watch.logs)
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
        self._watch_for_changes(self._watch.logs)
        self._watch_directories()
        self._monitor.take_changes()  # everything is read now
        # The start position is saved before anything is read, so that a killed process loses no lines.
        self._save(force=True)
        self._catch_up()
        while self._stop_reason is None and self._can_continue():
            self._wait()
            self._poll()
        self._pause_at = float("inf")
        self._unsaved.update(dict.fromkeys(self._watch.poll(self._halt, final=True)))
        self._save(force=True)

    def _catch_up(self) -> None:
        """Read and evaluate what the logs already contain at the start of the run.

        Only lines that are added afterwards are regarded as current.
        """
        # Several logs are merged by their times, so reading them must not pause in the middle.
        may_pause = len(self._watch.logs) == 1
        while True:
            self._start_poll(may_pause=may_pause)
            self._watch.read_new(self._halt)
            if not self._paused or self._stop_reason is not None:
                break
            self._watch.finish_poll()
            self._unsaved.update(dict.fromkeys(self._watch.logs))
            self._save()
        self._progress.done()
        self._watch.catching_up = False
        self._watch.finish_poll()
        self._unsaved.update(dict.fromkeys(self._watch.logs))
        self._save()

    def _start_poll(self, *, may_pause: bool = True) -> None:
        self._paused = False
        self._pause_at = time.monotonic() + MAX_POLL_S if may_pause else float("inf")

    def _poll(self) -> None:
        changes = self._monitor.take_changes()
        changed: list[AnyLog] = [log for path in changes.paths for log in self._by_path.get(path, ())]
        if changes.appeared and self._may_grow:
            changed += self._add_new_logs(changes.appeared)
        self._read([*changed, *self._pipes.values()])
        # A search among many files takes a moment, and what was read is then reported already.
        if swept := self._sweep(changes):
            self._read(swept)
        self._remove_ended_pipes()
        self._save()

    def _read(self, changed: Sequence[AnyLog]) -> None:
        self._start_poll()
        read = self._watch.poll(self._halt, changed)
        self._unsaved.update(dict.fromkeys(read))
        self._watch_for_changes(read)

    def _sweep(self, changes: "Changes") -> list[AnyLog]:
        """Search for logs that changed without a notification, and return them.

        Notifications are missing on a network file system, or if too much changes at once. The longer a search takes,
        the more time passes until the next one; a call in the meantime returns an empty list without a search, unless
        `changes` are known to be incomplete.
        """
        started = time.monotonic()
        if started < self._sweep_at and not changes.incomplete:
            return []
        changed: list[AnyLog] = [*self._add_new_logs(None)] if self._may_grow else []
        if self._may_grow:
            self._watch_directories()
        changed += [log for log in self._watch.logs if isinstance(log, FollowedLog) and log.has_changed]
        ended = time.monotonic()
        pause, share = IDLE_S / 2, SWEEP_SHARE
        if not self._monitor.reliable:
            pause, share = UNNOTIFIED_S / 2, UNNOTIFIED_SWEEP_SHARE
        self._sweep_at = ended + max(pause, share * (ended - started))
        return changed

    def _can_continue(self) -> bool:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return False
        if self._plan.until is not None and time.time() >= self._plan.until:
            return False
        if self._may_grow:
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

    def _watch_for_changes(self, logs: Iterable[AnyLog]) -> None:
        """Watch these logs, so that a change of one of them ends the wait between two polls."""
        if not self._plan.follow:
            return
        followed = [log for log in logs if isinstance(log, FollowedLog)]
        for log in followed:
            self._by_path.setdefault(log.path, {})[log] = None
        self._monitor.watch(log.path for log in followed)

    def _watch_directories(self) -> None:
        if self._may_grow:
            self._monitor.watch(directory / "*" for directory in self._plan.directories())

    def _add_new_logs(self, appeared: Iterable[Path] | None) -> list[FollowedLog]:
        """Add the logs that appeared in a followed directory; they are read from their start.

        appeared  the only names that appeared, None if that is unknown
        """
        new = list(self._plan.find_new_logs(appeared))
        self._watch.logs.extend(new)
        return new

    def _remove_ended_pipes(self) -> None:
        for fd in [fd for fd, log in self._pipes.items() if log.ended]:
            self._monitor.remove_input(fd)
            del self._pipes[fd]

    # --- checkpoint ------------------------------------------------------------------------------------------------

    def _save(self, *, force: bool = False) -> None:
        """Save the checkpoint if anything was read or evaluated since it was saved last, or if `force` is true.

        Without `force`, saving is less frequent if there are many open connections or if it takes long.
        """
        path, progress, now = self._plan.checkpoint, self._watch.progress, time.monotonic()
        if path is None or (progress == self._saved_progress and not force):
            return
        if not force and now < self._save_at:
            return
        if self._watch.is_waiting:
            # A checkpoint contains the state after everything that was read.
            if not force and now - self._saved_at < SAVE_INTERVAL_S:
                return
            self._watch.evaluate_waiting()
        from wscheck.observe.tailing.checkpoint import save_checkpoint

        is_first = self._saved_progress is None
        self._saved_at = now
        try:
            save_checkpoint(path, self._checkpoint())
        except UsageError as error:
            if is_first:
                raise
            # The disk may be full for a while. A start from the older checkpoint repeats work, and loses nothing.
            self._plan.note(f"{error} The next one will be written as soon as that is possible.")
        else:
            self._saved_progress = progress
        ended = time.monotonic()
        pause = SAVE_INTERVAL_S if self._watch.connection_count > MANY_CONNECTIONS else 0.0
        self._save_at = ended + max(pause, SAVE_SHARE * (ended - now))

    def _checkpoint(self) -> "Checkpoint":
        from wscheck.observe.tailing.checkpoint import Checkpoint, output_state

        for log in self._unsaved:
            if isinstance(log, FollowedLog) and (resume_point := log.resume_point()) is not None:
                self._resume_points[log.name] = resume_point
        self._unsaved.clear()
        fd = self._plan.recording_fd
        return Checkpoint(
            logs=self._resume_points,
            open_connections=list(self._watch.judge.ledger.opening_events()),
            incidents=[msgspec.structs.replace(incident, evidence=[]) for incident in self._watch.open_incidents],
            recording=output_state(fd) if fd is not None else None,
        )

    # --- end -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _handle_signals(self) -> Iterator[None]:
        """Within the `with` block, the first signal ends the loop after the current read, a second one immediately.

        When a terminal is closed, the kernel and the shell each send a SIGHUP. After the first one, SIGHUP is ignored,
        even after the block, so that the reports are written.
        """
        reasons = {
            signal.SIGINT: StopReason.INTERRUPTED,
            signal.SIGTERM: StopReason.TERMINATED,
            signal.SIGHUP: StopReason.TERMINATED,
        }
        if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
            del reasons[signal.SIGHUP]

        def stop(number: int, frame: FrameType | None) -> None:
            if number == signal.SIGHUP:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
                if signal.getsignal(number) is not signal.SIG_IGN:
                    signal.signal(number, handler)


class Changes(msgspec.Struct):
    """Changes that were reported since the last call of `take_changes`.

    paths       watched paths whose files changed
    appeared    names that appeared in watched directories
    incomplete  there were further changes, which could not be reported
    """

    paths: set[Path]
    appeared: set[Path]
    incomplete: bool = False


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

    @property
    def reliable(self) -> bool:
        """True if every change of a watched log is reported."""
        return not self._watching or (self._inotify is not None and self._inotify.reliable)

    def wait(self, seconds: float) -> None:
        """Wait until a log may have changed, an input can be read or `wake` is called, at most for `seconds`."""
        ready = self._poll.poll(1000 * (seconds if self.reliable else min(seconds, UNNOTIFIED_S)))
        self.output_closed = any(fd == self._output for fd, _ in ready)
        _drain(self._wake_read)

    def take_changes(self) -> Changes:
        """Return the changes of watched logs and directories since the last call."""
        return self._inotify.take_changes() if self._inotify is not None else Changes(set(), set())

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

        self._inotify, self._flags = INotify(nonblocking=True), flags
        self._file_events = flags.MODIFY | flags.ATTRIB | flags.MOVE_SELF | flags.DELETE_SELF | flags.CLOSE_WRITE
        self._directory_events = flags.CREATE | flags.MOVED_TO | flags.ONLYDIR
        self._files: dict[int, set[Path]] = {}
        self._directories: dict[int, set[Path]] = {}
        self._watched_directories: set[Path] = set()
        self._targets: dict[Path, set[Path]] = {}
        self._changes = Changes(set(), set())
        self.reliable = True

    def watch(self, paths: Iterable[Path]) -> None:
        """Add watches. The kernel has one watch per inode, so repeated calls are cheap and follow a rotation.

        A file that was not watched before counts as changed, because it may have been written to meanwhile.
        """
        for path in paths:
            target = Path(os.path.realpath(path)) if path.is_symlink() else path
            for each in {path, target}:
                self._targets.setdefault(each, set()).add(path)
                if each.parent not in self._watched_directories:
                    self._watch_directory(each.parent)
                if each.name != "*":
                    watch = self._add(each, self._file_events)
                    if watch is not None and path not in (logs := self._files.setdefault(watch, set())):
                        logs.add(path)
                        self._changes.paths.add(path)

    def _watch_directory(self, path: Path) -> None:
        watch = self._add(path, self._directory_events)
        if watch is not None:
            self._directories.setdefault(watch, set()).add(path)
            self._watched_directories.add(path)

    def _add(self, path: Path, events: int) -> int | None:
        try:
            return int(self._inotify.add_watch(path, events))
        except FileNotFoundError:
            pass  # the watch of the directory reports the file when it appears
        except OSError:
            self.reliable = False  # no watches left, or a file system without notifications
        return None

    def fileno(self) -> int:
        return int(self._inotify.fileno())

    def take_changes(self) -> Changes:
        """Return the changes that the kernel reported since the last call."""
        flags, changes = self._flags, self._changes
        self._changes = Changes(set(), set())
        while events := self._inotify.read(timeout=0):
            for event in events:
                if event.mask & flags.Q_OVERFLOW:
                    changes.incomplete = True
                elif event.wd in self._directories and (event.name or event.mask & flags.IGNORED):
                    self._add_appeared(event, changes)
                elif event.wd in self._files:
                    changes.paths |= self._files[event.wd]
                    if event.mask & flags.IGNORED:  # the file was deleted
                        del self._files[event.wd]
        return changes

    def _add_appeared(self, event: Any, changes: Changes) -> None:
        if event.mask & self._flags.IGNORED:  # the directory was deleted
            self._watched_directories -= self._directories.pop(event.wd)
            return
        for directory in self._directories[event.wd]:
            path = directory / event.name
            changes.appeared.add(path)
            changes.paths |= self._targets.get(path, set())

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
