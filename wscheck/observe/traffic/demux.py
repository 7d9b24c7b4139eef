"""Demultiplexer that assigns the requests and websockets of a browser to Engine.IO sessions.

Polling requests and an upgrade contain the sid of their session (Engine.IO protocol 4, "Transports").

The connections that one page has to one server at the same time belong to one user. A page may name its user on one
connection and not on another, or keep the connection of a guest or of the previous user in addition to that of the
present user. In both cases, the page has several connections.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from math import inf
from urllib.parse import parse_qsl, urlsplit

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.model.disconnect_reasons import TRANSPORT_ERROR
from wscheck.model.events import Connected, Event, Refused
from wscheck.observe.traffic.engine_session import (
    ENGINE_IO_3,
    ENGINE_IO_4,
    ConnectionOrigin,
    EngineSession,
    Initiator,
)
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.redaction import ENGINE_PARAMETERS, UNKNOWN_USER, TrafficRedactor, UrlFormatter
from wscheck.observe.traffic.server_split import ServerSplit, SessionEvents
from wscheck.protocols.engine_io import (
    EnginePacket,
    EnginePacketType,
    PacketError,
    decode_engine_packet,
    decode_engine_packet_v3,
    decode_payload,
    decode_payload_v3,
)

MAX_EARLY_HEADERS = 1_000
"""Requests whose headers are stored until the request itself is reported."""

DEFAULT_IDENTITY = "auth.userId"


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


class _Channel(msgspec.Struct):
    """A request or websocket of a session.

    active  False while a websocket only probes an upgrade: its frames count from the UPGRADE packet on
    """

    session: EngineSession
    active: bool


class _OpeningRequest(msgspec.Struct, frozen=True):
    """Data of a request or websocket that are known when it is sent."""

    engine_url: EngineUrl
    url: str
    at: float
    initiator: Initiator
    headers: Mapping[str, str]


class TrafficDemux:
    """Collector of the Engine.IO sessions in a browser's traffic.

    Call the `on_` methods in the order of time. `key` is any string that identifies a request or websocket. Times are
    seconds since the epoch. URLs that are not Engine.IO are ignored.
    """

    def __init__(
        self,
        identity: IdentityRule | None = None,
        *,
        source: str,
        redactor: TrafficRedactor | None = None,
        target: str = "",
    ) -> None:
        """Create a demultiplexer without sessions.

        source    event source name, such as "browser", for the events
        redactor  redactor that several demultiplexers of a run share, so that a token has the same digest in each
        target    the URL of the server under test, if known
        """
        self.redactor = redactor or TrafficRedactor()
        self.urls = UrlFormatter(self.redactor)
        self.sessions: list[EngineSession] = []
        self.server_note = ""
        """Sentence that lists the servers, empty if there is only one; set by `events`."""
        self._target = target
        self._identity = identity or IdentityRule.parse(DEFAULT_IDENTITY)
        self._source = source
        self._channels: dict[str, _Channel] = {}
        self._session_by_sid: dict[str, EngineSession] = {}
        # A browser may report the headers of a request before the request itself.
        self._early_headers = BoundedDict[str, Mapping[str, str]](MAX_EARLY_HEADERS)
        # A browser reports the next request of a session before the body of its handshake can be read.
        self._deferred: dict[str, list[Callable[[], object]]] = {}
        self._deferred_sid_by_key: dict[str, str] = {}

    # --- long polling -------------------------------------------------------------------------------------------

    def on_request(
        self,
        key: str,
        url: str,
        at: float,
        *,
        initiator: Initiator,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> bool:
        """Process an HTTP request; `body` is that of a POST. Return False if the URL is not Engine.IO."""
        engine_url = parse_engine_url(url)
        if engine_url is None:
            return False
        opening = _OpeningRequest(engine_url, url, at, initiator, headers or {})
        self._after_handshake(key, engine_url, lambda: self._open_request(key, opening, body))
        return True

    def _open_request(self, key: str, opening: _OpeningRequest, body: str | None) -> None:
        session, _ = self._find_or_create_session(opening)
        self._open_channel(key, session, active=True)
        if body is not None:
            self._feed_payload(session, body, opening.at, outgoing=True)

    def on_response(self, key: str, at: float, *, status: int, body: str | bytes | None) -> None:
        """Process a complete HTTP response."""
        if self._is_deferred(key, lambda: self.on_response(key, at, status=status, body=body)):
            return
        channel = self._channels.pop(key, None)
        if channel is None:
            return
        if status >= 400:
            self._feed_error(channel, at, status, body or "")
        elif body and body not in ("ok", b"ok"):
            self._feed_payload(channel.session, body, at, outgoing=False)
            self._register_session(channel.session)

    def on_request_failed(self, key: str, at: float, *, cancelled: bool, reason: str = "") -> None:
        """Process a request without a response.

        `cancelled` is true if the page aborted the request, as clients do on close and upgrade.
        """
        if self._is_deferred(key, lambda: self.on_request_failed(key, at, cancelled=cancelled, reason=reason)):
            return
        channel = self._channels.pop(key, None)
        if channel is None:
            return
        if not cancelled and channel.session.eio is None:
            channel.session.refuse(at, "unreachable", reason)
        if not cancelled and channel.session.transport == "polling":
            channel.session.end(at)

    def _feed_error(self, channel: _Channel, at: float, status: int, body: str | bytes) -> None:
        """Process an HTTP error. Engine.IO explains it as {"code", "message"}; a proxy may send any body."""
        try:
            message = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            message = f"HTTP {status}"
        channel.session.refuse(at, "protocol", message)
        channel.session.end(at, TRANSPORT_ERROR)

    # --- websockets ---------------------------------------------------------------------------------------------

    def on_websocket_created(
        self, key: str, url: str, at: float, *, initiator: Initiator, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Process a new websocket. Return False if the URL is not Engine.IO."""
        engine_url = parse_engine_url(url)
        if engine_url is None:
            return False
        opening = _OpeningRequest(engine_url, url, at, initiator, headers or {})
        self._after_handshake(key, engine_url, lambda: self._open_websocket(key, opening))
        return True

    def _open_websocket(self, key: str, opening: _OpeningRequest) -> None:
        session, is_new = self._find_or_create_session(opening)
        self._open_channel(key, session, active=is_new)

    def on_headers(self, key: str, headers: Mapping[str, str]) -> None:
        """Process the request headers of a request or websocket, if they are reported separately from it."""
        if self._is_deferred(key, lambda: self.on_headers(key, headers)):
            return
        if (channel := self._channels.get(key)) is not None:
            _feed_headers(channel.session, headers)
        else:
            self._early_headers.put(key, headers)

    def _open_channel(self, key: str, session: EngineSession, *, active: bool) -> None:
        self._channels[key] = _Channel(session, active)
        _feed_headers(session, self._early_headers.pop(key, {}))

    def on_frame(self, key: str, at: float, data: str | bytes, *, outgoing: bool) -> None:
        """Process one websocket frame."""
        if self._is_deferred(key, lambda: self.on_frame(key, at, data, outgoing=outgoing)):
            return
        channel = self._channels.get(key)
        if channel is None:
            return
        try:
            decode = decode_engine_packet_v3 if channel.session.version == ENGINE_IO_3 else decode_engine_packet
            packet = decode(data)
        except PacketError as problem:
            channel.session.record_unreadable(at, str(problem))
            return
        if not channel.active and packet.type is EnginePacketType.UPGRADE:
            channel.active = True
        if channel.active:
            self._feed_packet(channel.session, packet, at, outgoing=outgoing)

    def on_websocket_closed(self, key: str, at: float, *, error: str = "") -> None:
        """Process the close of a websocket, which also ends its session."""
        if self._is_deferred(key, lambda: self.on_websocket_closed(key, at, error=error)):
            return
        channel = self._channels.pop(key, None)
        if channel is None or not channel.active:
            return
        if error and channel.session.eio is None:
            channel.session.refuse(at, "unreachable", error)
        channel.session.end(at)

    def on_websocket_refused(self, key: str, at: float, *, status: int, body: str = "") -> None:
        """Process an HTTP error in response to a websocket's handshake."""
        if self._is_deferred(key, lambda: self.on_websocket_refused(key, at, status=status, body=body)):
            return
        if (channel := self._channels.get(key)) is not None and channel.active:
            self._feed_error(channel, at, status, body)

    # --- both ---------------------------------------------------------------------------------------------------

    def on_target_closed(self, target_id: str, at: float) -> None:
        """End every connection of a page or worker (`Initiator.target_id`)."""
        for session in self.sessions:
            if session.initiator.target_id == target_id:
                session.end(at)

    def open_sessions(self) -> list[EngineSession]:
        """Return the sessions that are connected: at least one namespace is."""
        return [session for session in self.sessions if session.sids and session.unused_from is None]

    def has_delivered(self, name: str, since: float) -> bool:
        """Return whether an application event of this name has arrived since a time (epoch seconds)."""
        shown = self.redactor.redact(name)
        return any(session.has_delivered(shown, since) for session in self.sessions)

    def flush(self) -> None:
        """Process the traffic of sessions whose handshake was not observed; call it when no more traffic follows."""
        for sid in list(self._deferred):
            self._replay_deferred(sid)

    def events(
        self, origin_of: Callable[[EngineSession], ConnectionOrigin] = lambda session: ConnectionOrigin()
    ) -> list[Event]:
        """Return the events of all sessions, ordered by time. `origin_of` returns a session's call site."""
        sessions = [(session, session.events(origin_of(session))) for session in self.sessions]
        servers = ServerSplit(sessions, self._target)
        self.server_note = servers.note
        return sorted(servers.label_events(unify_users(sessions, servers)), key=lambda event: event.at or 0.0)

    def _after_handshake(self, key: str, engine_url: EngineUrl, step: Callable[[], object]) -> None:
        """Run `step` now, or when the handshake of its session has been read."""
        if engine_url.sid is None or engine_url.sid in self._session_by_sid:
            step()
            return
        self._deferred_sid_by_key[key] = engine_url.sid
        self._deferred.setdefault(engine_url.sid, []).append(step)

    def _is_deferred(self, key: str, step: Callable[[], object]) -> bool:
        """Defer `step` and return True if other steps of its session are deferred."""
        waiting = self._deferred.get(self._deferred_sid_by_key.get(key, ""))
        if waiting is None:
            return False
        waiting.append(step)
        return True

    def _replay_deferred(self, sid: str) -> None:
        for step in self._deferred.pop(sid, ()):
            step()

    def _find_or_create_session(self, opening: _OpeningRequest) -> tuple[EngineSession, bool]:
        """Return the session that the URL names, and whether it is new."""
        sid = opening.engine_url.sid
        session = self._session_by_sid.get(sid or "")
        if session is not None:
            return session, False
        session = self._create_session(opening)
        if sid is not None:
            session.eio = sid
            self._session_by_sid[sid] = session
        return session, True

    def _create_session(self, opening: _OpeningRequest) -> EngineSession:
        engine_url = opening.engine_url
        session = EngineSession(
            opening.at,
            url=self.urls.endpoint(opening.url),
            version=engine_url.version,
            transport=engine_url.transport,
            source=self._source,
            initiator=opening.initiator,
            identity=self._identity,
            redactor=self.redactor,
        )
        session.set_credentials("query", engine_url.query)
        _feed_headers(session, opening.headers)
        if engine_url.version not in (ENGINE_IO_4, ENGINE_IO_3):
            session.refuse(opening.at, "protocol", f"wscheck does not read Engine.IO {engine_url.version}")
        self.sessions.append(session)
        return session

    def _feed_payload(self, session: EngineSession, body: str | bytes, at: float, *, outgoing: bool) -> None:
        try:
            decoded = _decode_payload(session.version, body)
        except PacketError as problem:
            session.record_unreadable(at, str(problem))
            return
        for packet in decoded:
            self._feed_packet(session, packet, at, outgoing=outgoing)

    def _feed_packet(self, session: EngineSession, packet: EnginePacket, at: float, *, outgoing: bool) -> None:
        session.feed_packet(packet, at, outgoing=outgoing)
        if packet.type is EnginePacketType.OPEN:
            self._register_session(session)

    def _register_session(self, session: EngineSession) -> None:
        if session.eio is not None:
            self._session_by_sid.setdefault(session.eio, session)
            self._replay_deferred(session.eio)


def _decode_payload(version: str, body: str | bytes) -> list[EnginePacket]:
    if version == ENGINE_IO_3:
        return decode_payload_v3(body)
    return decode_payload(body if isinstance(body, str) else body.decode("utf-8", "replace"))


def _feed_headers(session: EngineSession, headers: Mapping[str, str]) -> None:
    if not headers:
        return
    session.set_credentials("header", {name.lower(): value for name, value in headers.items()})
    cookies = next((value for name, value in headers.items() if name.lower() == "cookie"), "")
    if cookies:
        session.set_credentials("cookie", _parse_cookies(cookies))


def _parse_cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        pairs = (part.partition("=") for part in header.split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}


class _Span(msgspec.Struct):
    """Connection of a page: its index among all sessions, the time of its answer, and the time of its end."""

    index: int
    opened_at: float
    ended_at: float


def unify_users(sessions: SessionEvents, servers: ServerSplit) -> SessionEvents:
    """Return the sessions with their events, in which the simultaneous connections of a page have one user.

    An unknown user becomes the known one. Two known users become "A and B".
    """
    unified = list(sessions)
    for spans in _spans_by_page(sessions, servers):
        for group in _simultaneous(spans):
            users = _known_users(unified, group)
            if users and (len(group) > 1 or len(users) == 1):
                owner = " and ".join(users)
                for index in group:
                    session, events = unified[index]
                    unified[index] = (session, [_with_user(event, owner) for event in events])
    return unified


def _spans_by_page(sessions: SessionEvents, servers: ServerSplit) -> Iterable[list[_Span]]:
    pages: dict[object, list[_Span]] = {}
    for index, (session, events) in enumerate(sessions):
        answered = [event.at for event in events if isinstance(event, Connected | Refused) and event.at is not None]
        if session.initiator.page and answered:
            ended_at = session.unused_from if session.unused_from is not None else inf
            span = _Span(index, answered[0], max(ended_at, answered[0]))
            pages.setdefault((session.initiator.page, servers.server_for(session)), []).append(span)
    return pages.values()


def _simultaneous(spans: Iterable[_Span]) -> Iterable[list[int]]:
    """Yield groups of connections, each of which is open at the same time as another one of its group."""
    group: list[int] = []
    group_ends_at = -inf
    for span in sorted(spans, key=lambda one: one.opened_at):
        if group and span.opened_at >= group_ends_at:
            yield group
            group, group_ends_at = [], -inf
        group.append(span.index)
        group_ends_at = max(group_ends_at, span.ended_at)
    if group:
        yield group


def _known_users(sessions: SessionEvents, group: Sequence[int]) -> list[str]:
    users: dict[str, None] = {}
    for index in group:
        session, events = sessions[index]
        unknown = UNKNOWN_USER.format(session.initiator.page)
        users |= dict.fromkeys(event.user for event in events if event.user is not None and event.user != unknown)
    return list(users)


def _with_user(event: Event, user: str) -> Event:
    return msgspec.structs.replace(event, user=user)
