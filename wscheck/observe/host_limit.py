"""Hosts with which a run may exchange data: the pages of a launched browser, and the HTTP requests of wscheck itself.

A run that starts inside `with limited_hosts(...)` may reach only these hosts. Every other run may reach every host.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

MAX_REFUSED = 20
"""Largest number of refused hosts that are remembered."""

_PASSIVE = frozenset({"Image", "Media", "Font", "Stylesheet", "TextTrack", "Manifest", "Prefetch", "Ping", "Other"})
"""Types of requests in the DevTools protocol whose answers run no code and open no connection."""


_NETWORK_SCHEMES = ("http", "https", "ws", "wss", "ftp")


class HostNotPermitted(aiohttp.ClientError):
    """Error for an HTTP request or a redirect to a host that is not permitted."""


class HostLimit:
    """The permitted hosts, and the hosts that a run could not reach because of the limit.

    hosts    the permitted hosts in lower case, an IPv6 address in brackets
    refused  dict of unreachable host to True if a refused request to it may have changed what a page or a server does
    """

    def __init__(self, hosts: Collection[str]) -> None:
        self.hosts = frozenset(hosts)
        self.refused: dict[str, bool] = {}

    @property
    def browser_flags(self) -> list[str]:
        """Chromium flags that keep the browser from contacting hosts that are not permitted, also by WebSocket."""
        rules = ["MAP * ~NOTFOUND", *(f"EXCLUDE {host.strip('[]')}" for host in sorted(self.hosts))]
        # A proxy would resolve the names itself, and WebRTC sends packets to addresses without resolving them.
        return [
            f"--host-resolver-rules={','.join(rules)}",
            "--no-proxy-server",
            "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
        ]

    def permits(self, url: str) -> bool:
        """Return whether a URL has a permitted host, or needs no network, as `data:` and `blob:` do."""
        host = url_host(url)
        return host is None or host in self.hosts

    def record(self, url: str, *, matters: bool = True) -> None:
        """Add the host of a request to `refused` if it is not permitted.

        matters  the request may change what a page or a server does
        """
        host = url_host(url)
        if host is not None and host not in self.hosts and (host in self.refused or len(self.refused) < MAX_REFUSED):
            self.refused[host] = matters or self.refused.get(host, False)

    def on_network_event(self, method: str, params: dict[str, Any]) -> None:
        """Remember the host of a request or WebSocket in a DevTools event, if the host is not permitted."""
        if method == "Network.requestWillBeSent":
            self.record(str(params["request"]["url"]), matters=params.get("type") not in _PASSIVE)
        elif method in ("Network.webSocketCreated", "Network.webTransportCreated"):
            self.record(str(params["url"]))


_limit: ContextVar[HostLimit | None] = ContextVar("host_limit", default=None)


@contextmanager
def limited_hosts(hosts: Collection[str]) -> Iterator[HostLimit]:
    """Limit the runs inside of the block, and the tasks that they start, to `hosts`."""
    limit = HostLimit(hosts)
    token = _limit.set(limit)
    try:
        yield limit
    finally:
        _limit.reset(token)


def host_limit() -> HostLimit | None:
    """Return the limit of the current run, None if every host is permitted."""
    return _limit.get()


def http_session(**options: Any) -> aiohttp.ClientSession:
    """Return a session that contacts only permitted hosts. It refuses redirects to other hosts too."""
    limit = host_limit()
    if limit is None:
        return aiohttp.ClientSession(**options)
    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(_refuse_request)
    trace.on_request_redirect.append(_refuse_redirect)
    return aiohttp.ClientSession(**options, trace_configs=[trace])


def url_host(url: str) -> str | None:
    """Return the host of a URL as `HostLimit.hosts` has it, "" if it has none.

    Return None for a scheme that needs no network, such as `data:`.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""
    if parts.scheme not in _NETWORK_SCHEMES:
        return None
    return f"[{host}]" if ":" in host else host


async def _refuse_request(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestStartParams
) -> None:
    _check(str(params.url))


async def _refuse_redirect(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> None:
    headers = params.response.headers
    try:
        _check(str(params.url.join(URL(headers.get("Location") or headers.get("URI") or ""))))
    except ValueError:
        return  # aiohttp reports the address that cannot be read


def _check(url: str) -> None:
    limit = host_limit()
    if limit is not None and not limit.permits(url):
        limit.record(url)
        raise HostNotPermitted(f"{url_host(url)} is not permitted")
