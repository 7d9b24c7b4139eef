"""Set-up of a run of tail-logs: from the request to opened logs, attached listeners and the plan of the loop."""

import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from wscheck import __version__
from wscheck.detect.engine import RuleOptions
from wscheck.model.errors import BadEvidence, MissingExtra, UsageError
from wscheck.model.events import RECORDING_SCHEMA, RecordingHeader
from wscheck.model.findings import Bar
from wscheck.model.gaps import Gap
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.logs.options import ReaderFactory
from wscheck.observe.logs.ordering import MAX_SORTED_LINES
from wscheck.observe.logs.sources import FollowedLog, PipedLog
from wscheck.observe.tailing.log_paths import STDIN, LogPaths, check_names
from wscheck.observe.tailing.open_file import OpenFiles
from wscheck.observe.tailing.packed_log import is_packed
from wscheck.observe.tailing.read_buffer import ReadBuffer
from wscheck.report.formats import ReportOutput
from wscheck.report.formatting import plural
from wscheck.run.tail.clock import TimeWindow
from wscheck.run.tail.loop import LoopPlan
from wscheck.run.tail.watch import AnyLog, LogWatch

# Most runs do not use these modules, and importing them would noticeably delay the start.
if TYPE_CHECKING:
    from wscheck.notify.delivery import DeliveryQueue, DeliveryTarget
    from wscheck.notify.figures import Figures
    from wscheck.notify.otlp import OtlpMetrics, OtlpReceiver
    from wscheck.observe.tailing.checkpoint import Checkpoint

MAX_TIMELINE_EVENTS = 50_000
"""Maximum number of events stored for the timeline of an HTML report."""

CLOSE_S, LEAST_CLOSE_S = 5.0, 1.0
"""Seconds for which the final metrics are sent, counted from the end of the run, and at least."""

Note = Callable[[str], None]


class TailRequest(msgspec.Struct, kw_only=True):
    """The options of a run. Durations are in seconds, times in seconds since the Unix epoch.

    follow      continue at the end of the logs; otherwise stop there
    from_start  start at the beginning of the logs (without `follow` always)
    users       number of users that the report lists, None for all
    seconds     duration of the run, None without a limit
    exec        command line, run for each change of an incident (it opens, grows or resolves)
    metrics     HOST:PORT on which metrics are served
    otlp        URL of an OpenTelemetry receiver, or "env": the one that OTEL_EXPORTER_OTLP_* names
    redactor    redactor of all secrets in the configuration
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
    reorder: float
    stale_after: float | None
    window: TimeWindow
    seconds: float | None
    checkpoint: Path | None
    webhook: Secret | None
    webhook_format: str
    exec: str | None
    metrics: str | None
    otlp: str | None
    redactor: Redactor


class TailSession(msgspec.Struct):
    """A prepared run: opened logs with their listeners, settings of the polling loop, size of the logs in bytes."""

    watch: LogWatch
    plan: LoopPlan
    size: int
    receivers: "Receivers"

    def finish_deliveries(self) -> list[Gap]:
        """Deliver the waiting messages, and return a gap for each receiver that did not get all messages."""
        ends_at = time.monotonic() + CLOSE_S
        for delivery in self.receivers.deliveries:
            delivery.close()
        gaps = [
            Gap(
                id="messages-dropped",
                reason=f"{each.name}: {each.dropped:,} of {plural(each.total, 'message')} dropped",
                blocks=False,
            )
            for each in self.receivers.deliveries
            if each.dropped
        ]
        if self.receivers.otlp_metrics is not None:
            self.receivers.otlp_metrics.close(max(LEAST_CLOSE_S, ends_at - time.monotonic()))
            gaps += self.receivers.otlp_metrics.gaps()
        return gaps


class Receivers(msgspec.Struct):
    """The receivers (webhook, command, OpenTelemetry) to which separate threads send incidents and metrics."""

    deliveries: "list[DeliveryQueue[Any]]" = msgspec.field(default_factory=list)
    otlp_metrics: "OtlpMetrics | None" = None


@contextmanager
def open_session(request: TailRequest, note: Note) -> Iterator[TailSession]:
    """Open the logs and outputs, and close them at the end. `note` receives messages about the logs.

    Raises UsageError and BadEvidence before anything is read.
    """
    check_names(request.names)
    with ExitStack() as stack:
        resumed = _load_checkpoint(request)
        logs = LogOpener(request, resumed, note)
        watch = LogWatch(
            logs.open_all(),
            request.options,
            quiet_after=request.quiet_after,
            window=request.window,
            stale_after=request.stale_after,
            complete=not request.follow,
            sort_all=not request.follow and logs.can_sort_all,
            reorder=request.reorder,
            max_events=MAX_TIMELINE_EVENTS if any(output.format == "html" for output in request.outputs) else 0,
        )
        stack.callback(lambda: [log.close() for log in watch.logs])
        # If reading starts at the end of the logs, all content is new; otherwise there is old content to read first.
        at_end = request.follow and not request.from_start and resumed is None
        watch.live = at_end and all(isinstance(log, FollowedLog) for log in watch.logs)
        if resumed is not None:
            watch.restore(resumed.open_connections, resumed.incidents)
        recording_fd = _attach_recordings(request, watch, resumed, stack)
        receivers = _attach_receivers(request, watch, note, stack)
        plan = LoopPlan(
            follow=request.follow,
            seconds=request.seconds,
            until=request.window.until if request.follow else None,
            checkpoint=request.checkpoint,
            recording_fd=recording_fd,
            stdout_pipe=_stdout_pipe() if any(output.path is None for output in request.outputs) else None,
            directories=lambda: logs.directories,
            find_new_logs=logs.open_new,
            note=note,
        )
        yield TailSession(watch, plan, logs.size, receivers)


def _load_checkpoint(request: TailRequest) -> "Checkpoint | None":
    if request.checkpoint is None:
        return None
    from wscheck.observe.tailing.checkpoint import load_checkpoint

    return load_checkpoint(request.checkpoint)


class LogOpener:
    """Opener of the logs that the command line names. Each log is opened at the position where reading starts."""

    def __init__(self, request: TailRequest, resumed: "Checkpoint | None", note: Note) -> None:
        self._request, self._resumed, self._note = request, resumed, note
        self._buffer = ReadBuffer()
        self._log_paths = LogPaths(request.names, rotated=not request.follow, note=note)
        self._paths = self._log_paths.paths
        self._nodes = self._log_paths.nodes
        several = len(set(self._nodes.values())) > 1 or len(request.names) > 1 or bool(self.directories)
        self._has_several_nodes = several
        self._files = OpenFiles.for_process()
        self.size = 0

    def open_all(self) -> list[AnyLog]:
        """Open the logs.

        Raises BadEvidence if one cannot be read, or if there is no log and none can appear during the run.
        """
        statuses = [self._check(path) for path in self._paths]
        logs: list[AnyLog] = list(map(self._open, self._paths, statuses))
        if STDIN in self._request.names:
            if sys.stdin is None:
                raise UsageError("Standard input is closed, and `-` reads it.", "Pipe a log into it, or name a file.")
            node = "<stdin>" if self._paths else None
            logs.append(PipedLog(self._request.new_reader, node=node, buffer=self._buffer))
        if not logs and not self._request.follow:
            raise BadEvidence(f"There is no log in {', '.join(self._request.names)}.", "Name the log files themselves.")
        return logs

    @property
    def can_sort_all(self) -> bool:
        """True if the logs have few enough lines to be sorted by time. Pipes and gzip files are not counted."""
        remaining = MAX_SORTED_LINES
        for path in self._paths:
            if path.is_file() and not is_packed(path):
                remaining -= _count_lines(path, remaining)
        return remaining >= 0

    @property
    def directories(self) -> list[Path]:
        """The directories in which further logs may appear while the logs are followed."""
        return self._log_paths.directories if self._request.follow else []

    def open_new(self, appeared: Iterable[Path] | None = None) -> list[FollowedLog]:
        """Open the logs that appeared since the last call, at their start or at the position in the checkpoint.

        appeared  the only names that appeared, None if that is unknown
        """
        if not self._request.follow:
            return []
        return [self._open_followed(path, from_start=True) for path in self._log_paths.find_new(appeared)]

    def _check(self, path: Path) -> os.stat_result | None:
        """Return the file status of a log, None if it does not exist yet and the run waits for it.

        Raises BadEvidence if the log cannot be read, or if it does not exist and the run does not follow logs.
        """
        try:
            status = path.stat()
            # A named pipe is opened only once: closing it here would end its writer.
            if not stat.S_ISFIFO(status.st_mode):
                os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
            return status
        except FileNotFoundError:
            if not self._request.follow:
                raise BadEvidence(f"There is no log {path}.", "Check the path; - reads standard input.") from None
            self._note(f"{path} does not exist yet: waiting for it.")
            return None
        except OSError as error:
            raise BadEvidence(f"The log {path} cannot be read: {error.strerror}.", "Check its permissions.") from None

    def _open(self, path: Path, status: os.stat_result | None) -> AnyLog:
        if status is not None and not stat.S_ISREG(status.st_mode):
            # A named pipe, or the shell's <(command): it can be read only once, from its current position.
            return PipedLog(self._request.new_reader, _open_pipe(path), str(path), self._node(path), self._buffer)
        self.size += status.st_size if status is not None else 0
        return self._open_followed(path, from_start=self._request.from_start or not self._request.follow)

    def _open_followed(self, path: Path, *, from_start: bool) -> FollowedLog:
        new_reader = self._request.new_reader.for_log(self._nodes.get(path, str(path)))
        log = FollowedLog(path, new_reader, self._buffer, self._note, self._node(path), files=self._files)
        resume_point = self._resumed.logs.get(log.name) if self._resumed is not None else None
        # A log that the checkpoint does not contain appeared after it, so it is read from its start.
        log.begin(resume_point, at_end=not from_start and self._resumed is None)
        return log

    def _node(self, path: Path) -> str | None:
        """Return the name of the server process that writes the log, None if there is only one process."""
        return self._nodes.get(path, str(path)) if self._has_several_nodes else None


def _count_lines(path: Path, limit: int) -> int:
    """Return the number of lines of a file, or a number above `limit` if it has more."""
    lines = 0
    with path.open("rb") as file:
        while lines <= limit and (piece := file.read(1 << 18)):
            lines += piece.count(b"\n")
    return lines


def _open_pipe(path: Path) -> int:
    """Return a descriptor for reading, without waiting for a writer, so that other logs can be read meanwhile.

    Only on Linux can a pipe that has no writer yet be distinguished from a pipe that its writer has closed. On other
    systems this call waits for the writer.
    """
    try:
        fd = os.open(path, os.O_RDONLY | (os.O_NONBLOCK if sys.platform == "linux" else 0))
    except OSError as error:
        raise BadEvidence(f"The log {path} cannot be read: {error.strerror}.", "Check its permissions.") from None
    os.set_blocking(fd, True)
    return fd


def _attach_recordings(
    request: TailRequest, watch: LogWatch, resumed: "Checkpoint | None", stack: ExitStack
) -> int | None:
    """Attach the NDJSON outputs. Return the descriptor of the last one, None without one."""
    recording_fd = None
    for output in request.outputs:
        if output.format == "ndjson":
            recording_fd = _attach_recording(request, output.path, watch, resumed, stack)
    return recording_fd


def _attach_receivers(request: TailRequest, watch: LogWatch, note: Note, stack: ExitStack) -> Receivers:
    """Attach each receiver of incidents and metrics that the request names, and start the server of the metrics."""
    targets: list[DeliveryTarget[Any]] = []
    if request.webhook is not None:
        from wscheck.notify.delivery import WebhookTarget

        targets.append(WebhookTarget(request.webhook.reveal(), request.webhook_format))
    if request.exec is not None:
        from wscheck.notify.delivery import CommandTarget

        targets.append(CommandTarget(request.exec))
    otlp = _otlp_receiver(request.otlp, note) if request.otlp is not None else None
    if otlp is not None:
        targets.append(otlp.logs)
    receivers = Receivers([_attach_target(target, watch, note, request.redactor, stack) for target in targets])
    if otlp is None and request.metrics is None:
        return receivers
    from wscheck.notify.figures import Figures

    figures = Figures(watch, receivers.deliveries)
    watch.listeners.append(figures)
    if otlp is not None:
        receivers.otlp_metrics = otlp.metrics(figures, note)
        watch.listeners.append(receivers.otlp_metrics)
        stack.callback(receivers.otlp_metrics.close)
    if request.metrics is not None:
        _serve_metrics(request.metrics, figures, note, stack)
    return receivers


def _attach_recording(
    request: TailRequest, path: Path | None, watch: LogWatch, resumed: "Checkpoint | None", stack: ExitStack
) -> int:
    """Add a listener that writes the recording to `path`, or to stdout if `path` is None. Return its file descriptor.

    With the checkpoint `resumed`, continue the recording of the earlier run: first remove the lines that were written
    after the checkpoint, because this run writes them again.
    """
    from wscheck.notify.lines import NdjsonStream
    from wscheck.observe.tailing.checkpoint import output_state, truncate_output
    from wscheck.report.formats import open_pipe

    out: BinaryIO = sys.stdout.buffer
    if path is not None:
        try:
            new = path.open("ab" if resumed is not None else "wb") if not path.is_fifo() else open_pipe(path)
            out = stack.enter_context(new)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}.", "Choose another path.") from None
    if resumed is not None:
        truncate_output(out.fileno(), resumed.recording)
    state = output_state(out.fileno())
    continues = resumed is not None and state is not None and state.size > 0
    header = None if continues else _recording_header(request, watch)
    watch.listeners.append(NdjsonStream(out, header, request.redactor))
    return out.fileno()


def _recording_header(request: TailRequest, watch: LogWatch) -> RecordingHeader:
    options = request.options.to_dict(request.bar)
    target = ", ".join(log.name for log in watch.logs)
    return RecordingHeader(
        schema=RECORDING_SCHEMA, wscheck=__version__, target=target, started_at=watch.started_at, options=options
    )


def _stdout_pipe() -> int | None:
    """Return the descriptor of standard output if it is a pipe or a socket, else None."""
    try:
        fd = sys.stdout.fileno()
        mode = os.fstat(fd).st_mode
    except OSError:
        return None
    return fd if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else None


def _attach_target(
    target: "DeliveryTarget[Any]", watch: LogWatch, note: Note, redactor: Redactor, stack: ExitStack
) -> "DeliveryQueue[Any]":
    from wscheck.notify.delivery import DeliveryQueue

    delivery = DeliveryQueue(target, note, redactor)
    stack.callback(delivery.close)
    watch.listeners.append(delivery)
    return delivery


def _otlp_receiver(url: str, note: Note) -> "OtlpReceiver | None":
    """Return the receiver, None if the environment disables OpenTelemetry."""
    try:
        from wscheck.notify.otlp import OtlpReceiver
    except ImportError:
        raise MissingExtra(
            "`watch.otlp` sends with the OpenTelemetry SDK, which is not installed here.", "otel"
        ) from None
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        note("OTEL_SDK_DISABLED is set: nothing is sent over OTLP.")
        return None
    return OtlpReceiver(url)


def _serve_metrics(address: str, figures: "Figures", note: Note, stack: ExitStack) -> None:
    try:
        from wscheck.notify.metrics import PrometheusMetrics, serve
    except ImportError:
        raise MissingExtra(
            "`watch.metrics` serves metrics with prometheus-client, which is not installed here.", "prometheus"
        ) from None
    server = serve(PrometheusMetrics(figures), address)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    host = str(server.server_address[0])
    shown = f"[{host}]" if ":" in host else host
    note(f"serving http://{shown}:{server.server_port}/metrics and /healthz")
