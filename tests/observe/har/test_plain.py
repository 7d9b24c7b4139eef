"""WebSockets and streams of server-sent events in HAR files."""

import json
from pathlib import Path
from typing import Any

import pytest

from wscheck.detect.rules import RuleOptions
from wscheck.model.events import Event
from wscheck.model.findings import Bar, Verdict
from wscheck.model.report import BrowserReport
from wscheck.observe.har import read_har_files
from wscheck.run.har.run import HarPlan, run_har
from wscheck.run.page_report import evaluate_pages

START = 1_795_449_939.0
STREAM = {"content": {"mimeType": "text/event-stream"}}
BEGAN = "2026-11-23T16:05:39.000Z"


def entry(url: str, kind: str, status: int, duration_s: float = 0.005, **more: Any) -> dict[str, Any]:
    return {
        "startedDateTime": BEGAN,
        "time": duration_s * 1000,
        "request": {"method": "GET", "url": url, "headers": [], **more.pop("request", {})},
        "response": {"status": status, "headers": [], "content": {}, "httpVersion": "http/1.1"}
        | more.pop("answer", {}),
        "_resourceType": kind,
        **more,
    }


def websocket(url: str, *frames: tuple[str, str], **more: Any) -> dict[str, Any]:
    messages = [
        {"type": kind, "time": START + number, "opcode": 1, "data": data}
        for number, (kind, data) in enumerate(frames, 1)
    ]
    return entry(url, "websocket", 101, _webSocketMessages=messages, **more)


def stream(url: str, *events: str, **more: Any) -> dict[str, Any]:
    messages = [
        {"time": START + number, "eventName": name, "eventId": "", "data": '{"x":1}'}
        for number, name in enumerate(events, 1)
    ]
    return entry(url, "eventsource", 200, _eventSourceMessages=messages, **more)


def report(tmp_path: Path, *entries: dict[str, Any]) -> tuple[list[Event], BrowserReport]:
    path = tmp_path / "page.har"
    page = entry("http://h/", "document", 200)
    log = {"version": "1.2", "creator": {"name": "WebInspector"}, "entries": [page, *entries]}
    path.write_text(json.dumps({"log": log}))
    contents = read_har_files([path])
    told = evaluate_pages(contents.events, RuleOptions(), Bar(), target="page", notes=contents.notes)
    return contents.events, told


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_websocket_has_its_messages_in_both_directions(tmp_path: Path) -> None:
    one = websocket("ws://h/live", ("send", '{"userId":"ann"}'), ("receive", '{"type":"moved"}'))
    events, told = report(tmp_path, one)
    assert names(events) == ["Connecting", "Connected", "Emitted", "Delivered", "PhaseEnded"]
    assert told.verdict is Verdict.PASSED
    assert [(each.endpoint, each.user, each.protocol) for each in told.connections] == [
        ("http://h/live", "ann", "WebSocket")
    ]


def test_two_websockets_to_one_endpoint_are_a_fault(tmp_path: Path) -> None:
    frames = [("receive", '{"type":"moved"}')] * 2
    _, told = report(tmp_path, websocket("ws://h/live", *frames), websocket("ws://h/live", *frames))
    assert told.verdict is Verdict.FAILED and len(told.connections) == 2


def test_a_stream_has_the_events_that_event_source_received(tmp_path: Path) -> None:
    events, told = report(tmp_path, stream("http://h/stream", "moved", "left"))
    assert names(events) == ["Connecting", "Connected", "Delivered", "Delivered", "PhaseEnded"]
    assert told.events.keys() == {"moved", "left"} and told.verdict is Verdict.PASSED
    assert [each.protocol for each in told.connections] == ["server-sent events"]


def test_two_streams_to_one_endpoint_are_a_fault(tmp_path: Path) -> None:
    one = stream("http://h/stream", "moved", "left")
    fetched = entry("http://h/stream", "fetch", 200, 0.0, answer=STREAM)
    _, told = report(tmp_path, one, fetched)
    assert told.verdict is Verdict.FAILED and len(told.connections) == 2


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"duration_s": 9.0}, ["Disconnected"]),
        ({"duration_s": 9.0, "answer": {"_error": "net::ERR_ABORTED"}}, ["Disconnected"]),
        ({"duration_s": 0.0}, []),
    ],
)
def test_a_stream_ends_if_it_lasted_longer_than_its_last_event(
    tmp_path: Path, more: dict[str, Any], expected: list[str]
) -> None:
    events, _ = report(tmp_path, stream("http://h/stream", "moved", **more))
    assert names(events)[:-1] == ["Connecting", "Connected", "Delivered", *expected]


def test_refused_connections_are_attempts(tmp_path: Path) -> None:
    events, told = report(
        tmp_path, entry("ws://h/live", "websocket", 403), entry("http://h/stream", "eventsource", 404)
    )
    assert sorted(names(events)) == ["Connecting", "Connecting", "PhaseEnded", "Refused", "Refused"]
    assert told.verdict is Verdict.INCONCLUSIVE


def test_other_requests_are_no_streams(tmp_path: Path) -> None:
    asked = entry(
        "http://h/ask", "fetch", 200, request={"method": "POST"}, answer={"content": {"mimeType": "text/event-stream"}}
    )
    _, told = report(tmp_path, asked, entry("http://h/api", "fetch", 200))
    assert told.connections == [] and told.verdict is Verdict.INCONCLUSIVE


class Ended(Exception):
    pass


@pytest.mark.parametrize("what", ["messages", "events"])
def test_the_reading_and_the_evaluation_of_a_long_file_can_be_ended(tmp_path: Path, what: str) -> None:
    frames = [("send", f'{{"type":"t{number}"}}') for number in range(1000)]
    report(tmp_path, websocket("ws://h/live", *frames))
    told = list[str]()

    def progress(text: str, done: int, total: int) -> None:
        told.append(text)
        if done and text.endswith(what):
            raise Ended

    with pytest.raises(Ended):
        run_har(HarPlan(files=(tmp_path / "page.har",)), progress)
    assert len(told) < 30
