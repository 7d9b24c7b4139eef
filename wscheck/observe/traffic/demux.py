"""Demultiplexer that assigns the requests and WebSockets of a browser to connections.

Most connections are one WebSocket or one stream. A connection of some protocols consists of several requests, each of
which contains the id of the session (Engine.IO protocol 4, "Transports").

The connections that one page has to one server at the same time belong to one user. A page may name its user on one
connection and not on another, or keep the connection of a guest or of the previous user in addition to that of the
present user. In both cases, the page has several connections. Connections to different servers are counted separately.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from http.cookies import CookieError, SimpleCookie
from itertools import count
from math import inf
from urllib.parse import parse_qsl, urlsplit

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.model.disconnect_reasons import (
    CLOSED,
    IO_CLIENT_DISCONNECT,
    IO_SERVER_DISCONNECT,
    PAGE_LEFT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
)
from wscheck.model.events import Connected, Disconnected, Event, Refused
from wscheck.model.replacement import may_have_replaced
from wscheck.observe.traffic.identity import IdentityRule
from wscheck.observe.traffic.redaction import UNKNOWN_USER, TrafficRedactor, UrlFormatter
from wscheck.observe.traffic.session import ConnectionOrigin, Initiator, TrafficSession
from wscheck.protocols.protocol import Data, Direction, Link, Opening, Transport
from wscheck.protocols.reader import SUBPROTOCOL, ConnectionReader
from wscheck.protocols.registry import Recognition, recognise

MAX_EARLY_HEADERS = 1_000
"""Requests whose headers are stored until the request itself is reported."""

REFUSING = frozenset({401, 403})
"""HTTP status codes with which a server refuses a user."""

DEFAULT_IDENTITY = "auth.userId"

USER_AT_SERVER = "{} at {}"
"""Label of a user at a server other than the user's home server."""

SessionEvents = Sequence[tuple[TrafficSession, Sequence[Event]]]
"""Each session with its events."""


class _Exchange(msgspec.Struct):
    """An HTTP request or a WebSocket that carries data of a real-time session."""

    session: TrafficSession
    link: Link


class _OpeningRequest(msgspec.Struct, frozen=True):
    """Data of a request or WebSocket that are known when it is sent.

    key  id of the session that the request continues, None if it starts a session
    """

    opening: Opening
    recognition: Recognition
    key: str | None
    at: float
    initiator: Initiator


class TrafficDemux:
    """Collector of the connections in a browser's traffic.

    Call the `on_` methods in the order of time. `key` is any string that identifies a request or WebSocket. Times are
    seconds since the epoch. Requests that belong to no protocol are ignored.
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

        identity  rule that describes where the traffic contains the user; by default DEFAULT_IDENTITY
        source    event source name, such as "browser", for the events
        redactor  redactor that several demultiplexers of a run share, so that a token has the same digest in each
        target    the URL of the server under test, if known
        """
        self.redactor = redactor or TrafficRedactor()
        self.urls = UrlFormatter(self.redactor)
        self._sessions: list[TrafficSession] = []
        self._sessions_by_target: dict[str, list[TrafficSession]] = {}
        self._numbers = count(1)
        self.server_note = ""
        """Sentence that lists the servers, empty if there is only one; set by `events`."""
        self._target = target
        self._identity = identity or IdentityRule.parse(DEFAULT_IDENTITY)
        self._source = source
        self._exchanges: dict[str, _Exchange] = {}
        self._session_by_key: dict[str, TrafficSession] = {}
        # A browser may report the headers of a request before the request itself.
        self._early_headers = BoundedDict[str, Mapping[str, str]](MAX_EARLY_HEADERS)
        # A browser reports the next request of a session before the body of its handshake can be read.
        self._deferred: dict[str, list[Callable[[], object]]] = {}
        self._deferred_session_by_key: dict[str, str] = {}

    @property
    def sessions(self) -> list[TrafficSession]:
        """Connections that are evaluated, in the order of their opening."""
        return [session for session in self._sessions if not session.is_left_out]

    @property
    def notes(self) -> list[str]:
        """Sentences about the servers, and about connections that are left out; call this after `events`."""
        reloads = [each for each in self._sessions if each.is_left_out]
        names = ", ".join(dict.fromkeys(f"{each.protocol.name} ({each.endpoint})" for each in reloads))
        unclear = [
            f"{each.endpoint} may be {' or '.join(others)}, and was read as a plain connection."
            for each in self.sessions
            if (others := each.reader.recognition.others)
        ]
        left_out = [f"Left out, because they reload the page during development: {names}."] if names else []
        unread = [
            f"{each.unread_count} of the events from {each.endpoint} were not evaluated: there were too many."
            for each in self.sessions
            if each.unread_count
        ]
        return [*filter(None, [self.server_note]), *left_out, *dict.fromkeys(unclear), *unread]

    def reads_request(self, url: str) -> bool:
        """Return whether an HTTP request belongs to a connection of some protocol."""
        return recognise(Opening(url=url, transport=Transport.POLLING)) is not None

    def is_open(self, key: str) -> bool:
        """Return whether the WebSocket or stream `key` is open, as far as the traffic shows."""
        exchange = self._exchanges.get(key)
        return exchange is not None and not exchange.session.ended

    # --- requests -----------------------------------------------------------------------------------------------

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
        """Process an HTTP request; `body` is that of a POST. Return False if it belongs to no protocol."""
        request = _request(Transport.POLLING, url, at, initiator, headers)
        if request is None:
            return False
        self._after_handshake(key, request, lambda: self._open_request(key, request, body))
        return True

    def _open_request(self, key: str, request: _OpeningRequest, body: str | None) -> None:
        exchange = self._open_exchange(key, request)
        if body is not None:
            self._feed(exchange, Direction.SENT, body, request.at)

    def on_response(self, key: str, at: float, *, status: int, body: str | bytes | None) -> None:
        """Process a complete HTTP response."""
        if self._is_deferred(key, lambda: self.on_response(key, at, status=status, body=body)):
            return
        exchange = self._exchanges.pop(key, None)
        if exchange is None:
            return
        if status >= 400:
            self._feed_error(exchange, at, status, body or "")
        elif body:
            self._feed(exchange, Direction.RECEIVED, body, at)

    def on_request_failed(self, key: str, at: float, *, cancelled: bool, reason: str = "") -> None:
        """Process a request without a response.

        `cancelled` is true if the page aborted the request, as clients do on close and upgrade.
        """
        if self._is_deferred(key, lambda: self.on_request_failed(key, at, cancelled=cancelled, reason=reason)):
            return
        exchange = self._exchanges.pop(key, None)
        if exchange is None:
            return
        if not cancelled and not exchange.session.is_answered:
            exchange.session.refuse(at, "unreachable", reason)
        if not cancelled and exchange.session.transport == Transport.POLLING.value:
            exchange.session.end(at)

    def _feed_error(self, exchange: _Exchange, at: float, status: int, body: str | bytes) -> None:
        """Process an HTTP error. Engine.IO sends {"code", "message"} as the body; a proxy may send any body."""
        try:
            message = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            message = f"HTTP {status}"
        exchange.session.refuse(at, "protocol", message)
        exchange.session.end(at, TRANSPORT_ERROR)

    # --- WebSockets and streams ---------------------------------------------------------------------------------

    def on_websocket_created(
        self, key: str, url: str, at: float, *, initiator: Initiator, headers: Mapping[str, str] | None = None
    ) -> None:
        """Process a new WebSocket."""
        self._create(key, _request(Transport.WEBSOCKET, url, at, initiator, headers))

    def on_stream_requested(
        self, key: str, url: str, at: float, *, initiator: Initiator, headers: Mapping[str, str] | None = None
    ) -> None:
        """Process a request for a stream of server-sent events."""
        self._create(key, _request(Transport.EVENT_STREAM, url, at, initiator, headers))

    def _create(self, key: str, request: _OpeningRequest | None) -> None:
        if request is not None:
            self._after_handshake(key, request, lambda: self._open_exchange(key, request))

    def on_headers(self, key: str, headers: Mapping[str, str]) -> None:
        """Process request headers that are reported separately from their request or WebSocket."""
        if self._is_deferred(key, lambda: self.on_headers(key, headers)):
            return
        if (exchange := self._exchanges.get(key)) is not None:
            _feed_headers(exchange.session, headers)
        else:
            self._early_headers.put(key, headers)

    def on_accepted(self, key: str, at: float, headers: Mapping[str, str] | None = None, http: str = "") -> None:
        """Process the answer that opens a WebSocket (HTTP 101) or a stream.

        headers  headers of the answer
        http     HTTP version of a stream, such as "http/1.1"
        """
        if self._is_deferred(key, lambda: self.on_accepted(key, at, headers, http)):
            return
        if (exchange := self._exchanges.get(key)) is not None:
            session = exchange.session
            session.http = http or None
            session.process(session.reader.accept(at, _lower(headers or {})))

    def on_frame(
        self, key: str, at: float, data: str | bytes, *, outgoing: bool, senders: Sequence[object] = ()
    ) -> None:
        """Process one WebSocket frame, or one part of a stream.

        senders  call stacks of the code that caused the frame, in the form of the event source: one for the whole
                 frame, or one for each subscription in it; empty if unknown
        """
        if self._is_deferred(key, lambda: self.on_frame(key, at, data, outgoing=outgoing, senders=senders)):
            return
        if (exchange := self._exchanges.get(key)) is not None:
            if senders:
                exchange.session.senders[at] = senders
            self._feed(exchange, Direction.SENT if outgoing else Direction.RECEIVED, data, at)

    def on_waiting(self, key: str, stacks: Sequence[object]) -> None:
        """Store the call stacks of the calls that read the state of a WebSocket while it was still connecting.

        A client library stores what such a call asked for, and sends it when the WebSocket is open.
        """
        if self._is_deferred(key, lambda: self.on_waiting(key, stacks)):
            return
        if (exchange := self._exchanges.get(key)) is not None:
            exchange.session.waiting = stacks

    def on_closed(
        self, key: str, at: float, *, error: str = "", code: int | None = None, by_client: bool | None = None
    ) -> None:
        """Process the close of a WebSocket or the end of a stream, which also ends its session.

        code       the WebSocket close code, if it is known
        by_client  True if the page closed it, False if the server or the network did, None if that is unknown
        """
        if self._is_deferred(key, lambda: self.on_closed(key, at, error=error, code=code, by_client=by_client)):
            return
        exchange = self._exchanges.pop(key, None)
        if exchange is None or not exchange.link.carries:
            return
        if error and not exchange.session.is_answered:
            exchange.session.refuse(at, "unreachable", error)
        reason = TRANSPORT_CLOSE
        if exchange.session.is_numbered and by_client is not False:
            reason = IO_CLIENT_DISCONNECT if by_client else CLOSED
        exchange.session.end(at, reason, code)

    def on_refused(self, key: str, at: float, *, status: int, body: str = "", reason: str = "") -> None:
        """Process an answer that does not open the WebSocket or stream, such as an HTTP error.

        reason  text for reports, in place of the HTTP status
        """
        if self._is_deferred(key, lambda: self.on_refused(key, at, status=status, body=body, reason=reason)):
            return
        exchange = self._exchanges.get(key)
        if exchange is None or not exchange.link.carries:
            return
        if exchange.session.is_numbered:
            exchange.session.refuse(at, "refused" if status in REFUSING else "protocol", reason or f"HTTP {status}")
            exchange.session.end(at, TRANSPORT_ERROR)
        else:
            self._feed_error(exchange, at, status, body)

    # --- both ---------------------------------------------------------------------------------------------------

    def on_target_closed(self, target_id: str, at: float) -> None:
        """End every connection of a page or worker (`Initiator.target_id`)."""
        for session in self._sessions_by_target.pop(target_id, ()):
            if not session.is_left_out:
                session.end(at, PAGE_LEFT)

    def on_targets_closed(self, are_closed: Callable[[str], bool], at: float) -> None:
        """End every connection of the pages and workers for whose id `are_closed` is true."""
        for target_id in list(filter(are_closed, self._sessions_by_target)):
            self.on_target_closed(target_id, at)

    def open_sessions(self) -> list[TrafficSession]:
        """Return the sessions with at least one connected channel."""
        return [session for session in self.sessions if session.sids and session.unused_from is None]

    def has_delivered(self, name: str, since: float) -> bool:
        """Return whether a page received the application event `name` at or after `since` (epoch seconds)."""
        shown = self.redactor.redact(name)
        return any(session.has_delivered(shown, since) for session in self.sessions)

    def flush(self) -> None:
        """Process the traffic of sessions whose handshake was not observed; call it when no more traffic follows."""
        for session_key in list(self._deferred):
            self._replay_deferred(session_key)

    def events(
        self,
        origin_of: Callable[[TrafficSession], ConnectionOrigin] = lambda session: ConnectionOrigin(),
        resolve: Callable[[TrafficSession, object], ConnectionOrigin] = lambda session, stack: ConnectionOrigin(),
    ) -> list[Event]:
        """Return the events of all sessions, ordered by time.

        origin_of  returns a session's call site
        resolve    returns the call site of a stack that `on_frame` received
        """
        sessions = [(session, session.events(origin_of(session), resolve)) for session in self.sessions]
        servers = ServerSplit(sessions, self._target)
        self.server_note = servers.note
        return sorted(servers.label_events(unify_users(sessions, servers)), key=lambda event: event.at or 0.0)

    def _after_handshake(self, key: str, request: _OpeningRequest, step: Callable[[], object]) -> None:
        """Run `step` now if the session that `request` continues is known, otherwise after its handshake was read.

        A request that starts a session is never delayed. `key` is the key of the request or WebSocket.
        """
        if request.key is None or request.key in self._session_by_key:
            step()
            return
        self._deferred_session_by_key[key] = request.key
        self._deferred.setdefault(request.key, []).append(step)

    def _is_deferred(self, key: str, step: Callable[[], object]) -> bool:
        """Return whether steps of the session of request `key` wait for its handshake. If so, let `step` wait too."""
        waiting = self._deferred.get(self._deferred_session_by_key.get(key, ""))
        if waiting is None:
            return False
        waiting.append(step)
        return True

    def _replay_deferred(self, session_key: str) -> None:
        for step in self._deferred.pop(session_key, ()):
            step()

    def _open_exchange(self, key: str, request: _OpeningRequest) -> _Exchange:
        """Add a request or WebSocket to the session that it continues, or to a new session if there is none."""
        session = self._session_by_key.get(request.key or "")
        if session is None:
            session = self._create_session(request)
            if request.key is not None:
                session.name(request.key)
                self._session_by_key[request.key] = session
        exchange = self._exchanges[key] = _Exchange(session, session.reader.link(request.opening))
        _feed_headers(session, self._early_headers.pop(key, {}))
        return exchange

    def _create_session(self, request: _OpeningRequest) -> TrafficSession:
        opening, protocol = request.opening, request.recognition.protocol
        query = _application_query(request)
        session = TrafficSession(
            request.at,
            url=self.urls.endpoint(protocol.endpoint(opening.url), query),
            reader=ConnectionReader(opening, request.recognition, request.at),
            transport=opening.transport,
            source=self._source,
            initiator=request.initiator,
            identity=self._identity,
            redactor=self.redactor,
            number="" if protocol.names_sessions else f"{opening.transport.value}-{next(self._numbers)}",
        )
        session.set_credentials("query", query)
        _feed_headers(session, opening.headers)
        self._sessions.append(session)
        self._sessions_by_target.setdefault(session.initiator.target_id, []).append(session)
        return session

    def _feed(self, exchange: _Exchange, direction: Direction, data: Data, at: float) -> None:
        session = exchange.session
        was_answered = session.is_answered
        session.process(exchange.link.receive(direction, data, at))
        if session.is_answered and not was_answered and session.eio is not None:
            self._session_by_key.setdefault(session.eio, session)
            self._replay_deferred(session.eio)


def _request(
    transport: Transport, url: str, at: float, initiator: Initiator, headers: Mapping[str, str] | None
) -> _OpeningRequest | None:
    """Return the data of a request or WebSocket, None if no protocol recognises it."""
    lower = _lower(headers or {})
    opening = Opening(url=url, transport=transport, headers=lower, subprotocols=_subprotocols(lower))
    recognition = recognise(opening)
    if recognition is None:
        return None
    return _OpeningRequest(opening, recognition, recognition.protocol.session_key(opening), at, initiator)


def _application_query(request: _OpeningRequest) -> dict[str, str]:
    query = request.recognition.protocol.query(request.opening.url)
    return dict(parse_qsl(urlsplit(request.opening.url).query, keep_blank_values=True) if query is None else query)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _subprotocols(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(each.strip() for each in headers.get(SUBPROTOCOL, "").split(",") if each.strip())


def _feed_headers(session: TrafficSession, headers: Mapping[str, str]) -> None:
    if not headers:
        return
    lower = _lower(headers)
    session.set_credentials("header", lower)
    if cookies := lower.get("cookie", ""):
        session.set_credentials("cookie", _parse_cookies(cookies))
    if offered := _subprotocols(lower):
        session.set_subprotocols(offered)
    session.process(session.reader.set_headers(lower))


def _parse_cookies(header: str) -> dict[str, str]:
    try:
        return {name: morsel.value for name, morsel in SimpleCookie(header).items()}
    except CookieError:
        pairs = (part.partition("=") for part in header.split(";"))
        return {name.strip(): value.strip() for name, _, value in pairs}


# --- servers and users ------------------------------------------------------------------------------------------------


class ServerSplit:
    """Servers to which a set of sessions connect, and which of them is each user's home server.

    The home server of a user is `main` if the user connects to it, otherwise the first server that the user connects
    to.

    main  the server under test if a session connects to it, else the server with the most sessions of known users
    """

    def __init__(self, sessions: SessionEvents, target: str = "") -> None:
        self._server_by_session = {id(session): ServerEndpoint.from_url(session.url) for session, _ in sessions}
        if len(self._servers()) > 1:
            self._merge_aliases(sessions)
        servers = self._servers()
        targets = [server for server in servers if target and server.has_same_origin(ServerEndpoint.from_url(target))]
        identified = [self._server_by_session[id(session)] for session, _ in sessions if session.identified]
        self.main = max(targets or servers, key=identified.count, default=ServerEndpoint("", None, ""))

    def _servers(self) -> list[ServerEndpoint]:
        return list(dict.fromkeys(self._server_by_session.values()))

    @property
    def note(self) -> str:
        """Sentence that lists the servers, empty if there is only one."""
        others = [server for server in self._servers() if server != self.main]
        if not others:
            return ""
        names = ", ".join(str(server) for server in (self.main, *others))
        return f"Connections went to {1 + len(others)} endpoints, each evaluated separately: {names}."

    def server_for(self, session: TrafficSession) -> ServerEndpoint:
        """Return the server of a session."""
        return self._server_by_session[id(session)]

    def label_events(self, sessions: SessionEvents) -> Iterator[Event]:
        """Yield all events. At each server other than the user's home server, the user gets another label.

        The connections of a user to different servers are therefore counted separately.
        """
        home: dict[str | None, ServerEndpoint] = {}
        for session, events in sessions:
            server = self._server_by_session[id(session)]
            for event in events:
                if server == self.main:
                    home[event.user] = server
                home.setdefault(event.user, server)
        for session, events in sessions:
            server = self._server_by_session[id(session)]
            for event in events:
                at_home = event.user is None or server == home[event.user]
                yield event if at_home else _with_server_label(event, server, home[event.user])

    def _merge_aliases(self, sessions: SessionEvents) -> None:
        """Merge endpoints that are two names of one server.

        Two endpoints are one server if the server ends a connection to one endpoint in favour of a connection to the
        other endpoint.
        """
        opened = [(event, session) for session, events in sessions for event in events if isinstance(event, Connected)]
        for session, events in sessions:
            for event in events:
                if isinstance(event, Disconnected) and event.reason == IO_SERVER_DISCONNECT:
                    successors = [other for connected, other in opened if _may_replace(event, connected)]
                    self._merge(session, successors)

    def _merge(self, session: TrafficSession, successors: Iterable[TrafficSession]) -> None:
        server = self._server_by_session[id(session)]
        others = [self._server_by_session[id(successor)] for successor in successors]
        if others and server not in others:
            self._server_by_session = {
                key: server if each == others[0] else each for key, each in self._server_by_session.items()
            }


def _with_server_label(event: Event, server: ServerEndpoint, home: ServerEndpoint) -> Event:
    name = server.origin if server.origin != home.origin else str(server)
    return msgspec.structs.replace(event, user=USER_AT_SERVER.format(event.user, name))


def _may_replace(ended: Disconnected, opened: Connected) -> bool:
    """Report whether the server may have ended a connection in favour of `opened`."""
    return opened.user == ended.user and opened.sid != ended.sid and may_have_replaced(opened.at, ended.at)


class _Span(msgspec.Struct):
    """Connection of a page: its index among all sessions, when the server answered it, and when it ended."""

    index: int
    opened_at: float
    ended_at: float


def unify_users(sessions: SessionEvents, servers: ServerSplit) -> SessionEvents:
    """Return the sessions with their events, changed so that the simultaneous connections of a page have one user.

    If one user of these connections is known, an unknown user becomes this user. Two known users become "A and B".
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
    """Yield the indexes of the connections in groups: connections that are open at the same time share a group."""
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
