"""Access logs of proxies and web servers: the HTTP requests of Socket.IO clients (Engine.IO protocol, "Transports").

The logs of nginx and Apache (combined), Traefik, Envoy, AWS ALB, Cloudflare, Caddy, HAProxy, Fastify, werkzeug,
IIS and CloudFront (W3C extended log format) are read.
An access log shows attempts and transports per client. It does not show which connections are open.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from wscheck.model.report import AccessClient
from wscheck.observe.logs.formats.envelopes import decode_line, parse_json_object
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import is_user_label, normalize_key

NEEDLE = b"EIO="
"""Query parameter with the version of the protocol, which every request of Engine.IO has."""

UPGRADE = b"101"
"""Status of the response that opens a WebSocket. A log without requests of Engine.IO is searched for it."""

_UPGRADED = lazy_pattern(
    rb"""HTTP/1\.1"\s+101\s|"(?:status|DownstreamStatus|statusCode)":\s?"?101\b|\s101 \d+ \S+ \S+ [\w-]{4} """
    rb"""|\s101 (?:101|-) -?\d+ -?\d+ "GET """
)
"""Status 101 (WebSocket opened) in the forms of `_STATUS` and `_STATUS_KEYS`."""

MAX_LINE = 1 << 13
MAX_CLIENTS = 10_000
MAX_SESSIONS = 100_000
"""Maximum numbers of clients and of sessions that are stored. No counts are kept for further clients."""

_WORD = lazy_pattern(r"""[^\s"']+""")
_ANY_QUERY = lazy_pattern(
    r"""(?:["'\s]|"GET (?:https?|wss?)://[^\s"'/?]++)(?P<path>/[^\s"'?]*)(?:\?(?P<query>[^\s"'\\]*))?"""
)
_METHOD = lazy_pattern(r"""["\s'](GET|POST|OPTIONS)["\s']""")
_STATUS = (
    lazy_pattern(r'HTTP/\d(?:\.\d)?"\s+(\d{3})\b'),
    lazy_pattern(r'\s(\d{3}) (?:\d{3}|-) -?\d+ -?\d+ "(?:GET|POST|OPTIONS) '),
    lazy_pattern(r'\s(\d{3}) \d+ \S+ \S+ [\w-]{4} [^"]*"(?:GET|POST|OPTIONS|<BADREQ>)'),
    lazy_pattern(r'"\s+(\d{3})\s'),
)
"""Status of a response: after the request (combined format), in the formats of ALB and HAProxy, and after any quote."""
_ADDRESS = lazy_pattern(
    r"(?i)(?<![\w.:])(?:::ffff:)?((?:\d{1,3}\.){3}\d{1,3}"
    r"|(?=[0-9a-f:]*(?:::|[a-f]))[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7})(?![\w.]*\.\d)"
)
"""IPv4 address, also inside an IPv6 address, or IPv6 address. Times with colons have no letters and no "::"."""
_CLIENT_KEYS = ("ClientIP", "remote_addr", "ClientHost", "remoteAddress", "client_ip", "remote_ip", "clientIp", "ip")
_STATUS_KEYS = ("status", "EdgeResponseStatus", "DownstreamStatus", "statusCode", "status_code", "resp_status")
_TIME_KEYS = ("EdgeStartTimestamp", "StartUTC")
_USER_KEYS = ("userId", "user_id", "userid", "uid", "user", "username")
_CLIENT_PARAMETERS = frozenset({"client", "clientid", "device", "deviceid"})
"""Query parameters that name the client of a WebSocket, in the form of `normalize_key`."""

SWITCHING, BAD_REQUEST = 101, 400

_SECONDS_OF_KEY = {
    "duration": 1.0, "request_time": 1.0, "requestTime": 1.0, "upstream_response_time": 1.0,
    "duration_ms": 1e-3, "durationMs": 1e-3, "responseTime": 1e-3, "Duration": 1e-9,
}  # fmt: skip
"""Keys of the duration of a request, with their unit in seconds. Traefik writes nanoseconds."""
_TIMERS = lazy_pattern(r"\]\s\S+\s\S+/\S+\s-?\d+/-?\d+/-?\d+/-?\d+/(?P<ms>\d+)\s101\s")
_ENVOY = lazy_pattern(r'HTTP/1\.1" 101 \S+ (?:\S+ \S+ "[^"]*" )?\d+ \d+ (?P<ms>\d+) (?:\d+|-) "')
"""Status, flags, bytes in both directions and duration in Envoy's default format. Lines begin with the start time."""
_LAST_MS = lazy_pattern(r"\s(?P<ms>\d+)ms\s*$")
_NAMED_SECONDS = lazy_pattern(r"\b(?:rt|request_time|urt|duration|time_taken)=[\"']?(?P<s>\d+(?:\.\d+)?)s?\b")
_ACCEPTED = lazy_pattern(r"\[(?P<accepted>\d\d/\w{3}/\d{4}:[\d:.]+(?:\s[+-]\d{4})?)\]")
_COLUMNS = lazy_pattern(rb"(?m)^#Fields:[ \t]*+(?P<names>[^\r\n]*\bsc-status\b[^\r\n]*)")
"""Names of the columns of the W3C extended log format, which IIS and CloudFront write."""
_W3C_KEYS = {"sc-status": "status", "c-ip": "remote_addr", "cs-username": "user"}
_REMOTE_USER = lazy_pattern(r"\A\S+ \S+ (?P<user>[^\s\"-][^\s\"]*) \[\d\d/")
"""User of the combined log format, whom the web server authenticated."""


class WebSocketSpan(NamedTuple):
    """WebSocket in an access log: the line, the user, and start and end (epoch seconds)."""

    line: int
    user: str
    begin: float
    end: float


class LostSession(NamedTuple):
    """Session whose first request after the handshake got the status 400: line, client and time of this request."""

    line: int
    client: str
    at: float


class AccessLog:
    """Counter of the requests in one access log.

    spans         WebSockets that ended, with their users, since the last call of `take_spans`
    lost          sessions whose first request after the handshake was answered with 400, since the last call of
                  `take_lost`
    websockets    number of WebSockets for which the log shows the user, the start and the end
    unattributed  number of WebSockets for which the log lacks the user, the start or the end
    """

    def __init__(
        self, timestamps: TimestampParser, needle: bytes = NEEDLE, columns: Sequence[str] | None = None
    ) -> None:
        self._timestamps, self._needle, self._columns = timestamps, needle, columns
        self.spans, self.lost = list[WebSocketSpan](), list[LostSession]()
        self._begun = Counter[str]()
        self.websockets = self.unattributed = 0
        self.clients: dict[str, AccessClient] = {}
        self._sessions, self._upgraded = set[str](), set[str]()

    @classmethod
    def recognise(cls, timestamps: TimestampParser, opening: bytes) -> "AccessLog | None":
        """Return an access log if the start of a log contains requests of Socket.IO or WebSockets, None otherwise."""
        names = _COLUMNS.search(opening)
        columns = names["names"].decode("utf-8", "replace").split() if names is not None else None
        if NEEDLE in opening:
            return cls(timestamps, columns=columns)
        is_other = columns is not None or _UPGRADED.search(opening) is not None
        return cls(timestamps, UPGRADE, columns) if is_other else None

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
        while (at := data.find(self._needle, at, end)) >= 0:
            first = data.rfind(b"\n", begin, at) + 1 or begin
            stop = data.find(b"\n", at, end)
            stop = end if stop < 0 else stop
            if stop - first <= MAX_LINE:
                line, counted = line + data.count(b"\n", counted, first), first
                self._line(decode_line(bytes(data[first:stop])), line)
            at = stop

    def _line(self, text: str, line: int) -> None:
        text = text.replace("\\u0026", "&")
        fields: dict[str, Any] = {}
        if self._columns is not None:
            text, fields = _w3c_record(dict(zip(self._columns, text.split(), strict=False)))
        parameters = _engine_io_query(text) if self._needle is NEEDLE else _any_query(text)
        if parameters is None:
            return
        query = {key: values[0] for key, values in parse_qs(parameters).items()}
        brace = text.find("{")
        fields = fields or (dict(_scalars(parse_json_object(text[brace:]) or {})) if brace >= 0 else {})
        user = next((query[key] for key in _USER_KEYS if query.get(key)), "")
        status = _status(text, fields)
        if self._needle is not NEEDLE:
            if status != SWITCHING:
                return
            user = user or _user_in(query)
            query = {"transport": "websocket"}
        self._add_span(line, user or _authenticated_user(text, fields), text, fields)
        name = user or _client(text, fields)
        if not name or (name not in self.clients and len(self.clients) >= MAX_CLIENTS):
            return
        method = _METHOD.search(text)
        is_get = method is None or method[1] == "GET"
        client = self.clients.setdefault(name, AccessClient(client=name))
        at = self._time(text, fields)
        self._find_lost_session(line, name, query.get("sid"), status, at)
        self._count(client, query, status, at, is_get=is_get)

    def _find_lost_session(self, line: int, client: str, session: str | None, status: int, at: float | None) -> None:
        """Store a session if the server answers 400 to its first request after a handshake of the same client.

        A restarted server refuses the sessions that it had before the restart. These are not stored: they had other
        requests before, or their handshake is not in the log.
        """
        if session is None or session in self._sessions:
            return
        self._begun[client] += 1
        opened = self._begun[client] <= self.clients[client].handshakes
        if status == BAD_REQUEST and opened and at is not None:
            self.lost.append(LostSession(line, client, at))

    def take_lost(self) -> list[LostSession]:
        """Return the sessions that were added to `lost` since the last call."""
        lost, self.lost = self.lost, []
        return lost

    def _add_span(self, line: int, user: str, text: str, fields: Mapping[str, Any]) -> None:
        """Store the WebSocket that a line reports, if the line contains the user, the time and the duration."""
        if _status(text, fields) != SWITCHING:
            return
        at, seconds = self._time(text, fields), _duration(text, fields)
        if not user or at is None or seconds is None:
            self.unattributed += 1
            return
        self.websockets += 1
        starts = "StartUTC" in fields or any(form.search(text) for form in (_TIMERS, _LAST_MS, _ENVOY))
        accepted = _ACCEPTED.search(text) if starts else None
        begin = self._timestamps.find(accepted["accepted"]) if accepted is not None else None
        begin = begin if begin is not None else at if starts else at - seconds
        self.spans.append(WebSocketSpan(line, user, begin, begin + seconds))

    def take_spans(self) -> list[WebSocketSpan]:
        """Return the WebSockets that ended since the last call."""
        spans, self.spans = self.spans, []
        return spans

    def _count(
        self, client: AccessClient, query: Mapping[str, str], status: int, at: float | None, *, is_get: bool
    ) -> None:
        session, is_websocket = query.get("sid"), query.get("transport") == "websocket"
        if session is None and is_get:
            client.handshakes += 1
            client.first = at if client.first is None else client.first
            client.last = at if at is not None else client.last
        if is_websocket and status in {0, SWITCHING, 200}:
            client.upgrades += 1
        elif session is not None and not is_websocket:
            client.polls += 1
        if status == BAD_REQUEST and session is not None:
            client.unknown_sessions += 1
        if session is not None and len(self._sessions) < MAX_SESSIONS:
            self._sessions.add(session)
            self._upgraded.update([session] if is_websocket and status != BAD_REQUEST else [])

    def _time(self, text: str, fields: Mapping[str, Any]) -> float | None:
        at = self._timestamps.from_fields(dict(fields)) if fields else None
        given = next((str(fields[key]) for key in _TIME_KEYS if key in fields), text[:200])
        return at if at is not None else self._timestamps.find(given)


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
    """Yield key and value of each field of a record, also of the objects in it."""
    for key, value in fields.items():
        if isinstance(value, dict) and depth < 3:
            yield from _scalars(value, depth + 1)
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


def _any_query(text: str) -> str | None:
    """Return the query of the first path in a line, "" for a path without one, None if there is no path."""
    found = _ANY_QUERY.search(text)
    return None if found is None else found["query"] or ""


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
                return float(fields[key]) * unit
            except ValueError:
                return None
    if (timers := _TIMERS.search(text) or _LAST_MS.search(text) or _ENVOY.search(text)) is not None:
        return int(timers["ms"]) / 1000
    named = _NAMED_SECONDS.search(text)
    return float(named["s"]) if named is not None else None
