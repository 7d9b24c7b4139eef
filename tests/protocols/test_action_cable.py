"""Action Cable: frames as input, wire events as output."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, SERVER_SHUTTING_DOWN, TRANSPORT_CLOSE
from wscheck.protocols.action_cable import RETRY_S, ActionCableSession
from wscheck.protocols.protocol import (
    Accepted,
    Beat,
    Direction,
    Ended,
    Malformed,
    Opening,
    Received,
    Rejected,
    Sent,
    Subscribed,
    Transport,
    Unsubscribed,
    WireEvents,
)
from wscheck.protocols.registry import recognise

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED
ROOM = json.dumps({"channel": "RoomChannel", "room": 5})


def command(session: ActionCableSession, name: str, at: float, identifier: str = ROOM, **fields: str) -> WireEvents:
    return session.receive(SENT, json.dumps({"command": name, "identifier": identifier, **fields}), at)


def answer(session: ActionCableSession, at: float, **fields: Any) -> WireEvents:
    return session.receive(RECEIVED, json.dumps(fields), at)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"subprotocols": ("actioncable-v1-json", "actioncable-unsupported")}, "Action Cable"),
        ({"subprotocols": ("actioncable-v1-json", "other"), "accepted": "other"}, "WebSocket"),
        (
            {"received": ('{"type":"welcome"}',), "sent": ('{"command":"subscribe","identifier":"{}"}',)},
            "Action Cable",
        ),
        ({"received": ('{"type":"welcome"}',)}, "WebSocket"),
        ({"sent": ('{"command":"subscribe","identifier":"{}"}',)}, "WebSocket"),
    ],
)
def test_recognition(facts: dict[str, Any], name: str) -> None:
    found = recognise(Opening(url="ws://h/cable", transport=Transport.WEBSOCKET, **facts))
    assert found is not None and found.protocol.name == name


def test_a_connection_is_open_when_the_server_welcomes_it() -> None:
    session = ActionCableSession()
    assert session.accept(1) == []
    assert answer(session, 2, type="welcome") == [Accepted(at=2)]
    (beat,) = answer(session, 3, type="ping", message=1)
    assert isinstance(beat, Beat)


def test_a_connection_whose_user_is_not_authorised_is_refused() -> None:
    session = ActionCableSession()
    (refused,) = answer(session, 1, type="disconnect", reason="unauthorized", reconnect=False)
    assert isinstance(refused, Rejected) and refused.message == "unauthorized"
    assert session.close(None, TRANSPORT_CLOSE, 2) == [Ended(at=2, reason=TRANSPORT_CLOSE)]


def test_a_server_that_closes_before_its_welcome_refuses() -> None:
    assert [type(each) for each in ActionCableSession().close(None, TRANSPORT_CLOSE, 1)] == [Rejected, Ended]
    assert [type(each) for each in ActionCableSession().close(None, IO_CLIENT_DISCONNECT, 1)] == [Ended]


def test_a_restart_of_the_server_is_the_reason_of_the_end() -> None:
    session = ActionCableSession()
    answer(session, 1, type="welcome")
    answer(session, 2, type="disconnect", reason="server_restart", reconnect=True)
    assert session.close(None, TRANSPORT_CLOSE, 3) == [Ended(at=3, reason=SERVER_SHUTTING_DOWN)]


def test_a_subscription_is_named_by_its_channel_and_parameters() -> None:
    session = ActionCableSession()
    (subscribed,) = command(session, "subscribe", 1)
    assert isinstance(subscribed, Subscribed)
    assert (subscribed.name, subscribed.same) == ("RoomChannel", {"room": 5})
    assert answer(session, 1.1, type="confirm_subscription", identifier=ROOM) == []
    assert command(session, "unsubscribe", 2) == [Unsubscribed(at=2, id=subscribed.id)]


def test_the_server_rejects_a_subscription() -> None:
    session = ActionCableSession()
    command(session, "subscribe", 1)
    rejected = answer(session, 1.1, type="reject_subscription", identifier=ROOM)
    assert rejected == [Unsubscribed(at=1.1, id=ROOM, by_server=True)]


def test_repeated_commands_of_an_unconfirmed_subscription_are_none_of_their_own() -> None:
    session = ActionCableSession()
    assert len(command(session, "subscribe", 1)) == 1
    assert [command(session, "subscribe", 1 + RETRY_S * turn) for turn in (1, 2, 3)] == [[], [], []]


def test_two_subscriptions_with_one_identifier_end_together() -> None:
    session = ActionCableSession()
    first, second = (command(session, "subscribe", at)[0] for at in (1, 1.01))
    assert isinstance(first, Subscribed) and isinstance(second, Subscribed)
    assert (first.name, first.same) == (second.name, second.same) and first.id != second.id
    assert command(session, "subscribe", 1.51) == [] == command(session, "subscribe", 1.52), "both are repeated"
    ended = command(session, "unsubscribe", 3)
    assert [event.id for event in ended if isinstance(event, Unsubscribed)] == [first.id, second.id]


def test_a_second_subscription_after_the_confirmation_is_repeated_for_ever() -> None:
    session = ActionCableSession()
    command(session, "subscribe", 1)
    answer(session, 1.1, type="confirm_subscription", identifier=ROOM)
    assert len(command(session, "subscribe", 9)) == 1
    assert [command(session, "subscribe", 9 + RETRY_S * turn) for turn in (1, 2, 3)] == [[], [], []]


def test_messages_have_the_name_that_they_give_themselves() -> None:
    session = ActionCableSession()
    (received,) = answer(session, 1, identifier=ROOM, message={"type": "said", "x": 1})
    assert isinstance(received, Received) and (received.name, received.payload[0]) == ("said", ROOM)
    (sent,) = command(session, "message", 2, data=json.dumps({"action": "speak", "x": 1}))
    assert isinstance(sent, Sent) and (sent.name, sent.arguments) == ("speak", [{"action": "speak", "x": 1}])


def test_messages_of_anycable_may_be_in_messagepack() -> None:
    session = ActionCableSession()
    welcome = msgspec.msgpack.encode({"type": "welcome", "sid": "s"})
    assert session.receive(RECEIVED, welcome, 1) == [Accepted(at=1)]
    (event,) = session.receive(RECEIVED, b"\xc1", 2)
    assert isinstance(event, Malformed)


_MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["welcome", "ping", "disconnect", "confirm_subscription", "reject_subscription", 1]),
        "command": st.sampled_from(["subscribe", "unsubscribe", "message", "other"]),
        "identifier": st.sampled_from([ROOM, "{}", "[", 5]),
        "message": st.text() | st.dictionaries(st.text(), st.integers()),
        "data": st.text() | st.integers(),
    },
).map(json.dumps)


@given(st.lists(st.tuples(st.booleans(), st.text() | st.binary() | _MESSAGES, st.floats(0, 2))))
def test_any_frames_are_read_and_subscriptions_end_once(frames: list[tuple[bool, str | bytes, float]]) -> None:
    session, held, at = ActionCableSession(), set[str](), 0.0
    for is_sent, data, pause in frames:
        at += pause
        for event in session.receive(SENT if is_sent else RECEIVED, data, at):
            if isinstance(event, Subscribed):
                assert event.id not in held
                held.add(event.id)
            elif isinstance(event, Unsubscribed):
                held.remove(event.id)
