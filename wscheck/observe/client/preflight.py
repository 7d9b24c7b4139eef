"""First contact with a server: a check before a run, and the events that the server sends to one client.

The check shows that the server answers, which protocol it speaks, and that it accepts the credentials. Each obstacle
raises one error with the problem and the next step (Engine.IO protocol v4, "Handshake").
"""

import asyncio
import json
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp
import msgspec

from wscheck.config.event_contract import DOCUMENTED_CONTRACT, ContractEvent
from wscheck.config.target import (
    EVENT_STREAM,
    SOCKET_IO,
    WEBSOCKET,
    Credentials,
    ServerTarget,
    build_handshake_credentials,
    path_error,
)
from wscheck.model.errors import CannotCheck, NotSocketIO, Rejected, Unreachable, UsageError, failure_reason
from wscheck.model.secrets import Redactor
from wscheck.observe.client.connection import ClientConnection, ConnectionListener
from wscheck.observe.client.new_connection import new_connection
from wscheck.observe.client.plain_connections import LATE_REFUSAL_S, http_url
from wscheck.observe.host_limit import http_session
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

MAX_HANDSHAKE_BYTES = 64 * 1024
"""Largest number of bytes that are read of a handshake response. A usual response has a few hundred bytes."""

WAIT_INTERVAL_S = 0.2
"""Seconds between two attempts while a server starts."""

RELEASE_S = 2.0
"""Longest time after which a server that allows one connection notices that the connection of the recognition ended."""

_GATEWAY_STATUSES = (502, 503, 504)
"""Statuses with which a proxy answers while its server does not run."""

# Statuses with which HTTP refuses credentials. Other client errors concern the request.
_CREDENTIAL_STATUSES = ("401", "403", "429")

_SET_CREDENTIALS = "Set `identity.token` and `identity.user_id` to credentials that the server accepts."
_CHECK_CREDENTIALS = (
    "Check `identity.token` and `identity.user_id`, and where the server expects them: "
    "`identity.token_in=query.token`, header.NAME or cookie.NAME, `identity.user_in`."
)

_CHECK_PLAIN_CREDENTIALS = (
    "Check `identity.token` and where the server expects it: `identity.token_in=query.token`, header.NAME or "
    "cookie.NAME, or the first message in a [[connect.step]]; and whether it expects an Origin: `connect.headers`."
)

_Answer = TypeVar("_Answer")

_UNTRUSTED = aiohttp.ClientConnectorCertificateError
_ENGINE_IO_3_HANDSHAKE = re.compile(rb"^\d+:0\{")
_NO_POLLING = b"Invalid transport"
"""Answer of python-engineio if polling is switched off. engine.io (Node.js) answers with error code 0."""

GREETING_S = 2.0
"""Seconds to wait after connecting for events that the server sends without a request."""

ANSWER_S = 1.0
"""Seconds to wait for the events with which the server answers a request."""

MAX_OBSERVED_EVENTS = 50
MAX_PAYLOAD_DEPTH = 6


class _NotStarted(Unreachable):
    """Error: nothing listens at the address, or the server closes connections without an answer."""


class _GatewayError(NotSocketIO):
    """Error: a proxy answered that it cannot reach the server behind it (for example HTTP 502)."""


async def preflight(target: ServerTarget, credentials: Credentials, redactor: Redactor) -> ServerTarget:
    """Check that `credentials` can connect to `target` within the target's timeout.

    Return the target with its protocol.

    Raises:
        CannotCheck: The credentials cannot connect; the message states the obstacle.
        UsageError: The URL has a path, but no stream of server-sent events answers there.
    """
    was_recognised = not target.protocol
    target, offers_polling = await first_contact(target, credentials, redactor)
    if not target.is_socket_io:
        deadline = time.monotonic() + (RELEASE_S if was_recognised else 0.0)
        while not await _check_plain_connection(target, credentials, redactor, may_wait=time.monotonic() < deadline):
            await asyncio.sleep(WAIT_INTERVAL_S)
        return target
    if not offers_polling and target.transports[0] == "polling":
        raise Unreachable(
            f"{target.display_url} does not offer long-polling, which the client tries first.",
            "Pass `target.transports=websocket`. The application must set `transports` accordingly.",
        )
    connection = new_connection(target, credentials, IgnoreEvents(), page="preflight", component="preflight")
    try:
        if not await connection.open():
            raise _connection_error(target, connection, redactor)
    finally:
        await connection.close()
    return target


async def first_contact(
    target: ServerTarget, credentials: Credentials, redactor: Redactor, ca_file: Path | None = None
) -> tuple[ServerTarget, bool]:
    """Wait for the server, and find out its protocol if the configuration does not name it.

    Args:
        ca_file: PEM file of the certificate authority to trust in addition to those of the system.

    Returns:
        The target with its protocol, and True if it is a Socket.IO server that offers long-polling.

    Raises:
        CannotCheck: The server does not answer, refuses the credentials, or speaks none of the known protocols.
        UsageError: `ca_file` cannot be read, or the URL has a path and no stream of server-sent events answers there.
    """
    if target.protocol and not target.is_socket_io:
        await _wait_for(target, lambda: _request(target, credentials, ca_file))
        return target, False
    if path := urlsplit(target.url).path.strip("/"):
        await _wait_for(target, lambda: _request(target, credentials, ca_file))
        if not await _is_event_stream(target, credentials):
            raise path_error(path)
        return target.with_protocol(EVENT_STREAM), False
    try:
        return target.with_protocol(SOCKET_IO), await first_handshake(target, credentials, redactor, ca_file)
    except _GatewayError:
        raise
    except (NotSocketIO, Rejected):
        if target.protocol:
            raise
        if target.url.startswith("ws") and await _is_websocket(target, credentials):
            return target.with_protocol(WEBSOCKET), False
        if not target.url.startswith("ws") and await _is_event_stream(target, credentials):
            return target.with_protocol(EVENT_STREAM), False
        raise


async def _is_event_stream(target: ServerTarget, credentials: Credentials) -> bool:
    """Return whether the server answers a request with a stream of server-sent events."""
    return await _accepts(target.with_protocol(EVENT_STREAM), credentials)


async def _is_websocket(target: ServerTarget, credentials: Credentials) -> bool:
    """Return whether the server accepts a WebSocket at the URL."""
    return await _accepts(target.with_protocol(WEBSOCKET), credentials)


async def _accepts(target: ServerTarget, credentials: Credentials) -> bool:
    without_steps = msgspec.structs.replace(target.connect, steps=())
    target = msgspec.structs.replace(target, connect=without_steps)
    connection = new_connection(target, credentials, IgnoreEvents(), page="preflight", component="preflight")
    try:
        return await connection.open()
    finally:
        await connection.close()


async def _check_plain_connection(
    target: ServerTarget, credentials: Credentials, redactor: Redactor, *, may_wait: bool
) -> bool:
    """Return True if `credentials` can connect to a server without Socket.IO.

    Such servers often accept a connection, and close it when they have checked the credentials. With `may_wait`, return
    False if the server refuses the connection.

    Raises:
        CannotCheck: The server cannot be reached, or refuses the credentials.
    """
    connection = new_connection(target, credentials, IgnoreEvents(), page="preflight", component="preflight")
    try:
        is_open = await connection.open()
        if is_open and not await connection.wait_until_ended(LATE_REFUSAL_S):
            return True
        if may_wait and connection.rejection is not None:
            return False
        answer = redactor.redact(connection.rejection or connection.failure or connection.end_text)[:200]
    finally:
        await connection.close()
    kind = "a WebSocket" if target.protocol == WEBSOCKET else "a stream of server-sent events"
    if connection.failure is not None and connection.rejection is None and is_open:
        raise NotSocketIO(
            f"{target.display_url} does not keep to the protocol: {answer}.", "Check the URL, and any proxy."
        )
    if is_open:
        raise Rejected(
            f"{target.display_url} accepted the connection of {credentials.user} and ended it at once: {answer}.",
            _SET_CREDENTIALS if credentials.token is None else _CHECK_PLAIN_CREDENTIALS,
        )
    if connection.rejection is None:
        raise Unreachable(f"{target.display_url} did not open {kind}: {answer}.", "Check the URL, and any proxy.")
    if answer.startswith("HTTP ") and not answer.endswith(_CREDENTIAL_STATUSES):
        raise NotSocketIO(
            f"{target.display_url} does not open {kind}: it answers {answer}.",
            "Check the URL and its path, whether a proxy forwards the Upgrade header, and `target.protocol`.",
        )
    raise Rejected(
        f"{target.display_url} refused the connection of {credentials.user}: {answer!r}.",
        _SET_CREDENTIALS if credentials.token is None else _CHECK_PLAIN_CREDENTIALS,
    )


async def first_handshake(
    target: ServerTarget, credentials: Credentials, redactor: Redactor, ca_file: Path | None = None
) -> bool:
    """Make the first handshake of a run, and repeat it for `target.wait_s` seconds while the server starts.

    Arguments, result and errors are those of `polling_handshake`.
    """
    return await _wait_for(target, lambda: polling_handshake(target, credentials, redactor, ca_file))


async def _wait_for(target: ServerTarget, attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Repeat `attempt` until the server has started, for at most `target.wait_s` seconds, and return its result."""
    deadline = time.monotonic() + target.wait_s
    while True:
        try:
            return await attempt()
        except (_NotStarted, _GatewayError):
            if time.monotonic() + WAIT_INTERVAL_S >= deadline:
                raise
        await asyncio.sleep(WAIT_INTERVAL_S)


async def _request(target: ServerTarget, credentials: Credentials, ca_file: Path | None = None) -> None:
    """Send an HTTP request to the server's root URL to test that the server answers. It connects no user.

    Raises:
        CannotCheck: The server does not answer, or a proxy answers in its place.
    """
    placed = build_handshake_credentials(target, credentials)
    root = urljoin(http_url(target, placed), "/")
    connector = aiohttp.TCPConnector(ssl=_ssl_context(ca_file) if ca_file else not target.insecure)
    timeout = aiohttp.ClientTimeout(total=target.timeout_s)
    try:
        async with (
            http_session(connector=connector, timeout=timeout) as session,
            session.options(root, headers=placed.headers, allow_redirects=False) as response,
        ):
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise _request_error(target, error) from None
    if status in _GATEWAY_STATUSES:
        raise _GatewayError(f"{target.display_url} answers HTTP {status}.", "Check the server behind the proxy.")


async def server_problem(
    target: ServerTarget, credentials: Credentials, redactor: Redactor, ca_file: Path | None = None
) -> str | None:
    """Return the problem if the server does not answer now or refuses the handshake, None if there is no problem."""
    try:
        if target.is_socket_io:
            await polling_handshake(target, credentials, redactor, ca_file)
        else:
            await _request(target, credentials, ca_file)
    except CannotCheck as error:
        return error.problem
    return None


async def polling_handshake(
    target: ServerTarget, credentials: Credentials, redactor: Redactor, ca_file: Path | None = None
) -> bool:
    """Make one handshake by long-polling, and return False if the server does not offer long-polling.

    Long-polling is used because its HTTP responses differ for each obstacle. The function does not send the Socket.IO
    CONNECT, so no user is connected.

    Args:
        ca_file: PEM file of the certificate authority to trust in addition to those of the system.

    Raises:
        CannotCheck: The server does not answer, or not as a Socket.IO server does.
        UsageError: `ca_file` cannot be read.
    """
    placed = build_handshake_credentials(target, credentials)
    http_url = re.sub(r"^ws", "http", target.url.split("?")[0]).rstrip("/")
    url = f"{http_url}/{target.path.strip('/')}/?{placed.query + '&' if placed.query else ''}EIO=4&transport=polling"
    timeout = aiohttp.ClientTimeout(total=target.timeout_s)
    connector = aiohttp.TCPConnector(ssl=_ssl_context(ca_file) if ca_file else not target.insecure)
    try:
        async with (
            http_session(connector=connector, timeout=timeout) as session,
            session.get(url, headers=placed.headers, allow_redirects=False) as response,
        ):
            body = await _read_start(response.content, MAX_HANDSHAKE_BYTES)
            return _check_handshake(target, response.status, body, redactor)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise _request_error(target, error) from None


async def _read_start(content: aiohttp.StreamReader, limit: int) -> bytes:
    """Return the first `limit` bytes of a body, which may arrive in pieces."""
    body = bytearray()
    while len(body) < limit and (piece := await content.read(limit - len(body))):
        body += piece
    return bytes(body)


def _ssl_context(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:
        reason = "it is not a PEM file" if isinstance(error, ssl.SSLError) else error.strerror
        raise UsageError(
            f"The certificate authority {ca_file} cannot be read: {reason}.",
            "Give the PEM file of the authority that issued the server's certificate.",
        ) from None
    return context


def _request_error(target: ServerTarget, error: Exception) -> CannotCheck:
    """Return the error to raise for a request that failed with `error`."""
    url = target.display_url
    if isinstance(error, aiohttp.ClientConnectorSSLError) and not isinstance(error, _UNTRUSTED):
        return Unreachable(
            f"The TLS handshake with {url} failed: {failure_reason(error)}.",
            "Check the port, or write http:// (ws://) for a server without TLS.",
        )
    if isinstance(error, _UNTRUSTED):
        return Unreachable(
            f"The TLS certificate of {url} cannot be trusted: {failure_reason(error)}.",
            "Check the host name, install the issuing authority, or pass `target.insecure` for a test server.",
        )
    if isinstance(error, TimeoutError):
        return Unreachable(
            f"{url} accepted the connection and did not answer within {target.timeout_s:g} s.",
            "Check that the server is not stuck, or allow more time with `target.timeout=60s`.",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return _NotStarted(
            f"Nothing answers at {url}: {failure_reason(error)}.",
            "Start the server, or check the URL's host and port.",
        )
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return _NotStarted(
            f"{url} closed the connection without an answer.",
            "Check that it is an HTTP server (https:// or wss:// for TLS), and its log.",
        )
    return NotSocketIO(
        f"{url} does not answer like an HTTP server: {failure_reason(error, 'it broke off, or sent something else')}.",
        "Check the URL's port and scheme.",
    )


def _check_handshake(target: ServerTarget, status: int, body: bytes, redactor: Redactor) -> bool:
    """Return True for an Engine.IO 4 handshake, False for a refusal of polling.

    Raises:
        NotSocketIO: The response is neither a handshake nor a refusal of polling.
        Rejected: HTTP refused the credentials.
    """
    if status == 200 and body.startswith(b"0{"):
        return True
    answer = _json_object(body)
    code, url = answer.get("code"), f"{target.display_url}{target.path}"
    if code == 5 or _ENGINE_IO_3_HANDSHAKE.match(body):
        raise NotSocketIO(
            f"{url} speaks Engine.IO 3: it is a Socket.IO 2.x (or 1.x) server.",
            "wscheck checks Socket.IO 3 and later; upgrade the server (its allowEIO3 option serves old clients).",
        )
    if code in (0, 3) or (status == 400 and _NO_POLLING in body):
        return False  # long-polling is switched off or forbidden; the websocket attempt decides
    if status in (401, 403):
        raise Rejected(
            f"{url} answers HTTP {status} before Socket.IO is reached.",
            "Check `identity.token`, `identity.token_in` (auth.token, query.NAME, header.NAME, cookie.NAME), and "
            "whether the server expects an Origin or another header: `connect.headers`.",
        )
    if status == 431:
        raise Rejected(
            f"{url} answers HTTP 431: the headers of the request are larger than it allows.",
            "Use a shorter token or fewer cookies, or raise the limit of the server (Node: --max-http-header-size).",
        )
    # Truncated after redaction: a truncated secret would not be recognised.
    excerpt = redactor.redact(body.decode("utf-8", "replace")).strip()[:60]
    raise (_GatewayError if status in _GATEWAY_STATUSES else NotSocketIO)(
        f"{url} is not a Socket.IO endpoint: it answers HTTP {status}" + (f" {excerpt!r}." if excerpt else "."),
        "Check the URL and `target.path` (Socket.IO's default is /socket.io). For another server, write its whole "
        "address: ws://host/path for a WebSocket, or `target.protocol=sse` for server-sent events.",
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _connection_error(target: ServerTarget, connection: ClientConnection, redactor: Redactor) -> CannotCheck:
    """Return the error to raise for a connection that failed after a successful polling handshake."""
    answer = redactor.redact(connection.rejection or connection.failure or "")[:200]
    if connection.rejection is not None and "namespace" in answer.lower():
        return Rejected(
            f"{target.display_url} has no namespace {target.namespace!r}: it answers {answer!r}.",
            "Name the application's namespace with `target.namespace`.",
        )
    if answer.startswith("HTTP ") and not answer.endswith(_CREDENTIAL_STATUSES):
        return Unreachable(
            f"{target.display_url} answers long-polling, but refuses the websocket: {answer}.",
            "Configure the proxy to forward the Upgrade and Connection headers, or try "
            "`target.transports=polling,websocket`.",
        )
    if connection.rejection is not None:
        return Rejected(
            f"{target.display_url} refused the connection of {connection.credentials.user}: {answer!r}.",
            _SET_CREDENTIALS if connection.credentials.token is None else _CHECK_CREDENTIALS,
        )
    if answer == SESSION_ID_UNKNOWN:
        return Unreachable(
            f"{target.display_url} is served by several processes, and the requests of one session reach different "
            f"ones: it answers {answer!r}.",
            "Enable sticky sessions at the load balancer. If the application uses websocket only, pass "
            "`target.transports=websocket`.",
        )
    if connection.timed_out:
        return Unreachable(
            f"{target.display_url} completed the handshake but did not acknowledge the connection: {answer}.",
            "Check `target.namespace` and `target.transports`, and the server's connection middleware.",
        )
    return NotSocketIO(
        f"{target.display_url} violates the Socket.IO protocol: {answer}.",
        "Check `target.transports`, and any proxy in front of the server.",
    )


class IgnoreEvents(ConnectionListener):
    """A listener that records nothing, because the check before a run is not part of the run's evidence."""

    def connecting(self, connection: ClientConnection) -> None: ...
    def connected(self, connection: ClientConnection) -> None: ...
    def refused(self, connection: ClientConnection, reason: str, message: str) -> None: ...
    def upgraded(self, connection: ClientConnection) -> None: ...
    def disconnected(self, connection: ClientConnection, reason: str) -> None: ...
    def delivered(self, connection: ClientConnection, name: str, payload: object) -> None: ...
    def emitted(self, connection: ClientConnection, name: str) -> None: ...
    def unreadable(self, connection: ClientConnection, reason: str) -> None: ...


class _PayloadCollector(IgnoreEvents):
    """A listener that stores the first payload of each event."""

    def __init__(self) -> None:
        self.payloads: dict[str, object] = {}

    def delivered(self, connection: ClientConnection, name: str, payload: object) -> None:
        if len(self.payloads) < MAX_OBSERVED_EVENTS:
            self.payloads.setdefault(name, payload)


async def observe_contract(target: ServerTarget, user: Credentials, redactor: Redactor) -> list[ContractEvent]:
    """Return the events that the server sends to `user`, without those whose names contain a secret.

    The client first waits for events that arrive without a request. On Socket.IO it then emits each request of
    docs/origin.md (`request_*`). An event that first arrives after a request is taken as the answer to that request.

    Raises:
        CannotCheck: The server is unreachable, or refuses the credentials.
    """
    target = await preflight(target, user, redactor)
    collector = _PayloadCollector()
    connection = new_connection(target, user, collector, page="observed", component="observed")
    requests: dict[str, str | None] = {}
    try:
        if await connection.open():
            await asyncio.sleep(GREETING_S)
            requests = dict.fromkeys(collector.payloads)
            for event in DOCUMENTED_CONTRACT.events if target.is_socket_io else ():
                if event.emit is not None and event.emit.startswith("request_"):
                    await connection.emit(event.emit, event.payload)
                    await asyncio.sleep(ANSWER_S)
                    requests |= {name: event.emit for name in collector.payloads if name not in requests}
    finally:
        await connection.close()
    events = []
    for name, emit in requests.items():
        path = user_path(collector.payloads[name], user.user)
        if redactor.redact(name) == name:
            shown = path if path is None or redactor.redact(path) == path else None
            events.append(ContractEvent(name=name, emit=emit, user=shown))
    return events


def user_path(payload: object, user: str) -> str | None:
    """Return the dotted path at which a payload contains the user's id, None if it contains none."""
    return next((path for path in _paths(payload, user, "", MAX_PAYLOAD_DEPTH) if path), None)


def _paths(value: object, user: str, path: str, depth: int) -> Iterator[str]:
    if isinstance(value, dict) and depth:
        for key, each in value.items():
            if isinstance(key, str) and "." not in key:
                yield from _paths(each, user, f"{path}.{key}" if path else key, depth - 1)
    elif isinstance(value, str | int) and not isinstance(value, bool) and str(value) == user:
        yield path
