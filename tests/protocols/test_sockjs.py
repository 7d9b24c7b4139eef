"""SockJS: its frames, the connection that it carries, and its endpoint without the parts that always differ."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.protocol import (
    Beat,
    Confidence,
    Direction,
    Inner,
    InnerData,
    Malformed,
    Opening,
    Received,
    Sent,
    Subscribed,
    Transport,
    WireEvents,
)
from wscheck.protocols.reader import ConnectionReader
from wscheck.protocols.registry import recognise
from wscheck.protocols.sockjs import SockJs, SockJsSession

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED
URL = "ws://h/sock/613/wbqx0a3z/websocket"
OPENING = Opening(url=URL, transport=Transport.WEBSOCKET)


def test_the_frames_of_the_server() -> None:
    session = SockJsSession(OPENING)
    assert [type(event) for event in session.accept(0)][-1] is Inner
    assert session.receive(RECEIVED, "o", 1) == []
    assert session.receive(RECEIVED, "h", 1) == [Beat(at=1, direction=RECEIVED)]
    assert session.receive(RECEIVED, 'a["one","two"]', 1) == [
        InnerData(at=1, direction=RECEIVED, data="one"),
        InnerData(at=1, direction=RECEIVED, data="two"),
    ]
    assert session.receive(RECEIVED, 'm"one"', 1) == [InnerData(at=1, direction=RECEIVED, data="one")]
    assert session.receive(RECEIVED, 'c[3000,"Go away!"]', 1) == []
    assert session.receive(SENT, '["out"]', 1) == [InnerData(at=1, direction=SENT, data="out")]


@pytest.mark.parametrize("frame", ["x", "a[", 'a"', "{}"])
def test_other_frames_are_malformed(frame: str) -> None:
    assert [type(event) for event in SockJsSession(OPENING).receive(RECEIVED, frame, 1)] == [Malformed]


def test_frames_of_a_stream_may_arrive_in_parts() -> None:
    opening = Opening(url="http://h/sock/000/abcdefgh/eventsource", transport=Transport.EVENT_STREAM)
    session, found = SockJsSession(opening), []
    for part in ("\r\ndata: o\r\n\r\nda", 'ta: a["x"]\r\n', "\r\n"):
        found += session.receive(RECEIVED, part, 1)
    assert found == [InnerData(at=1, direction=RECEIVED, data="x")]


@pytest.mark.parametrize(
    ("url", "received", "confidence"),
    [
        (URL, (), Confidence.LIKELY),
        (URL, ("o",), Confidence.CERTAIN),
        (URL, ("hello",), Confidence.NONE),
        ("ws://h/a/b/websocket", ("o",), Confidence.CERTAIN),
        ("ws://h/live/socket/websocket", (), Confidence.NONE),
        ("ws://h/sock/websocket", ("o",), Confidence.NONE),
    ],
)
def test_it_is_recognised_by_its_path_and_its_first_frame(
    url: str, received: tuple[str, ...], confidence: Confidence
) -> None:
    opening = Opening(url=url, transport=Transport.WEBSOCKET, received=received)
    assert SockJs().recognise(opening) is confidence


def test_the_endpoint_has_no_server_and_no_session() -> None:
    assert SockJs().endpoint("wss://h:1/api/sock/613/wbqx0a3z/websocket?t=1") == "wss://h:1/api/sock?t=1"
    assert SockJs().endpoint("ws://h/sock/websocket") == "ws://h/sock/websocket"


def read(*frames: tuple[Direction, str]) -> WireEvents:
    recognition = recognise(OPENING)
    assert recognition is not None
    reader = ConnectionReader(OPENING, recognition, 0)
    events = [*reader.start(), *reader.accept(0)]
    for direction, data in frames:
        events += reader.receive(direction, data, 1)
    return [*events, *reader.close(None, "transport close", 2)]


def test_messages_of_no_known_protocol_are_those_of_a_plain_websocket() -> None:
    events = read((RECEIVED, "o"), (SENT, '["{\\"type\\":\\"hi\\"}"]'), (RECEIVED, 'a["{\\"type\\":\\"moved\\"}"]'))
    assert [event.name for event in events if isinstance(event, Sent | Received)] == ["hi", "moved"]


def test_it_carries_another_protocol() -> None:
    init, start = (
        json.dumps([json.dumps(message)])
        for message in (
            {"type": "connection_init"},
            {"type": "start", "id": "1", "payload": {"query": "subscription { moved }"}},
        )
    )
    events = read((RECEIVED, "o"), (SENT, init), (SENT, start))
    assert [event.name for event in events if isinstance(event, Subscribed)] == ["moved"]


_FRAME = st.sampled_from(["o", "h", "c[3000]", "a", "m", "["]) | st.lists(st.text(), max_size=3).map(
    lambda texts: f"a{json.dumps(texts)}"
)


@given(st.lists(st.tuples(st.booleans(), _FRAME | st.text() | st.binary()), max_size=20))
def test_any_frames_are_read(frames: list[tuple[bool, str | bytes]]) -> None:
    session = SockJsSession(OPENING)
    for is_sent, data in frames:
        session.receive(SENT if is_sent else RECEIVED, data, 1)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_every_message_of_a_frame_reaches_the_carried_connection(texts: list[str]) -> None:
    found = SockJsSession(OPENING).receive(RECEIVED, f"a{json.dumps(texts)}", 1)
    assert [event.data for event in found if isinstance(event, InnerData)] == texts
