"""Pusher Channels: channels, members, client events, heartbeats."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.protocol import (
    Beat,
    Confidence,
    Direction,
    Identified,
    Opening,
    Received,
    Sent,
    Subscribed,
    Transport,
    Unsubscribed,
    WireEvents,
)
from wscheck.protocols.pusher import Pusher, PusherSession
from wscheck.protocols.registry import recognise

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED
URL = "wss://ws.example/app/depot-key?protocol=7&client=js&version=8.4.0&flash=false"


def send(event: str, session: PusherSession | None = None, **message: Any) -> WireEvents:
    return (session or PusherSession()).receive(SENT, json.dumps({"event": event, **message}), 1)


def receive(event: str, **message: Any) -> WireEvents:
    return PusherSession().receive(RECEIVED, json.dumps({"event": event, **message}), 1)


def test_a_channel_from_subscribe_to_unsubscribe() -> None:
    assert send("pusher:subscribe", data={"channel": "yard", "auth": ""}) == [Subscribed(at=1, id="yard", name="yard")]
    assert receive("pusher_internal:subscription_succeeded", channel="yard", data="{}") == []
    assert send("pusher:unsubscribe", data={"channel": "yard"}) == [Unsubscribed(at=1, id="yard")]
    refused = receive("pusher:subscription_error", channel="private-yard", data={"status": 403})
    assert refused == [Unsubscribed(at=1, id="private-yard", by_server=True)]


@pytest.mark.parametrize(
    ("event", "data", "values"),
    [
        ("pusher:subscribe", {"channel": "presence-a", "channel_data": '{"user_id":"5"}'}, {"user_id": "5"}),
        ("pusher:signin", {"auth": "k:s", "user_data": '{"id":"ann"}'}, {"id": "ann"}),
    ],
)
def test_a_member_or_a_user_who_signs_in(event: str, data: dict[str, str], values: dict[str, str]) -> None:
    first = send(event, data=data)[0]
    assert isinstance(first, Identified) and (first.source, first.values) == ("auth", values)


def test_equal_events_of_two_channels_differ() -> None:
    one, other = (receive("moved", channel=channel, data='{"id":1}') for channel in ("yard", "ramp"))
    assert one == [Received(at=1, name="moved", payload=["yard", {"id": 1}])]
    assert one != other


def test_client_events_are_sent_and_events_of_the_protocol_are_not() -> None:
    assert send("client-typing", channel="private-a", data={"x": 1}) == [
        Sent(at=1, name="client-typing", arguments=[{"x": 1}])
    ]
    assert receive("pusher:connection_established", data='{"socket_id":"1.2"}') == []
    assert receive("pusher:error", data={"code": 4201}) == []
    assert send("pusher:ping", data={}) == [Beat(at=1, direction=SENT)]
    assert receive("pusher:pong") == [Beat(at=1, direction=RECEIVED)]


@pytest.mark.parametrize(
    ("url", "received", "confidence"),
    [
        (URL, (), Confidence.CERTAIN),
        ("ws://h/reverb/app/key?protocol=7", (), Confidence.CERTAIN),
        ("ws://h/live", ('{"event":"pusher:connection_established","data":"{}"}',), Confidence.LIKELY),
        ("ws://h/app/orders", (), Confidence.NONE),
        ("ws://h/live?protocol=7", ('{"event":"moved"}',), Confidence.NONE),
    ],
)
def test_it_is_recognised_by_its_url_or_its_first_message(
    url: str, received: tuple[str, ...], confidence: Confidence
) -> None:
    opening = Opening(url=url, transport=Transport.WEBSOCKET, received=received)
    assert Pusher().recognise(opening) is confidence
    found = recognise(opening)
    assert found is not None and (found.protocol.id == "pusher") is (confidence is not Confidence.NONE)


def test_parameters_of_the_library_are_not_those_of_the_application() -> None:
    assert Pusher().query(f"{URL}&user=ann") == {"user": "ann"}


_EVENTS = st.sampled_from(["pusher:subscribe", "pusher:unsubscribe", "pusher:signin", "pusher:ping", "moved"])
_DATA = st.none() | st.text(max_size=5) | st.dictionaries(st.sampled_from(["channel", "channel_data"]), st.text())
_MESSAGE = st.fixed_dictionaries({"event": _EVENTS | st.none()}, optional={"data": _DATA, "channel": _DATA}).map(
    json.dumps
)


@given(st.lists(st.tuples(st.booleans(), _MESSAGE | st.text() | st.binary()), max_size=20))
def test_any_messages_are_read(frames: list[tuple[bool, str | bytes]]) -> None:
    session = PusherSession()
    for is_sent, data in frames:
        session.receive(SENT if is_sent else RECEIVED, data, 1)
