"""Target of a load run, prepared once for all connections: address, TLS, request texts and local addresses."""

import itertools
import ssl
from typing import Any
from urllib.parse import urlsplit

import gevent.socket
import msgspec

from wscheck.config.connect import ConnectStep
from wscheck.config.target import Credentials, HandshakeCredentials, ServerTarget, build_handshake_credentials
from wscheck.model.secrets import Secret

_DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_MAX_PROBE_S = 3.0

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""Address of an IPv4 or IPv6 socket, in the form of the `socket` module."""


class SetupError(ValueError):
    """Error: an option of the run cannot be used. The text is a sentence for the user, without the full stop."""


class UserIdentity(msgspec.Struct, frozen=True):
    """Request texts with the credentials of one user, which all connections of the user share.

    path_prefix     request path and query up to and including `transport=`, so that the name of a transport can be
                    appended; without Socket.IO, the whole path and query
    header_lines    complete header lines, including Host
    connect_packet  Engine.IO packet with the Socket.IO CONNECT
    token           the user's token, which is redacted in messages in which the server repeats it
    steps           steps after connecting (events to send or await), each with its payload for this user
    """

    path_prefix: str
    header_lines: str
    connect_packet: str
    token: Secret | None = None
    steps: tuple[tuple[ConnectStep, Any], ...] = ()


class Endpoint:
    """Data that all connections of a run share.

    address      (family, socket address); if the host name has several addresses, one that answers
    tls          TLS settings, None for ws and http; certificates are verified unless the target is marked as insecure
    server_name  host name for SNI and verification
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
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise SetupError(f"{target.display_url!r} is not a URL: write --host http://localhost:8000")
        self._path = parts.path or "/"
        if target.is_socket_io and (path := parts.path.strip("/")):
            raise SetupError(
                f"the address of the server has a path, /{path}: remove it from --host; if it is a namespace, use "
                f"--namespace /{path}, if it is the client's option `path`, use --socketio-path /{path}"
            )
        self.target, self.namespace = target, target.namespace
        self.ack_timeout_s, self.close_timeout_s, self.upgrades = ack_timeout_s, close_timeout_s, upgrades
        self.server_name = parts.hostname
        self.port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self.tls = _tls_context(target, ca_file) if parts.scheme in ("https", "wss") else None
        self._query = "&".join(part for part in (parts.query, query) if part)
        self._header_lines = f"Host: {parts.netloc.rpartition('@')[2]}\r\n{_checked_header_lines(headers)}"
        self._path_prefix = self._path_prefix_with(self._query)
        self._sources = itertools.cycle(sources) if sources else None
        self.address = _resolve(self.server_name, self.port, target.timeout_s)
        for source in sources:
            _check_source(source, *self.address)

    def next_source(self) -> str | None:
        """Return the local address for the next connection, None if the system chooses it.

        Several addresses take turns.
        """
        return next(self._sources) if self._sources is not None else None

    def identity(self, credentials: Credentials) -> UserIdentity:
        """Return the request texts that contain the credentials of a user."""
        presented = build_handshake_credentials(self.target, credentials)
        # Users whose credentials are only in the CONNECT packet share these strings.
        path_prefix, header_lines = self._path_prefix, self._header_lines
        if presented.query:
            path_prefix = self._path_prefix_with("&".join(part for part in (self._query, presented.query) if part))
        if presented.headers:
            header_lines += "".join(f"{name}: {value}\r\n" for name, value in presented.headers.items())
        steps = tuple((step, self.target.fill(step.payload, credentials)) for step in self.target.connect.steps)
        packet = _connect_packet(self.namespace, presented)
        return UserIdentity(path_prefix, header_lines, packet, credentials.token, steps)

    def _path_prefix_with(self, query: str) -> str:
        if not self.target.is_socket_io:
            return f"{self._path}{'?' if query else ''}{query}"
        return f"/{self.target.path.strip('/')}/?EIO=4{'&' if query else ''}{query}&transport="


def _connect_packet(namespace: str, presented: HandshakeCredentials) -> str:
    namespace_prefix = "" if namespace == "/" else f"{namespace},"
    return f"40{namespace_prefix}{msgspec.json.encode(presented.auth).decode() if presented.auth else ''}"


def _checked_header_lines(headers: str) -> str:
    lines = [line.strip() for line in headers.splitlines() if line.strip()]
    for line in lines:
        if ":" not in line:
            raise SetupError("a header has no colon: write Name: value")
    return "".join(f"{line}\r\n" for line in lines)


def _tls_context(target: ServerTarget, ca_file: str | None) -> ssl.SSLContext:
    if target.insecure:
        # Not `create_default_context`: OpenSSL would search its authorities at every handshake.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise SetupError(f"{ca_file} is not a readable PEM certificate") from error
    return context


def _check_source(source: str, family: int, address: SocketAddress) -> None:
    try:
        with gevent.socket.socket(family, gevent.socket.SOCK_STREAM) as probe:
            probe.bind((source, 0))
    except OSError as error:
        raise SetupError(f"{source} is no address of this machine from which {address[0]} can be reached") from error


def _resolve(host: str, port: int, timeout_s: float) -> tuple[int, SocketAddress]:
    """Return the first address of `host` that accepts a connection, or the first address if none does."""
    try:
        found = gevent.socket.getaddrinfo(host, port, type=gevent.socket.SOCK_STREAM)
    except OSError as error:
        raise SetupError(f"the name {host} cannot be resolved: {error.strerror}") from error
    for family, kind, protocol, _, address in found:
        if len(found) == 1:
            break
        with gevent.socket.socket(family, kind, protocol) as probe:
            probe.settimeout(min(timeout_s, _MAX_PROBE_S))
            if not probe.connect_ex(address):
                return int(family), address
    return int(found[0][0]), found[0][4]
