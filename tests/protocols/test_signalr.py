"""SignalR: frames as input, wire events as output."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.protocol import (
    MAX_MESSAGE,
    Beat,
    Data,
    Direction,
    Malformed,
    Opening,
    Received,
    Sent,
    Subscribed,
    Transport,
    Unsubscribed,
    WireEvents,
)
from wscheck.protocols.registry import recognise
from wscheck.protocols.signalr import RECORD_SEPARATOR, SignalRSession

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED
JSON_HANDSHAKE = '{"protocol":"json","version":1}\x1e'
TOKEN = "l8Lw2c0Cf5nQJ6k4Zq9_-A"


def record(**fields: Any) -> str:
    return json.dumps(fields) + RECORD_SEPARATOR


def packed(*fields: Any) -> bytes:
    """Return a message in MessagePack, after its length."""
    content = msgspec.msgpack.encode(fields)
    length, prefix = len(content), b""
    while length >= 0x80:
        prefix, length = prefix + bytes([length & 0x7F | 0x80]), length >> 7
    return prefix + bytes([length]) + content


def connected(encoding: str = "json") -> SignalRSession:
    session = SignalRSession()
    assert session.receive(SENT, f'{{"protocol":"{encoding}","version":1}}\x1e', 1) == []
    assert session.receive(RECEIVED, b"{}\x1e" if encoding == "messagepack" else "{}\x1e", 1) == []
    return session


@pytest.mark.parametrize(
    ("url", "facts", "name"),
    [
        ("ws://h/hub", {"sent": (JSON_HANDSHAKE,)}, "SignalR"),
        ("ws://h/hub", {"sent": ('{"protocol":"messagepack","version":1}\x1e',)}, "SignalR"),
        ("ws://h/hub", {"sent": ('{"protocol":"json","version":1}',)}, "WebSocket"),
        ("ws://h/hub", {"sent": ('{"protocol":"other","version":1}\x1e',)}, "WebSocket"),
        (f"ws://h/hub?id={TOKEN}", {}, "SignalR"),
        (f"ws://h/hub?id={TOKEN}", {"received": ("hello",)}, "WebSocket"),
        (f"ws://h/hub?id={TOKEN}", {"sent": ("hello",)}, "WebSocket"),
        ("ws://h/hub?id=7", {}, "WebSocket"),
    ],
)
def test_recognition(url: str, facts: dict[str, Any], name: str) -> None:
    found = recognise(Opening(url=url, transport=Transport.WEBSOCKET, **facts))
    assert found is not None and found.protocol.name == name


def test_the_token_of_the_connection_is_no_parameter_of_the_application() -> None:
    url = f"ws://h/hub?id={TOKEN}&access_token=t"
    found = recognise(Opening(url=url, transport=Transport.WEBSOCKET))
    assert found is not None and found.protocol.query(url) == {"access_token": "t"}


@pytest.mark.parametrize("encoding", ["json", "messagepack"])
def test_invocations_are_events(encoding: str) -> None:
    session = connected(encoding)
    is_json = encoding == "json"
    one = record(type=1, target="moved", arguments=[{"x": 1}]) if is_json else packed(1, {}, None, "moved", [{"x": 1}])
    (received,) = session.receive(RECEIVED, one, 2)
    assert isinstance(received, Received) and (received.name, received.payload) == ("moved", {"x": 1})
    two = record(type=1, target="move", arguments=[1, 2]) if is_json else packed(1, {}, "7", "move", [1, 2], [])
    (sent,) = session.receive(SENT, two, 3)
    assert isinstance(sent, Sent) and (sent.name, sent.arguments) == ("move", [1, 2])
    beat = record(type=6) if is_json else packed(6)
    assert session.receive(SENT, beat, 4) == [Beat(at=4, direction=SENT)]
    assert session.receive(RECEIVED, record(type=7) if is_json else packed(7, None), 5) == []


def stream(session: SignalRSession, is_json: bool, key: str, at: float) -> WireEvents:
    fields = {"type": 4, "invocationId": key, "target": "Ticks", "arguments": ["yard"]}
    return session.receive(SENT, record(**fields) if is_json else packed(4, {}, key, "Ticks", ["yard"], []), at)


@pytest.mark.parametrize("is_json", [True, False])
def test_a_stream_is_a_subscription(is_json: bool) -> None:
    session = connected("json" if is_json else "messagepack")
    (first,), (second,) = stream(session, is_json, "0", 1), stream(session, is_json, "1", 2)
    assert isinstance(first, Subscribed) and isinstance(second, Subscribed)
    assert (first.name, first.same) == (second.name, second.same) == ("Ticks", ["yard"])
    item = record(type=2, invocationId="0", item={"x": 1}) if is_json else packed(2, {}, "0", {"x": 1})
    (received,) = session.receive(RECEIVED, item, 3)
    assert isinstance(received, Received) and (received.name, received.payload) == ("Ticks", [["yard"], {"x": 1}])
    cancel = record(type=5, invocationId="0") if is_json else packed(5, {}, "0")
    assert session.receive(SENT, cancel, 4) == [Unsubscribed(at=4, id="0")]
    done = record(type=3, invocationId="1") if is_json else packed(3, {}, "1", 2)
    assert session.receive(RECEIVED, done, 5) == [Unsubscribed(at=5, id="1", by_server=True)]
    assert session.receive(RECEIVED, done, 6) == []


def test_several_messages_and_a_message_in_parts() -> None:
    session = SignalRSession()
    (sent,) = session.receive(SENT, JSON_HANDSHAKE + record(type=1, target="a", arguments=[]), 1)
    assert isinstance(sent, Sent)
    session.receive(RECEIVED, "{}\x1e", 1)
    text = record(type=1, target="a", arguments=[1]) + record(type=1, target="b", arguments=[])
    first = session.receive(RECEIVED, text[:50], 2)
    second = session.receive(RECEIVED, text[50:], 3)
    assert [event.name for event in [*first, *second] if isinstance(event, Received)] == ["a", "b"]


@pytest.mark.parametrize("data", ["{\x1e", '{"type":"x"}\x1e', '{"type":true}\x1e', "[]\x1e"])
def test_other_json_is_malformed(data: str) -> None:
    (event,) = connected().receive(RECEIVED, data, 1)
    assert isinstance(event, Malformed)


@pytest.mark.parametrize("data", [b"\x01\xc1", b"\xff\xff\xff\xff\xff", packed("x"), packed()])
def test_other_messagepack_is_malformed(data: bytes) -> None:
    (event,) = connected("messagepack").receive(RECEIVED, data, 1)
    assert isinstance(event, Malformed)


def test_a_message_without_end_is_bounded_and_reported() -> None:
    session, events = connected(), WireEvents()
    for _ in range(20):
        events += session.receive(RECEIVED, "x" * (MAX_MESSAGE // 8), 1)
        assert len(session._rest[RECEIVED]) <= MAX_MESSAGE
    assert events and all(isinstance(event, Malformed) for event in events)


_MESSAGES: st.SearchStrategy[list[tuple[Any, ...]]] = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, 4, 5, 6, 7, 99]),
        st.just({}),
        st.sampled_from(["1", "2"]),
        st.text(),
        st.lists(st.integers(0, 9)),
    )
)


@given(_MESSAGES, st.integers(1, 30))
def test_messagepack_may_be_divided_anywhere(messages: list[tuple[Any, ...]], length: int) -> None:
    data = b"".join(packed(*each) for each in messages)
    session, events = connected("messagepack"), WireEvents()
    for at in range(0, len(data), length):
        events += session.receive(RECEIVED, data[at : at + length], 1)
    assert events == connected("messagepack").receive(RECEIVED, data, 1)


@given(
    st.sampled_from(["json", "messagepack", ""]),
    st.lists(st.tuples(st.booleans(), st.text() | st.binary() | st.just(RECORD_SEPARATOR))),
)
def test_any_data_are_read(encoding: str, parts: list[tuple[bool, Data]]) -> None:
    session = connected(encoding) if encoding else SignalRSession()
    for is_sent, data in parts:
        session.receive(SENT if is_sent else RECEIVED, data, 1)
