"""The wire codec: what real servers and clients send, what is malformed, and properties that hold for everything."""

import base64
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.protocols.packets import (
    BINARY,
    SEPARATOR,
    EnginePacket,
    EngineType,
    Handshake,
    PacketError,
    SocketPacket,
    SocketType,
    connect,
    decode_engine,
    decode_handshake,
    decode_payload,
    decode_socket,
    encode_engine,
    encode_socket,
    event,
    message,
)

READABLE = [
    ("0", SocketPacket(SocketType.CONNECT)),
    ('0{"sid":"a"}', SocketPacket(SocketType.CONNECT, "/", {"sid": "a"})),
    ("0/admin,", SocketPacket(SocketType.CONNECT, "/admin")),
    ("0/admin", SocketPacket(SocketType.CONNECT, "/admin")),
    ('0/admin,{"token":"t"}', SocketPacket(SocketType.CONNECT, "/admin", {"token": "t"})),
    ("1", SocketPacket(SocketType.DISCONNECT)),
    ("1/admin,", SocketPacket(SocketType.DISCONNECT, "/admin")),
    ('2["hello",1]', SocketPacket(SocketType.EVENT, "/", ["hello", 1])),
    ('212["hello"]', SocketPacket(SocketType.EVENT, "/", ["hello"], 12)),
    ('2/a,0["hello"]', SocketPacket(SocketType.EVENT, "/a", ["hello"], 0)),
    ("37[]", SocketPacket(SocketType.ACK, "/", [], 7)),
    ('3/a,7["ok"]', SocketPacket(SocketType.ACK, "/a", ["ok"], 7)),
    ('4{"message":"invalid token"}', SocketPacket(SocketType.CONNECT_ERROR, "/", {"message": "invalid token"})),
    ('4"unauthorized"', SocketPacket(SocketType.CONNECT_ERROR, "/", "unauthorized")),
    (
        '51-["file",{"_placeholder":true,"num":0}]',
        SocketPacket(SocketType.BINARY_EVENT, "/", ["file", {"_placeholder": True, "num": 0}], None, 1),
    ),
    ('62-/a,9[{"num":0}]', SocketPacket(SocketType.BINARY_ACK, "/a", [{"num": 0}], 9, 2)),
]

MALFORMED = [
    "", "9", "x", '2["connect"]', '2["disconnecting"]', "2[]", "2{}", "2", "2[", '2["a"', "2[null]", "2[true]",
    "3", "3{}", "0[]", "0null", '0"a"', "1{}", "4[]", "5", '5["a"]', "5-[]", "5x-[1]", '51["a"]', "61-", "6",
    "²[1]", "2NaN", "2[NaN]", '2["a"]x', "2/a", "2/a,", "2" + "[" * 100_000, "5" + "9" * 5_000 + "-[]",
]  # fmt: skip


@pytest.mark.parametrize(("text", "packet"), READABLE)
def test_reads_what_is_sent(text: str, packet: SocketPacket) -> None:
    assert decode_socket(text) == packet
    assert decode_socket(encode_socket(packet)) == packet


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:12]))
def test_refuses_what_is_malformed(text: str) -> None:
    with pytest.raises(PacketError):
        decode_socket(text)


def test_an_error_quotes_nothing() -> None:
    with pytest.raises(PacketError) as caught:
        decode_socket('0{"token":"hunter2"')
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", [text for text, _ in READABLE])
def test_every_truncation_is_a_packet_or_a_packet_error(text: str) -> None:
    for end in range(len(text)):
        try:
            decode_socket(text[:end])
        except PacketError:
            continue


@pytest.mark.parametrize(
    "packet",
    [
        SocketPacket(SocketType.EVENT),
        SocketPacket(SocketType.ACK, "/", {}),
        SocketPacket(SocketType.EVENT, "admin", ["a"]),
        SocketPacket(SocketType.EVENT, "/a,b", ["a"]),
        SocketPacket(SocketType.EVENT, "/", ["a"], -1),
        SocketPacket(SocketType.BINARY_EVENT, "/", ["a"], None, -1),
        SocketPacket(SocketType.EVENT, "/", ["a", object()]),
        SocketPacket(SocketType.EVENT, "/", ["a", "\ud800"]),
    ],
)
def test_refuses_to_write_what_could_not_be_read(packet: SocketPacket) -> None:
    with pytest.raises(PacketError):
        encode_socket(packet)


def test_the_words_of_a_client() -> None:
    assert message(connect("/", {"userId": "u"})) == '40{"userId":"u"}'
    assert message(connect("/admin")) == "40/admin,"
    assert message(event("echo", 1, {"a": None}, namespace="/admin", id=3)) == '42/admin,3["echo",1,{"a":null}]'


def test_engine_packets() -> None:
    assert decode_engine("2probe") == EnginePacket(EngineType.PING, "probe")
    assert decode_engine("3") == EnginePacket(EngineType.PONG)
    assert decode_engine(b"\x00\x01") == EnginePacket(EngineType.MESSAGE, b"\x00\x01")
    for malformed in ("", "7", "x", "b", "٣"):
        with pytest.raises(PacketError):
            decode_engine(malformed)
    with pytest.raises(PacketError):
        encode_engine(EnginePacket(EngineType.PING, b"\x00"))


def test_polling_bodies() -> None:
    assert decode_payload(f'40{SEPARATOR}bAQI={SEPARATOR}42["a"]') == [
        EnginePacket(EngineType.MESSAGE, "0"),
        EnginePacket(EngineType.MESSAGE, b"\x01\x02"),
        EnginePacket(EngineType.MESSAGE, '2["a"]'),
    ]
    for malformed in ("", f"40{SEPARATOR}", f"{SEPARATOR}40", "b*", "bAQI", "bé"):
        with pytest.raises(PacketError):
            decode_payload(malformed)


def test_handshake() -> None:
    said = '{"sid":"s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
    assert decode_handshake(said) == Handshake("s", 25000, 20000, ("websocket",))
    for malformed in ("", "{}", "[]", '{"sid":1,"pingInterval":1,"pingTimeout":1}', said[:-1], b"\xff"):
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
    SocketType.CONNECT: st.none() | OBJECTS,
    SocketType.DISCONNECT: st.none(),
    SocketType.EVENT: EVENTS,
    SocketType.ACK: st.lists(VALUES, max_size=3),
    SocketType.CONNECT_ERROR: st.none() | TEXT | OBJECTS,
    SocketType.BINARY_EVENT: EVENTS,
    SocketType.BINARY_ACK: st.lists(VALUES, max_size=3),
}


@st.composite
def socket_packets(draw: st.DrawFn) -> SocketPacket:
    kind = draw(st.sampled_from(SocketType))
    attachments = draw(st.integers(0, 99)) if kind in BINARY else 0
    return SocketPacket(kind, draw(NAMESPACES), draw(DATA[kind]), draw(IDS), attachments)


ENGINE_PACKETS = st.builds(EnginePacket, st.sampled_from(EngineType), TEXT) | st.binary().map(
    lambda data: EnginePacket(EngineType.MESSAGE, data)
)


@given(socket_packets())
def test_what_is_written_is_read_back(packet: SocketPacket) -> None:
    assert decode_socket(encode_socket(packet)) == packet


@given(ENGINE_PACKETS)
def test_engine_packets_are_read_back(packet: EnginePacket) -> None:
    assert decode_engine(encode_engine(packet)) == packet


@given(st.lists(ENGINE_PACKETS.filter(lambda each: SEPARATOR not in str(each.data)), min_size=1, max_size=5))
def test_payloads_are_read_back(packets: list[EnginePacket]) -> None:
    frames = [encode_engine(packet) for packet in packets]
    parts = [frame if isinstance(frame, str) else f"b{base64.b64encode(frame).decode()}" for frame in frames]
    assert decode_payload(SEPARATOR.join(parts)) == packets


@given(st.text())
def test_any_text_is_a_packet_or_a_packet_error(text: str) -> None:
    for decode in (decode_socket, decode_engine, decode_payload, decode_handshake):
        try:
            decode(text)
        except PacketError:
            continue


@given(st.sampled_from("0123456"), st.text('0123456789-/,[]{}"\\a:né\x1e ', max_size=30))
def test_nearly_right_text_is_a_packet_or_a_packet_error(kind: str, rest: str) -> None:
    try:
        packet = decode_socket(kind + rest)
    except PacketError:
        return
    assert decode_socket(encode_socket(packet)) == packet


def test_stays_sans_io() -> None:
    heavy = ["asyncio", "aiohttp", "socketio", "engineio", "locust", "gevent", "typer", "rich", "socket"]
    probe = f"import sys, wscheck.protocols.packets; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
