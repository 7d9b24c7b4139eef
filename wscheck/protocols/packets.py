"""THE WIRE: Engine.IO v4 and Socket.IO v5 packets to and from text, sans-I/O; load, browser and HAR share it.

A websocket frame holds one Engine.IO packet, a polling body several; an Engine.IO message holds one Socket.IO packet:

    42/admin,7["hello",1]    4 message, 2 EVENT, namespace /admin, ack id 7, the event's name and arguments

Sources: the Engine.IO protocol, revision 4, and the Socket.IO protocol, revision 5. Whatever does not follow them
raises `PacketError` and nothing else.
"""

import base64
import binascii
import re
from enum import IntEnum
from typing import Any, NamedTuple

import msgspec

SEPARATOR = "\x1e"
"""Between the packets of a long-polling body."""


class PacketError(ValueError):
    """Text or bytes that are no packet. The message quotes none of it: it may hold a secret."""


class EngineType(IntEnum):
    """Engine.IO packet types, by their digit on the wire."""

    OPEN = 0
    CLOSE = 1
    PING = 2
    PONG = 3
    MESSAGE = 4
    UPGRADE = 5
    NOOP = 6


class SocketType(IntEnum):
    """Socket.IO packet types, by their digit on the wire."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


BINARY = frozenset({SocketType.BINARY_EVENT, SocketType.BINARY_ACK})


class EnginePacket(NamedTuple):
    """`data` is text, or bytes when a MESSAGE carries a binary attachment."""

    type: EngineType
    data: str | bytes = ""


class Handshake(msgspec.Struct, frozen=True, rename="camel"):
    """What an OPEN packet says. `sid` is the Engine.IO session id; the intervals are in milliseconds."""

    sid: str
    ping_interval: int
    ping_timeout: int
    upgrades: tuple[str, ...] = ()


class SocketPacket(NamedTuple):
    """`data`: an object for CONNECT, a list for EVENT and ACK (an event's first item is its name), None when absent.

    id           the acknowledgement's number, None where none is asked for
    attachments  how many binary frames follow; `data` holds their placeholders
    """

    type: SocketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None
    attachments: int = 0


_ENGINE = {str(int(each)): each for each in EngineType}
_SOCKET = {str(int(each)): each for each in SocketType}
_HEAD = re.compile(r"(?:[0-4]|[56]([0-9]{1,9})-)(?:(/[^,]*)(?:,|\Z))?([0-9]{1,18})?", re.ASCII)
_JSON = msgspec.json.Decoder()
_HANDSHAKE = msgspec.json.Decoder(Handshake)
_TO_JSON = msgspec.json.Encoder()
RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})
"""Names that no event has: a Socket.IO client or server means something of its own by them."""


def decode_engine(frame: str | bytes) -> EnginePacket:
    """One websocket frame: text starts with the type's digit, bytes are a MESSAGE's attachment."""
    if isinstance(frame, bytes):
        return EnginePacket(EngineType.MESSAGE, frame)
    kind = _ENGINE.get(frame[:1])
    if kind is None:
        raise PacketError("empty Engine.IO packet" if not frame else "unknown Engine.IO packet type")
    return EnginePacket(kind, frame[1:])


def encode_engine(packet: EnginePacket) -> str | bytes:
    """The inverse of `decode_engine`."""
    kind, data = packet
    if isinstance(data, str):
        return f"{kind:d}{data}"
    if kind is not EngineType.MESSAGE:
        raise PacketError("only an Engine.IO message carries bytes")
    return data


def decode_payload(body: str) -> list[EnginePacket]:
    """A long-polling body: packets between separators, bytes as `b` and base64."""
    return [_from_base64(part) if part[:1] == "b" else decode_engine(part) for part in body.split(SEPARATOR)]


def _from_base64(part: str) -> EnginePacket:
    try:
        return EnginePacket(EngineType.MESSAGE, base64.b64decode(part[1:], validate=True))
    except (binascii.Error, ValueError) as problem:
        raise PacketError("binary packet is not base64") from problem


def decode_handshake(data: str | bytes) -> Handshake:
    """The data of an OPEN packet."""
    try:
        return _HANDSHAKE.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise PacketError("the handshake is not what an Engine.IO 4 server sends") from problem


def decode_socket(text: str) -> SocketPacket:
    """The data of an Engine.IO MESSAGE."""
    if text.startswith("2["):  # nearly all of the traffic
        return SocketPacket(SocketType.EVENT, "/", _valid(SocketType.EVENT, _parse(text[1:])))
    head = _HEAD.match(text)
    if head is None:
        raise PacketError(_why_no_head(text))
    attachments, namespace, number = head.groups()
    kind = _SOCKET[text[0]]
    rest = text[head.end() :]
    data = _valid(kind, _parse(rest)) if rest else None
    if data is None and kind in _NEEDS_DATA:
        raise PacketError(f"{kind.name} without data")
    return SocketPacket(kind, namespace or "/", data, int(number) if number else None, int(attachments or 0))


def encode_socket(packet: SocketPacket) -> str:
    """The inverse of `decode_socket`. Refuses what could not be read back."""
    kind, namespace, data, number, attachments = packet
    if not namespace.startswith("/") or "," in namespace:
        raise PacketError("a namespace starts with / and holds no comma")
    if (data is None and kind in _NEEDS_DATA) or (number or 0) < 0 or attachments < 0:
        raise PacketError(f"{kind.name} is incomplete")
    head = f"{kind:d}{attachments}-" if kind in BINARY else f"{kind:d}"
    where = "" if namespace == "/" else f"{namespace},"
    asked = "" if number is None else number
    return f"{head}{where}{asked}{'' if data is None else _dump(_valid(kind, data))}"


def connect(namespace: str = "/", auth: dict[str, Any] | None = None) -> SocketPacket:
    """A client's CONNECT; `auth` is what the server's middleware looks at."""
    return SocketPacket(SocketType.CONNECT, namespace, auth)


def event(name: str, *arguments: Any, namespace: str = "/", id: int | None = None) -> SocketPacket:
    """An EVENT; with an `id` the other side is asked to acknowledge."""
    return SocketPacket(SocketType.EVENT, namespace, [name, *arguments], id)


def message(packet: SocketPacket) -> str:
    """`packet` as the text of a websocket frame."""
    return f"4{encode_socket(packet)}"


def _parse(text: str) -> Any:
    try:
        return _JSON.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
        raise PacketError("the packet's data is not JSON") from problem


def _dump(data: Any) -> str:
    try:
        return _TO_JSON.encode(data).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise PacketError("the packet's data cannot be written as JSON") from problem


def _valid(kind: SocketType, data: Any) -> Any:
    """`data` if its shape fits `kind`, as socket.io-parser has it."""
    if not _FITS[kind](data):
        raise PacketError(f"the data does not fit {kind.name}")
    return data


def _is_object(data: Any) -> bool:
    return isinstance(data, dict)


def _is_list(data: Any) -> bool:
    return isinstance(data, list)


def _is_event(data: Any) -> bool:
    if not isinstance(data, list) or not data:
        return False
    return data[0] not in RESERVED if isinstance(data[0], str) else type(data[0]) in (int, float)


_FITS = {
    SocketType.CONNECT: _is_object,
    SocketType.DISCONNECT: lambda data: False,
    SocketType.EVENT: _is_event,
    SocketType.ACK: _is_list,
    SocketType.CONNECT_ERROR: lambda data: isinstance(data, str | dict),
    SocketType.BINARY_EVENT: _is_event,
    SocketType.BINARY_ACK: _is_list,
}
_NEEDS_DATA = frozenset({SocketType.EVENT, SocketType.ACK, *BINARY})


def _why_no_head(text: str) -> str:
    if not text:
        return "empty Socket.IO packet"
    return "illegal attachment count" if text[0] in "56" else "unknown Socket.IO packet type"
