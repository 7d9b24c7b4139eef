"""Plain WebSockets, whose messages have no known protocol.

In most applications, a message has a name. In a JSON object, it is the value of a key such as "event" or "type". In a
JSON array, it is the first item. Messages without a name are named "message".
"""

from abc import abstractmethod
from typing import Any

import msgspec

from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.protocols.protocol import (
    Confidence,
    Data,
    Direction,
    Ended,
    Identified,
    Malformed,
    Opening,
    Protocol,
    Received,
    Sent,
    Session,
    WireEvents,
)

MESSAGE = "message"
"""Name of a message without a name of its own, after the event of the browser's WebSocket."""

NAME_KEYS = ("event", "type", "action", "op", "cmd", "command", "method", "kind", "topic", "channel", "name")
"""Keys whose value is the name of a message, the most usual first."""

MAX_NAME_LENGTH = 60

HEARTBEATS = frozenset({"ping", "pong", "heartbeat", "keepalive", "keep-alive", "hb"})
"""Messages that applications send in order to keep a connection open: the whole text, or the name, in lower case."""

_JSON_DECODER = msgspec.json.Decoder()


class PlainWebSocket(Protocol):
    """A WebSocket whose protocol is not known."""

    id = "websocket"
    name = "WebSocket"

    def recognise(self, opening: Opening) -> Confidence:
        return Confidence.FALLBACK if opening.is_websocket else Confidence.NONE

    def start_session(self, opening: Opening) -> "PlainWebSocketSession":
        return PlainWebSocketSession()


class PlainWebSocketSession(Session):
    """Session without a protocol: every frame is a message.

    The first JSON object that the client sends may contain its credentials.
    """

    def __init__(self) -> None:
        self._is_identified = self._is_ended = False

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        payload = decode_json(data)
        name = message_name(payload) or MESSAGE
        if is_heartbeat(payload, name):
            return []
        if direction is Direction.RECEIVED:
            attachments = (data,) if isinstance(data, bytes) else ()
            content = None if isinstance(data, bytes) else payload
            return [Received(at=at, name=name, payload=content, attachments=attachments)]
        events: WireEvents = [Sent(at=at, name=name, arguments=[payload])]
        if not self._is_identified and isinstance(payload, dict):
            self._is_identified = True
            events.insert(0, Identified(at=at, source="auth", values=payload))
        return events

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        if self._is_ended:
            return []
        self._is_ended = True
        return [Ended(at=at, reason=reason or TRANSPORT_CLOSE)]


class JsonSession(Session):
    """Base class of sessions whose frames are JSON objects."""

    def __init__(self) -> None:
        self._is_ended = False

    @abstractmethod
    def process(self, direction: Direction, message: dict[str, Any], at: float) -> WireEvents:
        """Process one message."""

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        message = decode_json(data)
        if isinstance(message, dict):
            return self.process(direction, message, at)
        return [Malformed(at=at, reason="a message is no JSON object")]

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        if self._is_ended:
            return []
        self._is_ended = True
        return [Ended(at=at, reason=reason or TRANSPORT_CLOSE)]


def decode_json(data: Data) -> Any:
    """Return the value of a JSON text, or the text itself if it is not JSON; None for binary data."""
    if isinstance(data, bytes):
        return None
    try:
        return _JSON_DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return data


def message_name(payload: object) -> str:
    """Return the name that a message gives itself, "" if it has none."""
    if isinstance(payload, dict):
        named = (payload.get(key) for key in NAME_KEYS)
        return next((str(name) for name in named if _is_name(name)), "")
    if isinstance(payload, list) and payload and _is_name(payload[0]):
        return str(payload[0])
    return ""


def encode_message(name: str, payload: object) -> str:
    """Return the text of a message with this name, as a client sends it.

    A text is sent as it is, any other value as JSON. In an object, the name is added under the key `type`, unless one
    of its values is the name already.
    """
    if isinstance(payload, str):
        return payload
    if payload is None:
        payload = {}
    if isinstance(payload, dict) and name not in payload.values():
        payload = {"type": name, **payload}
    return msgspec.json.encode(payload).decode()


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and not any(char.isspace() for char in value)


def is_heartbeat(payload: object, name: str) -> bool:
    """Return whether a message only keeps the connection open."""
    text = payload.strip().lower() if isinstance(payload, str) and len(payload) < MAX_NAME_LENGTH else ""
    return text in HEARTBEATS or name.lower() in HEARTBEATS
