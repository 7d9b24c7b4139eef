"""Plain WebSockets, event streams and development servers: data as input, wire events as output."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.event_stream import MAX_EVENT, EventStreamParser, EventStreamSession, encode_event
from wscheck.protocols.protocol import (
    Confidence,
    Direction,
    Ended,
    Identified,
    Malformed,
    Opening,
    Received,
    Sent,
    Transport,
)
from wscheck.protocols.registry import recognise
from wscheck.protocols.websocket import PlainWebSocketSession

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED
WS = Transport.WEBSOCKET


# --- plain WebSockets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ('{"type":"moved","x":1}', "moved"),
        ('{"x":1,"event":"moved"}', "moved"),
        ('["moved",{"x":1}]', "moved"),
        ('{"x":1}', "message"),
        ('{"type":"two words"}', "message"),
        ("hello", "message"),
        (b"\x00\x01", "message"),
        ('{"type":', "message"),
    ],
)
def test_a_message_has_the_name_that_it_gives_itself(frame: str | bytes, name: str) -> None:
    (event,) = PlainWebSocketSession().receive(RECEIVED, frame, 1)
    assert isinstance(event, Received) and event.name == name


@pytest.mark.parametrize("frame", ["ping", "PONG", '{"type":"ping","t":1}', '{"op":"heartbeat"}'])
def test_a_heartbeat_is_no_event(frame: str) -> None:
    session = PlainWebSocketSession()
    assert session.receive(RECEIVED, frame, 1) == [] and session.receive(SENT, frame, 2) == []


def test_the_first_json_object_that_the_client_sends_may_name_the_user() -> None:
    session = PlainWebSocketSession()
    assert [type(event) for event in session.receive(SENT, "hello", 1)] == [Sent]
    first = session.receive(SENT, '{"type":"auth","userId":"ann"}', 2)
    assert [type(event) for event in first] == [Identified, Sent]
    assert isinstance(first[0], Identified) and first[0].values["userId"] == "ann"
    assert [type(event) for event in session.receive(SENT, '{"userId":"bob"}', 3)] == [Sent]


def test_a_connection_ends_once() -> None:
    session = PlainWebSocketSession()
    assert [type(event) for event in session.close(None, "transport close", 1)] == [Ended]
    assert session.close(None, "transport close", 2) == []


@given(st.lists(st.tuples(st.booleans(), st.one_of(st.text(), st.binary()))))
def test_any_frames_are_read(frames: list[tuple[bool, str | bytes]]) -> None:
    session = PlainWebSocketSession()
    for is_sent, data in frames:
        session.receive(SENT if is_sent else RECEIVED, data, 1)


# --- server-sent events -----------------------------------------------------------------------------------------

_FIELD = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20)
_EVENT = st.tuples(_FIELD.filter(str.strip), st.lists(_FIELD, min_size=1, max_size=3).map("\n".join).filter(bool))


@given(
    st.lists(_EVENT, max_size=5),
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_a_stream_may_arrive_in_parts_of_any_length(
    events: list[tuple[str, str]], lengths: list[int], line_end: str
) -> None:
    text = "".join(encode_event(name, data) for name, data in events).replace("\n", line_end)
    parser, found, at, turn = EventStreamParser(), list[tuple[str, str] | None](), 0, 0
    while at < len(text):
        length = lengths[turn % len(lengths)]
        found += parser.feed(text[at : at + length])
        at, turn = at + length, turn + 1
    assert found == events


@given(st.lists(st.text(), max_size=6))
def test_any_stream_is_read(parts: list[str]) -> None:
    session = EventStreamSession()
    for part in parts:
        session.receive(RECEIVED, part, 1)
        session.receive(RECEIVED, part.encode("utf-8", "surrogatepass"), 1)


@given(st.text(min_size=1, max_size=30).filter(lambda text: not set("\r\n\0") & set(text)), st.integers(1, 5))
def test_a_character_may_be_divided_between_parts(text: str, length: int) -> None:
    data = f"data: {text}\n\n".encode("utf-8", "replace")
    session, found = EventStreamSession(), []
    for at in range(0, len(data), length):
        found += session.receive(RECEIVED, data[at : at + length], 1)
    whole = EventStreamSession().receive(RECEIVED, data.decode(), 1)
    assert found == whole


def test_comments_ids_and_retry_are_no_events() -> None:
    parser = EventStreamParser()
    assert parser.feed("\ufeff: hello\nid: 1\nretry: 10\n\n:\n\nevent: x\n\ndata\n\n") == [("message", "")]


def test_an_event_is_named_by_its_type_or_by_its_data() -> None:
    stream = 'event: moved\ndata: {"x":1}\n\ndata: {"type":"left"}\n\nevent: ping\ndata: 1\n\n'
    events = EventStreamSession().receive(RECEIVED, stream, 1)
    assert [event.name for event in events if isinstance(event, Received)] == ["moved", "left"]


def test_an_event_without_end_is_bounded_and_reported() -> None:
    session = EventStreamSession()
    for _ in range(40):
        assert session.receive(RECEIVED, "data: " + "x" * (MAX_EVENT // 16), 1) == []
    held = session._parser
    assert len(held._rest) + held._size <= 2 * MAX_EVENT
    (event, after) = session.receive(RECEIVED, '\n\ndata: {"a":1}\n\n', 2)
    assert isinstance(event, Malformed) and isinstance(after, Received)


# --- recognition ------------------------------------------------------------------------------------------------


def recognised(url: str, transport: Transport = WS, **facts: tuple[str, ...]) -> str:
    found = recognise(Opening(url=url, transport=transport, **facts))  # type: ignore[arg-type]
    return found.protocol.name if found is not None else ""


LIVE_RELOAD = "http://livereload.com/protocols"


def frame(**fields: object) -> str:
    return json.dumps(fields)


@pytest.mark.parametrize(
    ("url", "facts", "name"),
    [
        ("ws://h:5173/?token=x", {"subprotocols": ("vite-hmr",)}, "Vite"),
        ("ws://h/_next/webpack-hmr?id=1", {}, "Next.js"),
        ("ws://h/ws", {"received": (frame(type="hot"), frame(type="hash", data="a"))}, "webpack"),
        ("ws://h/ws", {"received": (frame(type="liveReload"),)}, "webpack"),
        (
            "ws://h/x",
            {"sent": (frame(command="hello", protocols=["http://livereload.com/protocols/o"]),)},
            "LiveReload",
        ),
        ("ws://h/", {"received": (frame(type="update", assets=[]),)}, "Parcel"),
        ("ws://h/browser-sync/socket.io/?EIO=4&transport=websocket", {}, "Browsersync"),
        ("ws://h/ws", {"received": (frame(type="hash", data="a"), frame(type="price", data=1))}, "WebSocket"),
        ("ws://h/ws", {"received": (frame(type="hot", deals=[1]),)}, "WebSocket"),
        ("ws://h/live", {"received": (frame(type="update", id=1),)}, "WebSocket"),
        ("ws://h/app", {"subprotocols": ("v1.json",)}, "WebSocket"),
        ("ws://h/socket.io/?EIO=4&transport=websocket", {}, "Socket.IO"),
    ],
)
def test_development_servers_are_recognised(url: str, facts: dict[str, tuple[str, ...]], name: str) -> None:
    assert recognised(url, WS, **facts) == name


def test_streams_of_development_servers_are_recognised() -> None:
    assert recognised("http://h/__webpack_hmr", Transport.EVENT_STREAM) == "webpack"
    assert recognised("http://h/esbuild", Transport.EVENT_STREAM) == "esbuild"
    assert recognised("http://h/events", Transport.EVENT_STREAM) == "server-sent events"


def test_other_requests_belong_to_no_protocol() -> None:
    assert recognised("http://h/api?EIO=4", Transport.POLLING) == ""
    assert recognised("http://h/_nuxt/app.js", Transport.POLLING) == ""
    assert recognised("http://[bad/ws") == "WebSocket"


def test_the_confidences_are_ordered() -> None:
    assert Confidence.NONE < Confidence.FALLBACK < Confidence.POSSIBLE < Confidence.LIKELY < Confidence.CERTAIN
