"""Server to connect to, credentials, and the parts of a handshake that contain them."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from wscheck.config.settings import NEXT_PUBLIC_VARIABLE
from wscheck.model.errors import UsageError
from wscheck.model.secrets import Secret

if TYPE_CHECKING:
    from wscheck.config.loading import Config


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

    transports         in the order in which a client tries them
    timeout_s          seconds that a connection may take
    insecure           untrusted TLS certificates are accepted
    user_in, token_in  where a handshake contains the user id and the token, such as "auth.token"
                       (docs/configuration.md, "Identity")
    """

    url: str = msgspec.field(default_factory=default_url)
    namespace: str = "/"
    path: str = "/socket.io"
    transports: tuple[str, ...] = ("polling", "websocket")
    timeout_s: float = 20.0
    insecure: bool = False
    user_in: str = "auth.userId"
    token_in: str = "auth.token"

    @property
    def display_url(self) -> str:
        """The URL without user, password and query, for reports."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def configured_target(config: "Config") -> ServerTarget:
    """Return the configured server. Its `url` is "" if no server is configured.

    Raises:
        UsageError: The URL has a path. Socket.IO clients take a path for the namespace, so its meaning is ambiguous.
    """
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
        insecure=config["target.insecure"],
        user_in=config["identity.user_in"],
        token_in=config["identity.token_in"],
    )


class HandshakeCredentials(msgspec.Struct, frozen=True):
    """Credentials of one handshake: the `auth` object of CONNECT, the query string and the HTTP headers."""

    auth: dict[str, str]
    query: str
    headers: dict[str, str]


def build_handshake_credentials(target: ServerTarget, credentials: Credentials) -> HandshakeCredentials:
    """Return the parts of a handshake, with the user id and the token where the target expects them.

    Raises:
        UsageError: A header cannot contain the value.
    """
    placed: dict[str, dict[str, str]] = {"auth": {}, "query": {}, "header": {}, "cookie": {}}
    for location, value in _located_values(target, credentials):
        part, _, name = location.partition(".")
        placed[part][name] = value
    headers = placed["header"]
    if placed["cookie"]:
        headers["Cookie"] = "; ".join(f"{name}={quote(value)}" for name, value in placed["cookie"].items())
    if any(set(value) & set("\r\n\0") for value in headers.values()):
        raise UsageError(
            "The token or the user id contains a line break, which an HTTP header cannot carry.",
            "Check `identity.token`, or choose another location with `identity.token_in`.",
        )
    return HandshakeCredentials(placed["auth"], urlencode(placed["query"]), headers)


def _located_values(target: ServerTarget, credentials: Credentials) -> Iterable[tuple[str, str]]:
    if credentials.token is not None:
        yield target.token_in, credentials.token.reveal()
    yield target.user_in, credentials.user
