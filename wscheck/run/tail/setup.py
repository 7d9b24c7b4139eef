"""From what was asked for to a watch that can run: which logs, from where, and who is told."""

import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from wscheck import __version__
from wscheck.detect.engine import RuleOptions
from wscheck.model.errors import BadEvidence, UsageError
from wscheck.model.events import RECORDING_SCHEMA, RecordingHeader
from wscheck.model.findings import Bar
from wscheck.model.secrets import Secret
from wscheck.notify.delivery import DeliveryQueue, DeliveryTarget
from wscheck.notify.ndjson import NdjsonStream
from wscheck.observe.logs.options import ReaderFactory
from wscheck.observe.logs.sources import FollowedLog, PipedLog
from wscheck.observe.tailing.checkpoint import Checkpoint, load_checkpoint, output_state, truncate_output
from wscheck.observe.tailing.log_paths import STDIN, LogPaths, check_names, node_names
from wscheck.observe.tailing.read_buffer import ReadBuffer
from wscheck.report.formats import ReportOutput
from wscheck.run.tail.clock import TimeWindow
from wscheck.run.tail.loop import LoopPlan
from wscheck.run.tail.watch import AnyLog, LogWatch

KEPT = 50_000
"""Events kept for the timeline of an HTML report."""

Note = Callable[[str], None]


class TailRequest(msgspec.Struct, kw_only=True):
    """What was asked for. Durations are seconds, times seconds since the Unix epoch.

    follow      go on at the end of the logs; otherwise stop there
    from_start  begin at the start of the logs (without `follow` always)
    users       how many users the report lists, None for all
    seconds     how long to watch, None for ever
    exec        a command line, run for each change of an incident
    metrics     where to serve metrics, HOST:PORT
    """

    names: Sequence[str]
    outputs: Sequence[ReportOutput]
    new_reader: ReaderFactory
    options: RuleOptions
    bar: Bar
    follow: bool
    from_start: bool
    users: int | None
    quiet_after: float
    stale_after: float | None
    window: TimeWindow
    seconds: float | None
    checkpoint: Path | None
    webhook: Secret | None
    webhook_format: str
    exec: str | None
    metrics: str | None


class TailSession(msgspec.Struct):
    """A watch with its logs opened, its listeners listening, and the plan by which it runs."""

    watch: LogWatch
    plan: LoopPlan
    size: int


@contextmanager
def open_session(wanted: TailRequest, note: Note) -> Iterator[TailSession]:
    """Open everything, and close it at the end. Raises UsageError and BadEvidence before anything is read."""
    check_names(wanted.names)
    with ExitStack() as stack:
        resumed = load_checkpoint(wanted.checkpoint) if wanted.checkpoint is not None else None
        logs = LogOpener(wanted, resumed, note)
        watch = LogWatch(
            logs.open(),
            wanted.options,
            quiet_after=wanted.quiet_after,
            window=wanted.window,
            stale_after=wanted.stale_after,
            finished=not wanted.follow,
            kept=KEPT if any(output.format == "html" for output in wanted.outputs) else 0,
        )
        stack.callback(lambda: [log.close() for log in watch.logs])
        # From the end on, whatever comes is of now; otherwise what is there first is history.
        at_end = wanted.follow and not wanted.from_start and resumed is None
        watch.live = at_end and all(isinstance(log, FollowedLog) for log in watch.logs)
        if resumed is not None:
            watch.carry_on(resumed.open_connections, resumed.incidents)
        told = _listen(wanted, watch, resumed, note, stack)
        plan = LoopPlan(
            follow=wanted.follow,
            seconds=wanted.seconds,
            until=wanted.window.until if wanted.follow else None,
            checkpoint=wanted.checkpoint,
            told=told,
            reader=_pipe_on_stdout() if any(output.path is None for output in wanted.outputs) else None,
            places=logs.places,
            appeared=logs.appeared,
        )
        yield TailSession(watch, plan, logs.size)


class LogOpener:
    """The logs that are meant, each opened where reading is to begin."""

    def __init__(self, wanted: TailRequest, resumed: Checkpoint | None, note: Note) -> None:
        self._wanted, self._resumed, self._note = wanted, resumed, note
        self._buffer = ReadBuffer()
        self._meant = LogPaths(wanted.names, rotated=not wanted.follow, note=note)
        self._paths = self._meant.paths
        self._nodes = node_names(self._paths)
        self.size = 0

    def open(self) -> list[AnyLog]:
        """Raises BadEvidence when there is nothing to read, now or later, or something that cannot be read."""
        for path in self._paths:
            self._check(path)
        found: list[AnyLog] = [self._opened(path) for path in self._paths]
        if STDIN in self._wanted.names:
            found.append(
                PipedLog(self._wanted.new_reader, node="<stdin>" if self._paths else None, buffer=self._buffer)
            )
        if not found and not self._wanted.follow:
            raise BadEvidence(f"There is no log in {', '.join(self._wanted.names)}.", "Name the log files themselves.")
        return found

    @property
    def places(self) -> list[Path]:
        """Where further logs may turn up, while they are followed."""
        return self._meant.directories if self._wanted.follow else []

    def appeared(self) -> list[FollowedLog]:
        """Logs that turned up since: from their start, or where an earlier run left them."""
        return [self._followed(path, begins=True) for path in self._meant.find_new()] if self._wanted.follow else []

    def _check(self, path: Path) -> None:
        try:
            # A named pipe is opened once: whoever waits to write into it must not find us gone.
            if not path.is_fifo():
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except FileNotFoundError:
            if not self._wanted.follow:
                raise BadEvidence(f"There is no log {path}.", "Check the path; - reads standard input.") from None
            self._note(f"{path} is not there yet: waiting for it.")
        except OSError as error:
            raise BadEvidence(f"The log {path} cannot be read: {error.strerror}.", "Check its permissions.") from None

    def _opened(self, path: Path) -> AnyLog:
        status = path.stat() if path.exists() else None
        if status is not None and not stat.S_ISREG(status.st_mode):
            # A named pipe, or what a shell's <(command) leaves: it can be read once, from wherever it is.
            return PipedLog(self._wanted.new_reader, _open_pipe(path), str(path), self._node(path), self._buffer)
        self.size += status.st_size if status is not None else 0
        return self._followed(path, begins=self._wanted.from_start or not self._wanted.follow)

    def _followed(self, path: Path, *, begins: bool) -> FollowedLog:
        log = FollowedLog(
            path,
            self._wanted.new_reader.of(self._nodes.get(path, str(path))),
            self._buffer,
            self._note,
            self._node(path),
        )
        resume_point = self._resumed.logs.get(log.name) if self._resumed is not None else None
        # With a checkpoint, a log that it does not know came while nobody looked.
        log.begin(resume_point, at_end=not begins and self._resumed is None)
        return log

    def _node(self, path: Path) -> str | None:
        """Which server wrote it, when there are several."""
        several = len(set(self._nodes.values())) > 1 or len(self._wanted.names) > 1 or bool(self.places)
        return self._nodes.get(path, str(path)) if several else None


def _open_pipe(path: Path) -> int:
    """A descriptor to read from, whether somebody writes already or not: meanwhile other logs are read.

    Only Linux tells a pipe that nobody opened yet from one whose writer has left; elsewhere we wait for the writer.
    """
    try:
        fd = os.open(path, os.O_RDONLY | (os.O_NONBLOCK if sys.platform == "linux" else 0))
    except OSError as error:
        raise BadEvidence(f"The log {path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    os.set_blocking(fd, True)
    return fd


def _listen(
    wanted: TailRequest, watch: LogWatch, resumed: Checkpoint | None, note: Note, stack: ExitStack
) -> int | None:
    """Whoever is told at once, but for the terminal. Returns the descriptor of the NDJSON output, None without one."""
    told = None
    for output in wanted.outputs:
        if output.format == "ndjson":
            out = _ndjson_file(output.path, resumed, stack)
            told = out.fileno()
            goes_on = resumed is not None and not _is_new(told)
            watch.listeners.append(NdjsonStream(out, None if goes_on else _header(wanted, watch)))
    if wanted.webhook is not None:
        from wscheck.notify.webhook import WebhookTarget

        _deliver(WebhookTarget(wanted.webhook.reveal(), wanted.webhook_format), watch, note, stack)
    if wanted.exec is not None:
        from wscheck.notify.command import CommandTarget

        _deliver(CommandTarget(wanted.exec), watch, note, stack)
    if wanted.metrics is not None:
        _serve(wanted.metrics, watch, note, stack)
    return told


def _ndjson_file(path: Path | None, resumed: Checkpoint | None, stack: ExitStack) -> BinaryIO:
    """Where the recording goes: begun anew, or cut to what the checkpoint covers and gone on with."""
    if path is None:
        out: BinaryIO = sys.stdout.buffer
    else:
        try:
            out = stack.enter_context(path.open("ab" if resumed is not None else "wb"))
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.", "Choose another path.") from None
    if resumed is not None:
        truncate_output(out.fileno(), resumed.recording)
    return out


def _pipe_on_stdout() -> int | None:
    """Its descriptor, None when standard output is something else."""
    try:
        fd = sys.stdout.fileno()
        mode = os.fstat(fd).st_mode
    except OSError:
        return None
    return fd if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


def _is_new(fd: int) -> bool:
    """Whether a recording begins here: a pipe, or a file that is still empty."""
    told = output_state(fd)
    return told is None or told.size == 0


def _header(wanted: TailRequest, watch: LogWatch) -> RecordingHeader:
    options = wanted.options.to_dict(wanted.bar)
    target = ", ".join(log.name for log in watch.logs)
    return RecordingHeader(
        schema=RECORDING_SCHEMA, wscheck=__version__, target=target, started_at=watch.began, options=options
    )


def _deliver(target: DeliveryTarget, watch: LogWatch, note: Note, stack: ExitStack) -> None:
    courier = DeliveryQueue(target, note)
    stack.callback(courier.close)
    watch.listeners.append(courier)


def _serve(address: str, watch: LogWatch, note: Note, stack: ExitStack) -> None:
    try:
        from wscheck.notify.metrics import PrometheusMetrics, serve
    except ImportError:
        raise UsageError("--metrics needs the extra `prometheus`.", "pip install 'wscheck[prometheus]'") from None
    metrics = PrometheusMetrics(watch)
    server = serve(metrics, address)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    host = str(server.server_address[0])
    shown = f"[{host}]" if ":" in host else host
    note(f"serving http://{shown}:{server.server_port}/metrics and /healthz")
    watch.listeners.append(metrics)
