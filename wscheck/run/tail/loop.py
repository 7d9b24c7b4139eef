"""The loop of a run of tail-logs: when to poll, when to stop, and the checkpoint for the next run."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from wscheck.observe.logs.sources import FollowedLog, PipedLog
from wscheck.observe.tailing.change_monitor import ChangeMonitor
from wscheck.run.tail.watch import LogWatch

if TYPE_CHECKING:
    from wscheck.observe.tailing.checkpoint import Checkpoint

IDLE_S = 1.0
SOON_S = 0.1
RESCAN_S = 0.5
QUIET_PIPE_S = 0.05
MAX_POLL_S = 0.25
"""Seconds of reading after which results are reported and saved although there is more to read."""
FINAL_POLL_S = 1.0
"""Seconds for which an interrupted loop that was up to date still reads what had been written by then."""
MANY_CONNECTIONS = 2000
SAVE_INTERVAL_S = 1.0


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
    checkpoint     the file in which the state is saved
    recording_fd   descriptor of the NDJSON output, None without one
    stdout_pipe    descriptor of standard output if it is a pipe: the run ends when its reader has closed it
    directories    directories in which further logs may appear
    find_new_logs  returns the logs that appeared since its last call
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
    """A progress display: receives the size of each chunk, and the end of the existing content."""

    def __call__(self, size: int) -> None: ...
    def done(self) -> None: ...


class TailLoop:
    """The loop that polls the watch whenever there may be something new, until the run ends."""

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
        """Poll until the end. Afterwards everything was reported."""
        try:
            with self._handle_signals():
                self._run()
        finally:
            self._monitor.close()
        return self._stop_reason or StopReason.DONE

    def _run(self) -> None:
        self._monitor.watch(self._watched_paths())
        # The start position is saved before anything is read: a kill from here on loses nothing.
        self._save(force=True)
        self._catch_up()
        while self._stop_reason is None and self._can_continue():
            self._wait()
            self._poll()
        self._pause_at = float("inf")
        self._watch.poll(self._halt, final=True)
        self._save(force=True)

    def _catch_up(self) -> None:
        """Read the existing content. It is history: only later content has the time of this machine."""
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
        # A pipe that was never empty may still deliver an old log, whose lines are not from now.
        if self._plan.follow and (not self._pipes or time.monotonic() - started > QUIET_PIPE_S):
            self._watch.live = True

    def _halt(self, size: int) -> bool:
        """Record the size of a chunk; return whether reading must stop or pause."""
        self._progress(size)
        now = time.monotonic()
        if self._stop_reason is not None:
            return now >= self._read_until
        self._paused |= now >= self._pause_at
        return self._paused

    def _watched_paths(self) -> list[Path]:
        """Return the paths whose changes end a wait: the logs, and a name in each directory for new files."""
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
        """Save the checkpoint if anything changed; with many open connections at most once a second."""
        path, progress, now = self._plan.checkpoint, self._watch.progress, time.monotonic()
        if path is None or (progress == self._saved_progress and not force):
            return
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
        """Within the block, a signal ends the loop after the current read, and a second one ends it immediately."""
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
