"""Phoenix channels, and Supabase Realtime, which speaks the same protocol.

A message is a list `[join_ref, ref, topic, event, payload]` (version 2), an object with these keys (version 1), or
binary. A client joins a topic with `phx_join`, whose `join_ref` names the channel until its end.

Sources: Phoenix.Socket.V2.JSONSerializer and phoenix.js, https://hexdocs.pm/phoenix/writing_a_channels_client.html;
Supabase Realtime protocol, https://supabase.com/docs/guides/realtime/protocol.
"""

import struct
from typing import Any

import msgspec

from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.protocols.protocol import (
    Beat,
    Confidence,
    Data,
    Direction,
    Ended,
    Identified,
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

HEARTBEAT_TOPIC = "phoenix"

OWN_PARAMETERS = frozenset({"vsn", "log_level"})
"""Query parameters that the clients set themselves."""

MAX_CHANNELS = 10_000
"""Joined channels that are stored of one connection."""

_JOIN, _LEAVE, _CLOSE, _ERROR, _REPLY = "phx_join", "phx_leave", "phx_close", "phx_error", "phx_reply"
_PUSH, _BINARY_REPLY, _BROADCAST, _USER_PUSH, _USER_BROADCAST = range(5)

_OF_SERVER = frozenset({"presence_state", "system"})
"""Events with which the server answers a join (Phoenix.Presence, Supabase)."""

_CREDENTIALS = frozenset({"access_token", "token", "user_token", "jwt", "apikey", "api_key"})
"""Parameters of a join that do not change what arrives."""


class PhoenixMessage(msgspec.Struct, frozen=True):
    """One message.

    channel  the `join_ref` of the channel, None if the message is for all channels of its topic
    ref      number of a request, which its reply repeats
    """

    channel: str | None
    ref: str | None
    topic: str
    event: str
    payload: Any = None


class Phoenix(WebSocketProtocol):
    """Phoenix channels: clients add `/websocket` to the path, and `vsn` to the query."""

    id = "phoenix"
    name = "Phoenix channels"
    reads_state = True
    own_parameters = OWN_PARAMETERS

    def recognise_content(self, opening: Opening) -> Confidence:
        if opening.path.endswith("/websocket") and "vsn" in query_parameters(opening.url):
            return Confidence.CERTAIN
        messages = [decode_message(data, Direction.SENT) for data in opening.sent]
        is_spoken = any(
            message is not None and (message.event == _JOIN or _is_heartbeat(message)) for message in messages
        )
        return Confidence.LIKELY if is_spoken else Confidence.NONE

    def start_session(self, opening: Opening) -> "PhoenixSession":
        return PhoenixSession()


def _is_heartbeat(message: PhoenixMessage) -> bool:
    return message.topic == HEARTBEAT_TOPIC and message.event == "heartbeat"


def decode_message(data: Data, direction: Direction) -> PhoenixMessage | None:
    """Return the message in a frame, None if the frame contains none."""
    if isinstance(data, bytes):
        return _decode_binary(data, direction)
    content = decode_json(data)
    if isinstance(content, list) and len(content) == 5:
        channel, ref, topic, event, payload = content
    elif isinstance(content, dict) and {"topic", "event", "payload"} <= content.keys():
        channel, ref = content.get("join_ref"), content.get("ref")
        topic, event, payload = content["topic"], content["event"], content["payload"]
    else:
        return None
    if not (isinstance(topic, str) and isinstance(event, str) and _is_ref(channel) and _is_ref(ref)):
        return None
    return PhoenixMessage(_text(channel), _text(ref), topic, event, payload)


def _is_ref(value: object) -> bool:
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


def _text(ref: str | int | None) -> str | None:
    return None if ref is None else str(ref)


def _decode_binary(data: bytes, direction: Direction) -> PhoenixMessage | None:
    """Parse a binary message. Return None if its kind is unknown or its fields are incomplete.

    The bytes are the kind of the message, the length of each field, the fields, and the payload.
    """
    kind = data[0] if data else -1
    is_sent = direction is Direction.SENT
    if kind == _PUSH:
        fields, payload = _split(data, 1, 4 if is_sent else 3)
    elif kind == _BINARY_REPLY:
        fields, payload = _split(data, 1, 4)
    elif kind == _BROADCAST:
        fields, payload = _split(data, 1, 2)
    elif kind in (_USER_PUSH, _USER_BROADCAST):
        # A byte for the encoding of the payload follows the lengths: 1 stands for JSON.
        fields, payload = _split(data, 1, 5 if kind == _USER_PUSH else 3, encodings=1)
    else:
        return None
    if fields is None:
        return None
    if kind == _PUSH:
        ref = fields.pop(1) if is_sent else ""
        return PhoenixMessage(fields[0] or None, ref or None, fields[1], fields[2], payload)
    if kind == _BINARY_REPLY:
        return PhoenixMessage(fields[0] or None, fields[1] or None, fields[2], _REPLY, {"status": fields[3]})
    if kind == _BROADCAST:
        return PhoenixMessage(None, None, fields[0], fields[1], payload)
    topic, event = (fields[2], fields[3]) if kind == _USER_PUSH else (fields[0], fields[1])
    count = 5 if kind == _USER_PUSH else 3
    content = decode_json(payload.decode("utf-8", "replace")) if data[count + 1] == 1 else payload
    channel = fields[0] or None if kind == _USER_PUSH else None
    return PhoenixMessage(channel, None, topic, "broadcast", {"event": event, "payload": content})


def _split(data: bytes, start: int, count: int, encodings: int = 0) -> tuple[list[str] | None, bytes]:
    """Return a list of `count` text fields of a binary message, and the data after the fields.

    From `start` on, the message has one byte for the length of each field, then `encodings` other bytes, then the
    fields. If bytes are missing, None takes the place of the list.
    """
    at = start + count + encodings
    try:
        lengths = struct.unpack_from(f"{count}B", data, start)
    except struct.error:
        return None, b""
    if at + sum(lengths) > len(data):
        return None, b""
    fields = []
    for length in lengths:
        fields.append(data[at : at + length].decode("utf-8", "replace"))
        at += length
    return fields, data[at:]


class _Channel(msgspec.Struct):
    """Channel that the client joined. `ref` is the number of the client's request to join."""

    topic: str
    ref: str | None


class PhoenixSession(Session):
    """Session of one socket. Each joined channel is a subscription to its topic."""

    def __init__(self) -> None:
        self._channels: dict[str, _Channel] = {}
        self._is_ended = False

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        message = decode_message(data, direction)
        if message is None:
            return [Malformed(at=at, reason="a frame that is no message of a Phoenix channel")]
        if message.topic == HEARTBEAT_TOPIC:
            return [Beat(at=at, direction=direction)]
        if direction is Direction.SENT:
            return self._process_sent(message, at)
        return self._process_received(message, at)

    def _process_sent(self, message: PhoenixMessage, at: float) -> WireEvents:
        payload = message.payload
        if message.event == _JOIN:
            return self._join(message, at)
        if message.event == _LEAVE:
            return self._leave(message, at, by_server=False)
        if message.event == "access_token":
            return [Identified(at=at, source="auth", values=payload)] if isinstance(payload, dict) else []
        return [Sent(at=at, name=_name(message), arguments=[_content(message)])]

    def _join(self, message: PhoenixMessage, at: float) -> WireEvents:
        key = message.channel or message.ref or message.topic
        payload = message.payload if isinstance(message.payload, dict) else {}
        identified: WireEvents = [Identified(at=at, source="auth", values=payload)] if payload else []
        if key in self._channels or len(self._channels) >= MAX_CHANNELS:
            return identified
        self._channels[key] = _Channel(message.topic, message.ref)
        name, same = _subscription(message.topic, payload)
        return [*identified, Subscribed(at=at, id=key, name=name, same=same)]

    def _leave(self, message: PhoenixMessage, at: float, *, by_server: bool) -> WireEvents:
        """End the channel that a message names by its `join_ref`; if it has none, end every channel of its topic."""
        ended = [
            key
            for key, channel in self._channels.items()
            if channel.topic == message.topic and message.channel in (None, key)
        ]
        for key in ended:
            del self._channels[key]
        return [Unsubscribed(at=at, id=key, by_server=by_server) for key in ended]

    def _process_received(self, message: PhoenixMessage, at: float) -> WireEvents:
        if message.event == _REPLY:
            return self._process_reply(message, at)
        if message.event in (_CLOSE, _ERROR):
            return self._leave(message, at, by_server=True)
        if message.event in _OF_SERVER:
            return []
        content = _content(message)
        if isinstance(content, bytes):
            return [Received(at=at, name=_name(message), payload=[message.topic], attachments=(content,))]
        return [Received(at=at, name=_name(message), payload=[message.topic, content])]

    def _process_reply(self, message: PhoenixMessage, at: float) -> WireEvents:
        """Process a reply. If it refuses a join, the subscription ends."""
        status = message.payload.get("status") if isinstance(message.payload, dict) else None
        refused = [
            key
            for key, channel in self._channels.items()
            if status == "error" and channel.topic == message.topic and channel.ref == message.ref
        ]
        for key in refused:
            del self._channels[key]
        return [Unsubscribed(at=at, id=key, by_server=True) for key in refused]

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        if self._is_ended:
            return []
        self._is_ended = True
        return [Ended(at=at, reason=reason or TRANSPORT_CLOSE)]


def _name(message: PhoenixMessage) -> str:
    """Return the name of the event in a message. A broadcast of Supabase has the name in its payload."""
    inner = message.payload.get("event") if isinstance(message.payload, dict) else None
    return inner if message.event == "broadcast" and isinstance(inner, str) else message.event


def _content(message: PhoenixMessage) -> Any:
    payload = message.payload
    if message.event == "broadcast" and isinstance(payload, dict) and "payload" in payload:
        return payload["payload"]
    return payload


def _subscription(topic: str, payload: dict[str, Any]) -> tuple[str, Any]:
    """Return the fields `name` and `same` of `Subscribed` for a channel.

    A Supabase client chooses the name of a channel freely. Two channels that listen to the same changes of the database
    get the same events, even if their names differ, unless one of them also announces its presence.
    """
    config = payload.get("config")
    if not isinstance(config, dict):
        return topic, {name: value for name, value in payload.items() if name not in _CREDENTIALS}
    changes, presence = config.get("postgres_changes"), config.get("presence")
    is_present = isinstance(presence, dict) and bool(presence.get("enabled") or presence.get("key"))
    if not isinstance(changes, list) or not changes or is_present:
        return topic, changes or None
    described = sorted({_describe_change(change) for change in changes})
    return f"changes of {', '.join(described)}", described


def _describe_change(change: object) -> str:
    if not isinstance(change, dict):
        return "an unknown table"
    table = ".".join(str(change[key]) for key in ("schema", "table") if change.get(key))
    event, condition = change.get("event") or "*", change.get("filter")
    return f"{table} ({event}{f', {condition}' if condition else ''})"
