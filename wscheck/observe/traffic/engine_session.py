"""One Engine.IO session as its packets tell it: a state machine from packets and endings to events."""

from typing import Any

import msgspec

from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, PING_TIMEOUT, TRANSPORT_CLOSE
from wscheck.model.events import (
    AttemptOutcome,
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
from wscheck.observe.traffic.initiator import ConnectionOrigin, Initiator
from wscheck.observe.traffic.redaction import NOBODY, TrafficRedactor
from wscheck.protocols.engine_io import EnginePacket, EnginePacketType, PacketError, decode_handshake
from wscheck.protocols.socket_io import BINARY_PACKET_TYPES, SocketPacket, SocketPacketType, decode_socket_packet

SLACK_S = 0.5
"""A client's timers are late by about this much."""


class _Space(msgspec.Struct):
    """One namespace of the session. `left`: the client said that it leaves; `asked_at`: when CONNECT was sent."""

    sid: str | None = None
    user: str | None = None
    fingerprint: str | None = None
    ended: bool = False
    left: bool = False
    asked_at: float | None = None


class _Binary(msgspec.Struct):
    """An event that still waits for its attachments."""

    packet: SocketPacket
    outgoing: bool
    parts: list[bytes] = msgspec.field(default_factory=list)


class EngineSession:
    """Packets in, in the order of their time; events out with `told`, once everything is known.

    eio        None until the handshake was answered
    opened_at  when its first request left
    """

    def __init__(
        self,
        at: float,
        *,
        url: str,
        transport: str,
        source: str,
        origin: Initiator,
        identity: IdentityRule,
        hiding: TrafficRedactor,
    ) -> None:
        self.source, self.origin, self.url, self.transport, self.opened_at = source, origin, url, transport, at
        self.eio: str | None = None
        self._over = False
        self._closing_at: float | None = None
        self._ended_at: float | None = None
        self._unused_from: float | None = None
        self._refused = False
        self._identity, self._hiding = identity, hiding
        self._user: str | None = None
        self._fingerprint: str | None = None
        self._spaces: dict[str, _Space] = {}
        self._events: list[tuple[str, ConnectionEvent | Unreadable]] = []
        self._binary: _Binary | None = None
        self._silence_s: float | None = None
        self._heard_at = at
        self._say(Connecting(at=at, url=url))

    @property
    def sids(self) -> list[str]:
        """The Socket.IO ids it was given, one a namespace."""
        return [space.sid for space in self._spaces.values() if space.sid is not None]

    @property
    def identified(self) -> bool:
        """Whether anything said who it is."""
        return self._user is not None or any(space.user is not None for space in self._spaces.values())

    @property
    def under_way(self) -> bool:
        """Whether it is still being opened: an answer is awaited, to the handshake or to CONNECT."""
        if self.over or self.sids or self._refused:
            return False
        return self.eio is None or any(not space.ended and not space.left for space in self._spaces.values())

    @property
    def ended_at(self) -> float | None:
        """When it ended, None while it lives."""
        return self._ended_at if self._ended_at is not None else self._closing_at

    @property
    def unused_from(self) -> float | None:
        """Since when every namespace is left or thrown out, None while one is used. The transport ends after that."""
        return min((at for at in (self._unused_from, self.ended_at) if at is not None), default=None)

    @property
    def over(self) -> bool:
        """Whether it ended, or is about to."""
        return self._over or self._closing_at is not None

    # --- what was seen ------------------------------------------------------------------------------------------

    def introduced(self, place: str, found: dict[str, str]) -> None:
        """A query, cookies or headers came along: they may say who it is."""
        self._hiding.learn_all(found)  # before anything is told of it: a rule may point at the secret itself
        self._user = self._hiding.user(self._identity.of(place, found)) or self._user
        if place == "query":
            self._fingerprint = self._hiding.fingerprint(found)

    def packet(self, packet: EnginePacket, at: float, *, outgoing: bool) -> None:
        """One Engine.IO packet, in either direction."""
        try:
            self._packet(packet, at, outgoing=outgoing)
        except PacketError as problem:
            self.unreadable(at, str(problem))

    def unreadable(self, at: float, reason: str) -> None:
        """Something came that is no packet."""
        self._say(Unreadable(at=at, reason=reason))

    def refused(self, at: float, reason: str, message: str = "") -> None:
        """The attempt was answered with an error, or not at all. Of a connection that once stood, or that the client
        gave up itself, this is not said."""
        self._refused = True
        if not self.sids and not self.over and not any(space.left for space in self._spaces.values()):
            self._say(Refused(at=at, reason=reason, message=self._hiding.clean(message) or None))

    def ended(self, at: float, reason: str = TRANSPORT_CLOSE) -> None:
        """The transport is gone: whatever is still connected ends with it."""
        if self._over:
            return
        self._over, self._ended_at = True, at
        silent = self._silence_s is not None and at - self._heard_at >= self._silence_s - SLACK_S
        for namespace in list(self._spaces):
            self._end(namespace, at, PING_TIMEOUT if silent else reason)

    # --- what it meant ------------------------------------------------------------------------------------------

    def _packet(self, packet: EnginePacket, at: float, *, outgoing: bool) -> None:
        if not outgoing:
            self._heard_at = at
        if packet.type is EnginePacketType.OPEN and isinstance(packet.data, str):
            shake = decode_handshake(packet.data)
            self.eio, self._silence_s = shake.sid, (shake.ping_interval + shake.ping_timeout) / 1000
        elif packet.type is EnginePacketType.CLOSE and outgoing:
            # Why the client closes may stand in a response whose body is still to be read.
            self._closing_at = at
        elif packet.type is EnginePacketType.CLOSE:
            self.ended(at)
        elif packet.type is EnginePacketType.UPGRADE and outgoing:
            self.transport = "websocket"
            self._say(Upgraded(at=at))
        elif packet.type is EnginePacketType.MESSAGE:
            self._message(packet.data, at, outgoing=outgoing)

    def _message(self, data: str | bytes, at: float, *, outgoing: bool) -> None:
        if isinstance(data, bytes):
            self._attachment(data, at)
            return
        packet = decode_socket_packet(data)
        if packet.type in BINARY_PACKET_TYPES and packet.attachments:
            self._binary = _Binary(packet, outgoing)
            return
        (self._sent if outgoing else self._received)(packet, at)

    def _attachment(self, data: bytes, at: float) -> None:
        waiting = self._binary
        if waiting is None:
            return
        waiting.parts.append(data)
        if len(waiting.parts) >= waiting.packet.attachments:
            self._binary = None
            (self._sent if waiting.outgoing else self._received)(waiting.packet, at, *waiting.parts)

    def _sent(self, packet: SocketPacket, at: float, *parts: bytes) -> None:
        space = self._spaces.setdefault(packet.namespace, _Space())
        if packet.type is SocketPacketType.CONNECT:
            auth = packet.data or {}
            self._hiding.learn_all(auth)
            self._unused_from = None
            self._spaces[packet.namespace] = _Space(
                user=self._hiding.user(self._identity.of("auth", auth)) or self._user,
                fingerprint=self._hiding.fingerprint(auth) or self._fingerprint,
                asked_at=at,
            )
        elif packet.type is SocketPacketType.DISCONNECT:
            space.left = True
            self._end(packet.namespace, at, IO_CLIENT_DISCONNECT)
        elif packet.type in (SocketPacketType.EVENT, SocketPacketType.BINARY_EVENT):
            name, arguments = str(packet.data[0]), packet.data[1:]
            said = self._identity.of("event", arguments, name)
            space.user = self._hiding.user(said) or space.user
            self._say(Emitted(at=at, name=self._hiding.clean(name)), packet.namespace)

    def _received(self, packet: SocketPacket, at: float, *parts: bytes) -> None:
        space = self._spaces.setdefault(packet.namespace, _Space(user=self._user))
        if packet.type is SocketPacketType.CONNECT:
            space.sid = str((packet.data or {}).get("sid", "")) or None
            self._say(Connected(at=at, fingerprint=space.fingerprint, url=self.url), packet.namespace)
        elif packet.type is SocketPacketType.CONNECT_ERROR:
            message = packet.data.get("message", "") if isinstance(packet.data, dict) else packet.data
            space.ended = True
            said, presented = self._hiding.clean(str(message or "")), space.fingerprint
            refused = Refused(at=at, reason="refused", message=said, fingerprint=presented, url=self.url)
            self._say(refused, packet.namespace)
        elif packet.type is SocketPacketType.DISCONNECT:
            self._acknowledged_before(packet.namespace, at, space.asked_at)
            self._end(packet.namespace, at, IO_SERVER_DISCONNECT)
        elif packet.type in (SocketPacketType.EVENT, SocketPacketType.BINARY_EVENT):
            name, digest = str(packet.data[0]), self._hiding.digest(packet.data[1:], *parts)
            self._say(Delivered(at=at, name=self._hiding.clean(name), digest=digest), packet.namespace)

    def _acknowledged_before(self, namespace: str, at: float, asked_at: float | None) -> None:
        """An acknowledgement that came in one poll with the kick is older than the poll: whoever caused the kick may
        have been acknowledged meanwhile, on another connection. It is told from when it was asked for."""
        for number, (space, event) in enumerate(self._events):
            if space == namespace and isinstance(event, Connected) and event.at == at and asked_at is not None:
                self._events[number] = (space, msgspec.structs.replace(event, at=asked_at))

    def _end(self, namespace: str, at: float, reason: str) -> None:
        space = self._spaces.get(namespace)
        if space is None or space.sid is None or space.ended:
            return
        space.ended = True
        self._unused_from = at if all(each.ended for each in self._spaces.values()) else None
        self._say(Disconnected(at=at, reason=reason), namespace)

    # --- what is told -------------------------------------------------------------------------------------------

    def _say(self, event: ConnectionEvent | Unreadable, namespace: str = "") -> None:
        if isinstance(event, ConnectionEvent) and namespace:
            space = self._spaces[namespace]
            event = msgspec.structs.replace(event, namespace=namespace, sid=space.sid, transport=self.transport)
        self._events.append((namespace, event))

    def told(self, whence: ConnectionOrigin) -> list[Event]:
        """Every event, with the session's id and the user, whenever those became known."""
        if self._closing_at is not None:
            self.ended(self._closing_at)
        return [self._filled(namespace, event, whence) for namespace, event in self._events]

    def _filled(self, namespace: str, event: ConnectionEvent | Unreadable, whence: ConnectionOrigin) -> Event:
        space = self._spaces.get(namespace) or next(iter(self._spaces.values()), None)
        user = (space.user if space is not None else None) or self._user
        if user is None and self.sids and self.origin.page:
            user = NOBODY.format(self.origin.page)  # not known who, and yet one page should hold one
        if isinstance(event, Unreadable):
            return msgspec.structs.replace(event, source=self.source, user=user)
        more: dict[str, Any] = {"component": whence.component, "opener": whence.opener}
        if isinstance(event, Connecting | Connected | Refused):
            more["stack"] = whence.stack
        if isinstance(event, AttemptOutcome):
            more["target"] = whence.target or self.origin.target or None
            more |= {"script": whence.script, "client": whence.client}
        if isinstance(event, Connecting | Upgraded):
            more["transport"] = self.transport if isinstance(event, Upgraded) else event.transport
        if isinstance(event, Upgraded):
            more["sid"] = space.sid if space is not None else None
        common = {"source": self.source, "user": user, "eio": self.eio, "page": self.origin.page or None}
        return msgspec.structs.replace(event, **common, **more)
