"""Clients of the metrics that never send or read, webhook addresses in odd forms, and programs without end."""

import base64
import os
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.run.tail.process import LoggingServer, wait_until
from tests.run.tail.receiver import start_receiver
from tests.run.tail.test_command import is_running
from tests.run.tail.test_incident_text import INCIDENT
from tests.run.tail.test_metrics import get
from wscheck.detect.engine import RuleOptions
from wscheck.model.errors import UsageError
from wscheck.model.secrets import Redactor
from wscheck.notify import delivery, metrics
from wscheck.notify.delivery import CommandTarget, DeliveryQueue, WebhookTarget
from wscheck.notify.figures import Figures
from wscheck.report import formats
from wscheck.run.tail.setup import TailRequest, _attach_recording
from wscheck.run.tail.watch import LogWatch


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(metrics, "CLIENT_S", 0.5)
    server = metrics.serve(metrics.PrometheusMetrics(Figures(LogWatch([], RuleOptions()))), "127.0.0.1:0")
    yield server
    server.shutdown()
    server.server_close()


def test_clients_that_never_send_end_in_time_and_do_not_exclude_others(served: Any) -> None:
    before = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", served.server_port)) for _ in range(60)]
    idle[0].sendall(b"GET /metrics HTTP/1.1\r\nHost: ")
    assert "wscheck_connections" in get(f"http://127.0.0.1:{served.server_port}/metrics")
    assert threading.active_count() - before <= metrics.MAX_CLIENTS + 5
    for client in idle:
        client.settimeout(20)
        assert client.recv(1) == b""  # the server ended the connection
        client.close()
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.parametrize(
    ("address", "path", "authorization"),
    [
        ("{}/ü x?q=ä&b=%20", "/%C3%BC%20x?q=%C3%A4&b=%20", None),
        (" {}/a[1]|b ", "/a%5B1%5D%7Cb", None),
        ("{ada:pä%40ss}/hook", "/hook", "ada:pä@ss"),
    ],
)
def test_an_odd_webhook_address_works(address: str, path: str, authorization: str | None) -> None:
    with start_receiver() as received:
        host = received.url.removeprefix("http://")
        url = address.replace("{ada:pä%40ss}", f"http://ada:pä%40ss@{host}").replace("{}", received.url)
        target = WebhookTarget(url, "json")
        target.deliver(b"{}")
        [(_, asked, headers, _)] = received.posts
    assert asked == path and "ada" not in target.name
    expected = None if authorization is None else f"Basic {base64.b64encode(authorization.encode()).decode()}"
    assert headers.get("Authorization") == expected


@pytest.mark.parametrize(
    "url",
    [
        *(
            "https://",
            "https:///hook",
            "ftp://h/S3CRET",
            "http://h:0/S3CRET",
            "http://h:99999/S3CRET",
            "http://h:x/S3CRET",
        ),
        *("http://a b/S3CRET", "http://[::1/S3CRET", "http://" + "a" * 70 + ".example/S3CRET", "http://h\x00/S3CRET"),
        *("S3CRET", "http://..h/S3CRET", "http://u:S3CRET@:80/"),
    ],
)
def test_an_impossible_webhook_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UsageError, match="not an http or https URL") as refused:
        WebhookTarget(url, "json")
    assert "S3CRET" not in str(refused.value) and refused.value.__suppress_context__


def test_a_defect_in_a_receiver_does_not_stop_the_sender() -> None:
    messages = iter([KeyError("x"), UnicodeError("y"), RecursionError(), None])

    def deliver(message: bytes) -> None:
        if (error := next(messages)) is not None:
            raise error

    target: Any = SimpleNamespace(name="odd", compose=lambda incident: b"", abort=lambda: None, deliver=deliver)
    queue = DeliveryQueue(target, lambda note: None, Redactor())
    for _ in range(4):
        queue.on_incident(INCIDENT)
    queue.close()
    assert (queue.delivered, queue.dropped, queue.total) == (1, 3, 4)


def test_dropped_messages_are_a_gap_and_a_metric(tmp_path: Path) -> None:
    from tests.run.tail.process import run_for_report

    LoggingServer(tmp_path / "app.log").replace("ada", "s0", 1_795_000_000.0)
    report = run_for_report("app.log", "--exec", "false", directory=tmp_path)
    assert [gap["reason"] for gap in report["gaps"] if "dropped" in gap["reason"]] == [
        "command false: 1 of 1 message dropped"
    ]
    figures = Figures(LogWatch([], RuleOptions()), [SimpleNamespace(delivered=2, dropped=3)])
    value = metrics.PrometheusMetrics(figures).registry.get_sample_value
    assert value("wscheck_notifications_total", {"result": "dropped"}) == 3
    assert value("wscheck_notifications_total", {"result": "delivered"}) == 2


def test_the_output_of_a_program_is_limited(capfd: pytest.CaptureFixture[str]) -> None:
    CommandTarget("sh -c 'head -c 3000000 /dev/zero | tr \"\\0\" x'").deliver(b"{}")
    shown = capfd.readouterr().err
    assert shown.count("x") <= delivery.MAX_OUTPUT_BYTES + 10 and "further output is not shown" in shown


@pytest.mark.parametrize("start", ["sleep 60 &", "setsid sleep 60 &", 'setsid sh -c "sleep 60" &'])
def test_the_children_of_a_program_end_with_it(start: str, tmp_path: Path) -> None:
    started = time.monotonic()
    CommandTarget(f"sh -c '{start} echo $! > {tmp_path}/child'").deliver(b"{}" * 500_000)
    assert time.monotonic() - started < 30
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not is_running(child))


def test_a_recording_to_a_pipe_without_a_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_WAIT_FOR_READER_S", 0.0)
    os.mkfifo(tmp_path / "pipe")
    request, watch = cast(TailRequest, None), LogWatch([], RuleOptions())
    with pytest.raises(UsageError, match="nobody reads"), ExitStack() as stack:
        _attach_recording(request, tmp_path / "pipe", watch, None, stack)
