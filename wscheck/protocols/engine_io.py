"""Packets of the Engine.IO protocol, version 4, to and from text and bytes.

A WebSocket frame carries one packet. The body of an HTTP long-polling request or response carries one or more.
A MESSAGE carries one Socket.IO packet (see `wscheck.protocols.socket_io`).

Source: Engine.IO protocol v4, https://socket.io/docs/v4/engine-io-protocol/.
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


def _decode_base64_packet(part: str) -> EnginePacket:
    try:
        return EnginePacket(EnginePacketType.MESSAGE, base64.b64decode(part[1:], validate=True))
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
        raise PacketError("the handshake is not that of an Engine.IO 4 server") from problem
