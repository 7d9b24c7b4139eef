"""Packets of the Engine.IO protocol, version 4, to and from text and bytes; packets of version 3 from text and bytes.

A WebSocket frame carries one packet. The body of an HTTP long-polling request or response carries one or more.
A MESSAGE carries one Socket.IO packet (see `wscheck.protocols.socket_io`).

Version 3 belongs to Socket.IO clients before version 3. It has the same types, but other encodings of binary packets
and of long-polling bodies.

Sources: Engine.IO protocol v4, https://socket.io/docs/v4/engine-io-protocol/; Engine.IO protocol v3,
https://github.com/socketio/engine.io-protocol/tree/v3.
"""

import base64
import binascii
from enum import IntEnum
from typing import NamedTuple

import msgspec

RECORD_SEPARATOR = "\x1e"
"""Separator of the packets in a long-polling body (Engine.IO protocol, "Packet encoding", "HTTP long-polling")."""

SESSION_ID_UNKNOWN = "Session ID unknown"
"""Message of the HTTP 400 response to a request whose `sid` the server process does not know (error code 1).

Another server process has the session, or the session has ended.
"""


class PacketError(ValueError):
    """Text or bytes that are not a packet. The message quotes none of the data, which may contain a secret."""


class EnginePacketType(IntEnum):
    """Types of Engine.IO packets, with their digit on the wire (Engine.IO protocol, "Protocol")."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class EnginePacket(NamedTuple):
    """One Engine.IO packet. `data` is text, or bytes in a MESSAGE that carries a binary attachment."""

    type: EnginePacketType
    data: str | bytes = ""


class Handshake(msgspec.Struct, frozen=True, rename="camel"):
    """Data of an OPEN packet (Engine.IO protocol, "Handshake").

    `sid` is the id of the Engine.IO session. Both intervals are in milliseconds.
    """

    sid: str
    ping_interval: int
    ping_timeout: int
    upgrades: tuple[str, ...] = ()


MALFORMED_LENGTH = "malformed length in a long-polling body"
SHORT_BODY = "a long-polling body is shorter than its length"

MAX_LENGTH_DIGITS = 10
"""Most digits of a length in a long-polling body of version 3."""

_LENGTH_END = 255
"""Byte that ends the length of a packet in a binary long-polling body of version 3."""

_TYPE_BY_DIGIT = {str(int(packet_type)): packet_type for packet_type in EnginePacketType}
_HANDSHAKE_DECODER = msgspec.json.Decoder(Handshake)


def decode_engine_packet(frame: str | bytes) -> EnginePacket:
    """Parse one WebSocket frame (Engine.IO protocol, "Packet encoding", "WebSocket").

    Text starts with the digit of the packet type. Bytes are a binary attachment and become a MESSAGE.

    Raises:
        PacketError: The frame is empty or starts with an unknown type.
    """
    if isinstance(frame, bytes):
        return EnginePacket(EnginePacketType.MESSAGE, frame)
    packet_type = _TYPE_BY_DIGIT.get(frame[:1])
    if packet_type is None:
        raise PacketError("empty Engine.IO packet" if not frame else "unknown Engine.IO packet type")
    return EnginePacket(packet_type, frame[1:])


def encode_engine_packet(packet: EnginePacket) -> str | bytes:
    """Return `packet` as a WebSocket frame.

    Raises:
        PacketError: A packet other than a MESSAGE carries bytes.
    """
    packet_type, data = packet
    if isinstance(data, str):
        return f"{packet_type:d}{data}"
    if packet_type is not EnginePacketType.MESSAGE:
        raise PacketError("only an Engine.IO message carries bytes")
    return data


def decode_payload(body: str) -> list[EnginePacket]:
    """Parse the body of a long-polling request or response.

    Record separators divide the packets. A binary packet is a `b` followed by base64 (Engine.IO protocol,
    "Packet encoding", "HTTP long-polling").

    Raises:
        PacketError: One of the packets is malformed.
    """
    return [
        _decode_base64_packet(part) if part[:1] == "b" else decode_engine_packet(part)
        for part in body.split(RECORD_SEPARATOR)
    ]


def decode_engine_packet_v3(frame: str | bytes) -> EnginePacket:
    """Parse one WebSocket frame of version 3 (Engine.IO protocol v3, "Encoding", "Packet").

    A binary frame starts with the packet type as a byte. Text that starts with `b` is base64 of a binary packet.

    Raises:
        PacketError: The frame is empty, or starts with an unknown type, or is not base64.
    """
    if isinstance(frame, bytes):
        if not frame or frame[0] > max(EnginePacketType):
            raise PacketError("unknown Engine.IO packet type")
        return EnginePacket(EnginePacketType(frame[0]), frame[1:])
    if frame[:1] != "b":
        return decode_engine_packet(frame)
    packet_type = _TYPE_BY_DIGIT.get(frame[1:2])
    if packet_type is None:
        raise PacketError("unknown Engine.IO packet type")
    return EnginePacket(packet_type, _decode_base64(frame[2:]))


def decode_payload_v3(body: str | bytes) -> list[EnginePacket]:
    """Parse a long-polling body of version 3 (Engine.IO protocol v3, "Encoding", "Payload").

    In text, each packet follows its length in characters and a colon. In bytes, each packet follows a byte that
    distinguishes text (0) from binary data (1), and the digits of its length, one per byte.

    Raises:
        PacketError: A length is malformed, or one of the packets is.
    """
    if isinstance(body, bytes) and body[:1] not in (b"\0", b"\1"):
        body = body.decode("utf-8", "replace")
    parts = _split_text_payload(body) if isinstance(body, str) else _split_binary_payload(body)
    return [decode_engine_packet_v3(part) for part in parts]


def _split_text_payload(body: str) -> list[str]:
    # JavaScript counts UTF-16 code units.
    units, parts, at = body.encode("utf-16-le", "surrogatepass"), list[str](), 0
    while at < len(units):
        digits, colon, _ = units[at : at + 2 * MAX_LENGTH_DIGITS + 2].decode("utf-16-le", "replace").partition(":")
        if not (colon and digits.isascii() and digits.isdigit()):
            raise PacketError(MALFORMED_LENGTH)
        start = at + 2 * (len(digits) + 1)
        at = start + 2 * int(digits)
        if at == start or at > len(units):
            raise PacketError(SHORT_BODY)
        parts.append(units[start:at].decode("utf-16-le", "surrogatepass"))
    return parts


def _split_binary_payload(body: bytes) -> list[str | bytes]:
    parts: list[str | bytes] = []
    at = 0
    while at < len(body):
        end = body.find(_LENGTH_END, at, at + MAX_LENGTH_DIGITS + 2)
        digits = body[at + 1 : end]
        if end < 0 or not digits or max(digits) > 9:
            raise PacketError(MALFORMED_LENGTH)
        length = int("".join(map(str, digits)))
        part = body[end + 1 : end + 1 + length]
        if not length or len(part) < length:
            raise PacketError(SHORT_BODY)
        parts.append(part if body[at] == 1 else part.decode("utf-8", "replace"))
        at = end + 1 + length
    return parts


def _decode_base64_packet(part: str) -> EnginePacket:
    return EnginePacket(EnginePacketType.MESSAGE, _decode_base64(part[1:]))


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as problem:
        raise PacketError("binary packet is not base64") from problem


def decode_handshake(data: str | bytes) -> Handshake:
    """Parse the data of an OPEN packet.

    Raises:
        PacketError: The data is not JSON, or a field is missing or of another type.
    """
    try:
        return _HANDSHAKE_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise PacketError("the handshake is not that of an Engine.IO server") from problem
