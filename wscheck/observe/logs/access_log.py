"""Access logs of proxies and web servers: Socket.IO's requests (Engine.IO protocol), WebSockets and event streams.

The logs of nginx and Apache (combined), Traefik, Envoy, AWS ALB, Cloudflare, Caddy, HAProxy, Fastify, werkzeug,
IIS and CloudFront (W3C extended log format) are read.
An access log shows attempts and transports per client. A WebSocket or a stream has a line when it ends: with its
duration, the log shows when it was open. Connections that are still open are not in the log.
"""

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from wscheck.model.report import AccessClient
from wscheck.observe.logs.formats.envelopes import decode_line, parse_json_object
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import is_user_label, normalize_key
from wscheck.protocols.sockjs import SockJs

NEEDLE = b"EIO="
"""Query parameter with the version of the protocol, which every request of Engine.IO has."""

_OTHERS = re.compile(rb"""[\s":=]101[\s",}]|text\\?/event-stream|CONNECT""")
"""Text in the lines of WebSockets (status 101, or CONNECT over HTTP/2) and streams."""

_UPGRADED = lazy_pattern(
    rb"""HTTP/[12](?:\.\d)?"\s+101\s|"(?:status|DownstreamStatus|statusCode|response_code)":\s?"?101\b"""
    rb"""|\s101 \d+ \S+ \S+ [\w-]{4} |\s101 (?:101|-) -?\d+ -?\d+ "GET """
    rb"""|"CONNECT (?:https://[^\s"/]+)?/[^\s"]* HTTP/2|"(?:request_m|RequestM|m)ethod":\s?"CONNECT\""""
)
"""Opened WebSocket (status 101, or CONNECT over HTTP/2) in the forms of `_STATUS` and `_STATUS_KEYS`."""
_REQUEST = lazy_pattern(
    rb"""["\s](?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT) (?:https?://|/|[\w.-]+:\d)[^\s"]* HTTP/[123]"""
    rb"""|"(?:request_m|RequestM|m)ethod":\s?"[A-Z]+\""""
)
"""Request in the line of an access log."""
_REQUESTS_SHARE, _LINES_COMPARED = 0.9, 50
"""A log is an access log if so many of its first lines contain a request."""

MAX_LINE = 1 << 13
MAX_CLIENTS = 10_000
MAX_SESSIONS, MAX_INTERVALS = 100_000, 200_000
"""Maximum numbers of clients, sessions and connections that are stored. No counts are kept for further clients."""
GRACE_S = 0.25
"""Connections that were open together for no longer may have replaced each other (seconds)."""
LONG_S, RETURN_S, MAX_LONG_PATHS = 10.0, 60.0, 20
"""Duration of a request that may be a stream, and time after its end in which the next one may follow (seconds)."""

_WORD = lazy_pattern(r"""[^\s"']+""")
_ANY_QUERY = lazy_pattern(
    r"""(?:["'\s]|"(?:GET|CONNECT) (?:https?|wss?)://[^\s"'/?]++)(?P<path>/[^\s"'?]*)(?:\?(?P<query>[^\s"'\\]*))?"""
)
_METHOD = lazy_pattern(r"""["\s'](GET|POST|OPTIONS|CONNECT)["\s']""")
_STATUS = (
    lazy_pattern(r'HTTP/\d(?:\.\d)?"\s+(\d{3})\b'),
    lazy_pattern(r'\s(\d{3}) (?:\d{3}|-) -?\d+ -?\d+ "(?:GET|POST|OPTIONS|CONNECT) '),
    lazy_pattern(r'\s(\d{3}) \d+ \S+ \S+ [\w-]{4} [^"]*"(?:GET|POST|OPTIONS|CONNECT|<BADREQ>)'),
    lazy_pattern(r'"\s+(\d{3})\s'),
)
"""Status of a response: after the request (combined format), in the formats of ALB and HAProxy, and after any quote."""
_ADDRESS = lazy_pattern(
    r"(?i)(?<![\w.:])(?:::ffff:)?((?:\d{1,3}\.){3}\d{1,3}"
    r"|(?=[0-9a-f:]*(?:::|[a-f]))[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w.]*\.\d)"
)
"""IPv4 address, also inside an IPv6 address, or IPv6 address. Times with colons have no letters and no "::"."""
_CLIENT_KEYS = (
    "ClientIP", "remote_addr", "ClientHost", "remoteAddress", "client_ip", "remote_ip", "clientIp", "ip",
    "x_forwarded_for", "downstream_remote_address",
)  # fmt: skip
_STATUS_KEYS = (
    "status", "EdgeResponseStatus", "DownstreamStatus", "statusCode", "status_code", "resp_status", "response_code",
)  # fmt: skip
_START_KEYS = ("EdgeStartTimestamp", "StartUTC", "start_time")
"""Keys of the time at which a request began."""
_USER_KEYS = ("userId", "user_id", "userid", "uid", "user", "username")
_CLIENT_PARAMETERS = frozenset({"client", "clientid", "device", "deviceid"})
"""Query parameters that name the client of a WebSocket, in the form of `normalize_key`."""

SWITCHING, OK, BAD_REQUEST = 101, 200, 400

_SECONDS_OF_KEY = {
    "duration": 1.0, "request_time": 1.0, "requestTime": 1.0, "upstream_response_time": 1.0,
    "duration_ms": 1e-3, "durationMs": 1e-3, "responseTime": 1e-3, "Duration": 1e-9,
}  # fmt: skip
"""Keys of the duration of a request, with their unit in seconds. Traefik writes nanoseconds, Envoy milliseconds."""
_ENVOY_KEY = "response_flags"
_TIMERS = lazy_pattern(r"\]\s\S+\s\S+/\S+\s-?\d+/-?\d+/-?\d+/-?\d+/(?P<ms>\d+)\s\d{3}\s")
_ENVOY = lazy_pattern(r'HTTP/\d(?:\.\d)?" \d{3} \S+ (?:\S+ \S+ "[^"]*" )?\d+ \d+ (?P<ms>\d+) (?:\d+|-) "')
"""Status, flags, bytes in both directions and duration in Envoy's default format. Lines begin with the start time."""
_LAST_MS = lazy_pattern(r"\s(?P<ms>\d+)ms\s*$")
_NAMED_SECONDS = lazy_pattern(r"\b(?:rt|request_time|urt|duration|time_taken)=[\"']?(?P<s>\d+(?:\.\d+)?)s?\b")
_BARE_SECONDS = lazy_pattern(r"\"\s(?:\d+\s)?(?P<s>\d+\.\d{3})(?=\s|\Z)")
"""nginx's $request_time without a name, behind the user agent (and $request_length, as ingress-nginx writes)."""
_CREATED = lazy_pattern(r'" (?:\d+|-) (?P<created>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z) "')
"""Creation of a request in the log of ALB. For a WebSocket, the time at the start of the line is its end."""
_EVENT_STREAM = "text/event-stream"
_STREAM_WORD = lazy_pattern(r"""(?<![,;]\s)(?<![^\s"'={(|])text/event-stream(?:;\s?charset=[\w-]+)?(?=["'\s)}|]|\Z)""")
"""Content type of a stream in a line. In a list, it is one of the types that a request accepts."""
_EXTENDED = lazy_pattern(r'"CONNECT (?:https://[^\s"/]+)?/(?!\.well-known/masque)[^\s"]* HTTP/2')
"""CONNECT request that opens a WebSocket over HTTP/2 (RFC 8441). That of a tunnel has no path."""
_TYPE_WORD = lazy_pattern(
    r"""(?<![,;]\s)(?<![^\s"'={(|])(?:text|application|image|audio|video|font)/[\w.+-]+(?=[;"'\s)}|]|\Z)"""
)
_CONTENT_TYPE = lazy_pattern(r"(?i)content[_-]?type\Z")
_OF_REQUEST = lazy_pattern(r"(?i)\A(?:req|http_)")
_ACCEPTS = lazy_pattern(r"(?i)(?:\A|[_-])accept\Z")
_ACCEPTED = lazy_pattern(r"\[(?P<accepted>\d\d/\w{3}/\d{4}:[\d:.]+(?:\s[+-]\d{4})?)\]")
_COLUMNS = lazy_pattern(rb"(?m)^#Fields:[ \t]*+(?P<names>[^\r\n]*\bsc-status\b[^\r\n]*)")
"""Names of the columns of the W3C extended log format, which IIS and CloudFront write."""
_W3C_KEYS = {"sc-status": "status", "c-ip": "remote_addr", "cs-username": "user"}
_REMOTE_USER = lazy_pattern(r"\A\S+ \S+ (?P<user>[^\s\"-][^\s\"]*) \[\d\d/")
"""User of the combined log format, whom the web server authenticated."""


class ConnectionSpan(NamedTuple):
    """WebSocket or stream in an access log: the line, the user, the path, and start and end (epoch seconds)."""

    line: int
    user: str
    path: str
    begin: float
    end: float


class LostSession(NamedTuple):
    """Session whose first request after the handshake got the status 400: line, client and time of this request."""

    line: int
    client: str
    at: float


class AccessLog:
    """Counter of the requests in one access log.

    spans         connections that ended, with their users, since the last call of `take_spans`
    lost          sessions whose first request after the handshake was answered with 400, since the last call of
                  `take_lost`
    connections   number of WebSockets and streams for which the log shows the user, the start and the end
    unattributed  number of WebSockets and streams for which the log lacks the user, the start or the end
    long_paths    paths of long requests that may be streams, because the log contains no content types
    """

    def __init__(
        self, timestamps: TimestampParser, *, is_engine_io: bool = True, columns: Sequence[str] | None = None
    ) -> None:
        self._timestamps, self._is_engine_io, self._columns = timestamps, is_engine_io, columns
        self._needle = re.compile(NEEDLE) if is_engine_io else _OTHERS
        self.spans, self.lost = list[ConnectionSpan](), list[LostSession]()
        self._begun = Counter[str]()
        self.connections = self.unattributed = 0
        self.long_paths: tuple[str, ...] = ()
        self._clients: dict[str, AccessClient] = {}
        self._intervals = defaultdict[tuple[str, str], list[tuple[float, float]]](list)
        self._intervals_stored = 0
        self._sessions, self._upgraded = set[str](), set[str]()

    @classmethod
    def recognise(cls, timestamps: TimestampParser, opening: bytes) -> "AccessLog | None":
        """Return an access log if the start of a log contains requests of Socket.IO, WebSockets or streams.

        Return one too if nearly all lines contain a request. Return None otherwise.
        """
        names = _COLUMNS.search(opening)
        columns = names["names"].decode("utf-8", "replace").split() if names is not None else None
        if NEEDLE in opening:
            return cls(timestamps, columns=columns)
        if columns is not None or _UPGRADED.search(opening) is not None:
            return cls(timestamps, is_engine_io=False, columns=columns)
        if not _consists_of_requests(opening):
            return None
        log = cls(timestamps, is_engine_io=False)
        log._expect_long_requests(opening)
        return log

    def _expect_long_requests(self, opening: bytes) -> None:
        """Store the paths of the long requests in the start of a log without content types."""
        self.long_paths = _long_paths(opening)
        if self.long_paths:
            paths = b"|".join(re.escape(path.encode()) for path in self.long_paths)
            self._needle = re.compile(b"|".join([_OTHERS.pattern, paths]))

    @property
    def clients(self) -> Mapping[str, AccessClient]:
        """Return the clients by their names: the user, or the address."""
        slack = GRACE_S + (0.0 if self._timestamps.has_fractions else 1.0)
        most = Counter[str]()
        for (client, _), intervals in self._intervals.items():
            most[client] = max(most[client], _most_open(intervals, slack))
        for client, count in most.items():
            self._clients[client].most_open = count
        return self._clients

    @property
    def has_polling_sessions(self) -> bool:
        """Return whether some sessions had no WebSocket. The log does not show when such a session ended."""
        return not self._sessions <= self._upgraded

    @property
    def polling_share(self) -> float:
        """Return the share of the sessions that had no WebSocket, 0 if there are no sessions."""
        return 1 - len(self._upgraded & self._sessions) / len(self._sessions) if self._sessions else 0.0

    def read(self, data: bytearray, begin: int, end: int, line: int) -> None:
        """Count the requests in data[begin:end], which starts with the line number `line`."""
        at, counted = begin, begin
        while (found := self._needle.search(data, at, end)) is not None:
            at = found.start()
            first = data.rfind(b"\n", begin, at) + 1 or begin
            stop = data.find(b"\n", found.end() - 1, end)
            stop = end if stop < 0 else stop
            if stop - first <= MAX_LINE:
                line, counted = line + data.count(b"\n", counted, first), first
                self._line(decode_line(bytes(data[first:stop])), line)
            at = max(stop, found.end())

    def _line(self, text: str, line: int) -> None:
        request = _read_request(text, self._columns, is_engine_io=self._is_engine_io)
        if request is None:
            return
        if self._is_engine_io:
            self._count_session(request, line)
            return
        is_stream = request.method == "GET" and request.is_event_stream
        if not (request.is_websocket or is_stream):
            self._count_long_request(request)
            return
        is_open = request.is_websocket or request.status in {0, OK}
        begin = self._add_span(request, line) if is_open else None
        client = self._client(request)
        if client is None:
            return
        client.handshakes += 1
        client.upgrades += request.is_websocket
        client.streams += is_stream and is_open
        self._note_time(client, begin if begin is not None else self._time(request))

    def _count_session(self, request: "_Request", line: int) -> None:
        """Count a request of Socket.IO."""
        if request.status == SWITCHING:
            self._add_span(request, line)
        client = self._client(request)
        if client is None:
            return
        at = self._time(request)
        self._find_lost_session(line, client.client, request.query.get("sid"), request.status, at)
        self._count(client, request.query, request.status, at, is_get=request.method in {"", "GET"})

    def _count_long_request(self, request: "_Request") -> None:
        """Count a request to one of the long paths if it lasted as long as a stream."""
        seconds = _duration(request.text, request.fields)
        if request.path not in self.long_paths or request.method != "GET" or (seconds or 0.0) < LONG_S:
            return
        if (client := self._client(request)) is not None:
            client.long_requests += 1

    def _client(self, request: "_Request") -> AccessClient | None:
        """Return the client of a request, None if its name is unknown or too many clients are stored."""
        name = request.user or _client(request.text, request.fields)
        if not name or (name not in self._clients and len(self._clients) >= MAX_CLIENTS):
            return None
        return self._clients.setdefault(name, AccessClient(client=name))

    def _find_lost_session(self, line: int, client: str, session: str | None, status: int, at: float | None) -> None:
        """Store a session if the server answers 400 to its first request after a handshake of the same client.

        A restarted server refuses the sessions that it had before the restart. These are not stored: they had other
        requests before, or their handshake is not in the log.
        """
        if session is None or session in self._sessions:
            return
        self._begun[client] += 1
        opened = self._begun[client] <= self._clients[client].handshakes
        if status == BAD_REQUEST and opened and at is not None:
            self.lost.append(LostSession(line, client, at))

    def take_lost(self) -> list[LostSession]:
        """Return the sessions that were added to `lost` since the last call."""
        lost, self.lost = self.lost, []
        return lost

    def _add_span(self, request: "_Request", line: int) -> float | None:
        """Store an opened connection with its start and its end. Return its start, None if it is unknown."""
        span, client = self._start_and_end(request), self._client(request)
        if span is not None and client is not None and self._intervals_stored < MAX_INTERVALS:
            self._intervals_stored += 1
            self._intervals[client.client, request.path].append(span)
        if not request.user or span is None:
            self.unattributed += 1
        else:
            self.connections += 1
            self.spans.append(ConnectionSpan(line, request.user, request.path, *span))
        return span[0] if span is not None else None

    def _start_and_end(self, request: "_Request") -> tuple[float, float] | None:
        """Return the times at which a connection began and ended, None if the line does not contain both."""
        text, fields = request.text, request.fields
        at = self._time(request)
        if at is None:
            return None
        created = _CREATED.search(text) if request.is_websocket and not fields else None
        if created is not None and (begin := self._timestamps.find(created["created"])) is not None:
            return begin, at
        seconds = _duration(text, fields)
        if seconds is None:
            return None
        starts = any(key in fields for key in _START_KEYS) or any(
            form.search(text) for form in (_TIMERS, _LAST_MS, _ENVOY)
        )
        accepted = _ACCEPTED.search(text) if starts and not fields else None
        begin = self._timestamps.find(accepted["accepted"]) if accepted is not None else None
        begin = begin if begin is not None else at if starts else at - seconds
        return begin, begin + seconds

    def take_spans(self) -> list[ConnectionSpan]:
        """Return the connections that ended since the last call."""
        spans, self.spans = self.spans, []
        return spans

    def _count(
        self, client: AccessClient, query: Mapping[str, str], status: int, at: float | None, *, is_get: bool
    ) -> None:
        session, is_websocket = query.get("sid"), query.get("transport") == "websocket"
        if session is None and is_get:
            client.handshakes += 1
            self._note_time(client, at)
        if is_websocket and status in {0, SWITCHING, 200}:
            client.upgrades += 1
        elif session is not None and not is_websocket:
            client.polls += 1
        if status == BAD_REQUEST and session is not None:
            client.unknown_sessions += 1
        if session is not None and len(self._sessions) < MAX_SESSIONS:
            self._sessions.add(session)
            self._upgraded.update([session] if is_websocket and status != BAD_REQUEST else [])

    @staticmethod
    def _note_time(client: AccessClient, at: float | None) -> None:
        """Store the time of an attempt of a client, in any order of the attempts."""
        if at is not None:
            client.first = at if client.first is None else min(client.first, at)
            client.last = at if client.last is None else max(client.last, at)

    def _time(self, request: "_Request") -> float | None:
        """Return the time at which a request started, or the time of its line if the start is unknown."""
        return _time(self._timestamps, request.text, request.fields)


class _Request(NamedTuple):
    """Request in a line of an access log.

    text             the line
    fields           its values by key if it is a record, otherwise empty
    path             path of the URL, without the parts that differ for each connection
    query            parameters of the URL
    method           "" if the line does not contain it
    status           0 if the line does not contain it
    user             user in a parameter, or whom the web server authenticated; "" if there is none
    is_websocket     the request opened a WebSocket
    is_event_stream  the content type of the response, or the only type that the request accepts, is that of a stream
    """

    text: str
    fields: Mapping[str, Any]
    path: str
    query: Mapping[str, str]
    method: str
    status: int
    user: str
    is_websocket: bool
    is_event_stream: bool


def _read_request(text: str, columns: Sequence[str] | None, *, is_engine_io: bool) -> _Request | None:
    """Return the request in a line, None if it has none. Only requests of Engine.IO count with `is_engine_io`.

    columns  names of the columns in the W3C extended log format, None for other formats
    """
    text = text.replace("\\u0026", "&").replace("\\/", "/")
    fields: dict[str, Any] = {}
    if columns is not None:
        text, fields = _w3c_record(dict(zip(columns, text.split(), strict=False)))
    path, parameters = "", _engine_io_query(text) if is_engine_io else None
    if not is_engine_io and (found := _ANY_QUERY.search(text)) is not None:
        path, parameters = _endpoint(found["path"]), found["query"] or ""
    if parameters is None:
        return None
    query = {key: values[0] for key, values in parse_qs(parameters).items()}
    brace = text.find("{")
    fields = fields or (dict(_scalars(parse_json_object(text[brace:]) or {})) if brace >= 0 else {})
    method, status = _METHOD.search(text), _status(text, fields)
    name = method[1] if method is not None else ""
    return _Request(
        text, fields, path, query, name, status,
        user=next((query[key] for key in _USER_KEYS if query.get(key)), "")
        or ("" if is_engine_io else _user_in(query))
        or _authenticated_user(text, fields),
        is_websocket=status == SWITCHING or (name == "CONNECT" and status == OK and _is_extended(text, fields)),
        is_event_stream=_is_event_stream(text, fields),
    )  # fmt: skip


def _endpoint(path: str) -> str:
    """Return a path without the parts that differ for each connection, such as the session id of SockJS."""
    return SockJs().endpoint(f"ws://host{path}").removeprefix("ws://host")


def _is_event_stream(text: str, fields: Mapping[str, Any]) -> bool:
    """Return whether a response is a stream of server-sent events, by its content type or by the accepted type."""
    if not fields:
        return _STREAM_WORD.search(text) is not None
    of_response = [
        str(value)
        for key, value in fields.items()
        if _CONTENT_TYPE.search(key) and not _OF_REQUEST.match(key) and value
    ]
    if of_response:
        return any(value.strip().startswith(_EVENT_STREAM) for value in of_response) or _is_refused_stream(fields)
    return _accepts_only_streams(fields)


def _is_refused_stream(fields: Mapping[str, Any]) -> bool:
    """Return whether a request that accepts only an event stream got an error. Errors have another content type."""
    return _status("", fields) not in {0, OK} and _accepts_only_streams(fields)


def _accepts_only_streams(fields: Mapping[str, Any]) -> bool:
    return any(_ACCEPTS.search(key) and str(value).strip() == _EVENT_STREAM for key, value in fields.items())


def _is_extended(text: str, fields: Mapping[str, Any]) -> bool:
    """Return whether a CONNECT request opens a WebSocket over HTTP/2 (RFC 8441), and no tunnel."""
    named = next((str(value) for key, value in fields.items() if key.endswith(":protocol")), "")
    if named:
        return named == "websocket"
    if not fields:
        return _EXTENDED.search(text) is not None
    values = [value for value in fields.values() if isinstance(value, str)]
    has_path = any(value.startswith("/") and not value.startswith("/.well-known/masque") for value in values)
    return has_path and any(value in {"HTTP/2", "HTTP/2.0"} for value in values)


def _consists_of_requests(opening: bytes) -> bool:
    """Return whether nearly all lines in `opening`, the first bytes of a log, contain a request."""
    lines = [line for line in opening.split(b"\n", _LINES_COMPARED)[:_LINES_COMPARED] if line.strip()]
    return bool(lines) and sum(_REQUEST.search(line) is not None for line in lines) >= _REQUESTS_SHARE * len(lines)


def _long_paths(opening: bytes) -> tuple[str, ...]:
    """Return the paths that are probably event streams, judging from `opening`, the first bytes of a log.

    A client of a stream requests the path again as soon as a long request for this path has ended. Return no paths if
    the log contains content types, because these show which paths are streams.
    """
    ended, paths = dict[tuple[str, str], float](), dict[str, None]()
    timestamps = TimestampParser("")
    for line in opening.splitlines():
        request = _read_request(decode_line(line[:MAX_LINE]), None, is_engine_io=False)
        if request is None or request.method != "GET" or request.status != OK:
            continue
        text, fields = request.text, request.fields
        if any(_CONTENT_TYPE.search(key) and not _OF_REQUEST.match(key) for key in fields) or (
            not fields and _TYPE_WORD.search(text)
        ):
            return ()
        at, seconds = _time(timestamps, text, fields), _duration(text, fields)
        if at is None or seconds is None or seconds < LONG_S:
            continue
        is_start = any(key in fields for key in _START_KEYS) or any(form.search(text) for form in (_LAST_MS, _ENVOY))
        begin = at if is_start else at - seconds
        key = _client(text, fields), request.path
        if key in ended and -1.0 <= begin - ended[key] <= RETURN_S and len(paths) < MAX_LONG_PATHS:
            paths[request.path] = None
        ended[key] = begin + seconds
    return tuple(paths)


def _most_open(intervals: Sequence[tuple[float, float]], slack: float) -> int:
    """Return the largest number of connections that were open at the same moment.

    intervals  (opening time, closing time) of each connection
    slack      two intervals that overlap by at most this number of seconds do not count as overlapping
    """
    most, ends = 0, list[float]()
    for begin, end in sorted(intervals):
        while ends and ends[0] <= begin + slack:
            heapq.heappop(ends)
        heapq.heappush(ends, end)
        most = max(most, len(ends))
    return most


def _time(timestamps: TimestampParser, text: str, fields: Mapping[str, Any]) -> float | None:
    """Return the time at which a request started, or the time of its line if the start is unknown."""
    started = next((str(fields[key]) for key in _START_KEYS if key in fields), None)
    if started is not None and (at := timestamps.find(started)) is not None:
        return at
    at = timestamps.from_fields(dict(fields)) if fields else None
    return at if at is not None else timestamps.find(text[:200])


def _w3c_record(row: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the request and the fields of a line of the W3C extended log format. Its times are in UTC.

    IIS writes durations in milliseconds, CloudFront in seconds with decimals.
    """
    fields = {key: row[name] for name, key in _W3C_KEYS.items() if row.get(name, "-") != "-"}
    fields["time"] = f"{row.get('date', '')}T{row.get('time', '')}Z"
    seconds = row.get("time-taken", "")
    fields["duration" if "." in seconds else "duration_ms"] = seconds
    return f" {row.get('cs-method', '')} {row.get('cs-uri-stem', '')}?{row.get('cs-uri-query', '')} ", fields


def _scalars(fields: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield key and value of each text and number in a record, also in nested objects (at most three levels).

    `depth` is the number of objects around `fields`.
    """
    for key, value in fields.items():
        if isinstance(value, dict) and depth < 3:
            yield from _scalars(value, depth + 1)
        elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            yield key, value[0]
        elif isinstance(value, str | int | float):
            yield key, value


def _client(text: str, fields: Mapping[str, Any]) -> str:
    told = next((str(fields[key]) for key in _CLIENT_KEYS if fields.get(key)), "")
    found = _ADDRESS.search(told or text)
    return found[1] if found is not None else told


def _engine_io_query(text: str) -> str | None:
    """Return the query of the first path in a line that has the parameter EIO, None if there is none.

    Each word is searched once. A regular expression would search it once for each of its slashes and question marks.
    """
    words: list[str] = _WORD.findall(text) if "EIO=" in text else []
    for word in words:
        begin = 0
        while (mark := word.find("?", begin)) >= 0:
            begin, path = mark + 1, word.find("/", begin, mark)
            if path < 0:
                continue
            end = word.find("\\", begin)
            end = len(word) if end < 0 else end
            if word.find("EIO=", begin, end) >= 0:
                return word[begin:end]
            begin = max(begin, word.rfind("?", begin, end) + 1)
    return None


def _status(text: str, fields: Mapping[str, Any]) -> int:
    """Return the status of a response, 0 if the line does not contain it."""
    for key in _STATUS_KEYS:
        if str(fields.get(key, "")).isdigit():
            return int(fields[key])
    found = next((match for pattern in _STATUS if (match := pattern.search(text)) is not None), None)
    return int(found[1]) if found is not None and not fields else 0


def _authenticated_user(text: str, fields: Mapping[str, Any]) -> str:
    """Return the user whom the web server authenticated, "" if the record names none."""
    told = next((str(fields[key]) for key in (*_USER_KEYS, "remote_user", "ClientUsername") if fields.get(key)), "")
    combined = _REMOTE_USER.match(text) if not told and not fields else None
    return combined["user"] if combined is not None else told if told != "-" else ""


def _user_in(query: Mapping[str, str]) -> str:
    """Return the user in the query of a WebSocket, for example 7 in `?user=7`.

    If no parameter names the user, return the client's id, for example 7 in `?deviceid=7`, or "" if there is none.
    """
    keys = {key: normalize_key(key) for key, value in query.items() if value}
    users = (query[key] for key, name in keys.items() if is_user_label(name))
    clients = (query[key] for key, name in keys.items() if name in _CLIENT_PARAMETERS)
    return next(chain(users, clients), "")


def _duration(text: str, fields: Mapping[str, Any]) -> float | None:
    """Return the duration of a request in seconds, None if the record does not contain it."""
    for key, unit in _SECONDS_OF_KEY.items():
        if key in fields:
            try:
                return float(fields[key]) * (1e-3 if key == "duration" and _ENVOY_KEY in fields else unit)
            except ValueError:
                return None
    if (timers := _TIMERS.search(text) or _LAST_MS.search(text) or _ENVOY.search(text)) is not None:
        return int(timers["ms"]) / 1000
    named = _NAMED_SECONDS.search(text) or _BARE_SECONDS.search(text)
    return float(named["s"]) if named is not None else None
