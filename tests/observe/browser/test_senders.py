"""The code that asked for a subscription is found by the call of `send()`, across awaits, timers and queues."""

import base64
import shutil
import subprocess
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.events import CodeLocation, Subscribed
from wscheck.observe.browser.browser import Browser
from wscheck.observe.browser.devtools import CONSOLE_MARK, DevToolsConnection, _is_of_page
from wscheck.observe.browser.network import NetworkFeed
from wscheck.observe.browser.opener import DevToolsStack
from wscheck.observe.browser.page_calls import WAITING, WRAPPER, PageCalls, sent_hash
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import ConnectionOrigin, Initiator, TrafficDemux, TrafficSession

URL = "ws://h/app/key?protocol=7"
TEXT = '{"event":"pusher:subscribe","data":{"channel":"yard"}}'


SUBSCRIBE = b"\x82\x12\x00\x01\x00\x0dyard/northern\x00"
"""MQTT packet that subscribes to a topic."""

INVOKE_STREAM = b"\x13\x96\x04\x80\xa10\xa5Ticks\x91\xa5north\x90"
"""SignalR message in MessagePack that starts a stream."""


def message(
    text: str | bytes,
    *frames: str,
    mark: str = CONSOLE_MARK,
    url: str = URL,
    parts: Sequence[str] = (),
    awaited: str = "",
) -> dict[str, Any]:
    values = (mark, url, sent_hash(text), *map(sent_hash, parts))
    stack: dict[str, Any] = {"callFrames": [{"functionName": name} for name in ("apply", *frames)]}
    if awaited:
        stack["parentId"] = {"id": awaited}
    return {"type": "debug", "args": [{"value": value} for value in values], "stackTrace": stack}


def callers(stacks: list[DevToolsStack]) -> list[str]:
    return [each.stack["callFrames"][0]["functionName"] for each in stacks]


def calls() -> PageCalls:
    return PageCalls(PageScripts(TrafficDemux(source="browser").urls))


def test_a_frame_gets_the_stack_of_its_call_without_the_script_of_wscheck() -> None:
    page = calls()
    for name in ("first", "second"):
        page.on_console_message("session", message(TEXT, name))
    names = [callers(page.take_senders("session", URL, TEXT)) for _ in range(3)]
    assert names == [["first"], ["second"], []]
    assert not page.take_senders("other", URL, TEXT) and not page.take_senders("session", URL, "another")


def test_calls_that_found_a_websocket_connecting_are_kept_until_it_sends() -> None:
    page = calls()
    for name, number in (("first", 1), ("other", 2), ("second", 1), ("", -2), ("", 0), ("", -1)):
        read = message(TEXT, name)
        read["args"][2:] = [{"value": WAITING}, {"value": number}]
        assert (page.on_console_message("session", read) is not None) is (number > 0)
    found = [callers(page.take_waiting("session", URL)) for _ in range(4)]
    assert found == [["other"], [], ["first", "second"], []]


PHOENIX = "ws://h/socket/websocket?vsn=2.0.0"


def joined(url: str, waiting: Sequence[str], *topics: str) -> list[str | None]:
    """Return the file of each subscription that a client sends without an own stack.

    waiting  files of the calls that found the connection connecting; "" is a call of a library alone
    """
    traffic = TrafficDemux(source="browser")
    traffic.on_websocket_created("ws", url, 1.0, initiator=Initiator("target", "tab 1", "page http://h/"))
    traffic.on_accepted("ws", 1.1)
    traffic.on_waiting("ws", waiting)
    for number, topic in enumerate(topics):
        text = f'["{number}","{number}","{topic}","phx_join",{{}}]'
        if url == URL:
            text = f'{{"event":"pusher:subscribe","data":{{"channel":"{topic}"}}}}'
        traffic.on_frame("ws", 1.2 + number, text, outgoing=True, senders=("",))

    def resolve(session: TrafficSession, stack: object) -> ConnectionOrigin:
        return ConnectionOrigin(opener=CodeLocation(str(stack), 7) if stack else None)

    events = traffic.events(resolve=resolve)
    places = [each.subscriber for each in events if isinstance(each, Subscribed)]
    return [place.file if place is not None else None for place in places]


@pytest.mark.parametrize(
    ("waiting", "expected"),
    [
        (["", "a.js", "a.js", "", "b.js"], ["a.js", "b.js"]),
        (["list.js"] * 6, ["list.js", "list.js"]),
        (["a.js", "b.js", "c.js"], [None, None]),
        ([""], [None, None]),
        ([], [None, None]),
    ],
    ids=["one each", "one for all", "too many", "only a library", "none"],
)
def test_subscriptions_from_before_the_connection_have_the_places_of_their_calls(
    waiting: list[str], expected: list[str | None]
) -> None:
    assert joined(PHOENIX, waiting, "yard:1", "yard:2") == expected


def test_the_reads_of_a_client_that_does_not_read_the_state_for_a_subscription_are_no_places() -> None:
    assert joined(URL, ["client.js"], "yard") == [None]


def test_a_frame_with_the_messages_of_several_callers_gets_the_stacks_that_wrote_them() -> None:
    page, queued = calls(), ('{"type":4,"target":"A"}', '{"type":4,"target":"B"}')
    for name, part in zip(("dial", "trend"), queued, strict=True):
        page.on_console_message("session", message(part, name, url=""))
    page.on_console_message("session", message(f"{queued[0]};{queued[1]};", "loop", parts=queued))
    assert callers(page.take_senders("session", URL, f"{queued[0]};{queued[1]};")) == ["dial", "trend"]
    # The texts were sent: a later frame with the same parts has only the stack of its own call.
    page.on_console_message("session", message(TEXT, "loop", parts=queued))
    assert callers(page.take_senders("session", URL, TEXT)) == ["loop"]


async def test_the_stack_of_a_loop_that_sends_what_others_queued_ends_at_the_loop() -> None:
    page = calls()
    stacks = [
        page.on_console_message("session", message(text, "send", awaited=awaited))
        for text, awaited in (("hello", "1"), (TEXT, "1"), (TEXT, "2"), (TEXT, ""), (TEXT, "1"))
    ]
    assert [each is not None and each.is_of_loop for each in stacks] == [False, True, False, False, True]
    for description, expected in (("await", [2, 1, 2, 1, 1]), ("setTimeout", [2, 2, 2, 1, 2])):
        found = []
        for stack in stacks:
            assert stack is not None
            copy = DevToolsStack(stack.session, dict(stack.stack), stack.is_of_loop)
            await Browser._complete_stack(cast("Any", browser_with_stack(description)), copy)
            found.append(len(list(copy.segments())))
        assert found == expected, description


def browser_with_stack(description: str) -> SimpleNamespace:
    async def call(method: str, arguments: dict[str, Any], session: str) -> dict[str, Any]:
        return {"stackTrace": {"callFrames": [{"functionName": "start"}], "description": description}}

    return SimpleNamespace(_devtools=SimpleNamespace(call=call), _request_maps=lambda stack: None)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, [None, None]), (1, ["0.js", "0.js"]), (2, ["0.js", "1.js"]), (3, [None, None])],
)
def test_each_subscription_of_a_frame_has_its_own_place_if_there_is_one_for_each(
    count: int, expected: list[str | None]
) -> None:
    traffic = TrafficDemux(source="browser")
    traffic.on_websocket_created("ws", "ws://h/hub", 1.0, initiator=Initiator("target", "tab 1", "page http://h/"))
    traffic.on_accepted("ws", 1.1)
    traffic.on_frame("ws", 1.2, '{"protocol":"json","version":1}\x1e', outgoing=True)
    frame = "".join(f'{{"type":4,"invocationId":"{n}","target":"Ticks","arguments":[]}}\x1e' for n in range(2))
    traffic.on_frame("ws", 1.3, frame, outgoing=True, senders=range(count))
    events = traffic.events(resolve=lambda session, stack: ConnectionOrigin(opener=CodeLocation(f"{stack}.js", 7)))
    found = [each.subscriber for each in events if isinstance(each, Subscribed)]
    assert [each.file if each is not None else None for each in found] == expected


@pytest.mark.parametrize(
    "params",
    [
        message(TEXT, mark="hello"),
        {"args": [{"value": CONSOLE_MARK}, {"value": 1}, {"value": "x"}], "stackTrace": {}},
        {"args": [{"value": CONSOLE_MARK}, {"value": URL}, {"value": 1}]},
        {"args": [{}]},
        {"args": [{"value": CONSOLE_MARK}, {"value": 1}, {"value": 2}, {"value": []}], "stackTrace": {}},
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
def test_the_page_reports_reads_of_a_connecting_websocket_and_messages_in_bytes() -> None:
    script = f"""
      let state = 0, sent = [];
      globalThis.__wscheckCall = () => {{}}; globalThis.EventSource = class {{}};
      globalThis.WebSocket = class {{
        get readyState() {{ return state }} get url() {{ return 'u' }} send() {{}} close() {{}}
      }};
      console.context = () => ({{debug: (mark, url, ...values) => console.log(url + ':' + values)}});
      {WRAPPER};
      const socket = new WebSocket(), sets = Uint8Array.prototype.set;
      if (socket.readyState !== 0) throw Error();
      state = 1;
      if (socket.readyState !== 1 || Uint8Array.prototype.set !== sets) throw Error();
      socket.send('{{"protocol":"messagepack","version":1}}');
      const inner = new Uint8Array({list(INVOKE_STREAM[1:])}), frame = new Uint8Array(inner.length + 1);
      frame.set([inner.length], 0); frame.set(inner, 1); new Uint8Array(9).set(new Uint8Array([0x95, 1, 0x80]));
      socket.send(frame.buffer);
    """
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60, check=True)
    length = len(INVOKE_STREAM) - 1
    packed, hello = bytes([length]) + INVOKE_STREAM[1:], '{"protocol":"messagepack","version":1}'
    inner = sent_hash(INVOKE_STREAM[1:])
    sent = ["u:waiting,-1", f"u:{sent_hash(hello)}", f":{inner}", f"u:{sent_hash(packed)},{inner}"]
    assert done.stdout.split() == ["u:waiting,1", *sent]


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
      const shown = value => Object.is(value, -0) ? 'none' : value;
      console.context = () => ({{debug: (mark, url, ...numbers) => console.log(url + ':' + numbers.map(shown))}});
      {WRAPPER};
      const socket = new WebSocket();
      socket.send('first message');
      for (const text of {texts!r}) socket.send(text);
      for (const bytes of {[list(frame) for frame in frames]!r}) {{
        socket.send(new Uint8Array([9, ...bytes]).subarray(1));
        socket.send(new Uint8Array(bytes).buffer);
      }}
      socket.send(new Blob(['subscribe'])); socket.send(); socket.send(null);
      const queued = ['a', 'b'].map(target => JSON.stringify({{type: 4, target}}));
      if (JSON.stringify({{hello: 1}}) !== '{{"hello":1}}' || JSON.stringify(undefined) !== undefined) throw Error();
      socket.send(queued.join());
      socket.send(JSON.stringify({{type: 'subscribe'}}));
    """
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, timeout=60, check=True)
    queued = ['{"type":4,"target":"a"}', '{"type":4,"target":"b"}']
    sent: list[str | bytes] = ["first message", *texts[:3], *(each for each in frames[:3] for _ in range(2))]
    assert done.stdout.split() == [
        "u:waiting,0",
        *(f"u:{sent_hash(each)}" for each in sent),
        *(f":{sent_hash(each)}" for each in queued),
        f"u:{sent_hash(','.join(queued))},{sent_hash(queued[0])},{sent_hash(queued[1])}",
        f":{sent_hash(texts[0])}",
        f"u:{sent_hash(texts[0])}",  # a text that is sent as it was written has the stack of its send()
    ]
