"""MQTT: packets as input, wire events as output."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.disconnect_reasons import SERVER_DISCONNECT, SESSION_TAKEN_OVER, TRANSPORT_CLOSE
from wscheck.protocols.mqtt import MqttPacket, MqttSession, PacketParser
from wscheck.protocols.protocol import (
    MAX_MESSAGE,
    Accepted,
    Beat,
    Closing,
    Data,
    Direction,
    Ended,
    Identified,
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
V4, V5 = 4, 5


def packet(kind: int, content: bytes, flags: int = 0) -> bytes:
    length, size = len(content), b""
    while length >= 0x80:
        size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
    return bytes([kind << 4 | flags]) + size + bytes([length]) + content


def field(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return len(data).to_bytes(2, "big") + data


def connect(client_id: str, version: int = V4, user: str = "", will: bool = False) -> bytes:
    properties = b"\x05\x11\x00\x00\x00\x3c" if version == V5 else b""
    flags = 0x02 | (0xC0 if user else 0) | (0x04 if will else 0)
    last_will = (b"\x00" if version == V5 else b"") + field("gone") + field(b"\xff") if will else b""
    login = field(user) + field("secret") if user else b""
    head = field("MQTT") + bytes([version, flags, 0, 60])
    return packet(1, head + properties + field(client_id) + last_will + login)


def subscribe(number: int, *filters: tuple[str, int], version: int = V4) -> bytes:
    properties = b"\x02\x0b\x07" if version == V5 else b""
    body = b"".join(field(name) + bytes([qos]) for name, qos in filters)
    return packet(8, number.to_bytes(2, "big") + properties + body, 2)


def publish(topic: str, payload: bytes, version: int = V4, flags: int = 0, number: int = 0, alias: int = 0) -> bytes:
    numbered = number.to_bytes(2, "big") if flags & 6 else b""
    properties = (b"\x03\x23" + alias.to_bytes(2, "big") if alias else b"\x00") if version == V5 else b""
    return packet(3, field(topic) + numbered + properties + payload, flags)


def connected(version: int = V4, client_id: str = "desk") -> MqttSession:
    session = MqttSession()
    session.receive(SENT, connect(client_id, version), 1)
    answer = packet(2, b"\x00\x00" + (b"\x00" if version == V5 else b""))
    assert session.receive(RECEIVED, answer, 1) == [Accepted(at=1, client_id=client_id)]
    return session


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({"subprotocols": ("mqtt",)}, "MQTT"),
        ({"subprotocols": ("mqttv3.1",)}, "MQTT"),
        ({"sent": (connect("desk"),)}, "MQTT"),
        ({"sent": (connect("desk", V5),)}, "MQTT"),
        ({"sent": (b"\x10\x05hello",)}, "WebSocket"),
        ({"sent": ("\x10 MQTT",)}, "WebSocket"),
    ],
)
def test_recognition(facts: dict[str, Any], name: str) -> None:
    found = recognise(Opening(url="ws://h/mqtt", transport=Transport.WEBSOCKET, **facts))
    assert found is not None and found.protocol.name == name


@pytest.mark.parametrize("version", [V4, V5])
@pytest.mark.parametrize("will", [False, True])
def test_the_login_names_client_and_user(version: int, will: bool) -> None:
    (identified,) = MqttSession().receive(SENT, connect("desk", version, "ann", will), 1)
    assert isinstance(identified, Identified)
    assert identified.values == {"clientId": "desk", "username": "ann", "password": "secret"}


def test_a_connection_is_open_when_the_broker_acknowledges_it() -> None:
    session = MqttSession()
    assert session.accept(1) == []
    assert [type(each) for each in session.close(None, TRANSPORT_CLOSE, 2)] == [Rejected, Ended]


@pytest.mark.parametrize(("version", "code"), [(V4, 5), (V5, 0x87)])
def test_the_broker_refuses_a_login(version: int, code: int) -> None:
    session = MqttSession()
    session.receive(SENT, connect("desk", version), 1)
    (refused,) = session.receive(RECEIVED, packet(2, bytes([0, code])), 2)
    assert isinstance(refused, Rejected) and refused.message == "not authorized"


def test_the_broker_may_choose_the_client_id() -> None:
    session = MqttSession()
    session.receive(SENT, connect("", V5), 1)
    chosen = b"\x12" + field("auto-1")
    answer = packet(2, b"\x00\x00" + bytes([len(chosen)]) + chosen)
    assert session.receive(RECEIVED, answer, 2) == [Accepted(at=2, client_id="auto-1")]


@pytest.mark.parametrize(("code", "reason"), [(0x8E, SESSION_TAKEN_OVER), (0x98, SERVER_DISCONNECT)])
def test_the_broker_ends_a_connection_with_a_reason(code: int, reason: str) -> None:
    session = connected(V5)
    assert session.receive(RECEIVED, packet(14, bytes([code])), 2) == [Ended(at=2, reason=reason)]
    assert session.close(None, TRANSPORT_CLOSE, 3) == []


def test_the_client_announces_its_end() -> None:
    assert connected().receive(SENT, packet(14, b""), 2) == [Closing(at=2)]


@pytest.mark.parametrize("version", [V4, V5])
def test_subscriptions_are_named_by_their_filters(version: int) -> None:
    session = connected(version)
    first, second = session.receive(SENT, subscribe(7, ("yard/#", 1), ("gate", 0), version=version), 2)
    assert first == Subscribed(at=2, id="yard/#", name="yard/#", same={"qos": 1})
    assert second == Subscribed(at=2, id="gate", name="gate", same={"qos": 0})
    properties = b"\x00" if version == V5 else b""
    refused = session.receive(RECEIVED, packet(9, b"\x00\x07" + properties + b"\x01\x80"), 3)
    assert refused == [Unsubscribed(at=3, id="gate", by_server=True)]
    ended = session.receive(SENT, packet(10, b"\x00\x08" + properties + field("yard/#") + field("gate"), 2), 4)
    assert ended == [Unsubscribed(at=4, id="yard/#")]


def test_the_broker_replaces_a_subscription_to_the_same_filter() -> None:
    session = connected()
    session.receive(SENT, subscribe(7, ("gate", 0)), 2)
    replaced, again = session.receive(SENT, subscribe(8, ("gate", 1)), 3)
    assert replaced == Unsubscribed(at=3, id="gate", replaced=True)
    assert again == Subscribed(at=3, id="gate", name="gate", same={"qos": 1})


def test_a_subscription_to_the_same_filter_replaces_the_earlier_one() -> None:
    session = connected()
    session.receive(SENT, subscribe(1, ("gate", 0)), 2)
    again = session.receive(SENT, subscribe(2, ("gate", 1)), 3)
    assert [type(event) for event in again] == [Unsubscribed, Subscribed]


def test_clients_of_a_shared_subscription_have_different_ones() -> None:
    (one,) = connected(client_id="a").receive(SENT, subscribe(1, ("$share/g/gate", 1)), 2)
    (two,) = connected(client_id="b").receive(SENT, subscribe(1, ("$share/g/gate", 1)), 2)
    assert isinstance(one, Subscribed) and isinstance(two, Subscribed) and one.same != two.same


def test_messages_are_named_by_their_topics() -> None:
    session = connected()
    (received,) = session.receive(RECEIVED, publish("gate", b'{"x":1}'), 2)
    assert isinstance(received, Received) and (received.name, received.payload) == ("gate", {"x": 1})
    (binary,) = session.receive(RECEIVED, publish("gate", b"\xff"), 2)
    assert isinstance(binary, Received) and binary.attachments == (b"\xff",)
    (sent,) = session.receive(SENT, publish("gate/open", b"now"), 3)
    assert isinstance(sent, Sent) and (sent.name, sent.arguments) == ("gate/open", ["now"])
    for kind in (12, 13):
        (beat,) = session.receive(SENT, packet(kind, b""), 4)
        assert isinstance(beat, Beat)


def test_an_alias_stands_for_a_topic() -> None:
    session = connected(V5)
    session.receive(RECEIVED, publish("gate", b"1", V5, alias=4), 2)
    (received,) = session.receive(RECEIVED, publish("", b"2", V5, alias=4), 3)
    assert isinstance(received, Received) and received.name == "gate"


def test_a_repeated_message_is_one_message() -> None:
    session = connected()
    assert len(session.receive(RECEIVED, publish("gate", b"1", flags=2, number=9), 2)) == 1
    assert session.receive(RECEIVED, publish("gate", b"1", flags=2 | 8, number=9), 3) == []
    assert len(session.receive(RECEIVED, publish("gate", b"1", flags=2 | 8, number=10), 4)) == 1, "the first was lost"


@pytest.mark.parametrize(
    "data",
    ["text", b"\x10\xff\xff\xff\xff\x01", packet(1, b"\x00"), packet(8, b"\x00\x01\x00\x09x"), packet(3, b"\x00\x09")],
)
def test_other_data_are_malformed(data: Data) -> None:
    (event,) = MqttSession().receive(SENT, data, 1)
    assert isinstance(event, Malformed)


def test_a_long_packet_is_skipped_and_reported() -> None:
    session, events = connected(), WireEvents()
    whole = publish("gate", b"x" * (MAX_MESSAGE + 1)) + publish("gate", b"1")
    for at in range(0, len(whole), MAX_MESSAGE // 8):
        events += session.receive(RECEIVED, whole[at : at + MAX_MESSAGE // 8], 2)
        assert len(session._parsers[RECEIVED]._data) <= MAX_MESSAGE
    assert [type(event) for event in events] == [Malformed, Received]


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(0, 15), st.binary(max_size=300)), max_size=5), st.integers(1, 50)
)
def test_packets_may_be_divided_anywhere(packets: list[tuple[int, int, bytes]], length: int) -> None:
    data = b"".join(packet(kind, content, flags) for kind, flags, content in packets)
    parser, found = PacketParser(), list[MqttPacket | None]()
    for at in range(0, len(data), length):
        found += parser.feed(data[at : at + length])
    assert found == [MqttPacket(*each) for each in packets]


_PACKETS = st.sampled_from(
    [
        connect("a", V5),
        subscribe(1, ("a", 0), ("b", 0)),
        packet(9, b"\x00\x01\x80\x00"),
        packet(10, b"\x00\x02\x00\x01a", 2),
        publish("a", b"1", flags=10, number=3),
        packet(14, b"\x8e"),
    ]
) | st.builds(packet, st.integers(0, 15), st.binary(max_size=20), st.integers(0, 15))


@given(st.lists(st.tuples(st.booleans(), st.text() | st.binary() | _PACKETS)))
def test_any_data_are_read_and_subscriptions_end_once(parts: list[tuple[bool, Data]]) -> None:
    session, held = MqttSession(), set[str]()
    for is_sent, data in parts:
        for event in session.receive(SENT if is_sent else RECEIVED, data, 1):
            if isinstance(event, Subscribed):
                assert event.id not in held
                held.add(event.id)
            elif isinstance(event, Unsubscribed):
                held.remove(event.id)
