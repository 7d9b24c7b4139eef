"""Access logs of proxies and web servers: the HTTP requests of Socket.IO clients (Engine.IO protocol, "Transports").

The logs of nginx and Apache (combined), Traefik, AWS ALB, Cloudflare, Caddy, HAProxy, Fastify and werkzeug are read.
An access log shows attempts and transports per client. It does not show which connections are open.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs

from wscheck.model.report import AccessClient
from wscheck.observe.logs.formats.envelopes import decode_line, parse_json_object
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern

NEEDLE = b"EIO="
"""Query parameter with the version of the protocol, which every request of Engine.IO has."""

MAX_LINE = 1 << 13
MAX_CLIENTS = 10_000
MAX_SESSIONS = 100_000
"""Largest numbers of clients and of sessions that are counted; the requests of further ones are left out."""

_QUERY = lazy_pattern(r"""(?P<path>/[^\s"'?]*)\?(?P<query>[^\s"'\\]*EIO=[^\s"'\\]*)""")
_METHOD = lazy_pattern(r"""["\s'](GET|POST|OPTIONS)["\s']""")
_STATUS = (
    lazy_pattern(r'HTTP/\d(?:\.\d)?"\s+(\d{3})\b'),
    lazy_pattern(r'\s(\d{3}) (?:\d{3}|-) -?\d+ -?\d+ "(?:GET|POST|OPTIONS) '),
    lazy_pattern(r'\s(\d{3}) \d+ \S+ \S+ [\w-]{4} [^"]*"(?:GET|POST|OPTIONS|<BADREQ>)'),
    lazy_pattern(r'"\s+(\d{3})\s'),
)
"""Status behind the request (combined format), of ALB, and of HAProxy."""
_ADDRESS = lazy_pattern(
    r"(?<![\w.:])((?:\d{1,3}\.){3}\d{1,3}|(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4})(?![\w.]*\.\d)"
)
_CLIENT_KEYS = ("ClientIP", "remote_addr", "ClientHost", "remoteAddress", "client_ip", "remote_ip", "clientIp", "ip")
_STATUS_KEYS = ("status", "EdgeResponseStatus", "DownstreamStatus", "statusCode", "status_code", "resp_status")
_TIME_KEYS = ("EdgeStartTimestamp", "StartUTC")
_USER_KEYS = ("userId", "user_id", "userid", "uid", "user", "username")

SWITCHING, BAD_REQUEST = 101, 400


class AccessLog:
    """Counter of the requests in one access log."""

    def __init__(self, timestamps: TimestampParser) -> None:
        self._timestamps = timestamps
        self.clients: dict[str, AccessClient] = {}
        self._sessions, self._upgraded = set[str](), set[str]()

    @property
    def polling_share(self) -> float:
        """Return the share of the sessions without a WebSocket connection, 0 without sessions."""
        return 1 - len(self._upgraded & self._sessions) / len(self._sessions) if self._sessions else 0.0

    def read(self, data: bytearray, begin: int, end: int) -> None:
        """Count the requests in data[begin:end]."""
        at = begin
        while (at := data.find(NEEDLE, at, end)) >= 0:
            first = data.rfind(b"\n", begin, at) + 1 or begin
            stop = data.find(b"\n", at, end)
            stop = end if stop < 0 else stop
            if stop - first <= MAX_LINE:
                self._line(decode_line(bytes(data[first:stop])))
            at = stop

    def _line(self, text: str) -> None:
        text = text.replace("\\u0026", "&")
        request = _QUERY.search(text)
        if request is None:
            return
        query = {key: values[0] for key, values in parse_qs(request["query"]).items()}
        brace = text.find("{")
        fields = dict(_scalars(parse_json_object(text[brace:]) or {})) if brace >= 0 else {}
        user = next((query[key] for key in _USER_KEYS if query.get(key)), "")
        name = user or _client(text, fields)
        if not name or (name not in self.clients and len(self.clients) >= MAX_CLIENTS):
            return
        method = _METHOD.search(text)
        is_get = method is None or method[1] == "GET"
        client = self.clients.setdefault(name, AccessClient(client=name))
        self._count(client, query, _status(text, fields), self._time(text, fields), is_get=is_get)

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


def _scalars(fields: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the keys of a record and of the objects in it."""
    for key, value in fields.items():
        if isinstance(value, dict) and depth < 3:
            yield from _scalars(value, depth + 1)
        elif isinstance(value, str | int | float):
            yield key, value


def _client(text: str, fields: Mapping[str, Any]) -> str:
    told = next((str(fields[key]) for key in _CLIENT_KEYS if fields.get(key)), "")
    found = _ADDRESS.search(told or text)
    return found[1] if found is not None else told


def _status(text: str, fields: Mapping[str, Any]) -> int:
    """Return the status of a response, 0 if the line does not contain it."""
    for key in _STATUS_KEYS:
        if str(fields.get(key, "")).isdigit():
            return int(fields[key])
    found = next((match for pattern in _STATUS if (match := pattern.search(text)) is not None), None)
    return int(found[1]) if found is not None and not fields else 0
