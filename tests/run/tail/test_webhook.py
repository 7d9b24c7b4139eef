"""The webhook: one message per change of an incident, repeated after failures, without delaying reading."""

import json
import socket
import time
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import jsonschema
import pytest

from tests.cli import wscheck
from tests.run.tail.process import LoggingServer, TailProcess, wait_until
from tests.run.tail.receiver import start_receiver
from tests.run.tail.test_incident_text import INCIDENT
from wscheck.detect.rules.connection_replaced import ConnectionReplaced
from wscheck.model.secrets import Redactor
from wscheck.notify import delivery
from wscheck.notify.delivery import DeliveryFailed, DeliveryQueue, WebhookTarget, _retry_after

SCHEMA = Path(__file__).parents[3] / "docs" / "schemas" / "wscheck.incident-1.json"
SECRET = "T0PSECRET"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoggingServer]:
    yield LoggingServer(tmp_path / "app.log")


def tail(server: LoggingServer, *options: str) -> TailProcess:
    return TailProcess(
        "app.log", "--format", "ndjson", "--quiet-after", "400ms", *options, directory=server.path.parent
    )


def loop(server: LoggingServer, times: int, user: str = "ada") -> None:
    sid = server.connect(user)
    for _ in range(times):
        sid = server.replace(user, sid)


def test_each_change_of_an_incident_is_one_message(server: LoggingServer) -> None:
    with (
        start_receiver() as received,
        tail(server, "--webhook", f"{received.url}/{SECRET}", "--max-attempts", "99/1s") as it,
    ):
        loop(server, 12)
        bodies = wait_until(lambda: len(received.posts) >= 3 and received.bodies)
        assert it.end() == 1
        assert SECRET not in it.err + it.out
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for body in bodies:
        validator.validate(body)
    assert [(b["state"], b["rule"], b["user"], b["count"]) for b in bodies] == [
        ("opened", "connection-replaced", "ada", 1),
        ("grew", "connection-replaced", "ada", 10),
        ("resolved", "connection-replaced", "ada", 12),
    ]
    assert {post[1] for post in received.posts} == {f"/{SECRET}"}
    assert received.posts[0][2]["Content-Type"] == "application/json"


def test_slack_text_escapes_markup_from_the_log(server: LoggingServer) -> None:
    with start_receiver() as received, tail(server, "--webhook", received.url, "--webhook-format", "slack") as it:
        loop(server, 1, user="<!channel> & co")
        [body] = wait_until(lambda: received.bodies)
        it.end()
    assert set(body) == {"text"}
    assert body["text"].startswith(":red_circle: *wscheck* opened connection-replaced &lt;!channel&gt; &amp; co: ")
    assert body["text"].endswith(f"\n_Fix_: {ConnectionReplaced.fix}")


def test_failures_are_retried_with_growing_pauses(server: LoggingServer) -> None:
    with start_receiver(lambda n: 503 if n < 2 else 200) as received, tail(server, "--webhook", received.url) as it:
        loop(server, 1)
        wait_until(lambda: len(received.posts) >= 3)
        it.end()
        assert it.err == ""
    first, second, third = (at for at, *_ in received.posts[:3])
    assert received.bodies[0] == received.bodies[1] == received.bodies[2]
    assert second - first >= 0.25
    assert third - second >= 0.5


@pytest.mark.parametrize("status", [404, 302])
def test_permanent_failures_are_not_retried(server: LoggingServer, status: int) -> None:
    with start_receiver(lambda _: status) as received, tail(server, "--webhook", received.url) as it:
        loop(server, 1)
        text = wait_until(lambda: it.err)
        it.end()
    assert f"the receiver answered {status}" in text
    assert [path for _, path, *_ in received.posts] == ["/"]


def test_a_slow_receiver_does_not_delay_reading(server: LoggingServer) -> None:
    with start_receiver(delay=60.0) as received, tail(server, "--webhook", received.url) as it:
        loop(server, 1)
        wait_until(lambda: received.posts)
        for n in range(50):
            loop(server, 1, user=f"user {n}")
        started_at = time.monotonic()
        wait_until(lambda: len(it.connected) == len(server.sids))
        assert time.monotonic() - started_at < 30.0
        assert len(received.posts) == 1


@pytest.mark.parametrize(("text", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), (None, 0.0)])
def test_retry_after_is_honoured(text: str | None, seconds: float) -> None:
    headers = Message()
    if text is not None:
        headers["Retry-After"] = text
    assert _retry_after(HTTPError("http://127.0.0.1", 503, "busy", headers, None)) == seconds


def test_an_unreachable_receiver_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 60.0)
    notes = list[str]()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        target = WebhookTarget(f"http://127.0.0.1:{nobody.getsockname()[1]}/{SECRET}", "json")
        queue = DeliveryQueue(target, notes.append, Redactor())
        queue.on_incident(INCIDENT)
        queue.close(20.0)
    [note] = notes
    assert note.startswith("webhook 127.0.0.1: a message was dropped: the receiver cannot be reached: ")
    assert SECRET not in note


@pytest.mark.parametrize(("asked", "most"), [(0.0, 6), (60.0, 1)])
def test_the_end_of_a_run_does_not_flood_a_failing_receiver(
    monkeypatch: pytest.MonkeyPatch, asked: float, most: int
) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE_S", 0.2)
    attempts, notes = list[bytes](), list[str]()

    def deliver(message: bytes) -> None:
        attempts.append(message)
        raise DeliveryFailed("it is down", pause_s=asked)

    target: Any = SimpleNamespace(name="down", compose=lambda _: b"", abort=lambda: None, deliver=deliver)
    queue = DeliveryQueue(target, notes.append, Redactor())
    for _ in range(50):
        queue.on_incident(INCIDENT)
    wait_until(lambda: attempts)
    queue.close(0.3)
    assert (queue.delivered, queue.dropped) == (0, 50)
    assert len(attempts) <= most
    assert notes[0].startswith("down: a message was dropped: it is down (attempt ")
    assert notes[1] == "down: 49 messages were not delivered in time."


def test_the_url_from_the_environment_is_never_shown(tmp_path: Path) -> None:
    ran = wscheck("tail-logs", "app.log", cwd=tmp_path, WSCHECK_WEBHOOK=f"ftp://{SECRET}")
    assert ran.code == 2
    assert "WSCHECK_WEBHOOK: this is not an http or https URL" in ran.err
    assert SECRET not in ran.said
