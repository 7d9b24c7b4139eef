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

if TYPE_CHECKING:
    from wscheck.config.loading import Config, SettingValue


def default_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return the URL to which the reference application connects by default."""
    return environ.get(NEXT_PUBLIC_VARIABLE) or "ws://localhost:8000"


class Credentials(msgspec.Struct, frozen=True):
    """A user id and a token. `kind` is "own", "foreign" (the token of another user) or "invalid"."""

    user: str
    token: Secret | None = None
    kind: str = "own"


class ServerTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and how clients connect to it.

    transports         in the order of a client's attempts
    timeout_s          seconds that a connection may take
    wait_s             seconds to wait for the server to start
    insecure           untrusted TLS certificates are accepted
    user_in, token_in  where a handshake contains the user id and the token, such as "auth.token"
                       (docs/configuration.md, "Identity"); "" if only `connect` contains it
    connect            additional parts of the handshake, and steps after it
    """

    url: str = msgspec.field(default_factory=default_url)
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
    def display_url(self) -> str:
        """The URL without user, password and query, for reports."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def configured_target(config: "Config") -> ServerTarget:
    """Return the configured server. Its `url` is "" if no server is configured.

    [connect] does not apply to the embedded backend.

    Raises:
        UsageError: A variable that [connect] names is not set. Or the URL has a path, which is ambiguous: Socket.IO
            clients use it as the namespace, and it could also be meant as the path of the endpoint.
    """
    connect = config.connect if config.server_url else ConnectOptions()
    if missing := connect.missing_variables:
        raise UsageError(
            f"{config.locate_key('connect')}: the variable {missing[0]} is not set.",
            "Set it. The value of {env:NAME} comes from the environment.",
        )
    if path := urlsplit(config.server_url or "").path.strip("/"):
        raise UsageError(
            f"{config.values['target.url'].origin}: the address of the server has a path, /{path}.",
            f"Leave it out. Pass a namespace as `target.namespace=/{path}`, the client's option `path` as "
            f"`target.path=/{path}`.",
        )
    return ServerTarget(
        url=config.server_url or "",
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
