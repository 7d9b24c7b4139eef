"""`--otlp`: what a receiver gets is what Prometheus scrapes, and no receiver stops or delays the run."""

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.cli import wscheck
from tests.run.tail.process import LoggingServer
from tests.run.tail.test_incident_text import INCIDENT
from wscheck.detect.engine import RuleOptions
from wscheck.detect.incidents import IncidentState
from wscheck.detect.rules import OF_LOGS
from wscheck.model.errors import UsageError
from wscheck.model.events import Disconnected
from wscheck.model.findings import Cause, Confidence, Severity
from wscheck.model.secrets import Redactor, Secret
from wscheck.notify import otlp
from wscheck.notify.delivery import DeliveryFailed, DeliveryQueue
from wscheck.notify.figures import COUNTER, DURATIONS_S, GAUGE, METRICS, Figures
from wscheck.notify.metrics import PrometheusMetrics
from wscheck.notify.otlp import OtlpLogs, OtlpMetrics, OtlpReceiver, log_record, resource
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.sources import FollowedLog
from wscheck.run.tail.setup import _otlp_receiver
from wscheck.run.tail.watch import LogWatch

DOCUMENT = (Path(__file__).parents[3] / "docs" / "opentelemetry.md").read_text()
EXPORTER: Any = InMemoryLogRecordExporter
T = 1_795_000_000.0
SECRET = "T0PSECRET"


@contextmanager
def receiver(status: int = 200, delay: float = 0.0) -> Iterator[SimpleNamespace]:
    """Receive OTLP on loopback. `requests` contains (path, headers, decoded message)."""
    got, released = SimpleNamespace(requests=[]), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            message = ExportLogsServiceRequest() if self.path.endswith("logs") else ExportMetricsServiceRequest()
            message.ParseFromString(body)
            got.requests.append((self.path, dict(self.headers), message))
            released.wait(delay)
            self.send_response(status, SECRET)
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    got.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield got
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def write_log(path: Path) -> None:
    server = LoggingServer(path)
    server.replace("zoe_1", server.connect("zoe_1", T, "a"), T + 3)
    server.connect("kim_2", T + 4, "c")
    server.connect("kim_2", T + 5, "d")
    server.disconnect("c", T + 400)
    server.line(b"WebSocket client connected " + b"x" * 1_100_000)


def watch_of(path: Path) -> LogWatch:
    log = FollowedLog(path, reader_factory([], [], {}))
    log.begin(None, at_end=False)
    return LogWatch([log], RuleOptions(), complete=True)


def prometheus_values(figures: Figures) -> dict[tuple[str, ...], float]:
    """Return the value of each series by its name and label values. A bucket counts only its own durations."""
    values, below = dict[tuple[str, ...], float](), 0.0
    for family in PrometheusMetrics(figures).registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                values[sample.name, sample.labels["le"]] = sample.value - below
                below = sample.value
            else:
                values[sample.name, *sample.labels.values()] = sample.value
    return values


def otlp_values(message: ExportMetricsServiceRequest) -> dict[tuple[str, ...], float]:
    """Return the same values of a message, with the names that Prometheus' translation rules give them."""
    values: dict[tuple[str, ...], float] = {}
    [scope] = message.resource_metrics[0].scope_metrics
    for metric in scope.metrics:
        name = metric.name.replace(".", "_") + {"s": "_seconds"}.get(metric.unit, "")
        if metric.HasField("histogram"):
            [point] = metric.histogram.data_points
            limits = [*map(str, map(float, point.explicit_bounds)), "+Inf"]
            values |= {(f"{name}_bucket", limit): n for limit, n in zip(limits, point.bucket_counts, strict=True)}
            values |= {(f"{name}_count",): point.count, (f"{name}_sum",): point.sum}
            continue
        for point in metric.sum.data_points:
            labels = [attribute.value.string_value for attribute in point.attributes]
            values[name + "_total" * metric.sum.is_monotonic, *labels] = point.as_int or point.as_double
    return values


def test_an_http_receiver_gets_the_prometheus_figures(tmp_path: Path) -> None:
    write_log(tmp_path / "app.log")
    watch = watch_of(tmp_path / "app.log")
    with receiver() as got:
        sender = OtlpReceiver(f"{got.url}/base/")
        queue = DeliveryQueue(sender.logs, pytest.fail, Redactor([Secret("zoe_1")]))
        figures = Figures(watch, [queue])
        metrics = sender.metrics(figures, pytest.fail)
        watch.listeners += [queue, figures, metrics]
        watch.poll(final=True)
        queue.close(20.0)
        metrics.close(20.0)
        assert metrics.gaps() == []
    *logs, (path, _, final) = got.requests
    assert path == "/base/v1/metrics" and {each[0] for each in logs} == {"/base/v1/logs"}
    values = otlp_values(final)
    assert values == prometheus_values(figures)
    assert values["wscheck_replaced_sockets_total",] == 1
    assert values["wscheck_findings_total", "connection-replaced", "error"] == 1
    assert values["wscheck_notifications_total", "delivered"] == len(logs) > 0
    assert values["wscheck_connection_duration_seconds_sum",] == 3 + 396
    records = [record for *_, each in logs for record in each.resource_logs[0].scope_logs[0].log_records]
    first = next(each for each in records if "connection-replaced" in each.body.string_value)
    assert (first.event_name, first.time_unix_nano, first.severity_text) == ("wscheck.incident", (T + 3) * 1e9, "error")
    assert "zoe_1" not in str(got.requests), "secrets are replaced"
    assert {each.key for each in final.resource_metrics[0].resource.attributes} >= {"service.name", "service.version"}
    assert logs[0][2].resource_logs[0].resource == final.resource_metrics[0].resource


def test_the_memory_of_the_sdk_gets_each_change_and_metric(tmp_path: Path) -> None:
    write_log(tmp_path / "app.log")
    watch, exporter, reader = watch_of(tmp_path / "app.log"), EXPORTER(), InMemoryMetricReader()
    queue = DeliveryQueue(OtlpLogs(exporter, resource()), pytest.fail, Redactor())
    figures = Figures(watch, [queue])
    metrics, changes = OtlpMetrics(figures, reader, resource()), list[tuple[str, str]]()
    spy: Any = SimpleNamespace(
        on_event=lambda *_: None,
        on_poll_end=lambda _: False,
        on_incident=lambda each: changes.append((str(each.state), each.rule)),
    )
    watch.listeners += [queue, figures, metrics, spy]
    watch.poll(final=True)
    queue.close(20.0)
    attributes: list[Any] = [each.log_record.attributes for each in exporter.get_finished_logs()]
    assert [(each["wscheck.state"], each["wscheck.rule"]) for each in attributes] == changes != []
    data: Any = reader.get_metrics_data()
    found = {each.name: each for each in data.resource_metrics[0].scope_metrics[0].metrics}
    assert set(found) == {metric.otlp for metric in METRICS}
    for metric in METRICS:
        if metric.kind in (COUNTER, GAUGE):
            points = {
                tuple(p.attributes[n] for n in metric.labels): p.value for p in found[metric.otlp].data.data_points
            }
            assert points == dict(figures.values(metric)), metric.name


def test_each_rule_of_logs_has_its_series_from_the_start() -> None:
    values = prometheus_values(Figures(LogWatch([], RuleOptions())))
    for rule in OF_LOGS:
        assert (
            values["wscheck_open_incidents", rule.id] == values["wscheck_findings_total", rule.id, rule.severity] == 0
        )


def test_incidents_of_an_earlier_run_are_open_until_they_resolve() -> None:
    watch = LogWatch([], RuleOptions())
    watch.restore([], [INCIDENT])
    figures = Figures(watch)
    assert prometheus_values(figures)["wscheck_open_incidents", INCIDENT.rule] == 1
    figures.on_incident(msgspec.structs.replace(INCIDENT, state=IncidentState.RESOLVED))
    assert prometheus_values(figures)["wscheck_open_incidents", INCIDENT.rule] == 0


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.11, 86400.0, 1e9])
def test_durations_are_counted_in_the_bucket_with_the_next_limit(seconds: float) -> None:
    figures = Figures(LogWatch([], RuleOptions()))
    figures._observe_duration(SimpleNamespace(at=T), T + seconds)  # type: ignore[arg-type]
    [limit] = [name[1] for name, value in prometheus_values(figures).items() if name[0].endswith("_bucket") and value]
    lower = max((each for each in DURATIONS_S if each < float(limit)), default=-1.0)
    assert lower < round(seconds, 3) <= float(limit)


FULL = msgspec.structs.replace(
    INCIDENT,
    rate=4.5,
    cause=Cause(
        id="second-component",
        name="two components",
        confidence=Confidence.MEDIUM,
        fix="Share it.",
        because="two openers",
    ),
    evidence=[Disconnected(at=T, source="server-log", path="a.log", line=7, sid="s", reason="x")],
)


@pytest.mark.parametrize(
    ("state", "severity", "number"),
    [
        (IncidentState.OPENED, Severity.ERROR, 17),
        (IncidentState.GREW, Severity.WARNING, 13),
        (IncidentState.OPENED, Severity.NOTE, 9),
        (IncidentState.RESOLVED, Severity.ERROR, 9),
    ],
)
def test_the_severity_of_a_record_is_that_of_its_incident_until_it_resolves(
    state: IncidentState, severity: Severity, number: int
) -> None:
    record: Any = log_record(msgspec.structs.replace(FULL, state=state, severity=severity, resolved_at=T + 60))
    at = T + 60 if state is IncidentState.RESOLVED else T + 2
    assert (record.severity_number.value, record.timestamp) == (number, at * 1e9)
    assert record.attributes["wscheck.severity"] == severity
    assert (record.attributes["log.file.path"], record.attributes["wscheck.line"]) == ("a.log", 7)


def test_the_documented_names_are_those_sent() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (\w+) \|(.*)\|$", DOCUMENT, re.M)
    attributes = {name: kind for name, kind, _ in rows if kind in ("string", "int", "double")}
    record: Any = log_record(FULL)
    kinds = {str: "string", int: "int", float: "double"}
    assert {name: kinds[type(value)] for name, value in record.attributes.items()} == attributes
    metrics = {name: (kind, *re.findall(r"`([^`]+)`", rest)) for name, kind, rest in rows if kind[0].isupper()}
    documented = {COUNTER: "Counter", GAUGE: "UpDownCounter"}
    assert metrics == {m.otlp: (documented.get(m.kind, "Histogram"), m.unit, *m.labels) for m in METRICS}


@pytest.mark.parametrize(("status", "repeated"), [(503, True), (404, False), (302, False)])
def test_failures_name_the_status_and_nothing_of_the_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: int, repeated: bool
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    notes = list[str]()
    with receiver(status) as got:
        sender = OtlpReceiver(got.url)
        with pytest.raises(DeliveryFailed, match=f"^the receiver answered {status}$") as failed:
            sender.logs.deliver(sender.logs.compose(INCIDENT))
        metrics = sender.metrics(Figures(LogWatch([], RuleOptions())), notes.append)
        metrics.close(20.0)
        metrics.on_poll_end(None)
        metrics.on_poll_end(None)
    assert failed.value.retry is repeated
    assert [gap.reason for gap in metrics.gaps()] == [f"OTLP metrics: the final values: the receiver answered {status}"]
    assert notes == [f"OTLP metrics: the receiver answered {status}; the next ones contain the missing values."]
    assert {path for path, *_ in got.requests} == {"/v1/logs", "/v1/metrics"}
    assert SECRET not in "".join(capfd.readouterr())


def test_a_receiver_that_never_answers_ends_neither_reading_nor_the_end(tmp_path: Path) -> None:
    write_log(tmp_path / "app.log")
    watch, notes = watch_of(tmp_path / "app.log"), list[str]()
    with receiver(delay=60.0) as got:
        sender = OtlpReceiver(got.url)
        queue = DeliveryQueue(sender.logs, notes.append, Redactor())
        figures = Figures(watch, [queue])
        metrics = sender.metrics(figures, notes.append)
        watch.listeners += [queue, figures, metrics]
        started_at = time.monotonic()
        watch.poll(final=True)
        queue.close(0.1)
        metrics.close(0.1)
        assert time.monotonic() - started_at < 8.0, "the timeout of a request is 10 s"
        assert queue.delivered == 0 < queue.dropped
        assert dict(figures.values(METRICS[-2]))["dropped",] == queue.dropped
        assert [gap.reason for gap in metrics.gaps()] == ["OTLP metrics: the final values: no answer in time"]
        assert notes == [f"OTLP logs: {queue.dropped} messages were not delivered in time."]


def test_the_command_sends_and_reports_what_was_not_received(tmp_path: Path) -> None:
    write_log(tmp_path / "app.log")
    with receiver() as got:
        ran = wscheck(
            "tail-logs",
            *("--no-follow", "app.log", "--otlp", "env"),
            cwd=tmp_path,
            OTEL_EXPORTER_OTLP_ENDPOINT=got.url,
            OTEL_EXPORTER_OTLP_HEADERS=f"api-key={SECRET}",
            OTEL_SERVICE_NAME="backend-watch",
        )
    assert ran.code == 1 and SECRET not in ran.said
    assert [path for path, *_ in got.requests][-1] == "/v1/metrics"
    assert {headers["api-key"] for _, headers, _ in got.requests} == {SECRET}
    assert 'string_value: "backend-watch"' in str(got.requests[0][2])
    with receiver(404) as got:
        ran = wscheck("tail-logs", "--no-follow", "app.log", "--format", "json", "--otlp", got.url, cwd=tmp_path)
    assert SECRET not in ran.said and "Failed to export" not in ran.err
    assert [gap["reason"] for gap in json.loads(ran.out)["gaps"] if "OTLP" in gap["reason"]] == [
        "OTLP logs: 3 of 3 messages dropped",
        "OTLP metrics: the final values: the receiver answered 404",
    ]


def test_a_receiver_that_does_not_listen_is_named_by_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        sender = OtlpReceiver(f"http://u:{SECRET}@127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(DeliveryFailed, match=r"^the receiver cannot be reached: connection refused$") as failed:
            sender.logs.deliver(sender.logs.compose(INCIDENT))
    assert failed.value.retry


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "127.0.0.1:4318", "http://127.0.0.1:0", "environment"])
def test_other_receivers_are_refused_without_repeating_them(url: str) -> None:
    ran = wscheck("tail-logs", "app.log", "--otlp", url)
    assert ran.code == 2
    assert "--otlp: this is not the URL of a receiver: write http://127.0.0.1:4318, or env" in ran.err
    assert url not in ran.err.replace("http://127.0.0.1:4318", "")


def test_a_variable_with_a_wrong_value_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "0")
    with pytest.raises(UsageError, match="has a wrong value"):
        OtlpReceiver("env")


def test_another_protocol_in_the_environment_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(UsageError, match="OTEL_EXPORTER_OTLP_PROTOCOL is not http/protobuf"):
        OtlpReceiver("env")
    assert OtlpReceiver("http://127.0.0.1:9").logs.name == "OTLP logs", "a URL names the receiver's HTTP port"


def test_the_environment_can_disable_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    notes = list[str]()
    assert _otlp_receiver("env", notes.append) is None
    assert notes == ["OTEL_SDK_DISABLED is set: nothing is sent over OTLP."]


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wscheck.notify.otlp", None)
    with pytest.raises(UsageError, match=r"pip install 'wscheck-cli\[otel\]'") as missing:
        _otlp_receiver("env", pytest.fail)
    assert missing.value.exit_code == 2


def test_urls_get_the_path_of_each_signal() -> None:
    assert otlp._path("https://otlp.example.org/api/?key=1", "logs") == "https://otlp.example.org/api/v1/logs?key=1"
