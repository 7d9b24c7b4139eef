"""ASP.NET Core SignalR on WebSocket, with messages in JSON or MessagePack.

The client's first message names the encoding: `{"protocol":"json","version":1}` and the record separator. JSON messages
end with the record separator, MessagePack messages begin with their length.

Source: SignalR hub protocol, https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md.
"""

import re
from enum import IntEnum
from typing import Any

import msgspec

from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.protocols.protocol import (
    MAX_MESSAGE,
    Beat,
    Confidence,
    Data,
    Direction,
    Ended,
    Malformed,
    Opening,
    Received,
    Sent,
    Session,
    Subscribed,
    Unsubscribed,
    WebSocketProtocol,
    WireEvents,
    query_parameters,
)
from wscheck.protocols.websocket import decode_json

RECORD_SEPARATOR = "\x1e"

MAX_STREAMS = 10_000
"""Streams that are stored of one connection."""

_ENCODINGS = frozenset({"json", "messagepack", "blazorpack"})
_CONNECTION_TOKEN = re.compile(r"[\w-]{22}", re.ASCII)
"""Connection token that the server chooses in the answer to `negotiate`: 16 bytes in base64."""

_HANDSHAKE_LENGTH = 1_000
_MAX_LENGTH_BYTES = 5
_MSGPACK_DECODER = msgspec.msgpack.Decoder()


class MessageType(IntEnum):
    """Types of messages (hub protocol, "Message Headers")."""

    INVOCATION = 1
    STREAM_ITEM = 2
    COMPLETION = 3
    STREAM_INVOCATION = 4
    CANCEL_INVOCATION = 5
    PING = 6
    CLOSE = 7


class HubMessage(msgspec.Struct, frozen=True):
    """The parts of a message that wscheck reads. `id` is that of the invocation, "" if the sender expects no answer."""

    type: int
    id: str = ""
    target: str = ""
    arguments: tuple[Any, ...] = ()
    item: Any = None


class SignalR(WebSocketProtocol):
    """SignalR, recognised by the client's handshake. Before it, a connection token in the query suggests SignalR."""

    id = "signalr"
    name = "SignalR"
    own_parameters = frozenset({"id"})

    def recognise_content(self, opening: Opening) -> Confidence:
        if opening.sent:
            return Confidence.CERTAIN if _handshake_encoding(opening.sent[0]) else Confidence.NONE
        if opening.received:
            return Confidence.NONE
        return (
            Confidence.POSSIBLE
            if _CONNECTION_TOKEN.fullmatch(query_parameters(opening.url).get("id", ""))
            else Confidence.NONE
        )

    def start_session(self, opening: Opening) -> "SignalRSession":
        return SignalRSession()


def _handshake_encoding(data: Data) -> str:
    """Return the encoding that a client's handshake names, "" if the data start with no handshake."""
    text = data[:_HANDSHAKE_LENGTH] if isinstance(data, str) else data[:_HANDSHAKE_LENGTH].decode("utf-8", "replace")
    head, separator, _ = text.partition(RECORD_SEPARATOR)
    request = decode_json(head) if separator else None
    encoding = request.get("protocol") if isinstance(request, dict) and "version" in request else None
    return encoding if isinstance(encoding, str) and encoding in _ENCODINGS else ""


class SignalRSession(Session):
    """Session of one hub connection. A stream that the server sends counts as a subscription."""

    def __init__(self) -> None:
        self._is_json = True
        self._awaits_handshake = dict.fromkeys(Direction, True)
        self._rest = dict.fromkeys(Direction, b"")
        self._streams: dict[str, HubMessage] = {}
        self._is_ended = False

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        content = self._rest[direction] + (data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
        self._rest[direction] = b""
        if len(content) > MAX_MESSAGE:
            return [Malformed(at=at, reason="a SignalR message is longer than 1 MiB")]
        if self._awaits_handshake[direction]:
            return self._process_handshake(direction, content, at)
        return self._process_messages(direction, content, at)

    def _process_handshake(self, direction: Direction, content: bytes, at: float) -> WireEvents:
        head, separator, rest = content.partition(RECORD_SEPARATOR.encode())
        if not separator:
            self._rest[direction] = content
            return []
        self._awaits_handshake[direction] = False
        if direction is Direction.SENT:
            self._is_json = _handshake_encoding(content) in ("json", "")
            return self._process_messages(direction, rest, at)
        answer = decode_json(head.decode("utf-8", "replace"))
        if not isinstance(answer, dict):
            return [Malformed(at=at, reason="a SignalR handshake that is not JSON")]
        return self._process_messages(direction, rest, at)

    def _process_messages(self, direction: Direction, content: bytes, at: float) -> WireEvents:
        split = self._split_json if self._is_json else self._split_msgpack
        events: WireEvents = []
        for message in split(direction, content):
            if message is None:
                events.append(Malformed(at=at, reason="a SignalR message that cannot be read"))
            elif message.type == MessageType.PING:
                events.append(Beat(at=at, direction=direction))
            elif direction is Direction.SENT:
                events += self._process_sent(message, at)
            else:
                events += self._process_received(message, at)
        return events

    def _split_json(self, direction: Direction, content: bytes) -> list[HubMessage | None]:
        *records, self._rest[direction] = content.split(RECORD_SEPARATOR.encode())
        return [_read_json(record) for record in records if record]

    def _split_msgpack(self, direction: Direction, content: bytes) -> list[HubMessage | None]:
        found: list[HubMessage | None] = []
        at = 0
        while at < len(content):
            length, size = _read_length(content, at)
            if length is None or length > MAX_MESSAGE:
                return [*found, None]
            if not size or at + size + length > len(content):
                self._rest[direction] = content[at:]
                break
            found.append(_read_msgpack(content[at + size : at + size + length]))
            at += size + length
        return found

    def _process_sent(self, message: HubMessage, at: float) -> WireEvents:
        if message.type == MessageType.INVOCATION:
            return [Sent(at=at, name=message.target, arguments=list(message.arguments))]
        if message.type == MessageType.STREAM_INVOCATION and len(self._streams) < MAX_STREAMS:
            self._streams[message.id] = message
            return [Subscribed(at=at, id=message.id, name=message.target, same=list(message.arguments))]
        if message.type == MessageType.CANCEL_INVOCATION:
            return self._end_stream(message.id, at, by_server=False)
        return []

    def _process_received(self, message: HubMessage, at: float) -> WireEvents:
        if message.type == MessageType.INVOCATION:
            arguments = message.arguments
            return [_received(message.target, arguments[0] if len(arguments) == 1 else list(arguments), at)]
        if message.type == MessageType.STREAM_ITEM and message.id in self._streams:
            stream = self._streams[message.id]
            # Equal items of streams with other arguments, such as two sensors, are different events.
            return [_received(stream.target, [list(stream.arguments), message.item], at)]
        if message.type == MessageType.COMPLETION:
            return self._end_stream(message.id, at, by_server=True)
        return []

    def _end_stream(self, key: str, at: float, *, by_server: bool) -> WireEvents:
        is_known = self._streams.pop(key, None) is not None
        return [Unsubscribed(at=at, id=key, by_server=by_server)] if is_known else []

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        if self._is_ended:
            return []
        self._is_ended = True
        return [Ended(at=at, reason=reason or TRANSPORT_CLOSE)]


def _received(name: str, payload: Any, at: float) -> Received:
    return Received(at=at, name=name, payload=payload)


def _read_json(record: bytes) -> HubMessage | None:
    message = decode_json(record.decode("utf-8", "replace"))
    if not isinstance(message, dict) or not _is_type(message.get("type")):
        return None
    arguments = message.get("arguments")
    return HubMessage(
        message["type"],
        _text(message.get("invocationId")),
        _text(message.get("target")),
        tuple(arguments) if isinstance(arguments, list) else (),
        message.get("item"),
    )


def _read_msgpack(data: bytes) -> HubMessage | None:
    """Parse a message in MessagePack: a list of type, headers, id, and what the type demands."""
    try:
        fields = _MSGPACK_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError, TypeError):
        return None
    if not isinstance(fields, list) or not fields or not _is_type(fields[0]):
        return None
    padded = [*fields, *[None] * 5]
    arguments = padded[4] if isinstance(padded[4], list) else []
    if fields[0] in (MessageType.INVOCATION, MessageType.STREAM_INVOCATION):
        return HubMessage(fields[0], _text(padded[2]), _text(padded[3]), tuple(arguments))
    return HubMessage(fields[0], _text(padded[2]), item=padded[3])


def _is_type(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _read_length(content: bytes, at: int) -> tuple[int | None, int]:
    """Return the length of a message, and the number of bytes that this length takes.

    Return (0, 0) if some of these bytes are missing, and (None, 0) if there are too many of them.
    """
    length = 0
    for size, byte in enumerate(content[at : at + _MAX_LENGTH_BYTES], start=1):
        length |= (byte & 0x7F) << (7 * (size - 1))
        if byte < 0x80:
            return length, size
    return (0, 0) if len(content) - at < _MAX_LENGTH_BYTES else (None, 0)
