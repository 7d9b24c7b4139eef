"""OpenTelemetry: incidents as log records and the figures as metrics, sent to an OTLP receiver over HTTP.

The exporters are those of the OpenTelemetry SDK, which read the variables OTEL_EXPORTER_OTLP_*. Their threads send, so
that reading the logs never waits for a receiver.
"""

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from wscheck import __version__
from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.model.errors import UsageError, failure_reason
from wscheck.model.events import Event
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap
from wscheck.notify.delivery import CLOSE_TIMEOUT_S, RETRY_STATUSES, DeliveryFailed
from wscheck.notify.figures import COUNTER, DURATIONS_S, HISTOGRAM, METRICS, Figures, Metric
from wscheck.notify.lines import incident_summary
from wscheck.report.finding_text import fix_text

EVENT_NAME = "wscheck.incident"
PROTOCOL = "http/protobuf"
FROM_ENVIRONMENT = "env"
"""In place of a URL: the receiver that the variables OTEL_EXPORTER_OTLP_* name."""

_SEVERITIES = {
    Severity.ERROR: SeverityNumber.ERROR,
    Severity.WARNING: SeverityNumber.WARN,
    Severity.NOTE: SeverityNumber.INFO,
}


class _Session(requests.Session):
    """An HTTP session that follows no redirect, and remembers the result of the last request.

    failure       reason for which the last request failed, "" if it did not fail
    status        HTTP status of the answer to the last request, None if there was no answer
    succeeded_at  time.monotonic() of the last answer with status 2xx
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure, self.succeeded_at = "", 0.0
        self.status: int | None = None

    def request(self, *arguments: Any, **options: Any) -> Any:
        """Send a request: see `requests.Session.request`."""
        try:
            answer = super().request(*arguments, **{**options, "allow_redirects": False})
        except requests.RequestException as error:
            self.status, self.failure = None, f"the receiver cannot be reached: {_reason(error)}"
            raise
        self.status, self.failure = answer.status_code, ""
        if not answer.ok or answer.is_redirect:
            self.failure = f"the receiver answered {answer.status_code}"
        else:
            self.succeeded_at = time.monotonic()
        return answer


def _reason(error: requests.RequestException) -> str:
    """Return the reason of a failed request without the URL of the receiver.

    The messages of the library `requests` cannot be used, because they contain the URL.
    """
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
    return failure_reason(cause) if cause is not None else "the connection failed"


class OtlpReceiver:
    """The exporters for an OTLP receiver.

    Args:
        url: base URL of the receiver, to which the path of each signal is added, or FROM_ENVIRONMENT.

    Raises:
        UsageError: A variable of OpenTelemetry has a value that cannot be used.
    """

    def __init__(self, url: str) -> None:
        # The SDK would print the address and the answer of a receiver on stderr.
        log = logging.getLogger("opentelemetry")
        log.propagate = False
        log.addHandler(logging.NullHandler())
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", PROTOCOL)
        if url == FROM_ENVIRONMENT and protocol != PROTOCOL:
            raise UsageError(
                f"`watch.otlp`: OTEL_EXPORTER_OTLP_PROTOCOL is not {PROTOCOL}, the protocol that is sent.",
                "Write the URL of the receiver's HTTP port: `watch.otlp=http://127.0.0.1:4318`.",
            )
        logs, metrics = (None, None) if url == FROM_ENVIRONMENT else (_path(url, "logs"), _path(url, "metrics"))
        self._sessions, self._resource = (_Session(), _Session()), resource()
        try:
            exporter = OTLPLogExporter(logs, session=self._sessions[0])
            self.logs = OtlpLogs(exporter, self._resource, self._sessions[0])
            self._reader = PeriodicExportingMetricReader(OTLPMetricExporter(metrics, session=self._sessions[1]))
        except (ValueError, OSError, RuntimeError):
            raise UsageError(
                "`watch.otlp`: a variable OTEL_EXPORTER_OTLP_* or OTEL_METRIC_EXPORT_* has a wrong value.",
                "Correct or unset it.",
            ) from None

    def metrics(self, figures: Figures, note: Callable[[str], None]) -> "OtlpMetrics":
        """Return the listener that sends the figures. `note` is called when the receiver fails for the first time."""
        return OtlpMetrics(figures, self._reader, self._resource, self._sessions[1], note)


def _path(url: str, signal: str) -> str:
    """Return the URL to which a `signal` ("logs" or "metrics") is sent. `url` is the base URL of the receiver.

    Source: OTLP specification, "Endpoint URLs for OTLP/HTTP".
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/v1/{signal}"))


def resource() -> Resource:
    """Return the attributes that describe this process, such as its service name.

    Values in OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES replace the attributes that wscheck sets itself.
    """
    own = {"service.name": "wscheck", "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    return Resource.create({**own, **OTELResourceDetector().detect().attributes})


class OtlpLogs:
    """Target of a `DeliveryQueue` that sends one OpenTelemetry log record for each change of an incident."""

    name = "OTLP logs"

    def __init__(self, exporter: Any, resource: Resource, session: Any = None) -> None:
        """Create the target. `exporter` is a LogRecordExporter of the SDK; `session` has the reason of a failure."""
        self._exporter, self._resource, self._session = exporter, resource, session
        self._scope = InstrumentationScope("wscheck", __version__)

    def compose(self, incident: Incident) -> ReadableLogRecord:
        """Return the log record."""
        return ReadableLogRecord(log_record(incident), self._resource, self._scope)

    def deliver(self, message: ReadableLogRecord) -> None:
        """Send the record. Raises DeliveryFailed."""
        result = None
        with suppress(requests.RequestException):  # of some versions of the exporter
            result = self._exporter.export([message])
        if result is not LogRecordExportResult.SUCCESS:
            status = getattr(self._session, "status", None)
            reason = getattr(self._session, "failure", "") or "the receiver did not take it"
            raise DeliveryFailed(reason, retry=status is None or status in RETRY_STATUSES)
        if failure := getattr(self._session, "failure", ""):  # a redirect counts as a success for the exporter
            raise DeliveryFailed(failure, retry=False)

    def abort(self) -> None:
        """Abort the delivery in progress, if there is one."""
        self._exporter.shutdown()


def log_record(incident: Incident) -> LogRecord:
    """Return the log record about a change of an incident (docs/opentelemetry.md)."""
    resolved = incident.state is IncidentState.RESOLVED
    at = incident.resolved_at if resolved else incident.last_at
    attributes = {
        "wscheck.state": str(incident.state),
        "wscheck.rule": incident.rule,
        "wscheck.severity": str(incident.severity),
        "wscheck.confidence": str(incident.confidence),
        "wscheck.count": incident.count,
        "wscheck.rate": incident.rate,
        "wscheck.first_at": incident.first_at,
        "wscheck.last_at": incident.last_at,
        "wscheck.cause": incident.cause.id if incident.cause is not None else None,
        "wscheck.fix": fix_text(incident),
        "user.id": incident.user,
        **_place(incident),
    }
    return LogRecord(
        timestamp=_nanoseconds(at) if at is not None else None,
        observed_timestamp=time.time_ns(),
        severity_text=str(incident.severity),
        severity_number=SeverityNumber.INFO if resolved else _SEVERITIES[incident.severity],
        body=incident_summary(incident),
        attributes={name: value for name, value in attributes.items() if value is not None},
        event_name=EVENT_NAME,
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e6) * 1000


def _place(incident: Incident) -> dict[str, str | int | None]:
    """Return log attributes with a file and line: those of the latest evidence that was read from a file."""
    places = (each for each in reversed(incident.evidence) if getattr(each, "path", None))
    place: Any = next(places, None)
    return {} if place is None else {"log.file.path": place.path, "wscheck.line": place.line}


class OtlpMetrics:
    """The figures as metrics of OpenTelemetry. A thread of the SDK reads the current values, and sends them."""

    name = "OTLP metrics"

    def __init__(
        self,
        figures: Figures,
        reader: Any,
        resource: Resource,
        session: Any = None,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Create the metrics. `reader` is a MetricReader of the SDK; `session` contains the reason of a failure."""
        self._figures, self._session, self._note, self._noted = figures, session, note, False
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter("wscheck", __version__)
        self._closed_at: float | None = None
        for metric in METRICS:
            self._create(metric)

    def _create(self, metric: Metric) -> None:
        if metric.kind == HISTOGRAM:
            durations = self._meter.create_histogram(
                metric.otlp, metric.unit, metric.help, explicit_bucket_boundaries_advisory=DURATIONS_S
            )
            self._figures.on_duration.append(durations.record)
            return

        def observe(options: CallbackOptions) -> Iterable[Observation]:
            for values, value in self._figures.values(metric):
                yield Observation(value, dict(zip(metric.labels, values, strict=True)))

        is_counter = metric.kind == COUNTER
        create = self._meter.create_observable_counter if is_counter else self._meter.create_observable_up_down_counter
        create(metric.otlp, [observe], metric.unit, metric.help)

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Do nothing: `Figures` counts the events."""

    def on_incident(self, incident: Incident) -> None:
        """Do nothing: `Figures` counts the incidents."""

    def on_poll_end(self, now: float | None) -> bool:
        """Report the first failure of the receiver. Return False, because no early poll is needed."""
        if not self._noted and self._session is not None and self._session.failure:
            self._noted = True
            self._note(f"{self.name}: {self._session.failure}; the next ones contain the missing values.")
        return False

    def close(self, seconds: float = CLOSE_TIMEOUT_S) -> None:
        """Send the final values, for at most `seconds`. A second call does nothing."""
        if self._closed_at is None:
            self._closed_at = time.monotonic()
            with suppress(Exception):  # the session knows why the receiver got nothing
                self._provider.shutdown(1000 * seconds)

    def gaps(self) -> list[Gap]:
        """Return a gap (a note about missing data) if the receiver did not get the final values. Call after `close`."""
        if self._session is None or (self._closed_at or 0.0) <= self._session.succeeded_at:
            return []
        why = self._session.failure or "no answer in time"
        return [Gap(id="messages-dropped", reason=f"{self.name}: the final values: {why}", blocks=False)]
