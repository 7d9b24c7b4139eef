"""MQTT on WebSocket, versions 3.1, 3.1.1 and 5.

A control packet is its type and flags, its remaining length, and its content. WebSocket frames may divide packets
anywhere. A broker keeps one connection for each client id: a newer one ends the older.

Sources: MQTT 3.1.1 and MQTT 5.0, https://docs.oasis-open.org/mqtt/mqtt/.
"""

from enum import IntEnum
from typing import Any

import msgspec

from wscheck.model.disconnect_reasons import (
    PING_TIMEOUT,
    SERVER_DISCONNECT,
    SERVER_SHUTTING_DOWN,
    SESSION_TAKEN_OVER,
)
from wscheck.protocols.protocol import (
    MAX_MESSAGE,
    Beat,
    Closing,
    Confidence,
    Data,
    Direction,
    Identified,
    LoginSession,
    Malformed,
    Opening,
    Received,
    Sent,
    Subscribed,
    Unsubscribed,
    WebSocketProtocol,
    WireEvents,
)
from wscheck.protocols.websocket import decode_json

SUBPROTOCOLS = ("mqtt", "mqttv3.1")

MAX_SUBSCRIPTIONS = 10_000
"""Subscriptions, and packets without an answer, that are stored of one connection."""

_NAMES = (b"\x00\x04MQTT", b"\x00\x06MQIsdp")
_VERSION_5 = 5
_FAILURE = 0x80
"""Smallest code of a failure in MQTT 5, and the only one in a SUBACK before."""

_MAX_LENGTH_BYTES = 4

_END_REASONS = {0x8B: SERVER_SHUTTING_DOWN, 0x8D: PING_TIMEOUT, 0x8E: SESSION_TAKEN_OVER}
"""Reason codes with which a server ends a connection (MQTT 5.0, "Disconnect Reason Code")."""

_REFUSALS = {
    1: "unacceptable protocol version",
    2: "client identifier not valid",
    3: "server unavailable",
    4: "bad user name or password",
    5: "not authorized",
    0x84: "unsupported protocol version",
    0x85: "client identifier not valid",
    0x86: "bad user name or password",
    0x87: "not authorized",
    0x88: "server unavailable",
    0x89: "server busy",
    0x8A: "banned",
    0x97: "quota exceeded",
    0x9F: "connection rate exceeded",
}
"""Reason codes of a CONNACK: those below 6 are of the versions before 5."""

_PROPERTY_SIZES = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_TEXT_PROPERTIES = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_SUBSCRIPTION_ID, _ASSIGNED_CLIENT_ID, _TOPIC_ALIAS, _USER_PROPERTY = 0x0B, 0x12, 0x23, 0x26


class PacketType(IntEnum):
    """Types of control packets (MQTT 5.0, "MQTT Control Packet type")."""

    CONNECT = 1
    CONNACK = 2
    PUBLISH = 3
    SUBSCRIBE = 8
    SUBACK = 9
    UNSUBSCRIBE = 10
    PINGREQ = 12
    PINGRESP = 13
    DISCONNECT = 14


class Mqtt(WebSocketProtocol):
    """MQTT, recognised by its subprotocols or by the client's CONNECT."""

    id = "mqtt"
    name = "MQTT"
    subprotocols = SUBPROTOCOLS

    def recognise_content(self, opening: Opening) -> Confidence:
        first = opening.sent[0] if opening.sent else b""
        connects = isinstance(first, bytes) and first[:1] == b"\x10" and any(name in first[2:13] for name in _NAMES)
        return Confidence.CERTAIN if connects else Confidence.NONE

    def start_session(self, opening: Opening) -> "MqttSession":
        return MqttSession()


class MqttPacket(msgspec.Struct, frozen=True):
    """One control packet: type, flags, and what follows its remaining length."""

    type: int
    flags: int
    content: bytes


class PacketParser:
    """Parser of the packets of one direction, which arrive in parts of any length."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._to_skip = 0

    def feed(self, data: bytes) -> list[MqttPacket | None]:
        """Process the next part, and return the packets that it completes. None stands for an unreadable packet."""
        self._data += data
        found: list[MqttPacket | None] = []
        while self._data:
            if self._to_skip:
                skipped = min(self._to_skip, len(self._data))
                del self._data[:skipped]
                self._to_skip -= skipped
                continue
            length, size = _variable_integer(self._data, 1)
            if size < 0:
                self._data.clear()
                return [*found, None]
            if not size:
                break
            if length > MAX_MESSAGE:
                self._to_skip = 1 + size + length
                found.append(None)
                continue
            end = 1 + size + length
            if len(self._data) < end:
                break
            head = self._data[0]
            found.append(MqttPacket(head >> 4, head & 0x0F, bytes(self._data[1 + size : end])))
            del self._data[:end]
        return found


def _variable_integer(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the variable byte integer at offset `at`, and its size in bytes.

    The size is 0 if the integer is incomplete, and -1 if it is too long.
    """
    value = 0
    for size, byte in enumerate(data[at : at + _MAX_LENGTH_BYTES], start=1):
        value |= (byte & 0x7F) << (7 * (size - 1))
        if byte < 0x80:
            return value, size
    return 0, -1 if len(data) - at >= _MAX_LENGTH_BYTES else 0


class _Truncated(ValueError):
    """Error for a packet that ends before its fields do."""


class _Fields:
    """Reader of the fields of a packet."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._content)

    def take(self, length: int) -> bytes:
        """Return the next bytes. Raise _Truncated if there are fewer."""
        end = self._at + length
        if end > len(self._content):
            raise _Truncated
        taken, self._at = self._content[self._at : end], end
        return taken

    def integer(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def binary(self) -> bytes:
        return self.take(self.integer(2))

    def text(self) -> str:
        return self.binary().decode("utf-8", "replace")

    def variable_integer(self) -> int:
        value, size = _variable_integer(self._content, self._at)
        if size < 1:
            raise _Truncated
        self._at += size
        return value

    def rest(self) -> bytes:
        return self.take(len(self._content) - self._at)

    def properties(self) -> dict[int, Any]:
        """Return the properties of MQTT 5 by their number: integers and texts."""
        fields, found = _Fields(self.take(self.variable_integer())), dict[int, Any]()
        while not fields.is_empty:
            number = fields.variable_integer()
            if number in _PROPERTY_SIZES:
                found[number] = fields.integer(_PROPERTY_SIZES[number])
            elif number in _TEXT_PROPERTIES:
                found[number] = fields.text()
            elif number == _SUBSCRIPTION_ID:
                found[number] = fields.variable_integer()
            elif number == _USER_PROPERTY:
                fields.binary()
                fields.binary()
            else:
                raise _Truncated
        return found


class MqttSession(LoginSession):
    """Session of one client. Its subscriptions are named by their topic filters."""

    def __init__(self) -> None:
        super().__init__()
        self._parsers = {direction: PacketParser() for direction in Direction}
        self._is_version_5 = False
        self._client_id = ""
        self._subscriptions: set[str] = set()
        self._pending: dict[int, list[str]] = {}
        self._aliases: dict[tuple[Direction, int], str] = {}
        self._unanswered: dict[int, None] = {}

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        if isinstance(data, str):
            return [Malformed(at=at, reason="MQTT in a text frame")]
        events: WireEvents = []
        for packet in self._parsers[direction].feed(data):
            if packet is None:
                events.append(Malformed(at=at, reason="an MQTT packet that is malformed or longer than 1 MiB"))
                continue
            try:
                events += self._process(packet, direction, at)
            except _Truncated:
                events.append(Malformed(at=at, reason="an MQTT packet that ends too early"))
        return events

    def _process(self, packet: MqttPacket, direction: Direction, at: float) -> WireEvents:
        if packet.type in (PacketType.PINGREQ, PacketType.PINGRESP):
            return [Beat(at=at, direction=direction)]
        fields = _Fields(packet.content)
        if packet.type == PacketType.PUBLISH:
            return self._process_publish(packet, fields, direction, at)
        if direction is Direction.SENT:
            return self._process_sent(packet, fields, at)
        return self._process_received(packet, fields, at)

    def _process_sent(self, packet: MqttPacket, fields: _Fields, at: float) -> WireEvents:
        if packet.type == PacketType.CONNECT:
            return self._connect(fields, at)
        if packet.type == PacketType.SUBSCRIBE:
            return self._subscribe(fields, at)
        if packet.type == PacketType.UNSUBSCRIBE:
            return self._unsubscribe(fields, at)
        return [Closing(at=at)] if packet.type == PacketType.DISCONNECT else []

    def _process_received(self, packet: MqttPacket, fields: _Fields, at: float) -> WireEvents:
        if packet.type == PacketType.CONNACK:
            return self._acknowledge(fields, at)
        if packet.type == PacketType.SUBACK:
            return self._acknowledge_subscriptions(fields, at)
        if packet.type == PacketType.DISCONNECT:
            code = 0 if fields.is_empty else fields.integer(1)
            return self.close(None, _END_REASONS.get(code, SERVER_DISCONNECT), at)
        return []

    def _connect(self, fields: _Fields, at: float) -> WireEvents:
        fields.binary()
        self._is_version_5 = fields.integer(1) == _VERSION_5
        flags = fields.integer(1)
        fields.take(2)
        if self._is_version_5:
            fields.properties()
        values = {"clientId": fields.text()}
        if flags & 0x04:  # the last will: properties, topic and payload
            if self._is_version_5:
                fields.properties()
            fields.binary()
            fields.binary()
        if flags & 0x80:
            values["username"] = fields.text()
        if flags & 0x40:
            values["password"] = fields.text()
        self._client_id = values["clientId"]
        return [Identified(at=at, source="auth", values=values)]

    def _acknowledge(self, fields: _Fields, at: float) -> WireEvents:
        fields.take(1)
        code = fields.integer(1)
        if code:
            return self.refuse(_REFUSALS.get(code, f"reason code {code}"), at)
        if self._is_version_5 and not fields.is_empty:
            self._client_id = fields.properties().get(_ASSIGNED_CLIENT_ID) or self._client_id
        return self.open(at, self._client_id or None)

    def _subscribe(self, fields: _Fields, at: float) -> WireEvents:
        number = fields.integer(2)
        if self._is_version_5:
            fields.properties()
        events: WireEvents = []
        filters: list[str] = []
        while not fields.is_empty:
            name, options = fields.text(), fields.integer(1)
            if name in self._subscriptions:  # the broker replaces it
                events.append(Unsubscribed(at=at, id=name, replaced=True))
            elif len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
                continue
            self._subscriptions.add(name)
            filters.append(name)
            events.append(Subscribed(at=at, id=name, name=name, same=self._sameness(name, options & 3)))
        if len(self._pending) < MAX_SUBSCRIPTIONS:
            self._pending[number] = filters
        return events

    def _sameness(self, name: str, qos: int) -> dict[str, Any]:
        """Return the field `same` of `Subscribed`, which is equal for equal subscriptions to the topic filter `name`.

        For a shared subscription ($share/...), it contains the client id: the broker divides the messages between
        clients, so subscriptions of two clients are not the same.
        """
        is_shared = name.startswith("$share/")
        return {"qos": qos, "client": self._client_id} if is_shared else {"qos": qos}

    def _unsubscribe(self, fields: _Fields, at: float) -> WireEvents:
        fields.take(2)
        if self._is_version_5:
            fields.properties()
        events: WireEvents = []
        while not fields.is_empty:
            name = fields.text()
            if name in self._subscriptions:
                self._subscriptions.discard(name)
                events.append(Unsubscribed(at=at, id=name))
        return events

    def _acknowledge_subscriptions(self, fields: _Fields, at: float) -> WireEvents:
        number = fields.integer(2)
        if self._is_version_5:
            fields.properties()
        refused = [
            name
            for name, code in zip(self._pending.pop(number, []), fields.rest(), strict=False)
            if code >= _FAILURE and name in self._subscriptions
        ]
        self._subscriptions.difference_update(refused)
        return [Unsubscribed(at=at, id=name, by_server=True) for name in refused]

    def _process_publish(self, packet: MqttPacket, fields: _Fields, direction: Direction, at: float) -> WireEvents:
        topic = fields.text()
        number = fields.integer(2) if packet.flags & 0x06 else 0
        if self._is_version_5:
            topic = self._resolve_alias(topic, fields.properties().get(_TOPIC_ALIAS), direction)
        payload = fields.rest()
        if direction is Direction.SENT:
            return [Sent(at=at, name=topic, arguments=[_content(payload)])]
        if self._is_repeated(packet, number):
            return []
        content = _content(payload)
        attachments = (payload,) if content is None else ()
        return [Received(at=at, name=topic, payload=content, attachments=attachments)]

    def _resolve_alias(self, topic: str, alias: int | None, direction: Direction) -> str:
        """Return the topic of a message: `topic`, or the one that an earlier message gave together with `alias`."""
        if alias is None:
            return topic
        if topic and len(self._aliases) < MAX_SUBSCRIPTIONS:
            self._aliases[direction, alias] = topic
        return topic or self._aliases.get((direction, alias), "")

    def _is_repeated(self, packet: MqttPacket, number: int) -> bool:
        """Return whether the broker sends an earlier message again because it received no acknowledgement."""
        is_copy = bool(packet.flags & 0x08) and number in self._unanswered
        if number:
            self._unanswered.pop(number, None)
            self._unanswered[number] = None
            if len(self._unanswered) > MAX_SUBSCRIPTIONS:
                del self._unanswered[next(iter(self._unanswered))]
        return is_copy

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        events = super().close(code, reason, at)
        self._subscriptions.clear()
        return events


def _content(payload: bytes) -> Any:
    """Return the payload as a JSON value, or as text if it is not JSON; None for binary data."""
    try:
        return decode_json(payload.decode())
    except UnicodeDecodeError:
        return None
