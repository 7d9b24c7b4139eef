"""Streams of server-sent events in a browser: their requests, answers, data and openers."""

import asyncio
import base64
import json
import time
from typing import Any

import pytest

from wscheck.model.events import Connected, Disconnected, Event, Refused
from wscheck.observe.browser.devtools import DevToolsConnection
from wscheck.observe.browser.network import NetworkFeed
from wscheck.observe.browser.page_calls import BINDING, PageCalls
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import Initiator
from wscheck.observe.traffic.demux import TrafficDemux

URL = "http://h/stream"
PAGE = Initiator("target", "tab 1", "page http://h/")


class Browser:
    """DevTools events of one page."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, buffered: str = "") -> None:
        self.traffic = TrafficDemux(source="browser")
        scripts = PageScripts(self.traffic.urls)
        scripts.on_script_parsed("S", {"scriptId": "7", "url": "http://h/app.js"})
        self.openers = PageCalls(scripts)
        devtools = DevToolsConnection("ws://unused", lambda *_: None)
        self.commands: list[str] = []
        monkeypatch.setattr(devtools, "send", lambda method, params, session: self._answer(method, buffered))
        self.network = NetworkFeed(devtools, self.traffic, lambda _: None, self.openers)
        self.at = time.time() - 100

    def _answer(self, method: str, buffered: str) -> "asyncio.Future[dict[str, Any]]":
        self.commands.append(method)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        answer.set_result({"bufferedData": base64.b64encode(buffered.encode()).decode()})
        return answer

    def event(self, method: str, key: str = "1", **params: Any) -> None:
        self.at += 0.01
        timed = {"requestId": key, "timestamp": self.at, "wallTime": self.at, **params}
        self.network.feed(f"Network.{method}", timed, "S", PAGE)

    def request(self, key: str = "1", kind: str = "EventSource", method: str = "GET", **headers: str) -> None:
        self.event("requestWillBeSent", key, type=kind, request={"url": URL, "method": method, "headers": headers})

    def answer(
        self, key: str = "1", kind: str = "EventSource", status: int = 200, media: str = "text/event-stream"
    ) -> None:
        response = {"url": URL, "status": status, "mimeType": media, "headers": {}, "protocol": "http/1.1"}
        self.event("responseReceived", key, type=kind, response=response)

    def create(self, line: int) -> None:
        stack = f"Error\n    at Object.construct (<anonymous>:1:1)\n    at board (http://h/app.js:{line}:18)"
        self.openers.on_binding_called("S", {"name": BINDING, "payload": json.dumps([URL, stack])})

    async def events(self) -> list[Event]:
        await self.network.drain()
        self.network.close()
        return self.traffic.events()


def names(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_an_event_source_from_request_to_close(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(monkeypatch)
    browser.request()
    browser.answer()
    browser.event("eventSourceMessageReceived", eventName="moved", eventId="", data='{"x":1}')
    browser.event("loadingFailed", canceled=True, errorText="net::ERR_ABORTED")
    events = await browser.events()
    assert names(events) == ["Connecting", "Connected", "Delivered", "Disconnected"]
    assert isinstance(events[1], Connected) and events[1].http == "http/1.1"
    assert browser.commands == [], "EventSource reports its events without a command"


@pytest.mark.parametrize("is_announced", [False, True])
async def test_a_stream_of_fetch_is_read_in_parts(monkeypatch: pytest.MonkeyPatch, is_announced: bool) -> None:
    browser = Browser(monkeypatch, buffered="event: moved\nda")
    browser.request(kind="Fetch", **({"accept": "text/event-stream"} if is_announced else {}))
    browser.answer(kind="Fetch")
    browser.event("dataReceived", data=base64.b64encode(b"ta: 1\n\n").decode())
    browser.event("loadingFinished")
    assert names(await browser.events()) == ["Connecting", "Connected", "Delivered", "Disconnected"]
    assert browser.commands == ["Network.streamResourceContent"]


async def test_other_requests_and_answers_to_questions_are_no_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    browser = Browser(monkeypatch)
    browser.request("1", kind="Fetch")
    browser.answer("1", kind="Fetch", media="application/json")
    browser.request("2", kind="Fetch", method="POST")
    browser.answer("2", kind="Fetch")
    browser.event("loadingFinished", "1")
    assert await browser.events() == []


@pytest.mark.parametrize(
    ("status", "media", "message"),
    [(404, "text/html", "HTTP 404"), (200, "text/html", "its media type is text/html"), (401, "", "HTTP 401")],
)
async def test_another_answer_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, status: int, media: str, message: str
) -> None:
    browser = Browser(monkeypatch)
    browser.request()
    browser.answer(status=status, media=media)
    browser.event("loadingFinished")
    events = await browser.events()
    assert names(events) == ["Connecting", "Refused"]
    assert isinstance(events[1], Refused) and message in str(events[1].message)


async def test_each_event_source_has_its_own_opener_and_a_reconnection_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    browser = Browser(monkeypatch)
    browser.create(3)
    browser.create(8)
    for key in ("1", "2", "3"):
        browser.request(key)
    await browser.events()
    stacks = [session.initiator.raw_stack for session in browser.traffic.sessions]
    lines = [stack.stack["callFrames"][0]["lineNumber"] if stack is not None else None for stack in stacks]
    assert lines == [2, 7, None]


@pytest.mark.parametrize("payload", ["", "7", "[1, 2]", '["a"]', '{"a": 1}', '["u", null]'])
def test_a_page_may_call_the_binding_with_anything(monkeypatch: pytest.MonkeyPatch, payload: str) -> None:
    openers = PageCalls(PageScripts(TrafficDemux(source="browser").urls))
    openers.on_binding_called("S", {"name": BINDING, "payload": payload})
    assert openers.take_opener("S", URL) is None


def test_a_close_of_the_page_is_reported_once() -> None:
    calls = PageCalls(PageScripts(TrafficDemux(source="browser").urls))
    for _ in range(2):
        calls.on_binding_called("S", {"name": BINDING, "payload": json.dumps(["ws://h/live"])})
    calls.on_binding_called("S", {"name": "other", "payload": json.dumps(["ws://h/live"])})
    assert [calls.take_close("S", "ws://h/live") for _ in range(3)] == [True, True, False]
    assert not calls.take_close("S", "ws://h/other") and not calls.take_close("T", "ws://h/live")


@pytest.mark.parametrize(
    ("target", "is_called", "reason"),
    [
        ("page http://h/", True, "io client disconnect"),
        ("page http://h/", False, "transport close"),
        ("shared_worker http://h/w.js", False, "closed by either side"),
    ],
)
async def test_it_is_known_who_closed_a_websocket_of_a_page(
    monkeypatch: pytest.MonkeyPatch, target: str, is_called: bool, reason: str
) -> None:
    browser = Browser(monkeypatch)
    initiator = Initiator("target", "tab 1", target)

    def event(what: str, **params: Any) -> None:
        browser.at += 0.01
        timed = {"requestId": "1", "timestamp": browser.at, "wallTime": browser.at, **params}
        browser.network.feed(f"Network.webSocket{what}", timed, "S", initiator)

    event("Created", url="ws://h/live")
    event("HandshakeResponseReceived", response={"status": 101, "headers": {}})
    if is_called:
        browser.openers.on_binding_called("S", {"name": BINDING, "payload": json.dumps(["ws://h/live"])})
    event("Closed")
    events = await browser.events()
    assert [each.reason for each in events if isinstance(each, Disconnected)] == [reason]
