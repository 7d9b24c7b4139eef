"""Running a Watch: when to look again, when to stop, and what to remember for the next start."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import msgspec

from wscheck.observe.logs.sources import FollowedLog, PipedLog
from wscheck.observe.tailing.change_monitor import ChangeMonitor
from wscheck.observe.tailing.checkpoint import Checkpoint, output_state, save_checkpoint
from wscheck.run.tail.watch import LogWatch

IDLE_S = 1.0
ATTENTIVE_S = 0.1
RESCAN_S = 0.5
DRY_S = 0.05
LOOK_S = 0.25
"""How long a look lasts before what came is told and remembered, though there is more to read."""
LAST_LOOK_S = 1.0
"""How long a loop that is ended still reads what had been written by then, if it was up to date."""
MANY_HELD = 2000
SAVE_AGAIN_S = 1.0


class StopReason(Enum):
    """Why a run ended."""

    DONE = "done"
    """The logs ended, or the time that was asked for is over."""
    INTERRUPTED = "interrupted"
    """SIGINT."""
    TERMINATED = "terminated"
    """SIGTERM: how a service manager ends what would run for ever."""


class LoopPlan(msgspec.Struct, kw_only=True):
    """How long to look.

    follow      go on at the end of the logs
    seconds     stop after so long, None for never
    until       stop when our clock shows this
    checkpoint  where to remember how far we came
    told        the descriptor of the NDJSON output, None without one
    reader      the descriptor of a pipe we write to: when its reader leaves, nobody is left to tell
    places      directories in which further logs may appear
    appeared    the logs that turned up since it was last asked
    """

    follow: bool
    seconds: float | None
    until: float | None
    checkpoint: Path | None
    told: int | None
    reader: int | None
    places: Sequence[Path]
    appeared: Callable[[], Iterable[FollowedLog]]


class ReadProgress(Protocol):
    """Hears how many bytes each piece had, and when what was there at the beginning has been read."""

    def __call__(self, size: int) -> None: ...
    def done(self) -> None: ...


class TailLoop:
    """Looks whenever there may be something, until it is to end."""

    def __init__(self, watch: LogWatch, plan: LoopPlan, progress: ReadProgress) -> None:
        self._watch, self._plan, self._progress = watch, plan, progress
        self._pipes = {log.fd: log for log in watch.logs if isinstance(log, PipedLog)}
        self._bell = ChangeMonitor(self._pipes, plan.reader)
        self._ending: StopReason | None = None
        self._read_until = 0.0
        self._look_again_at, self._cut_short = float("inf"), False
        self._deadline = time.monotonic() + plan.seconds if plan.seconds is not None else None
        self._scanned = self._saved = 0.0
        self._saved_state: object = None

    def run(self) -> StopReason:
        """Look until the end; what is told afterwards is complete."""
        try:
            with self._signals():
                self._run()
        finally:
            self._bell.close()
        return self._ending or StopReason.DONE

    def _run(self) -> None:
        self._bell.watch(self._names())
        # Where we began is known before anything is read: a kill from here on loses nothing.
        self._save(at_once=True)
        self._catch_up()
        while self._ending is None and self._more_to_come():
            self._wait()
            self._go_on()
        self._look_again_at = float("inf")
        self._watch.look(self._halt, to_the_end=True)
        self._save(at_once=True)

    def _catch_up(self) -> None:
        """Read what was there before we came: it is history, only what comes after it has our clock."""
        # Several logs are merged by their times, which a look that ends in the middle would break.
        bounded = len(self._watch.logs) == 1
        while True:
            self._begin_look(bounded=bounded)
            self._watch.read(self._halt)
            if not self._cut_short or self._ending is not None:
                break
            self._watch.settle()
            self._save()
        self._progress.done()
        self._watch.catching_up = False
        self._watch.settle()
        self._save()

    def _begin_look(self, *, bounded: bool = True) -> None:
        self._cut_short = False
        self._look_again_at = time.monotonic() + LOOK_S if bounded else float("inf")

    def _go_on(self) -> None:
        self._welcome()
        self._begin_look()
        self._watch.look(self._halt)
        self._bell.watch(self._names())
        self._leave_ended_pipes()
        self._save()

    def _more_to_come(self) -> bool:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return False
        if self._plan.until is not None and time.time() >= self._plan.until:
            return False
        if self._plan.follow and self._plan.places:
            return True
        return any(not log.ended and (self._plan.follow or isinstance(log, PipedLog)) for log in self._watch.logs)

    def _wait(self) -> None:
        patience = 0.0 if self._cut_short else ATTENTIVE_S if self._watch.expectant else IDLE_S
        if self._deadline is not None:
            patience = min(patience, max(0.0, self._deadline - time.monotonic()))
        began = time.monotonic()
        self._bell.wait(patience)
        if self._bell.output_closed:
            raise BrokenPipeError
        # A pipe that never ran dry may still be bringing an old log: its lines are not of now.
        if self._plan.follow and (not self._pipes or time.monotonic() - began > DRY_S):
            self._watch.live = True

    def _halt(self, size: int) -> bool:
        self._progress(size)
        now = time.monotonic()
        if self._ending is not None:
            return now >= self._read_until
        self._cut_short |= now >= self._look_again_at
        return self._cut_short

    def _names(self) -> list[Path]:
        """What to be woken by: the logs, and beneath each directory whatever appears there."""
        logs = [log.path for log in self._watch.logs if isinstance(log, FollowedLog)]
        return [*logs, *(resume_point / "*" for resume_point in self._plan.places)] if self._plan.follow else []

    def _welcome(self) -> None:
        """Logs that appeared in a followed directory: read from their start."""
        if self._plan.places and time.monotonic() - self._scanned > RESCAN_S:
            self._scanned = time.monotonic()
            self._watch.logs.extend(self._plan.appeared())

    def _leave_ended_pipes(self) -> None:
        for fd in [fd for fd, log in self._pipes.items() if log.ended]:
            self._bell.remove_input(fd)
            del self._pipes[fd]

    # --- what is remembered ----------------------------------------------------------------------------------------

    def _save(self, *, at_once: bool = False) -> None:
        """Remember how far we came, if we came any further; with many connections open at most once a second."""
        path, state, now = self._plan.checkpoint, self._watch.state, time.monotonic()
        if path is None or (state == self._saved_state and not at_once):
            return
        if not at_once and self._watch.judge.ledger.open_count > MANY_HELD and now - self._saved < SAVE_AGAIN_S:
            return
        self._saved, self._saved_state = now, state
        save_checkpoint(path, self._remembered())

    def _remembered(self) -> Checkpoint:
        logs = [log for log in self._watch.logs if isinstance(log, FollowedLog)]
        return Checkpoint(
            logs={log.name: resume_point for log in logs if (resume_point := log.resume_point()) is not None},
            open_connections=list(self._watch.judge.ledger.opening_events()),
            incidents=[msgspec.structs.replace(incident, evidence=[]) for incident in self._watch.incidents.open],
            recording=output_state(self._plan.told) if self._plan.told is not None else None,
        )

    # --- how it ends -----------------------------------------------------------------------------------------------

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """While the block runs a signal ends the loop after what is being read; a second one ends it at once."""
        kinds = {signal.SIGINT: StopReason.INTERRUPTED, signal.SIGTERM: StopReason.TERMINATED}

        def end(number: int, frame: FrameType | None) -> None:
            if self._ending is not None:
                raise KeyboardInterrupt
            self._ending = kinds[signal.Signals(number)]
            self._read_until = time.monotonic() + LAST_LOOK_S if not self._watch.catching_up else 0.0
            self._bell.wake()

        def look_again(number: int, frame: FrameType | None) -> None:
            self._bell.wake()

        before: dict[signal.Signals, Any] = {kind: signal.signal(kind, end) for kind in kinds}
        # The terminal has another size: whoever draws draws anew.
        before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, look_again)
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)
