"""Tests of the Engine.IO and Socket.IO packets: valid and malformed ones, and properties of all."""

import base64
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.engine_io import (
    RECORD_SEPARATOR,
    EnginePacket,
    EnginePacketType,
    Handshake,
    PacketError,
    decode_engine_packet,
    decode_handshake,
    decode_payload,
    encode_engine_packet,
)
from wscheck.protocols.socket_io import (
    BINARY_PACKET_TYPES,
    SocketPacket,
    SocketPacketType,
    connect_packet,
    decode_socket_packet,
    encode_frame,
    encode_socket_packet,
    event_packet,
    offers_recovery,
    without_recovery_offset,
)

VALID = [
    ("0", SocketPacket(SocketPacketType.CONNECT)),
    ('0{"sid":"a"}', SocketPacket(SocketPacketType.CONNECT, "/", {"sid": "a"})),
    ("0/admin,", SocketPacket(SocketPacketType.CONNECT, "/admin")),
    ("0/admin", SocketPacket(SocketPacketType.CONNECT, "/admin")),
    ('0/admin,{"token":"t"}', SocketPacket(SocketPacketType.CONNECT, "/admin", {"token": "t"})),
    ("1", SocketPacket(SocketPacketType.DISCONNECT)),
    ("1/admin,", SocketPacket(SocketPacketType.DISCONNECT, "/admin")),
    ('2["hello",1]', SocketPacket(SocketPacketType.EVENT, "/", ["hello", 1])),
    ('212["hello"]', SocketPacket(SocketPacketType.EVENT, "/", ["hello"], 12)),
    ('2/a,0["hello"]', SocketPacket(SocketPacketType.EVENT, "/a", ["hello"], 0)),
    ("37[]", SocketPacket(SocketPacketType.ACK, "/", [], 7)),
    ('3/a,7["ok"]', SocketPacket(SocketPacketType.ACK, "/a", ["ok"], 7)),
    ('4{"message":"invalid token"}', SocketPacket(SocketPacketType.CONNECT_ERROR, "/", {"message": "invalid token"})),
    ('4"unauthorized"', SocketPacket(SocketPacketType.CONNECT_ERROR, "/", "unauthorized")),
    (
        '51-["file",{"_placeholder":true,"num":0}]',
        SocketPacket(SocketPacketType.BINARY_EVENT, "/", ["file", {"_placeholder": True, "num": 0}], None, 1),
    ),
    ('62-/a,9[{"num":0}]', SocketPacket(SocketPacketType.BINARY_ACK, "/a", [{"num": 0}], 9, 2)),
]

MALFORMED = [
    "", "9", "x", '2["connect"]', '2["disconnecting"]', "2[]", "2{}", "2", "2[", '2["a"', "2[null]", "2[true]",
    "3", "3{}", "0[]", "0null", '0"a"', "1{}", "4[]", "5", '5["a"]', "5-[]", "5x-[1]", '51["a"]', "61-", "6",
    "²[1]", "2NaN", "2[NaN]", '2["a"]x', "2/a", "2/a,", "2" + "[" * 100_000, "5" + "9" * 5_000 + "-[]",
]  # fmt: skip


@pytest.mark.parametrize(("text", "packet"), VALID)
def test_a_valid_packet_is_decoded_and_encoded(text: str, packet: SocketPacket) -> None:
    assert decode_socket_packet(text) == packet
    assert decode_socket_packet(encode_socket_packet(packet)) == packet


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:12]))
def test_a_malformed_packet_is_refused(text: str) -> None:
    with pytest.raises(PacketError):
        decode_socket_packet(text)


def test_an_error_does_not_quote_the_packet() -> None:
    with pytest.raises(PacketError) as caught:
        decode_socket_packet('0{"token":"hunter2"')
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", [text for text, _ in VALID])
def test_every_truncation_is_a_packet_or_a_packet_error(text: str) -> None:
    for end in range(len(text)):
        try:
            decode_socket_packet(text[:end])
        except PacketError:
            continue


@pytest.mark.parametrize(
    "packet",
    [
        SocketPacket(SocketPacketType.EVENT),
        SocketPacket(SocketPacketType.ACK, "/", {}),
        SocketPacket(SocketPacketType.EVENT, "admin", ["a"]),
        SocketPacket(SocketPacketType.EVENT, "/a,b", ["a"]),
        SocketPacket(SocketPacketType.EVENT, "/", ["a"], -1),
        SocketPacket(SocketPacketType.BINARY_EVENT, "/", ["a"], None, -1),
        SocketPacket(SocketPacketType.EVENT, "/", ["a", object()]),
        SocketPacket(SocketPacketType.EVENT, "/", ["a", "\ud800"]),
    ],
)
def test_a_packet_that_cannot_be_decoded_is_not_encoded(packet: SocketPacket) -> None:
    with pytest.raises(PacketError):
        encode_socket_packet(packet)


def test_the_packets_of_a_client() -> None:
    assert encode_frame(connect_packet("/", {"userId": "u"})) == '40{"userId":"u"}'
    assert encode_frame(connect_packet("/admin")) == "40/admin,"
    assert (
        encode_frame(event_packet("echo", 1, {"a": None}, namespace="/admin", ack_id=3))
        == '42/admin,3["echo",1,{"a":null}]'
    )


def test_engine_packets_are_decoded() -> None:
    assert decode_engine_packet("2probe") == EnginePacket(EnginePacketType.PING, "probe")
    assert decode_engine_packet("3") == EnginePacket(EnginePacketType.PONG)
    assert decode_engine_packet(b"\x00\x01") == EnginePacket(EnginePacketType.MESSAGE, b"\x00\x01")
    for malformed in ("", "7", "x", "b", "٣"):
        with pytest.raises(PacketError):
            decode_engine_packet(malformed)
    with pytest.raises(PacketError):
        encode_engine_packet(EnginePacket(EnginePacketType.PING, b"\x00"))


def test_long_polling_bodies_are_decoded() -> None:
    assert decode_payload(f'40{RECORD_SEPARATOR}bAQI={RECORD_SEPARATOR}42["a"]') == [
        EnginePacket(EnginePacketType.MESSAGE, "0"),
        EnginePacket(EnginePacketType.MESSAGE, b"\x01\x02"),
        EnginePacket(EnginePacketType.MESSAGE, '2["a"]'),
    ]
    for malformed in ("", f"40{RECORD_SEPARATOR}", f"{RECORD_SEPARATOR}40", "b*", "bAQI", "bé"):
        with pytest.raises(PacketError):
            decode_payload(malformed)


def test_a_handshake_is_decoded() -> None:
    data = '{"sid":"s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
    assert decode_handshake(data) == Handshake("s", 25000, 20000, ("websocket",))
    for malformed in ("", "{}", "[]", '{"sid":1,"pingInterval":1,"pingTimeout":1}', data[:-1], b"\xff"):
        with pytest.raises(PacketError):
            decode_handshake(malformed)


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(TEXT, VALUES, max_size=4)
NAMES = TEXT.map(lambda name: f"e{name}").filter(lambda name: not name.startswith("connect"))
NAMESPACES = st.just("/") | TEXT.map(lambda name: f"/{name.replace(',', '')}")
IDS = st.none() | st.integers(0, 10**18 - 1)
EVENTS = st.lists(VALUES, max_size=3).flatmap(lambda rest: NAMES.map(lambda name: [name, *rest]))
DATA = {
    SocketPacketType.CONNECT: st.none() | OBJECTS,
    SocketPacketType.DISCONNECT: st.none(),
    SocketPacketType.EVENT: EVENTS,
    SocketPacketType.ACK: st.lists(VALUES, max_size=3),
    SocketPacketType.CONNECT_ERROR: st.none() | TEXT | OBJECTS,
    SocketPacketType.BINARY_EVENT: EVENTS,
    SocketPacketType.BINARY_ACK: st.lists(VALUES, max_size=3),
}


@st.composite
def socket_packets(draw: st.DrawFn) -> SocketPacket:
    kind = draw(st.sampled_from(SocketPacketType))
    attachments = draw(st.integers(0, 99)) if kind in BINARY_PACKET_TYPES else 0
    return SocketPacket(kind, draw(NAMESPACES), draw(DATA[kind]), draw(IDS), attachments)


ENGINE_PACKETS = st.builds(EnginePacket, st.sampled_from(EnginePacketType), TEXT) | st.binary().map(
    lambda data: EnginePacket(EnginePacketType.MESSAGE, data)
)


@given(socket_packets())
def test_encoded_packets_are_decoded(packet: SocketPacket) -> None:
    assert decode_socket_packet(encode_socket_packet(packet)) == packet


@given(ENGINE_PACKETS)
def test_encoded_engine_packets_are_decoded(packet: EnginePacket) -> None:
    assert decode_engine_packet(encode_engine_packet(packet)) == packet


@given(st.lists(ENGINE_PACKETS.filter(lambda packet: RECORD_SEPARATOR not in str(packet.data)), min_size=1, max_size=5))
def test_encoded_payloads_are_decoded(packets: list[EnginePacket]) -> None:
    frames = [encode_engine_packet(packet) for packet in packets]
    parts = [frame if isinstance(frame, str) else f"b{base64.b64encode(frame).decode()}" for frame in frames]
    assert decode_payload(RECORD_SEPARATOR.join(parts)) == packets


@given(st.text())
def test_any_text_is_a_packet_or_a_packet_error(text: str) -> None:
    for decode in (decode_socket_packet, decode_engine_packet, decode_payload, decode_handshake):
        try:
            decode(text)
        except PacketError:
            continue


@given(st.sampled_from("0123456"), st.text('0123456789-/,[]{}"\\a:né\x1e ', max_size=30))
def test_nearly_valid_text_is_a_packet_or_a_packet_error(kind: str, rest: str) -> None:
    try:
        packet = decode_socket_packet(kind + rest)
    except PacketError:
        return
    assert decode_socket_packet(encode_socket_packet(packet)) == packet


AT = 1764525832.0
NODE_OFFSET, NODE_OFFSET_OF_TWO_HOURS_BEFORE = "PhLxtT0", "PhLWPf0"
"""Offsets of socket.io-adapter 2.5 at this time."""


@pytest.mark.parametrize(
    "offset",
    [
        NODE_OFFSET,
        NODE_OFFSET + ".0",
        NODE_OFFSET + ".1_",
        NODE_OFFSET_OF_TWO_HOURS_BEFORE,
        "",
        "1764525832000-0",
        "692c86c8a4f1b2c3d4e5f607",
        "11642871956283745",
        "0198c0de-77aa-7bbb-8ccc-1234567890ab",
    ],
)
@pytest.mark.parametrize("arguments", [[], [{"n": 1}], ["calling", 2]])
def test_an_offset_for_recovery_is_removed(offset: str, arguments: list[object]) -> None:
    data = ["line", *arguments]
    assert without_recovery_offset([*data, offset], None, AT) == data
    assert without_recovery_offset([*data, offset], 7, AT) == [*data, offset]


@pytest.mark.parametrize(
    "last", ["running", "busy", "EURUSD", "1.0932", "see you at " + NODE_OFFSET, "Nachtzug", "é", 1764525832000, None]
)
def test_the_last_argument_of_a_volatile_event_stays(last: object) -> None:
    assert without_recovery_offset(["line", last], None, AT) == ["line", last]


def test_the_name_of_an_event_is_no_offset() -> None:
    assert without_recovery_offset([NODE_OFFSET], None, AT) == [NODE_OFFSET]


@pytest.mark.parametrize(
    ("data", "offers"), [({"sid": "s", "pid": "p"}, True), ({"sid": "s"}, False), ({"pid": 7}, False), (None, False)]
)
def test_a_server_offers_recovery_by_a_private_id(data: object, offers: bool) -> None:
    assert offers_recovery(data) is offers


def test_the_modules_import_no_io() -> None:
    heavy = ["asyncio", "aiohttp", "socketio", "engineio", "locust", "gevent", "typer", "rich", "socket"]
    probe = f"import sys, wscheck.protocols.socket_io; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
