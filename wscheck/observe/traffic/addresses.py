"""Addresses as they may be told, and what an Engine.IO address says: EIO=4, the transport, the session's sid."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec

from wscheck.observe.traffic.redaction import TrafficRedactor, is_secret

_ENGINE = frozenset({"EIO", "transport", "sid", "t", "b64", "j"})
_SCHEMES = {"ws": "http", "wss": "https"}


class EngineUrl(msgspec.Struct, frozen=True):
    """What the address of an Engine.IO request or websocket says. `version` as in EIO=4; `sid` None before the
    handshake; `query` without what Engine.IO itself puts there."""

    version: str
    transport: str
    sid: str | None
    query: dict[str, str]


def engine(url: str) -> EngineUrl | None:
    """None for whatever is not Engine.IO: hot reload, livereload, the application's own requests."""
    if "EIO=" not in url:
        return None
    query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    version, transport = query.get("EIO"), query.get("transport")
    if version is None or transport not in ("polling", "websocket", "webtransport"):
        return None
    rest = {name: value for name, value in query.items() if name not in _ENGINE}
    return EngineUrl(version, transport, query.get("sid"), rest)


class UrlFormatter:
    """Tells addresses without what they hide."""

    def __init__(self, hiding: TrafficRedactor) -> None:
        self._hiding = hiding

    def clean(self, text: str) -> str:
        """`text` without secrets."""
        return self._hiding.clean(text)

    def endpoint(self, url: str) -> str:
        """A Socket.IO endpoint: scheme as of HTTP, the application's own query with each value as a short digest, so
        that two that differ can be told apart."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        shown = "&".join(f"{k}=~{self._hiding.digest(v)[:6]}" for k, v in sorted(query.items()) if k not in _ENGINE)
        scheme = _SCHEMES.get(parts.scheme, parts.scheme)
        return self._hiding.clean(urlunsplit((scheme, _host(parts.netloc), parts.path, shown, "")))

    def page(self, url: str) -> str:
        """The address of a page or worker: credentials hidden, the rest as it is."""
        if not url.startswith(("http:", "https:", "ws:", "wss:", "file:")):
            return self._hiding.clean(re.sub(r"^(data|blob):.*", r"\1:", url))
        parts = urlsplit(url)
        query = [
            (name, "(hidden)" if is_secret(name, value) else value)
            for name, value in parse_qsl(parts.query, keep_blank_values=True)
        ]
        told = urlencode(query, safe="(),:/@")
        return self._hiding.clean(urlunsplit((parts.scheme, _host(parts.netloc), parts.path, told, "")))

    def script(self, url: str) -> str:
        """The address of a script: a query is a version (hot reload), told as a digest."""
        parts = urlsplit(url)
        version = f"~{self._hiding.digest(parts.query)[:6]}" if parts.query else ""
        return self._hiding.clean(urlunsplit((parts.scheme, _host(parts.netloc), parts.path, version, "")))


def _host(netloc: str) -> str:
    """Without user:password@."""
    return netloc.rpartition("@")[2]
