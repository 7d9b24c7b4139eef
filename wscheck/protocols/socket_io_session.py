"""Sessions of Socket.IO on Engine.IO, versions 3 and 4, over long polling and WebSocket.

A session begins with a handshake over long polling or WebSocket. Each poll, and the WebSocket of an upgrade, contains
the id of its session (`sid`) in the URL. A WebSocket carries the session from the packet UPGRADE on.

Source: Engine.IO protocol v4, "Transports" and "Upgrade", https://socket.io/docs/v4/engine-io-protocol/.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import msgspec

from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, PING_TIMEOUT, TRANSPORT_CLOSE
from wscheck.protocols.engine_io import (
    EnginePacket,
    EnginePacketType,
    PacketError,
    decode_engine_packet,
    decode_engine_packet_v3,
    decode_handshake,
    decode_payload,
    decode_payload_v3,
)
from wscheck.protocols.protocol import (
    Accepted,
    Beat,
    Closing,
    Confidence,
    Data,
    Direction,
    Ended,
    Link,
    Malformed,
    Named,
    Opening,
    Protocol,
    Received,
    Rejected,
    Requested,
    Sent,
    Session,
    Transport,
    TransportChanged,
    WireEvents,
)
from wscheck.protocols.socket_io import (
    BINARY_PACKET_TYPES,
    SocketPacket,
    SocketPacketType,
    decode_msgpack_packet,
    decode_socket_packet,
    offers_recovery,
    without_recovery_offset,
)

ENGINE_IO_4, ENGINE_IO_3 = "4", "3"
"""Versions of Engine.IO (the parameter EIO of the URL). Version 3 belongs to Socket.IO clients before version 3."""

ENGINE_PARAMETERS = frozenset({"EIO", "transport", "sid", "t", "b64", "j"})
"""Query parameters that Engine.IO itself sets."""

TIMER_DELAY_S = 0.5
"""Largest usual delay of a client's timer."""


class EngineUrl(msgspec.Struct, frozen=True):
    """Engine.IO parameters of a URL.

    version  the value of EIO
    sid      None before the handshake
    query    the parameters that the application added
    """

    version: str
    transport: str
    sid: str | None
    query: dict[str, str]


def parse_engine_url(url: str) -> EngineUrl | None:
    """Return the Engine.IO parameters of a URL, None for any other URL."""
    if "EIO=" not in url:
        return None
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    version, transport = query.get("EIO"), query.get("transport")
    if version is None or transport not in ("polling", "websocket", "webtransport"):
        return None
    application_query = {name: value for name, value in query.items() if name not in ENGINE_PARAMETERS}
    return EngineUrl(version, transport, query.get("sid"), application_query)


class SocketIo(Protocol):
    """Socket.IO: the parameter EIO of the URL identifies it."""

    id = "socketio"
    name = "Socket.IO"
    names_sessions = True

    def recognise(self, opening: Opening) -> Confidence:
        return Confidence.CERTAIN if parse_engine_url(opening.url) is not None else Confidence.NONE

    def start_session(self, opening: Opening) -> "SocketIoSession":
        engine_url = parse_engine_url(opening.url)
        return SocketIoSession(engine_url.version if engine_url is not None else ENGINE_IO_4)

    def query(self, url: str) -> Mapping[str, str] | None:
        engine_url = parse_engine_url(url)
        return engine_url.query if engine_url is not None else None

    def session_key(self, opening: Opening) -> str | None:
        engine_url = parse_engine_url(opening.url)
        return engine_url.sid if engine_url is not None else None


class _Namespace(msgspec.Struct):
    """One namespace of the session.

    open         the server acknowledged it, and it has not ended
    recoverable  the server offers connection state recovery
    """

    open: bool = False
    recoverable: bool = False


class _BinaryEvent(msgspec.Struct):
    """An event whose attachments have not all arrived."""

    packet: SocketPacket
    direction: Direction
    attachments: list[bytes] = msgspec.field(default_factory=list)


class SocketIoSession(Session):
    """State machine for the packets of one Engine.IO session. The channels are Socket.IO namespaces.

    version  version of Engine.IO, "3" or "4"
    """

    def __init__(self, version: str = ENGINE_IO_4) -> None:
        self.version = version
        self._eio: str | None = None
        self._is_linked = self._is_ended = False
        self._namespaces: dict[str, _Namespace] = {}
        self._pending_binary: _BinaryEvent | None = None
        self._ping_timeout_s: float | None = None
        self._last_received_at: float | None = None

    # --- links --------------------------------------------------------------------------------------------------

    def link(self, opening: Opening) -> Link:
        is_first, self._is_linked = not self._is_linked, True
        if opening.is_websocket:
            return _WebSocketLink(self, carries=is_first)
        return _PollingLink(self)

    def start(self, at: float) -> WireEvents:
        self._last_received_at = at
        if self.version not in (ENGINE_IO_4, ENGINE_IO_3):
            message = f"wscheck does not read Engine.IO {self.version}"
            return [Rejected(at=at, reason="protocol", message=message)]
        return []

    def accept(self, at: float) -> WireEvents:
        return []

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        """Process one WebSocket frame."""
        try:
            return self.feed_packet(self.decode_frame(data), direction, at)
        except PacketError as problem:
            return [Malformed(at=at, reason=str(problem))]

    def decode_frame(self, data: Data) -> EnginePacket:
        """Parse one WebSocket frame.

        Raises:
            PacketError: The frame is no packet.
        """
        return decode_engine_packet_v3(data) if self.version == ENGINE_IO_3 else decode_engine_packet(data)

    def decode_body(self, body: Data) -> list[EnginePacket]:
        """Parse the body of a long-polling request or response.

        Raises:
            PacketError: One of the packets is malformed.
        """
        if self.version == ENGINE_IO_3:
            return decode_payload_v3(body)
        return decode_payload(body if isinstance(body, str) else body.decode("utf-8", "replace"))

    def feed_packet(self, packet: EnginePacket, direction: Direction, at: float) -> WireEvents:
        """Process one Engine.IO packet."""
        try:
            return self._process_engine_packet(packet, direction, at)
        except PacketError as problem:
            return [Malformed(at=at, reason=str(problem))]

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        """Process the end of the transport, which also ends every connected namespace."""
        if self._is_ended:
            return []
        self._is_ended = True
        silence_s = at - (self._last_received_at if self._last_received_at is not None else at)
        timed_out = self._ping_timeout_s is not None and silence_s >= self._ping_timeout_s - TIMER_DELAY_S
        return self._end_all(PING_TIMEOUT if timed_out else reason, at)

    # --- packets ------------------------------------------------------------------------------------------------

    def _process_engine_packet(self, packet: EnginePacket, direction: Direction, at: float) -> WireEvents:
        is_sent = direction is Direction.SENT
        if not is_sent:
            self._last_received_at = at
        if packet.type is EnginePacketType.OPEN and isinstance(packet.data, str):
            handshake = decode_handshake(packet.data)
            self._eio = handshake.sid
            self._ping_timeout_s = (handshake.ping_interval + handshake.ping_timeout) / 1000
            return [Named(at=at, id=handshake.sid)]
        if packet.type is EnginePacketType.CLOSE:
            # The reason for the client's CLOSE may be in a response whose body is read later.
            return [Closing(at=at)] if is_sent else self.close(None, TRANSPORT_CLOSE, at)
        if packet.type is EnginePacketType.UPGRADE and is_sent:
            return [TransportChanged(at=at, transport=Transport.WEBSOCKET)]
        if packet.type is EnginePacketType.MESSAGE:
            return self._process_message(packet.data, direction, at)
        if packet.type in (EnginePacketType.PING, EnginePacketType.PONG):
            return [Beat(at=at, direction=direction)]
        return []

    def _process_message(self, data: Data, direction: Direction, at: float) -> WireEvents:
        if isinstance(data, bytes):
            if self._pending_binary is None:
                return self._process_packet(decode_msgpack_packet(data), direction, at)
            return self._process_attachment(self._pending_binary, data, at)
        return self._process_packet(decode_socket_packet(data), direction, at)

    def _process_packet(self, packet: SocketPacket, direction: Direction, at: float) -> WireEvents:
        if self.version == ENGINE_IO_3:
            packet = packet._replace(namespace=packet.namespace.partition("?")[0])
        if packet.type in BINARY_PACKET_TYPES and packet.attachments:
            self._pending_binary = _BinaryEvent(packet, direction)
            return []
        return self._process(packet, direction, at)

    def _process_attachment(self, pending: _BinaryEvent, data: bytes, at: float) -> WireEvents:
        pending.attachments.append(data)
        if len(pending.attachments) < pending.packet.attachments:
            return []
        self._pending_binary = None
        return self._process(pending.packet, pending.direction, at, *pending.attachments)

    def _process(self, packet: SocketPacket, direction: Direction, at: float, *attachments: bytes) -> WireEvents:
        if direction is Direction.SENT:
            return self._process_sent(packet, at)
        return self._process_received(packet, at, attachments)

    def _process_sent(self, packet: SocketPacket, at: float) -> WireEvents:
        name = packet.namespace
        if packet.type is SocketPacketType.CONNECT:
            self._namespaces[name] = _Namespace()
            return [Requested(at=at, channel=name, credentials=packet.data or {})]
        namespace = self._namespaces.setdefault(name, _Namespace())
        if packet.type is SocketPacketType.DISCONNECT:
            namespace.open = False
            return [Ended(at=at, channel=name, reason=IO_CLIENT_DISCONNECT, by_client=True)]
        if packet.type in (SocketPacketType.EVENT, SocketPacketType.BINARY_EVENT):
            return [Sent(at=at, channel=name, name=str(packet.data[0]), arguments=packet.data[1:])]
        return []

    def _process_received(self, packet: SocketPacket, at: float, attachments: tuple[bytes, ...]) -> WireEvents:
        name = packet.namespace
        namespace = self._namespaces.setdefault(name, _Namespace())
        if packet.type is SocketPacketType.CONNECT:
            namespace.open, namespace.recoverable = True, offers_recovery(packet.data)
            sid = str((packet.data or {}).get("sid", "")) or self._sid_v3(name)
            return [Accepted(at=at, channel=name, id=sid)]
        if packet.type is SocketPacketType.CONNECT_ERROR:
            error = packet.data.get("message", "") if isinstance(packet.data, dict) else packet.data
            namespace.open = False
            return [Rejected(at=at, channel=name, message=str(error or ""))]
        if packet.type is SocketPacketType.DISCONNECT:
            namespace.open = False
            return [Ended(at=at, channel=name, reason=IO_SERVER_DISCONNECT)]
        if packet.type in (SocketPacketType.EVENT, SocketPacketType.BINARY_EVENT):
            data = without_recovery_offset(packet.data, packet.ack_id, at) if namespace.recoverable else packet.data
            payload = data[1] if len(data) == 2 else data[1:]
            received = Received(at=at, channel=name, name=str(packet.data[0]), payload=payload, attachments=attachments)
            return [received]
        return []

    def _sid_v3(self, namespace: str) -> str | None:
        """Return the socket id that Engine.IO 3 derives from the session id. None for version 4 or before OPEN."""
        if self.version != ENGINE_IO_3 or self._eio is None:
            return None
        return self._eio if namespace == "/" else f"{namespace}#{self._eio}"

    def _end_all(self, reason: str, at: float) -> WireEvents:
        names = [name for name, namespace in self._namespaces.items() if namespace.open]
        for name in names:
            self._namespaces[name].open = False
        return [*(Ended(at=at, channel=name, reason=reason) for name in names), Ended(at=at, reason=reason)]


class _WebSocketLink(Link):
    """WebSocket of a session: its first transport, or the target of an upgrade.

    The target of an upgrade carries data of the session only after the packet UPGRADE.
    """

    def __init__(self, session: SocketIoSession, *, carries: bool) -> None:
        self._session, self.carries = session, carries

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        try:
            packet = self._session.decode_frame(data)
        except PacketError as problem:
            return [Malformed(at=at, reason=str(problem))]
        if packet.type is EnginePacketType.UPGRADE:
            self.carries = True
        return self._session.feed_packet(packet, direction, at) if self.carries else []


class _PollingLink(Link):
    """One poll of a session: the body of its request and that of its response."""

    def __init__(self, session: SocketIoSession) -> None:
        self._session = session

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        if direction is Direction.RECEIVED and data in ("ok", b"ok"):
            return []
        try:
            packets = self._session.decode_body(data)
        except PacketError as problem:
            return [Malformed(at=at, reason=str(problem))]
        return [event for packet in packets for event in self._session.feed_packet(packet, direction, at)]
