"""WHERE TO: the target with its address, TLS, request texts and local addresses, made once for all connections."""

import itertools
import ssl
from typing import Any
from urllib.parse import urlsplit

import gevent.socket
import msgspec

from wscheck.config.target import Credentials, HandshakeCredentials, ServerTarget, place_credentials
from wscheck.model.secrets import Secret

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class SetupError(ValueError):
    """An option of the run makes no sense; a sentence for the user."""


class Endpoint:
    """What every connection of a run shares.

    address      (family, socket address), tried once so that a name with several is one that answers
    tls          None for ws; verification is on unless the target is insecure
    server_name  for SNI and verification
    """

    def __init__(
        self,
        target: ServerTarget,
        *,
        query: str = "",
        headers: str = "",
        sources: tuple[str, ...] = (),
        ca_file: str | None = None,
        ack_timeout_s: float = 5.0,
        close_timeout_s: float = 3.0,
        upgrades: bool = False,
    ) -> None:
        parts = urlsplit(target.url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise SetupError(f"{target.display_url!r} is not a URL: write --host http://localhost:8000")
        if path := parts.path.strip("/"):
            raise SetupError(
                f"the address of the server has a path, /{path}: leave it out of --host; as a namespace it is "
                f"--namespace /{path}, as the client's option `path` --socketio-path /{path}"
            )
        self.target, self.namespace = target, target.namespace
        self.ack_timeout_s, self.close_timeout_s, self.upgrades = ack_timeout_s, close_timeout_s, upgrades
        self.server_name = parts.hostname
        self.port = parts.port or _PORTS[parts.scheme]
        self.tls = _tls(target, ca_file) if parts.scheme in ("https", "wss") else None
        self._query = "&".join(part for part in (parts.query, query) if part)
        self._headers = f"Host: {parts.netloc.rpartition('@')[2]}\r\n{_lines(headers)}"
        self._path = self._path_with(target, self._query)
        self._sources = itertools.cycle(sources) if sources else None
        self.address = _address(self.server_name, self.port, target.timeout_s)
        for source in sources:
            _usable(source, *self.address)

    def next_source(self) -> str | None:
        """The local address to connect from, each in turn; None leaves it to the system."""
        return next(self._sources) if self._sources is not None else None

    def presented(self, credentials: Credentials) -> "Presence":
        """The texts with which a user's connections introduce themselves."""
        placed = place_credentials(self.target, credentials)
        path, headers = self._path, self._headers  # shared, where nothing of the user's own is in them
        if placed.query:
            path = self._path_with(self.target, "&".join(part for part in (self._query, placed.query) if part))
        if placed.headers:
            headers += "".join(f"{name}: {value}\r\n" for name, value in placed.headers.items())
        return Presence(path, headers, _connect(self.namespace, placed), credentials.token)

    @staticmethod
    def _path_with(target: ServerTarget, query: str) -> str:
        return f"/{target.path.strip('/')}/?EIO=4{'&' if query else ''}{query}&transport="


class Presence(msgspec.Struct, frozen=True):
    """`path` ends where the transport's name goes; `headers` are whole lines; `connect` is the Socket.IO packet; the
    `token` is there to be hidden where the server repeats it."""

    path: str
    headers: str
    connect: str
    token: Secret | None = None


def _connect(namespace: str, placed: HandshakeCredentials) -> str:
    where = "" if namespace == "/" else f"{namespace},"
    return f"40{where}{msgspec.json.encode(placed.auth).decode() if placed.auth else ''}"


def _lines(headers: str) -> str:
    lines = [line.strip() for line in headers.splitlines() if line.strip()]
    for line in lines:
        if ":" not in line:
            raise SetupError("a header has no colon: write Name: value")
    return "".join(f"{line}\r\n" for line in lines)


def _tls(target: ServerTarget, ca_file: str | None) -> ssl.SSLContext:
    if target.insecure:
        # Without authorities to look in, which OpenSSL does at every handshake whether it matters or not.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SetupError(f"{ca_file} is not a readable PEM certificate: {error}") from error
    return context


def _usable(source: str, family: int, address: Any) -> None:
    try:
        with gevent.socket.socket(family, gevent.socket.SOCK_STREAM) as probe:
            probe.bind((source, 0))
    except OSError as error:
        raise SetupError(f"{source} is no address of this machine from which {address[0]} can be reached") from error


def _address(host: str, port: int, timeout: float) -> tuple[int, Any]:
    """The first address of `host` that takes a connection; the first of all when none does."""
    try:
        found = gevent.socket.getaddrinfo(host, port, type=gevent.socket.SOCK_STREAM)
    except OSError as error:
        raise SetupError(f"the name {host} cannot be resolved: {error.strerror}") from error
    for family, kind, protocol, _, address in found:
        if len(found) == 1:
            break
        with gevent.socket.socket(family, kind, protocol) as probe:
            probe.settimeout(min(timeout, 3.0))
            if not probe.connect_ex(address):
                return int(family), address
    return int(found[0][0]), found[0][4]
