"""Server to connect to, credentials, and the parts of a handshake that contain them."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from wscheck.config.connect import ConnectOptions
from wscheck.config.settings import NEXT_PUBLIC_VARIABLE
from wscheck.model.errors import UsageError
from wscheck.model.secrets import Secret

SOCKET_IO, WEBSOCKET, EVENT_STREAM = "socket.io", "websocket", "event-stream"
"""Protocols of a server that a client can connect to. Those without Socket.IO have the id of their events."""

_PROTOCOL_SETTINGS = {"socket.io": SOCKET_IO, "websocket": WEBSOCKET, "sse": EVENT_STREAM}

if TYPE_CHECKING:
    from wscheck.config.loading import Config, SettingValue


def default_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL of the server if none is configured.

    It is the value of NEXT_PUBLIC_BOT_WEBSOCKET_URL, otherwise ws://localhost:8000, as in the application of
    docs/origin.md.
    """
    return environ.get(NEXT_PUBLIC_VARIABLE) or "ws://localhost:8000"


class Credentials(msgspec.Struct, frozen=True):
    """A user id and a token. `kind` is "own", "foreign" (the token of another user) or "invalid"."""

    user: str
    token: Secret | None = None
    kind: str = "own"


class ServerTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and how clients connect to it.

    protocol           SOCKET_IO, WEBSOCKET or EVENT_STREAM; "" if it is unknown until the server answers
    transports         in the order of a client's attempts
    timeout_s          seconds that a connection may take
    wait_s             seconds to wait for the server to start
    insecure           untrusted TLS certificates are accepted
    user_in, token_in  where a handshake contains the user id and the token, such as "auth.token"
                       (docs/configuration.md, "Identity"); "" if only `connect` contains it
    connect            additional parts of the handshake, and steps after it
    """

    url: str = msgspec.field(default_factory=default_url)
    protocol: str = SOCKET_IO
    namespace: str = "/"
    path: str = "/socket.io"
    transports: tuple[str, ...] = ("polling", "websocket")
    timeout_s: float = 20.0
    wait_s: float = 0.0
    insecure: bool = False
    user_in: str = "auth.userId"
    token_in: str = "auth.token"
    connect: ConnectOptions = ConnectOptions()

    def fill(self, template: Any, credentials: Credentials) -> Any:
        """Return `template` with its placeholders replaced, for example by the user's token."""
        return self.connect.fill(template, credentials.user, credentials.token)

    @property
    def is_socket_io(self) -> bool:
        return self.protocol == SOCKET_IO

    @property
    def sends_user(self) -> bool:
        """True if the data that a client sends when it connects contains the user id."""
        return _sent_by(self, Credentials("user 1")) != _sent_by(self, Credentials("user 2"))

    @property
    def sends_token(self) -> bool:
        """True if what a client sends to connect contains the token."""
        with_token, with_other = (Credentials("user", Secret(token)) for token in ("token 1", "token 2"))
        return _sent_by(self, with_token) != _sent_by(self, with_other)

    def with_protocol(self, protocol: str) -> "ServerTarget":
        """Return the target of a server that speaks `protocol`.

        Only Socket.IO has an `auth` object. For other protocols, a credential without a configured place is sent only
        if [connect] contains it.
        """
        target = msgspec.structs.replace(self, protocol=protocol)
        if target.is_socket_io:
            return target
        places = {
            name: "" if place.startswith("auth.") else place
            for name, place in (("user_in", self.user_in), ("token_in", self.token_in))
        }
        return msgspec.structs.replace(target, **places)

    @property
    def display_url(self) -> str:
        """The URL without user, password and query, for reports."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def configured_target(config: "Config") -> ServerTarget:
    """Return the configured server. Its `url` is "" if no server is configured.

    [connect] does not apply to the embedded backend.

    Raises:
        UsageError: A variable that [connect] names is not set, or the embedded backend does not speak the protocol. Or
            the URL of a Socket.IO server has a path, which is ambiguous: Socket.IO clients use it as the namespace, and
            it could also be meant as the path of the endpoint.
    """
    connect = config.connect if config.server_url else ConnectOptions()
    if missing := connect.missing_variables:
        raise UsageError(
            f"{config.locate_key('connect')}: the variable {missing[0]} is not set.",
            "Set it. The value of {env:NAME} comes from the environment.",
        )
    protocol = _configured_protocol(config)
    if protocol == SOCKET_IO and (path := urlsplit(config.server_url or "").path.strip("/")):
        raise path_error(path, config.values["target.url"].origin)
    target = ServerTarget(
        url=config.server_url or "",
        protocol=protocol,
        namespace=config["target.namespace"],
        path=config["target.path"],
        transports=config["target.transports"],
        timeout_s=config["target.timeout"],
        wait_s=config["target.wait_for"] or 0.0,
        insecure=config["target.insecure"],
        user_in=_location(config.values["identity.user_in"], is_in_connect=connect.places("user")),
        token_in=_location(config.values["identity.token_in"], is_in_connect=connect.places("token")),
        connect=connect,
    )
    return target.with_protocol(protocol) if protocol else target


def _configured_protocol(config: "Config") -> str:
    """Return the protocol of the configured server, "" if it is unknown until the server answers."""
    given, url = config["target.protocol"], config.server_url
    if url is None:
        if given not in (None, "socket.io"):
            raise UsageError(
                f"{config.values['target.protocol'].origin} was given without a URL: the embedded backend speaks "
                "Socket.IO.",
                "Give the URL of the server.",
            )
        return SOCKET_IO
    if given is not None:
        return _PROTOCOL_SETTINGS[given]
    parts, engine_path = urlsplit(url), config["target.path"].strip("/")
    if parts.path.strip("/") == engine_path:
        return SOCKET_IO
    return WEBSOCKET if parts.scheme in ("ws", "wss") and parts.path.strip("/") else ""


def path_error(path: str, origin: str = "`target.url`") -> UsageError:
    """Return the error for the URL of a Socket.IO server that has a path.

    `path` has no leading slash. `origin` is the setting, variable or line that contains the URL ("wscheck.toml:7").
    """
    return UsageError(
        f"{origin}: the address of the server has a path, /{path}.",
        f"Leave it out. Pass a namespace as `target.namespace=/{path}`, the client's option `path` as "
        f"`target.path=/{path}`; for another protocol, pass `target.protocol=websocket` or sse.",
    )


def check_plain_target(target: ServerTarget, credentials: Iterable[Credentials]) -> None:
    """Check that a client without Socket.IO can send the credentials and perform the steps.

    Raises:
        UsageError: The client cannot send a credential or perform a step.
    """
    given = list(credentials)
    if target.connect.auth:
        raise UsageError(
            "`connect.auth` has fields, and only Socket.IO sends an `auth` object.",
            "Send them with `connect.query`, `connect.headers` or `connect.cookies`, or in a [[connect.step]].",
        )
    if any(step.ack for step in target.connect.steps):
        raise UsageError(
            "A [[connect.step]] has `ack`, and only Socket.IO acknowledges events.",
            "Write `wait_for` with the name of the message that answers.",
        )
    if any(each.token is not None for each in given) and not target.sends_token:
        raise UsageError(
            "There is a token, and nothing that the client sends contains it.",
            "Name its place with `identity.token_in=query.token` (or header.NAME, cookie.NAME), or write {token} into "
            "[connect].",
        )
    if len(given) > 1 and not target.sends_user and given[0].token == given[1].token:
        raise UsageError(
            "There is a second user, and nothing that the client sends distinguishes the two.",
            "Name the place of the user id with `identity.user_in=query.user` (or header.NAME, cookie.NAME), or set "
            "`identity.second_token`.",
        )


def _sent_by(target: ServerTarget, credentials: Credentials) -> tuple[Any, ...]:
    """Return all data that a client sends to connect: `auth` object, query, headers and payloads of the steps."""
    placed = build_handshake_credentials(target, credentials)
    steps = [target.fill(step.payload, credentials) for step in target.connect.steps]
    return placed.auth, placed.query, placed.headers, steps


def _location(setting: "SettingValue", *, is_in_connect: bool) -> str:
    """Return the part of the handshake that contains a value, such as "auth.token".

    Return "" if the setting has its default and [connect] contains the value, so that only [connect] sends it.
    """
    return "" if setting.origin == "default" and is_in_connect else str(setting.value)


class HandshakeCredentials(msgspec.Struct, frozen=True):
    """Credentials of one handshake: the `auth` object of CONNECT, the query string and the HTTP headers."""

    auth: dict[str, Any]
    query: str
    headers: dict[str, str]


def build_handshake_credentials(target: ServerTarget, credentials: Credentials) -> HandshakeCredentials:
    """Return the parts of a handshake, with the user id and the token where the target expects them.

    Raises:
        UsageError: A header cannot contain the value.
    """
    connect = target.connect
    parts = {"auth": connect.auth, "query": connect.query, "header": connect.headers, "cookie": connect.cookies}
    placed = {part: target.fill(fields, credentials) for part, fields in parts.items()}
    for location, value in _located_values(target, credentials):
        part, _, name = location.partition(".")
        placed[part][name] = value
    headers = placed["header"]
    if placed["cookie"]:
        cookies = [f"{name}={value}" for name, value in placed["cookie"].items()]
        headers["Cookie"] = "; ".join([*filter(None, [headers.get("Cookie")]), *cookies])
    if any(set(value) & set("\r\n\0") for value in headers.values()):
        raise UsageError(
            "The token, the user id or a header contains a line break, which an HTTP header cannot carry.",
            "Check `identity.token` and `connect.headers`, or choose another location with `identity.token_in`.",
        )
    return HandshakeCredentials(placed["auth"], urlencode(placed["query"]), headers)


def _located_values(target: ServerTarget, credentials: Credentials) -> Iterable[tuple[str, str]]:
    if credentials.token is not None and target.token_in:
        yield target.token_in, credentials.token.reveal()
    if target.user_in:
        yield target.user_in, credentials.user
