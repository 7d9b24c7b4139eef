"""What a client connects to, and as whom."""

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
    """Where the documented hook connects when it is told nothing else."""
    return environ.get(NEXT_PUBLIC_VARIABLE) or "ws://localhost:8000"


class Credentials(msgspec.Struct, frozen=True):
    """Who connects, and with what. `kind`: "own", "foreign" (another user's token) or "invalid"."""

    user: str
    token: Secret | None = None
    kind: str = "own"


class ServerTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The server. Times in seconds; `user_in` and `token_in` as in docs/configuration.md, Identity."""

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
        """The URL without user, password and query: fit for reports."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def configured_target(config: "Config") -> ServerTarget:
    """The server that is configured; one without a URL where none is. Raises UsageError for an address with a path,
    of which nobody could say what it means: to a Socket.IO client it is the namespace, to a browser it is not."""
    if path := urlsplit(config.server_url or "").path.strip("/"):
        raise UsageError(
            f"{config.values['target.url'].origin}: the address of the server has a path, /{path}.",
            f"Leave it out: as a namespace it is --namespace /{path}, as the client's option `path` --path /{path}.",
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
    """Credentials, put where the target wants them."""

    auth: dict[str, str]
    query: str
    headers: dict[str, str]


def place_credentials(target: ServerTarget, credentials: Credentials) -> HandshakeCredentials:
    """Put the user id and the token where the target looks for them. Raises UsageError where it cannot be done."""
    placed: dict[str, dict[str, str]] = {"auth": {}, "query": {}, "header": {}, "cookie": {}}
    for location, value in _values(target, credentials):
        place, _, name = location.partition(".")
        placed[place][name] = value
    headers = placed["header"]
    if placed["cookie"]:
        headers["Cookie"] = "; ".join(f"{name}={quote(value)}" for name, value in placed["cookie"].items())
    if any(set(value) & set("\r\n\0") for value in headers.values()):
        raise UsageError(
            "The token or the user id has a line break in it, which no HTTP header can carry.",
            "Check the token file or WSCHECK_TOKEN, or name another place with --token-in.",
        )
    return HandshakeCredentials(placed["auth"], urlencode(placed["query"]), headers)


def _values(target: ServerTarget, credentials: Credentials) -> Iterable[tuple[str, str]]:
    if credentials.token is not None:
        yield target.token_in, credentials.token.reveal()
    yield target.user_in, credentials.user
