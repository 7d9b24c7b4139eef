"""Which session a request or a websocket belongs to: polling requests and an upgrade carry the session's sid."""

import json
from collections.abc import Callable, Mapping
from http.cookies import CookieError, SimpleCookie

import msgspec

from wscheck.model.disconnect_reasons import TRANSPORT_ERROR
from wscheck.model.events import Event
from wscheck.observe.traffic.addresses import EngineUrl, UrlFormatter, engine
from wscheck.observe.traffic.engine_session import EngineSession
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.initiator import ConnectionOrigin, Initiator
from wscheck.observe.traffic.redaction import TrafficRedactor
from wscheck.observe.traffic.server_split import ServerSplit
from wscheck.protocols.engine_io import (
    EnginePacket,
    EnginePacketType,
    PacketError,
    decode_engine_packet,
    decode_payload,
)

DEFAULT_IDENTITY = "auth.userId"


class _Exchange(msgspec.Struct):
    """One request or websocket. `carrying`: its frames are the session's (a websocket that only tries an upgrade
    carries nothing until the client sends UPGRADE)."""

    session: EngineSession
    carrying: bool


class _Opening(msgspec.Struct, frozen=True):
    """A request or websocket as it left."""

    address: EngineUrl
    url: str
    at: float
    origin: Initiator
    headers: Mapping[str, str]


class TrafficDemux:
    """Feed what was seen in the order of its time; `key` is whatever the source names a request or websocket by.

    Addresses that are not Engine.IO are ignored, so a source may feed everything. Times are seconds since the epoch.
    """

    def __init__(
        self,
        identity: IdentityRule | None = None,
        *,
        source: str,
        hiding: TrafficRedactor | None = None,
        target: str = "",
    ) -> None:
        """`hiding`: that of the run, where several are watched one after the other; a token is called the same then.
        `target`: the address of the server that is looked at, where that is known."""
        self.hiding = hiding or TrafficRedactor()
        self.addresses = UrlFormatter(self.hiding)
        self.sessions: list[EngineSession] = []
        self.note = ""
        """That the events given last are of several servers; empty where they are not."""
        self._target = target
        self._identity = identity or IdentityRule.parse(DEFAULT_IDENTITY)
        self._source = source
        self._exchanges: dict[str, _Exchange] = {}
        self._by_eio: dict[str, EngineSession] = {}
        # A browser tells of a session's next request before the body of its handshake can be had.
        self._early: dict[str, list[Callable[[], object]]] = {}
        self._sid_of: dict[str, str] = {}

    # --- long polling -------------------------------------------------------------------------------------------

    def requested(
        self,
        key: str,
        url: str,
        at: float,
        *,
        origin: Initiator,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> bool:
        """An HTTP request left, with `body` if it was a POST. False: not Engine.IO, nothing more is wanted of it."""
        address = engine(url)
        if address is None:
            return False
        opening = _Opening(address, url, at, origin, headers or {})
        self._when_known(key, address, lambda: self._request(key, opening, body))
        return True

    def _request(self, key: str, opening: "_Opening", body: str | None) -> None:
        session, _ = self._session(opening)
        self._exchanges[key] = _Exchange(session, carrying=True)
        if body is not None:
            self._payload(session, body, opening.at, outgoing=True)

    def answered(self, key: str, at: float, *, status: int, body: str | None) -> None:
        """The response came, whole."""
        if self._is_early(key, lambda: self.answered(key, at, status=status, body=body)):
            return
        exchange = self._exchanges.pop(key, None)
        if exchange is None:
            return
        if status >= 400:
            self._error(exchange, at, status, body or "")
        elif body and body != "ok":
            self._payload(exchange.session, body, at, outgoing=False)
            self._known(exchange.session)

    def failed(self, key: str, at: float, *, cancelled: bool, why: str = "") -> None:
        """No response came. `cancelled`: the page itself gave it up, as it does when it closes or upgrades."""
        if self._is_early(key, lambda: self.failed(key, at, cancelled=cancelled, why=why)):
            return
        exchange = self._exchanges.pop(key, None)
        if exchange is None:
            return
        if not cancelled and exchange.session.eio is None:
            exchange.session.refused(at, "unreachable", why)
        if not cancelled and exchange.session.transport == "polling":
            exchange.session.ended(at)

    def _error(self, exchange: _Exchange, at: float, status: int, body: str) -> None:
        """Engine.IO says what it objects to as {"code", "message"}; a proxy says whatever it likes."""
        try:
            said = json.loads(body)
            message = str(said["message"])
        except (ValueError, KeyError, TypeError):
            message = f"HTTP {status}"
        exchange.session.refused(at, "protocol", message)
        exchange.session.ended(at, TRANSPORT_ERROR)

    # --- websockets ---------------------------------------------------------------------------------------------

    def socket_opened(
        self, key: str, url: str, at: float, *, origin: Initiator, headers: Mapping[str, str] | None = None
    ) -> bool:
        """A websocket was created. False: not Engine.IO."""
        address = engine(url)
        if address is None:
            return False
        opening = _Opening(address, url, at, origin, headers or {})
        self._when_known(key, address, lambda: self._socket(key, opening))
        return True

    def _socket(self, key: str, opening: "_Opening") -> None:
        session, fresh = self._session(opening)
        self._exchanges[key] = _Exchange(session, carrying=fresh)

    def headers(self, key: str, headers: Mapping[str, str]) -> None:
        """The headers of a request or websocket became known later (they may name the user)."""
        if self._is_early(key, lambda: self.headers(key, headers)):
            return
        if (exchange := self._exchanges.get(key)) is not None:
            _introduce(exchange.session, headers)

    def frame(self, key: str, at: float, data: str | bytes, *, outgoing: bool) -> None:
        """One websocket frame."""
        if self._is_early(key, lambda: self.frame(key, at, data, outgoing=outgoing)):
            return
        exchange = self._exchanges.get(key)
        if exchange is None:
            return
        try:
            packet = decode_engine_packet(data)
        except PacketError as problem:
            exchange.session.unreadable(at, str(problem))
            return
        if not exchange.carrying and packet.type is EnginePacketType.UPGRADE:
            exchange.carrying = True
        if exchange.carrying:
            self._one(exchange.session, packet, at, outgoing=outgoing)

    def socket_closed(self, key: str, at: float, *, error: str = "") -> None:
        """The websocket is gone; with it the session, if it carried one."""
        if self._is_early(key, lambda: self.socket_closed(key, at, error=error)):
            return
        exchange = self._exchanges.pop(key, None)
        if exchange is None or not exchange.carrying:
            return
        if error and exchange.session.eio is None:
            exchange.session.refused(at, "unreachable", error)
        exchange.session.ended(at)

    def socket_refused(self, key: str, at: float, *, status: int, body: str = "") -> None:
        """The websocket's handshake was answered with an HTTP error."""
        if self._is_early(key, lambda: self.socket_refused(key, at, status=status, body=body)):
            return
        if (exchange := self._exchanges.get(key)) is not None and exchange.carrying:
            self._error(exchange, at, status, body)

    # --- both ---------------------------------------------------------------------------------------------------

    def gone(self, id: str, at: float) -> None:
        """A page or worker ended (`Initiator.id`), and every connection with it."""
        for session in self.sessions:
            if session.origin.id == id:
                session.ended(at)

    def settle(self) -> None:
        """No more will come: sessions whose handshake nobody saw are told as far as they were seen."""
        for sid in list(self._early):
            self._play(sid)

    def events(
        self, whence: Callable[[EngineSession], ConnectionOrigin] = lambda session: ConnectionOrigin()
    ) -> list[Event]:
        """Everything that was said, in the order of its time."""
        told = [(session, session.told(whence(session))) for session in self.sessions]
        servers = ServerSplit(told, self._target)
        self.note = servers.note
        return sorted(servers.apart(told), key=lambda event: event.at or 0.0)

    def _when_known(self, key: str, address: EngineUrl, step: Callable[[], object]) -> None:
        """At once, or once the handshake that made this session was read."""
        if address.sid is None or address.sid in self._by_eio:
            step()
            return
        self._sid_of[key] = address.sid
        self._early.setdefault(address.sid, []).append(step)

    def _is_early(self, key: str, step: Callable[[], object]) -> bool:
        """Whether `step` has to wait, behind whatever else waits for this session."""
        waiting = self._early.get(self._sid_of.get(key, ""))
        if waiting is None:
            return False
        waiting.append(step)
        return True

    def _play(self, sid: str) -> None:
        for step in self._early.pop(sid, ()):
            step()

    def _session(self, opening: "_Opening") -> tuple[EngineSession, bool]:
        """The session that the address names, and whether it is new."""
        sid = opening.address.sid
        session = self._by_eio.get(sid or "")
        if session is not None:
            return session, False
        session = self._begin(opening)
        if sid is not None:
            session.eio = sid
            self._by_eio[sid] = session
        return session, True

    def _begin(self, opening: "_Opening") -> EngineSession:
        address = opening.address
        session = EngineSession(
            opening.at,
            url=self.addresses.endpoint(opening.url),
            transport=address.transport,
            source=self._source,
            origin=opening.origin,
            identity=self._identity,
            hiding=self.hiding,
        )
        session.introduced("query", address.query)
        _introduce(session, opening.headers)
        if address.version != "4":
            session.refused(opening.at, "protocol", f"Engine.IO {address.version}: a Socket.IO client before version 3")
        self.sessions.append(session)
        return session

    def _payload(self, session: EngineSession, body: str, at: float, *, outgoing: bool) -> None:
        try:
            decoded = decode_payload(body)
        except PacketError as problem:
            session.unreadable(at, str(problem))
            return
        for packet in decoded:
            self._one(session, packet, at, outgoing=outgoing)

    def _one(self, session: EngineSession, packet: EnginePacket, at: float, *, outgoing: bool) -> None:
        session.packet(packet, at, outgoing=outgoing)
        if packet.type is EnginePacketType.OPEN:
            self._known(session)

    def _known(self, session: EngineSession) -> None:
        if session.eio is not None:
            self._by_eio.setdefault(session.eio, session)
            self._play(session.eio)


def _introduce(session: EngineSession, headers: Mapping[str, str]) -> None:
    if not headers:
        return
    session.introduced("header", {name.lower(): value for name, value in headers.items()})
    cookies = next((value for name, value in headers.items() if name.lower() == "cookie"), "")
    if cookies:
        session.introduced("cookie", _cookies(cookies))


def _cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        pairs = (part.partition("=") for part in header.split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}
