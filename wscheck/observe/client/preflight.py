"""Before anything is judged: is there a Socket.IO server, does it speak our protocol, and does it let us in?

Each obstacle ends as one error that names it and the next step (Engine.IO protocol 4, Handshake and error codes).
"""

import json
import os
import re
import ssl
from pathlib import Path
from typing import Any

import aiohttp

from wscheck.config.target import Credentials, ServerTarget, place_credentials
from wscheck.model.errors import CannotCheck, NotSocketIO, Rejected, Unreachable, UsageError
from wscheck.model.secrets import Redactor
from wscheck.observe.client.connection import Connection, Listener
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

# A handshake is a few hundred bytes; whatever answers with more is not one.
LONGEST_ANSWER = 64 * 1024

# What HTTP answers to credentials; anything else is about the request.
TURNED_AWAY = ("401", "403", "429")

_CREDENTIALS = "Set WSCHECK_TOKEN (or --token-file) and --user-id to credentials that the server accepts."
_OTHER_CREDENTIALS = (
    "Check WSCHECK_TOKEN (or --token-file) and --user-id, and where the server looks for them: --token-in query.token, "
    "header.NAME or cookie.NAME, --user-in."
)

_UNTRUSTED = aiohttp.ClientConnectorCertificateError
_OLD_HANDSHAKE = re.compile(rb"^\d+:0\{")
# What python-engineio answers where Node has its code 0.
_NO_POLLING = b"Invalid transport"


async def preflight(target: ServerTarget, credentials: Credentials, redactor: Redactor) -> None:
    """Raise CannotCheck unless `credentials` can connect to `target`, within the target's timeout."""
    polling = await handshake(target, credentials, redactor)
    if not polling and target.transports[0] == "polling":
        raise Unreachable(
            f"{target.display_url} does not offer long-polling, which the client tries first.",
            "Pass --transports websocket, as the application must do too.",
        )
    connection = Connection(target, credentials, _Deaf(), page="preflight", component="preflight")
    try:
        if not await connection.open():
            raise _refusal(target, connection, redactor)
    finally:
        await connection.close()


async def answers(
    target: ServerTarget, credentials: Credentials, redactor: Redactor, authority: Path | None = None
) -> str | None:
    """Whether the server is still there: None, or what is wrong with it."""
    try:
        await handshake(target, credentials, redactor, authority)
    except CannotCheck as error:
        return error.problem
    return None


async def handshake(
    target: ServerTarget, credentials: Credentials, redactor: Redactor, authority: Path | None = None
) -> bool:
    """One polling handshake over plain HTTP, where every obstacle still has a face. Connects nobody.

    False when the server offers no long-polling. `authority`: PEM file of a certificate authority to trust beside the
    system's. Raises CannotCheck.
    """
    presented = place_credentials(target, credentials)
    http = re.sub(r"^ws", "http", target.url.split("?")[0]).rstrip("/")
    url = f"{http}/{target.path.strip('/')}/?{presented.query + '&' if presented.query else ''}EIO=4&transport=polling"
    timeout = aiohttp.ClientTimeout(total=target.timeout_s)
    connector = aiohttp.TCPConnector(ssl=_trust(authority) if authority else not target.insecure)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
            session.get(url, headers=presented.headers, allow_redirects=False) as response,
        ):
            body = await response.content.read(LONGEST_ANSWER)
            return _recognise(target, response.status, body, redactor)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise _unreachable(target, error) from None


def _trust(authority: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(authority))
    except OSError as error:
        raise UsageError(
            f"The certificate authority {authority} cannot be read: {error.strerror or 'it is no PEM file'}.",
            "Give the PEM file of the authority that issued the server's certificate.",
        ) from None


def _unreachable(target: ServerTarget, error: Exception) -> CannotCheck:
    display_url = target.display_url
    if isinstance(error, aiohttp.ClientConnectorSSLError) and not isinstance(error, _UNTRUSTED):
        return Unreachable(
            f"{display_url} does not speak TLS as it should: {_reason(error)}.",
            "Check the port, or write http:// (ws://) for a server without TLS.",
        )
    if isinstance(error, _UNTRUSTED):
        return Unreachable(
            f"The TLS certificate of {display_url} cannot be trusted: {_reason(error)}.",
            "Check the host name, install the issuing authority, or pass --insecure for a test server.",
        )
    if isinstance(error, TimeoutError):
        return Unreachable(
            f"{display_url} accepted the connection and did not answer within {target.timeout_s:g} s.",
            "Check that the server is not stuck, or allow more time with --timeout 60s.",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(
            f"Nothing answers at {display_url}: {_reason(error)}.",
            "Start the server, or check the URL's host and port.",
        )
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return Unreachable(
            f"{display_url} closed the connection without an answer.",
            "Check that it is an HTTP server (https:// or wss:// for TLS), and its log.",
        )
    return NotSocketIO(
        f"{display_url} does not answer as an HTTP server does: {type(error).__name__}.",
        "Check the URL's port and scheme.",
    )


def _reason(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno).lower()  # asyncio's own words name the address once more
    said = getattr(cause, "verify_message", None) or (getattr(cause, "reason", None) or "").replace("_", " ").lower()
    return said or cause.strerror or str(cause) or type(cause).__name__


def _recognise(target: ServerTarget, status: int, body: bytes, redactor: Redactor) -> bool:
    """Accept an Engine.IO 4 handshake (True) or a refusal of polling (False); name everything else."""
    if status == 200 and body.startswith(b"0{"):
        return True
    answer = _object(body)
    code, display_url = answer.get("code"), f"{target.display_url}{target.path}"
    if code == 5 or _OLD_HANDSHAKE.match(body):
        raise NotSocketIO(
            f"{display_url} speaks Engine.IO 3: it is a Socket.IO 2.x (or 1.x) server.",
            "wscheck checks Socket.IO 3 and later; upgrade the server (its allowEIO3 option serves old clients).",
        )
    if code in (0, 3) or (status == 400 and _NO_POLLING in body):
        return False  # long-polling is switched off or forbidden: the websocket connection will tell
    if status in (401, 403):
        raise Rejected(
            f"{display_url} answers HTTP {status} before Socket.IO is reached.",
            "Check WSCHECK_TOKEN, and --token-in (auth.token, query.NAME, header.NAME, cookie.NAME).",
        )
    said = redactor.redact(body.decode("utf-8", "replace")).strip()[:60]  # cut last: half a secret is one too
    raise NotSocketIO(
        f"{display_url} is not a Socket.IO endpoint: it answers HTTP {status}" + (f" {said!r}." if said else "."),
        "Check the URL and --path (Socket.IO's default is /socket.io).",
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _refusal(target: ServerTarget, connection: Connection, redactor: Redactor) -> CannotCheck:
    """Why the connection itself failed although the handshake went well."""
    said = redactor.redact(connection.rejection or connection.failure or "")[:200]
    if connection.rejection is not None and "namespace" in said.lower():
        return Rejected(
            f"{target.display_url} has no namespace {target.namespace!r}: it says {said!r}.",
            "Name the application's namespace with --namespace.",
        )
    if said.startswith("HTTP ") and not said.endswith(TURNED_AWAY):
        return Unreachable(
            f"{target.display_url} answers long-polling, and turns the websocket away: {said}.",
            "Let the proxy pass the Upgrade and Connection headers on, or try --transports polling,websocket.",
        )
    if connection.rejection is not None:
        return Rejected(
            f"{target.display_url} refused the connection of {connection.credentials.user}: {said!r}.",
            _CREDENTIALS if connection.credentials.token is None else _OTHER_CREDENTIALS,
        )
    if said == SESSION_ID_UNKNOWN:
        return Unreachable(
            f"{target.display_url} is served by several processes, and the requests of one session reach different "
            f"ones: it answers {said!r}.",
            "Switch sticky sessions on at the load balancer; or pass --transports websocket, if that is all the "
            "application uses.",
        )
    if connection.timed_out:
        return Unreachable(
            f"{target.display_url} completed the handshake and then did not acknowledge the connection: {said}.",
            "Check --namespace and --transports, and the server's connection middleware.",
        )
    return NotSocketIO(
        f"{target.display_url} does not keep to the Socket.IO protocol: {said}.",
        "Check --transports, and any proxy between here and the server.",
    )


class _Deaf(Listener):
    """Hears nothing: the preflight is no evidence."""

    def connecting(self, connection: Connection) -> None: ...
    def connected(self, connection: Connection) -> None: ...
    def refused(self, connection: Connection, reason: str, message: str) -> None: ...
    def disconnected(self, connection: Connection, reason: str) -> None: ...
    def delivered(self, connection: Connection, name: str, payload: object) -> None: ...
    def emitted(self, connection: Connection, name: str) -> None: ...
    def unreadable(self, connection: Connection, reason: str) -> None: ...
