"""The code that asked for a subscription is found by the call of `send()`, across awaits and timers."""

import base64
import shutil
import subprocess
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.events import CodeLocation, Subscribed
from wscheck.observe.browser.devtools import CONSOLE_MARK, DevToolsConnection, _is_of_page
from wscheck.observe.browser.network import NetworkFeed
from wscheck.observe.browser.opener import DevToolsStack
from wscheck.observe.browser.page_calls import WRAPPER, PageCalls, sent_hash
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import ConnectionOrigin, Initiator, TrafficDemux, TrafficSession

URL = "ws://h/app/key?protocol=7"
TEXT = '{"event":"pusher:subscribe","data":{"channel":"yard"}}'


SUBSCRIBE = b"\x82\x12\x00\x01\x00\x0dyard/northern\x00"
"""MQTT packet that subscribes to a topic."""

INVOKE_STREAM = b"\x13\x96\x04\x80\xa10\xa5Ticks\x91\xa5north\x90"
"""SignalR message in MessagePack that starts a stream."""


def message(text: str | bytes, *frames: str, mark: str = CONSOLE_MARK, url: str = URL) -> dict[str, Any]:
    values = (mark, url, sent_hash(text))
    stack = {"callFrames": [{"functionName": name} for name in ("apply", *frames)]}
    return {"type": "debug", "args": [{"value": value} for value in values], "stackTrace": stack}


def calls() -> PageCalls:
    return PageCalls(PageScripts(TrafficDemux(source="browser").urls))


def test_a_frame_gets_the_stack_of_its_call_without_the_script_of_wscheck() -> None:
    page = calls()
    for name in ("first", "second"):
        page.on_console_message("session", message(TEXT, name))
    names = []
    for _ in range(3):
        stack = page.take_sender("session", URL, TEXT)
        names.append(stack.stack["callFrames"][0]["functionName"] if stack is not None else None)
    assert names == ["first", "second", None]
    assert page.take_sender("other", URL, TEXT) is None and page.take_sender("session", URL, "another") is None


@pytest.mark.parametrize(
    "params",
    [
        message(TEXT, mark="hello"),
        {"args": [{"value": CONSOLE_MARK}, {"value": 1}, {"value": "x"}], "stackTrace": {}},
        {"args": [{"value": CONSOLE_MARK}, {"value": URL}, {"value": 1}]},
        {"args": [{}]},
        {},
    ],
)
def test_a_page_can_write_any_message(params: dict[str, Any]) -> None:
    assert calls().on_console_message("session", params) is None


def test_only_the_messages_of_wscheck_are_decoded() -> None:
    start = '{"method":"Runtime.consoleAPICalled","params":{"type":"debug","args":[{"type":"string","value":"'
    assert not _is_of_page(f'{start}{CONSOLE_MARK}"}}]}}}}')
    assert _is_of_page(f"{start}hello") and _is_of_page(start + "x" * 1_000 + CONSOLE_MARK)
    assert not _is_of_page('{"method":"Network.loadingFinished"}')


@pytest.mark.parametrize(
    ("url", "sent", "frame", "name"),
    [
        (URL, [], TEXT, "yard"),
        ("ws://h/mqtt", [b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me"], SUBSCRIBE, "yard/northern"),
        ("ws://h/hub", [b'{"protocol":"messagepack","version":1}\x1e'], INVOKE_STREAM, "Ticks"),
    ],
    ids=["text", "mqtt", "signalr"],
)
async def test_a_subscription_has_the_place_of_its_call(
    url: str, sent: list[bytes], frame: str | bytes, name: str
) -> None:
    traffic, scripts = TrafficDemux(source="browser"), calls()
    network = NetworkFeed(DevToolsConnection("ws://unused", lambda *_: None), traffic, lambda _: None, scripts)
    page, started = Initiator("target", "tab 1", "page http://h/"), time.time() - 5
    scripts.on_console_message("session", message(frame, "list", url=url))
    happened: list[tuple[str, dict[str, Any]]] = [
        ("WillSendHandshakeRequest", {"wallTime": started, "request": {}}),
        ("Created", {"url": url}),
        ("HandshakeResponseReceived", {"response": {"status": 101}}),
        *(("FrameSent", {"response": shown(each)}) for each in [*sent, frame]),
    ]
    for what, more in happened:
        timed = {} if what == "Created" else {"timestamp": started - 1000}
        network.feed(f"Network.webSocket{what}", {"requestId": "a", **timed, **more}, "session", page)
    await network.drain()
    network.close()

    def resolve(session: TrafficSession, stack: object) -> ConnectionOrigin:
        assert isinstance(stack, DevToolsStack)
        return ConnectionOrigin(opener=CodeLocation(f"{stack.stack['callFrames'][0]['functionName']}.js", 7))

    (event,) = (each for each in traffic.events(resolve=resolve) if isinstance(each, Subscribed))
    assert (event.name, event.subscriber, event.opener) == (name, CodeLocation("list.js", 7), None)


def shown(frame: str | bytes) -> dict[str, Any]:
    """Return a frame in the form of the DevTools protocol."""
    if isinstance(frame, str):
        return {"opcode": 1, "payloadData": frame}
    return {"opcode": 2, "payloadData": base64.b64encode(frame).decode()}


@given(st.text(max_size=30))
def test_the_number_of_a_text_is_a_32_bit_integer(text: str) -> None:
    assert -(1 << 31) <= sent_hash(text) < 1 << 31


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_page_and_wscheck_compute_the_same_number_and_only_for_subscriptions() -> None:
    texts = ['{"type":"subscribe"}', '{"type":"subscribe","ü":"\U0001f600"}', "SUBSCRIBE\nid:1\n", "x" * 3000, "hello"]
    packed = b"\x82\xa7command\xa9subscribe" + b"\xff" * 1_000  # a message of Action Cable in MessagePack
    publish, ping = b"\x30\x07\x00\x04yard\x99", b"\x02\x91\x06"
    frames = [SUBSCRIBE, INVOKE_STREAM, packed, publish, ping, b""]
    script = f"""
      globalThis.__wscheckCall = () => {{}}; globalThis.EventSource = class {{}};
      globalThis.WebSocket = class {{
        get readyState() {{ return 1 }} get url() {{ return 'u' }} send() {{}} close() {{}}
      }};
      console.context = () => ({{debug: (mark, url, number) => console.log(number)}});
      {WRAPPER};
      const socket = new WebSocket();
      for (const text of {texts!r}) socket.send(text);
      for (const bytes of {[list(frame) for frame in frames]!r}) {{
        socket.send(new Uint8Array([9, ...bytes]).subarray(1));
        socket.send(new Uint8Array(bytes).buffer);
      }}
      socket.send(new Blob(['subscribe'])); socket.send(); socket.send(null);
    """
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60, check=True)
    found = [int(line) for line in done.stdout.split()]
    assert found == [sent_hash(text) for text in texts[:3]] + [sent_hash(each) for each in frames[:3] for _ in range(2)]
