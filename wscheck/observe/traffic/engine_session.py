"""One Engine.IO session of a browser: a state machine that turns packets into events.

The packets are those of the Engine.IO protocols 3 and 4 and the Socket.IO protocols 3 to 5, as text or in MessagePack.
"""

from typing import Any

import msgspec

from wscheck.model.code_facts import OpenerCode
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, PING_TIMEOUT, TRANSPORT_CLOSE
from wscheck.model.events import (
    AttemptOutcome,
    CodeLocation,
    Connected,
    Connecting,
    ConnectionEvent,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Refused,
    Unreadable,
    Upgraded,
)
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.redaction import UNKNOWN_USER, TrafficRedactor
from wscheck.protocols.engine_io import EnginePacket, EnginePacketType, PacketError, decode_handshake
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

TIMER_DELAY_S = 0.5
"""Largest usual delay of a client's timer."""


class Initiator(msgspec.Struct, frozen=True):
    """Page or worker that opened a connection, as the event source knows it.

    target_id  id of the page or worker in the event source; `TrafficDemux.on_target_closed` ends the connections of
               this id
    page       label of the tab ("tab 1"), or of a worker that several tabs share
    target     "page http://...", "worker ...", "shared_worker ...", "service_worker ...", "iframe ..."
    document   number of the document or worker that opened the connection, 0 if unknown; each load has its own
    raw_stack  stack trace of the opening, in the form of the event source; `ConnectionOrigin` is the resolved form
    """

    target_id: str = ""
    page: str = ""
    target: str = ""
    document: int = 0
    raw_stack: Any = None


class ConnectionOrigin(msgspec.Struct, frozen=True):
    """Call site that opened a connection, after source maps were applied.

    opener  call site in the application's code
    script  URL of the script that contains the opener
    client  URL of the script that contains the client library
    target  frame within the page that ran the scripts, empty for the main frame
    run     number of the evaluation of `script` within its document, from 1; 0 means unknown
    code    facts from the source code of the opener
    """

    opener: CodeLocation | None = None
    stack: tuple[CodeLocation, ...] = ()
    component: str | None = None
    script: str | None = None
    client: str | None = None
    target: str = ""
    run: int = 0
    code: OpenerCode | None = None


class _Namespace(msgspec.Struct):
    """One Socket.IO namespace of the session.

    left             the client sent DISCONNECT
    connect_sent_at  time at which the client sent CONNECT
    recoverable      the server offers connection state recovery
    """

    sid: str | None = None
    user: str | None = None
    fingerprint: str | None = None
    ended: bool = False
    left: bool = False
    connect_sent_at: float | None = None
    recoverable: bool = False


class _BinaryEvent(msgspec.Struct):
    """An event whose attachments have not all arrived."""

    packet: SocketPacket
    outgoing: bool
    attachments: list[bytes] = msgspec.field(default_factory=list)


class EngineSession:
    """State machine that turns the packets of one Engine.IO session into events.

    Feed packets in the order of time; call `events` at the end, when the user and the session id are known.

    eio        the session id, None before the handshake
    opened_at  time at which the first request was sent
    version    version of Engine.IO, "3" or "4"
    """

    def __init__(
        self,
        at: float,
        *,
        url: str,
        version: str = ENGINE_IO_4,
        transport: str,
        source: str,
        initiator: Initiator,
        identity: IdentityRule,
        redactor: TrafficRedactor,
    ) -> None:
        self.source, self.initiator, self.url, self.transport = source, initiator, url, transport
        self.opened_at, self.version = at, version
        self.eio: str | None = None
        self._ended = False
        self._closing_at: float | None = None
        self._ended_at: float | None = None
        self._unused_from: float | None = None
        self._refused = False
        self._identity, self._redactor = identity, redactor
        self._user: str | None = None
        self._fingerprint: str | None = None
        self._namespaces: dict[str, _Namespace] = {}
        self._events: list[tuple[str, ConnectionEvent | Unreadable]] = []
        self._pending_binary: _BinaryEvent | None = None
        self._ping_timeout_s: float | None = None
        self._last_received_at = at
        self._record(Connecting(at=at, url=url))

    @property
    def sids(self) -> list[str]:
        """Socket.IO socket ids, one per connected namespace."""
        return [namespace.sid for namespace in self._namespaces.values() if namespace.sid is not None]

    @property
    def identified(self) -> bool:
        """True if the user is known."""
        return self._user is not None or any(namespace.user is not None for namespace in self._namespaces.values())

    @property
    def opening(self) -> bool:
        """True if the response to the handshake or to CONNECT is pending."""
        if self.ended or self.sids or self._refused:
            return False
        return self.eio is None or any(not each.ended and not each.left for each in self._namespaces.values())

    @property
    def ended_at(self) -> float | None:
        """Time at which the session ended, None while it is open."""
        return self._ended_at if self._ended_at is not None else self._closing_at

    @property
    def unused_from(self) -> float | None:
        """Time since which no namespace is connected, None while a namespace is connected.

        The transport may end later.
        """
        return min((at for at in (self._unused_from, self.ended_at) if at is not None), default=None)

    @property
    def ended(self) -> bool:
        """True if the session ended, or the client sent CLOSE."""
        return self._ended or self._closing_at is not None

    def has_delivered(self, name: str, since: float) -> bool:
        """Return whether an application event of this name, as reports show it, has arrived since a time."""
        events = (event for _, event in reversed(self._events) if isinstance(event, Delivered))
        return any(event.name == name and (event.at or 0.0) >= since for event in events)

    # --- input --------------------------------------------------------------------------------------------------

    def set_credentials(self, source: str, values: dict[str, str]) -> None:
        """Process a query, cookies or headers, which may contain the user. `source` is that of `IdentityRule`."""
        # Learn the secrets before any text is stored: the identity rule may point at a secret.
        self._redactor.learn_all(values)
        self._user = self._redactor.user_label(self._identity.extract_user(source, values)) or self._user
        if source == "query":
            self._fingerprint = self._redactor.fingerprint(values)

    def feed_packet(self, packet: EnginePacket, at: float, *, outgoing: bool) -> None:
        """Process one Engine.IO packet; `outgoing` if the client sent it."""
        try:
            self._process_engine_packet(packet, at, outgoing=outgoing)
        except PacketError as problem:
            self.record_unreadable(at, str(problem))

    def record_unreadable(self, at: float, reason: str) -> None:
        """Record data that is not a packet."""
        self._record(Unreadable(at=at, reason=reason))

    def refuse(self, at: float, reason: str, message: str = "") -> None:
        """Record an attempt that failed.

        Records nothing for a session that was connected before, or that the client closed itself.
        """
        self._refused = True
        if not self.sids and not self.ended and not any(each.left for each in self._namespaces.values()):
            self._record(Refused(at=at, reason=reason, message=self._redactor.redact(message) or None))

    def end(self, at: float, reason: str = TRANSPORT_CLOSE) -> None:
        """End the transport, and with it every connected namespace."""
        if self._ended:
            return
        self._ended, self._ended_at = True, at
        silence_s = at - self._last_received_at
        timed_out = self._ping_timeout_s is not None and silence_s >= self._ping_timeout_s - TIMER_DELAY_S
        for name in list(self._namespaces):
            self._end_namespace(name, at, PING_TIMEOUT if timed_out else reason)

    # --- packets ------------------------------------------------------------------------------------------------

    def _process_engine_packet(self, packet: EnginePacket, at: float, *, outgoing: bool) -> None:
        if not outgoing:
            self._last_received_at = at
        if packet.type is EnginePacketType.OPEN and isinstance(packet.data, str):
            handshake = decode_handshake(packet.data)
            self.eio = handshake.sid
            self._ping_timeout_s = (handshake.ping_interval + handshake.ping_timeout) / 1000
        elif packet.type is EnginePacketType.CLOSE and outgoing:
            # The reason for the client's CLOSE may be in a response whose body is read later.
            self._closing_at = at
        elif packet.type is EnginePacketType.CLOSE:
            self.end(at)
        elif packet.type is EnginePacketType.UPGRADE and outgoing:
            self.transport = "websocket"
            self._record(Upgraded(at=at))
        elif packet.type is EnginePacketType.MESSAGE:
            self._process_message(packet.data, at, outgoing=outgoing)

    def _process_message(self, data: str | bytes, at: float, *, outgoing: bool) -> None:
        if isinstance(data, bytes):
            if self._pending_binary is None:
                self._process_packet(decode_msgpack_packet(data), at, outgoing=outgoing)
            else:
                self._process_attachment(self._pending_binary, data, at)
            return
        self._process_packet(decode_socket_packet(data), at, outgoing=outgoing)

    def _process_packet(self, packet: SocketPacket, at: float, *, outgoing: bool) -> None:
        if self.version == ENGINE_IO_3:
            packet = packet._replace(namespace=packet.namespace.partition("?")[0])
        if packet.type in BINARY_PACKET_TYPES and packet.attachments:
            self._pending_binary = _BinaryEvent(packet, outgoing)
            return
        (self._process_sent if outgoing else self._process_received)(packet, at)

    def _process_attachment(self, pending: _BinaryEvent, data: bytes, at: float) -> None:
        pending.attachments.append(data)
        if len(pending.attachments) >= pending.packet.attachments:
            self._pending_binary = None
            process = self._process_sent if pending.outgoing else self._process_received
            process(pending.packet, at, *pending.attachments)

    def _process_sent(self, packet: SocketPacket, at: float, *attachments: bytes) -> None:
        namespace = self._namespaces.setdefault(packet.namespace, _Namespace())
        if packet.type is SocketPacketType.CONNECT:
            auth = packet.data or {}
            self._redactor.learn_all(auth)
            self._unused_from = None
            self._namespaces[packet.namespace] = _Namespace(
                user=self._redactor.user_label(self._identity.extract_user("auth", auth)) or self._user,
                fingerprint=self._redactor.fingerprint(auth) or self._fingerprint,
                connect_sent_at=at,
            )
        elif packet.type is SocketPacketType.DISCONNECT:
            namespace.left = True
            self._end_namespace(packet.namespace, at, IO_CLIENT_DISCONNECT)
        elif packet.type in (SocketPacketType.EVENT, SocketPacketType.BINARY_EVENT):
            name, arguments = str(packet.data[0]), packet.data[1:]
            user = self._identity.extract_user("event", arguments, name)
            namespace.user = self._redactor.user_label(user) or namespace.user
            self._record(Emitted(at=at, name=self._redactor.redact(name)), packet.namespace)

    def _process_received(self, packet: SocketPacket, at: float, *attachments: bytes) -> None:
        namespace = self._namespaces.setdefault(packet.namespace, _Namespace(user=self._user))
        fingerprint = namespace.fingerprint
        if packet.type is SocketPacketType.CONNECT:
            namespace.sid = str((packet.data or {}).get("sid", "")) or self._sid_v3(packet.namespace)
            namespace.recoverable = offers_recovery(packet.data)
            self._record(Connected(at=at, fingerprint=fingerprint, url=self.url), packet.namespace)
        elif packet.type is SocketPacketType.CONNECT_ERROR:
            error = packet.data.get("message", "") if isinstance(packet.data, dict) else packet.data
            namespace.ended = True
            message = self._redactor.redact(str(error or ""))
            refused = Refused(at=at, reason="refused", message=message, fingerprint=fingerprint, url=self.url)
            self._record(refused, packet.namespace)
        elif packet.type is SocketPacketType.DISCONNECT:
            self._backdate_acknowledgement(packet.namespace, at, namespace.connect_sent_at)
            self._end_namespace(packet.namespace, at, IO_SERVER_DISCONNECT)
        elif packet.type in (SocketPacketType.EVENT, SocketPacketType.BINARY_EVENT):
            data = without_recovery_offset(packet.data, packet.ack_id, at) if namespace.recoverable else packet.data
            payload = data[1] if len(data) == 2 else data[1:]
            identity = self._redactor.identify(payload, at, *attachments)
            self._record(
                Delivered(at=at, name=self._redactor.redact(str(packet.data[0])), **identity), packet.namespace
            )

    def _sid_v3(self, namespace: str) -> str | None:
        """Return the socket id of a namespace with Engine.IO 3, which is derived from the id of the session."""
        if self.version != ENGINE_IO_3 or self.eio is None:
            return None
        return self.eio if namespace == "/" else f"{namespace}#{self.eio}"

    def _backdate_acknowledgement(self, namespace: str, at: float, connect_sent_at: float | None) -> None:
        """Date an acknowledgement back to the time of CONNECT, if one poll delivered it with a DISCONNECT.

        The server sent the acknowledgement earlier than the poll shows. With the time of the poll, this connection
        could seem to open after the connection that replaced it.
        """
        for index, (name, event) in enumerate(self._events):
            if name == namespace and isinstance(event, Connected) and event.at == at and connect_sent_at is not None:
                self._events[index] = (name, msgspec.structs.replace(event, at=connect_sent_at))

    def _end_namespace(self, name: str, at: float, reason: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or namespace.sid is None or namespace.ended:
            return
        namespace.ended = True
        self._unused_from = at if all(each.ended for each in self._namespaces.values()) else None
        self._record(Disconnected(at=at, reason=reason), name)

    # --- events -------------------------------------------------------------------------------------------------

    def _record(self, event: ConnectionEvent | Unreadable, namespace: str = "") -> None:
        if isinstance(event, ConnectionEvent) and namespace:
            sid = self._namespaces[namespace].sid
            event = msgspec.structs.replace(event, namespace=namespace, sid=sid, transport=self.transport)
        self._events.append((namespace, event))

    def events(self, origin: ConnectionOrigin) -> list[Event]:
        """Return all events, each with the session id, the user and the origin, even if these became known later."""
        if self._closing_at is not None:
            self.end(self._closing_at)
        return [self._complete_event(namespace, event, origin) for namespace, event in self._events]

    def _complete_event(self, name: str, event: ConnectionEvent | Unreadable, origin: ConnectionOrigin) -> Event:
        namespace = self._namespaces.get(name) or next(iter(self._namespaces.values()), None)
        user = (namespace.user if namespace is not None else None) or self._user
        if user is None and self.sids and self.initiator.page:
            # Connections of an unknown user are counted per page.
            user = UNKNOWN_USER.format(self.initiator.page)
        if isinstance(event, Unreadable):
            return msgspec.structs.replace(event, source=self.source, user=user)
        fields: dict[str, Any] = {"component": origin.component, "opener": origin.opener}
        if isinstance(event, Connecting | Connected | Refused):
            fields["stack"] = origin.stack
        if isinstance(event, AttemptOutcome):
            fields["target"] = origin.target or self.initiator.target or None
            fields |= {"script": origin.script, "client": origin.client, "run": origin.run, "code": origin.code}
        if isinstance(event, Connecting | Upgraded):
            fields["transport"] = self.transport if isinstance(event, Upgraded) else event.transport
        if isinstance(event, Upgraded):
            fields["sid"] = namespace.sid if namespace is not None else None
        fields |= {"source": self.source, "user": user, "eio": self.eio, "page": self.initiator.page or None}
        fields["document"] = self.initiator.document or None
        return msgspec.structs.replace(event, **fields)
