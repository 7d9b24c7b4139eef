"""Application of the connection policy to the open connections of a user at each endpoint."""

from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from wscheck.model.events import SOURCE_SERVER_LOG, Connected
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap
from wscheck.model.policy import UNDECIDED, ConnectionPolicy

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
DEFAULT_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class ServerEndpoint(msgspec.Struct, frozen=True):
    """Origin and path at which Engine.IO is served. HTTP and WebSocket schemes are not distinguished.

    port  the scheme's default if the URL contains none, None if that is unknown
    """

    host: str
    port: int | None
    path: str

    @classmethod
    def from_url(cls, url: str) -> "ServerEndpoint":
        """Return the endpoint of a URL. All names of this machine are the host "localhost"."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme)
        except ValueError:
            return cls(url, None, "")
        return cls("localhost" if host in LOOPBACK_HOSTS else host, port, parts.path.rstrip("/"))

    @property
    def origin(self) -> str:
        """Host, and port if it is no scheme's default, for reports."""
        return self.host if self.port in (None, *DEFAULT_PORTS.values()) else f"{self.host}:{self.port}"

    def has_same_origin(self, other: "ServerEndpoint") -> bool:
        """Return whether both endpoints have the same host and port."""
        return (self.host, self.port) == (other.host, other.port)

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


PAGES_UNKNOWN = Gap(
    id="tab-unknown",
    reason="a user has several connections at once, and the log does not show which page or device opened each, so "
    "that the policy per-tab could not be checked",
    closes_with="log the id of the tab or device with each connection, and name its key: --key page=NAME",
    rules=("multiple-connections",),
)

OpenConnections = Sequence[Connected | None]
"""Events that opened the connections of one user, None for a connection whose event is no longer stored."""


class PolicyResult(msgspec.Struct, frozen=True):
    """Result of the policy for several open connections of one user.

    severity     None if the policy permits the connections, or cannot be checked
    gap          missing evidence, or the missing policy
    connections  the connections that violate the policy
    """

    severity: Severity | None = None
    gap: Gap | None = None
    connections: OpenConnections = ()


def apply_policy(connections: OpenConnections, policy: ConnectionPolicy) -> PolicyResult:
    """Return the result for the open connections of one user, which is the worst result of any endpoint."""
    results = [_apply_to_endpoint(group, policy) for group in _by_endpoint(connections) if len(group) > 1]
    return max(results, key=_rank, default=PolicyResult())


def _rank(result: PolicyResult) -> tuple[int, bool]:
    return (-1 if result.severity is None else result.severity.rank), result.gap is not None


def _apply_to_endpoint(connections: OpenConnections, policy: ConnectionPolicy) -> PolicyResult:
    pages = [connection.page if connection is not None else None for connection in connections]
    if shared := _shared_page(pages):
        on_page = [connection for connection, page in zip(connections, pages, strict=True) if page == shared]
        other_violation = policy.limit is not None and len(connections) > policy.limit
        return PolicyResult(Severity.ERROR, connections=connections if other_violation else on_page)
    if policy.limit is not None:
        exceeded = len(connections) > policy.limit
        return PolicyResult(Severity.ERROR, connections=connections) if exceeded else PolicyResult()
    if policy.is_per_page:
        return PolicyResult() if None not in pages or _are_on_devices(connections) else PolicyResult(gap=PAGES_UNKNOWN)
    are_logged = any(each is None or each.source == SOURCE_SERVER_LOG for each in connections)
    is_allowed = all(each is not None and len(connections) <= (each.allowed or 0) for each in connections)
    severity = Severity.ERROR if not is_allowed and (are_logged or None in pages) else Severity.WARNING
    return PolicyResult(severity, UNDECIDED, connections)


def _are_on_devices(connections: OpenConnections) -> bool:
    """Return whether the log names a different device, or kind of device, for each connection."""
    devices = {each.device for each in connections if each is not None and each.device is not None}
    return len(devices) == len(connections)


def _shared_page(pages: Iterable[str | None]) -> str | None:
    """Return the page that has the most connections, None if no page has several."""
    most = Counter(page for page in pages if page is not None).most_common(1)
    return most[0][0] if most and most[0][1] > 1 else None


def _by_endpoint(connections: OpenConnections) -> list[OpenConnections]:
    """Return the connections in groups of the same endpoint.

    If the endpoint of any connection is unknown, return a single group with all of them.
    """
    groups: dict[ServerEndpoint, list[Connected | None]] = {}
    for connection in connections:
        if connection is None or connection.url is None:
            return [connections]
        groups.setdefault(ServerEndpoint.from_url(connection.url), []).append(connection)
    return list(groups.values())
