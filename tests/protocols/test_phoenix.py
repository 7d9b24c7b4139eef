"""Phoenix channels: frames as input, wire events as output."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.phoenix import PhoenixSession
from wscheck.protocols.protocol import (
    Beat,
    Direction,
    Identified,
    Malformed,
    Opening,
    Received,
    Sent,
    Subscribed,
    Transport,
    Unsubscribed,
)
from wscheck.protocols.registry import recognise

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED


def message(channel: str | None, ref: str | None, topic: str, event: str, payload: Any = None) -> str:
    return json.dumps([channel, ref, topic, event, {} if payload is None else payload])


def join(session: PhoenixSession, ref: str, topic: str, payload: Any = None) -> Subscribed:
    (subscribed,) = (
        event
        for event in session.receive(SENT, message(ref, ref, topic, "phx_join", payload), 1)
        if isinstance(event, Subscribed)
    )
    return subscribed


@pytest.mark.parametrize(
    ("url", "sent", "name"),
    [
        ("ws://h/socket/websocket?vsn=2.0.0&token=x", (), "Phoenix channels"),
        ("ws://h/realtime/v1/websocket?apikey=k&vsn=1.0.0", (), "Phoenix channels"),
        ("ws://h/phoenix/live_reload/socket/websocket?vsn=2.0.0", (), "Phoenix live reload"),
        ("ws://h/socket/websocket", (), "WebSocket"),
        ("ws://h/s", (message("1", "1", "room:1", "phx_join"),), "Phoenix channels"),
        ("ws://h/s", ('{"topic":"room:1","event":"phx_join","payload":{},"ref":"1"}',), "Phoenix channels"),
        ("ws://h/s", ('{"topic":"room:1","event":"said","payload":{}}',), "WebSocket"),
        ("ws://h/s", ("[1,2,3,4,5]",), "WebSocket"),
    ],
)
def test_recognition(url: str, sent: tuple[str, ...], name: str) -> None:
    found = recognise(Opening(url=url, transport=Transport.WEBSOCKET, sent=sent))
    assert found is not None and found.protocol.name == name


def test_the_version_is_no_parameter_of_the_application() -> None:
    found = recognise(Opening(url="ws://h/socket/websocket?vsn=2.0.0&user=ann", transport=Transport.WEBSOCKET))
    assert found is not None and found.protocol.query("ws://h/socket/websocket?vsn=2.0.0&user=ann") == {"user": "ann"}


def test_a_joined_topic_is_a_subscription_until_it_is_left() -> None:
    session = PhoenixSession()
    subscribed = join(session, "3", "room:1", {"mode": "all"})
    assert (subscribed.id, subscribed.name, subscribed.same) == ("3", "room:1", {"mode": "all"})
    assert session.receive(RECEIVED, message("3", "3", "room:1", "phx_reply", {"status": "ok"}), 2) == []
    assert session.receive(SENT, message("3", "4", "room:1", "phx_leave"), 3) == [Unsubscribed(at=3, id="3")]
    assert session.receive(RECEIVED, message("3", "3", "room:1", "phx_close"), 4) == []


@pytest.mark.parametrize("event", ["phx_error", "phx_close"])
def test_the_server_ends_a_channel(event: str) -> None:
    session = PhoenixSession()
    join(session, "3", "room:1")
    join(session, "4", "room:2")
    ended = session.receive(RECEIVED, message("3", None, "room:1", event), 2)
    assert ended == [Unsubscribed(at=2, id="3", by_server=True)]


def test_only_the_refusal_of_the_join_ends_a_channel() -> None:
    session = PhoenixSession()
    join(session, "3", "room:1")
    refused_push = message("3", "5", "room:1", "phx_reply", {"status": "error"})
    assert session.receive(RECEIVED, refused_push, 2) == []
    refused_join = message("3", "3", "room:1", "phx_reply", {"status": "error", "response": {"reason": "no"}})
    assert session.receive(RECEIVED, refused_join, 3) == [Unsubscribed(at=3, id="3", by_server=True)]


def test_a_token_of_a_join_may_name_the_user_and_makes_no_subscription_another() -> None:
    session = PhoenixSession()
    events = session.receive(SENT, message("1", "1", "room:1", "phx_join", {"token": "secret-1", "user": "ann"}), 1)
    assert isinstance(events[0], Identified) and events[0].values["user"] == "ann"
    assert join(session, "2", "room:1", {"token": "secret-2", "user": "ann"}).same == {"user": "ann"}


def supabase(*changes: dict[str, str], **config: Any) -> dict[str, Any]:
    shared = {"broadcast": {"ack": False}, "presence": {"key": "", "enabled": False}}
    return {"config": {**shared, "postgres_changes": list(changes), **config}, "access_token": "secret"}


def test_supabase_channels_with_the_same_changes_are_the_same_whatever_their_names() -> None:
    session = PhoenixSession()
    change = {"event": "INSERT", "schema": "public", "table": "messages", "filter": "room_id=eq.5"}
    first = join(session, "1", "realtime:room-0.1", supabase(change))
    second = join(session, "2", "realtime:room-0.7", supabase(change))
    other = join(session, "3", "realtime:room-0.9", supabase({**change, "filter": "room_id=eq.6"}))
    assert first.name == "changes of public.messages (INSERT, room_id=eq.5)"
    assert (first.name, first.same) == (second.name, second.same)
    assert first.same != other.same


def test_supabase_channels_that_broadcast_or_announce_presence_have_their_topic() -> None:
    session = PhoenixSession()
    change = {"event": "*", "schema": "public", "table": "messages"}
    assert join(session, "1", "realtime:room1", supabase()).name == "realtime:room1"
    present = join(session, "2", "realtime:room2", supabase(change, presence={"key": "ann", "enabled": True}))
    assert present.name == "realtime:room2"


def test_events_contain_their_topic_and_heartbeats_are_none() -> None:
    session = PhoenixSession()
    (said,) = session.receive(RECEIVED, message(None, None, "room:1", "said", {"x": 1}), 1)
    assert isinstance(said, Received) and (said.name, said.payload) == ("said", ["room:1", {"x": 1}])
    (sent,) = session.receive(SENT, message("1", "2", "room:1", "say", {"x": 1}), 1)
    assert isinstance(sent, Sent) and (sent.name, sent.arguments) == ("say", [{"x": 1}])
    for direction, event in ((SENT, "heartbeat"), (RECEIVED, "phx_reply")):
        (beat,) = session.receive(direction, message(None, "9", "phoenix", event), 2)
        assert isinstance(beat, Beat)
    assert session.receive(RECEIVED, message("1", None, "room:1", "presence_state"), 3) == []


def test_a_supabase_broadcast_has_the_name_in_its_payload() -> None:
    session = PhoenixSession()
    text = message(None, None, "realtime:a", "broadcast", {"event": "cursor", "payload": {"x": 1}, "type": "broadcast"})
    (cursor,) = session.receive(RECEIVED, text, 1)
    assert isinstance(cursor, Received) and (cursor.name, cursor.payload) == ("cursor", ["realtime:a", {"x": 1}])
    topic, event, content = b"realtime:a", b"cursor", b'{"x":1}'
    binary = bytes([4, len(topic), len(event), 0, 1]) + topic + event + content
    assert session.receive(RECEIVED, binary, 1) == [cursor]


def test_binary_messages() -> None:
    session = PhoenixSession()
    push = bytes([0, 1, 1, 6, 3]) + b"1" + b"2" + b"room:1" + b"img" + b"\xff\x00"
    (sent,) = session.receive(SENT, push, 1)
    assert isinstance(sent, Sent) and sent.name == "img"
    broadcast = bytes([2, 6, 3]) + b"room:1" + b"img" + b"\xff\x00"
    (received,) = session.receive(RECEIVED, broadcast, 1)
    assert isinstance(received, Received) and (received.name, received.attachments) == ("img", (b"\xff\x00",))
    reply = bytes([1, 1, 1, 6, 2]) + b"1" + b"2" + b"room:1" + b"ok"
    assert session.receive(RECEIVED, reply, 1) == []


@pytest.mark.parametrize(
    "frame", ["hello", "[1,2]", '[{},"1","t","e",{}]', b"", b"\x09", b"\x00\xff\xff\xff\xffx", "{}"]
)
def test_other_frames_are_malformed(frame: str | bytes) -> None:
    (event,) = PhoenixSession().receive(RECEIVED, frame, 1)
    assert isinstance(event, Malformed)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=5,
)
_EVENTS = st.sampled_from(["phx_join", "phx_leave", "phx_reply", "phx_close", "broadcast", "access_token", "x"])
_REFS = st.none() | st.sampled_from(["1", "2"])


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.text()
            | st.binary()
            | st.tuples(_REFS, _REFS, st.sampled_from(["a", "b"]), _EVENTS, _JSON).map(json.dumps),
        )
    )
)
def test_any_frames_are_read_and_subscriptions_end_once(frames: list[tuple[bool, str | bytes]]) -> None:
    session, held = PhoenixSession(), set[str]()
    for is_sent, data in frames:
        for event in session.receive(SENT if is_sent else RECEIVED, data, 1):
            if isinstance(event, Subscribed):
                assert event.id not in held
                held.add(event.id)
            elif isinstance(event, Unsubscribed):
                held.remove(event.id)
