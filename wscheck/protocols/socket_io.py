"""Packets of the Socket.IO protocol, version 5, to and from the text of an Engine.IO MESSAGE.

An encoded packet is its type, then optional parts, then JSON:

    2/admin,7["hello",1]    2 EVENT, namespace /admin, acknowledgement id 7, event name and arguments

A binary packet also states its number of attachments. Each attachment follows in a binary Engine.IO packet of its own.

The parsers of the packages socket.io-client 1 and 2 (Socket.IO protocol, versions 3 and 4) write the same text, except
that a namespace may have a query (`0/admin?token=x`), and that a CONNECT has no data.

Source: Socket.IO protocol v5, https://socket.io/docs/v4/socket-io-protocol/. The data of each type is checked like in
socket.io-parser, the reference implementation.
"""

import re
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

from wscheck.protocols.engine_io import PacketError


class SocketPacketType(IntEnum):
    """Types of Socket.IO packets, with their digit on the wire (Socket.IO protocol, "Exchange protocol")."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


BINARY_PACKET_TYPES = frozenset({SocketPacketType.BINARY_EVENT, SocketPacketType.BINARY_ACK})
"""Types whose packets are followed by attachments."""

RESERVED_EVENT_NAMES = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that an application's event must not have, because Socket.IO itself emits them (socket.io-parser)."""


class SocketPacket(NamedTuple):
    """One Socket.IO packet.

    data         an object for CONNECT, a list for EVENT and ACK (the first item of an event is its name), or None
    ack_id       the acknowledgement id, or None if the packet needs no acknowledgement
    attachments  number of binary frames that follow; `data` contains a placeholder for each
    """

    type: SocketPacketType
    namespace: str = "/"
    data: Any = None
    ack_id: int | None = None
    attachments: int = 0


class _MsgpackPacket(msgspec.Struct):
    """Map into which socket.io-msgpack-parser encodes a packet. JavaScript's `undefined` is an extension type."""

    type: SocketPacketType
    nsp: str
    data: Any = None
    id: Any = None


_TYPE_BY_DIGIT = {str(int(packet_type)): packet_type for packet_type in SocketPacketType}
_HEAD = re.compile(r"(?:[0-4]|[56]([0-9]{1,9})-)(?:(/[^,]*)(?:,|\Z))?([0-9]{1,18})?", re.ASCII)
_JSON_DECODER = msgspec.json.Decoder()
_MSGPACK_DECODER = msgspec.msgpack.Decoder(_MsgpackPacket)
_JSON_ENCODER = msgspec.json.Encoder()


_DAY_S = 86_400.0
_OFFSET_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_MEMORY_OFFSET = re.compile(r"([\w-]{1,10})(?:\.[\w-]{1,10})?", re.ASCII)
"""Offset of the in-memory adapter: the milliseconds of the epoch in base 64, and a counter within a millisecond."""
_STORED_OFFSET = re.compile(r"|\d{10,}(?:-\d+)?|[0-9a-f]{24}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
"""Offsets of other adapters: none, an entry of a Redis stream, a message number, an id of MongoDB, a UUID."""


def decode_socket_packet(text: str) -> SocketPacket:
    """Parse the data of an Engine.IO MESSAGE (Socket.IO protocol, "Packet encoding").

    Raises:
        PacketError: The text is malformed, or its data does not fit its type.
    """
    if text.startswith("2["):  # the fast path for nearly all packets of a session
        return SocketPacket(SocketPacketType.EVENT, "/", _checked_data(SocketPacketType.EVENT, _parse_json(text[1:])))
    head = _HEAD.match(text)
    if head is None:
        raise PacketError(_head_error(text))
    attachments, namespace, ack_id = head.groups()
    packet_type = _TYPE_BY_DIGIT[text[0]]
    rest = text[head.end() :]
    data = _checked_data(packet_type, _parse_json(rest)) if rest else None
    if data is None and packet_type in _TYPES_WITH_DATA:
        raise PacketError(f"{packet_type.name} without data")
    return SocketPacket(packet_type, namespace or "/", data, int(ack_id) if ack_id else None, int(attachments or 0))


def decode_msgpack_packet(data: bytes) -> SocketPacket:
    """Parse the data of an Engine.IO MESSAGE that socket.io-msgpack-parser has encoded: one map per packet.

    Raises:
        PacketError: The bytes are not such a map, or its data does not fit its type.
    """
    try:
        packet = _MSGPACK_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise PacketError("binary data that is no packet") from problem
    is_absent = packet.data is None or isinstance(packet.data, msgspec.msgpack.Ext)
    content = None if is_absent else _checked_data(packet.type, packet.data)
    if content is None and packet.type in _TYPES_WITH_DATA:
        raise PacketError(f"{packet.type.name} without data")
    return SocketPacket(packet.type, packet.nsp, content, packet.id if isinstance(packet.id, int) else None)


def encode_socket_packet(packet: SocketPacket) -> str:
    """Return `packet` as the data of an Engine.IO MESSAGE.

    Raises:
        PacketError: The packet has no encoding that `decode_socket_packet` could parse.
    """
    packet_type, namespace, data, ack_id, attachments = packet
    if not namespace.startswith("/") or "," in namespace:
        raise PacketError("a namespace starts with / and contains no comma")
    if (data is None and packet_type in _TYPES_WITH_DATA) or (ack_id or 0) < 0 or attachments < 0:
        raise PacketError(f"{packet_type.name} is incomplete")
    head = f"{packet_type:d}{attachments}-" if packet_type in BINARY_PACKET_TYPES else f"{packet_type:d}"
    encoded_namespace = "" if namespace == "/" else f"{namespace},"
    encoded_ack_id = "" if ack_id is None else ack_id
    encoded_data = "" if data is None else _dump_json(_checked_data(packet_type, data))
    return f"{head}{encoded_namespace}{encoded_ack_id}{encoded_data}"


def connect_packet(namespace: str = "/", auth: dict[str, Any] | None = None) -> SocketPacket:
    """Return a client's CONNECT with its credentials (Socket.IO protocol, "Connection to a namespace")."""
    return SocketPacket(SocketPacketType.CONNECT, namespace, auth)


def event_packet(name: str, *arguments: Any, namespace: str = "/", ack_id: int | None = None) -> SocketPacket:
    """Return an EVENT. With an `ack_id` the receiver must acknowledge it (Socket.IO protocol, "Acknowledgement")."""
    return SocketPacket(SocketPacketType.EVENT, namespace, [name, *arguments], ack_id)


def offers_recovery(data: object) -> bool:
    """Report whether the data of a server's CONNECT offer connection state recovery, by a private session id."""
    return isinstance(data, dict) and isinstance(data.get("pid"), str)


def without_recovery_offset(data: list[Any], ack_id: int | None, at: float) -> list[Any]:
    """Return the data of an event without the offset that a server with connection state recovery appends.

    The offset is new in each packet, so it would make two copies of an event different. The server appends none to
    events that it wants acknowledged, and none to volatile ones, whose last argument may be any text. Therefore an
    offset must have the form that an adapter of Socket.IO writes. `at` is the time of the event in epoch seconds.

    Source: https://socket.io/docs/v4/connection-state-recovery; broadcast() in the adapters of Socket.IO
    """
    if ack_id is None and len(data) > 1 and isinstance(data[-1], str) and _is_recovery_offset(data[-1], at):
        return data[:-1]
    return data


def _is_recovery_offset(text: str, at: float) -> bool:
    if _STORED_OFFSET.fullmatch(text):
        return True
    if (memory := _MEMORY_OFFSET.fullmatch(text)) is None:
        return False
    milliseconds = 0
    for digit in memory[1]:
        milliseconds = milliseconds * len(_OFFSET_ALPHABET) + _OFFSET_ALPHABET.index(digit)
    return abs(milliseconds / 1000 - at) < _DAY_S


def encode_frame(packet: SocketPacket) -> str:
    """Return `packet` as the text of a WebSocket frame: an Engine.IO MESSAGE."""
    return f"4{encode_socket_packet(packet)}"


def _parse_json(text: str) -> Any:
    try:
        return _JSON_DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise PacketError("the packet's data is not JSON") from problem


def _dump_json(data: Any) -> str:
    try:
        return _JSON_ENCODER.encode(data).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise PacketError("the packet's data cannot be written as JSON") from problem


def _checked_data(packet_type: SocketPacketType, data: Any) -> Any:
    """Return `data` unchanged. Raise PacketError if a packet of `packet_type` cannot contain it."""
    if not _DATA_CHECKS[packet_type](data):
        raise PacketError(f"the data does not fit {packet_type.name}")
    return data


def _is_object(data: Any) -> bool:
    return isinstance(data, dict)


def _is_list(data: Any) -> bool:
    return isinstance(data, list)


def _is_event(data: Any) -> bool:
    if not isinstance(data, list) or not data:
        return False
    return data[0] not in RESERVED_EVENT_NAMES if isinstance(data[0], str) else type(data[0]) in (int, float)


_DATA_CHECKS = {
    SocketPacketType.CONNECT: _is_object,
    SocketPacketType.DISCONNECT: lambda data: False,
    SocketPacketType.EVENT: _is_event,
    SocketPacketType.ACK: _is_list,
    SocketPacketType.CONNECT_ERROR: lambda data: isinstance(data, str | dict),
    SocketPacketType.BINARY_EVENT: _is_event,
    SocketPacketType.BINARY_ACK: _is_list,
}
_TYPES_WITH_DATA = frozenset({SocketPacketType.EVENT, SocketPacketType.ACK, *BINARY_PACKET_TYPES})


def _head_error(text: str) -> str:
    if not text:
        return "empty Socket.IO packet"
    return "illegal attachment count" if text[0] in "56" else "unknown Socket.IO packet type"
