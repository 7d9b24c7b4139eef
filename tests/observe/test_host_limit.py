"""Limit of the hosts with which a run exchanges data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from wscheck.observe.host_limit import HostLimit, HostNotPermitted, http_session, limited_hosts, url_host


@asynccontextmanager
async def redirecting(location: str) -> AsyncIterator[tuple[int, list[str]]]:
    """Serve a redirect from /, and the paths /page and /socket. Yield the port and the hosts that were requested."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.host)
        if request.path == "/":
            return web.Response(status=302, headers={"Location": location.format(port=request.url.port)})
        return web.Response(text="reached")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/page",
        "//localhost:{port}/page",
        "http://localhost:{port}\\@127.0.0.1/page",
        "http://127.0.0.1@localhost:{port}/page",
        "http://LOCALHOST:{port}/page",
    ],
)
async def test_a_server_sends_no_request_of_wscheck_to_another_host(location: str) -> None:
    async with redirecting(location) as (port, asked):
        with limited_hosts({"127.0.0.1"}) as limit:
            async with http_session() as http:
                with pytest.raises(aiohttp.ClientError):
                    await http.get(f"http://127.0.0.1:{port}/")
                with pytest.raises(aiohttp.ClientError):
                    await http.ws_connect(f"http://127.0.0.1:{port}/")
    assert {host.partition(":")[0] for host in asked} == {"127.0.0.1"}
    assert all(limit.refused.values())


async def test_a_redirect_to_a_permitted_host_is_followed() -> None:
    async with redirecting("http://localhost:{port}/page") as (port, asked):
        with limited_hosts({"127.0.0.1", "localhost"}) as limit:
            async with http_session() as http, http.get(f"http://127.0.0.1:{port}/") as response:
                assert await response.text() == "reached"
    assert len(asked) == 2
    assert not limit.refused


async def test_the_first_request_needs_a_permitted_host_too() -> None:
    with limited_hosts({"127.0.0.1"}) as limit:
        async with http_session() as http:
            with pytest.raises(HostNotPermitted):
                await http.get("http://localhost:1/")
    assert limit.refused == {"localhost": True}


def test_requests_that_run_no_code_are_remembered_as_such() -> None:
    limit = HostLimit({"127.0.0.1", "[::1]"})
    for kind, url in [
        ("Font", "http://fonts.example/a.woff2"),
        ("Script", "http://cdn.example/a.js"),
        ("Image", "http://cdn.example/a.png"),
        ("Document", "http://[::1]:3000/"),
        ("Image", "data:image/png;base64,AAAA"),
    ]:
        limit.on_network_event("Network.requestWillBeSent", {"request": {"url": url}, "type": kind})
    limit.on_network_event("Network.webSocketCreated", {"url": "wss://live.example/app"})
    assert limit.refused == {"fonts.example": False, "cdn.example": True, "live.example": True}


def test_hosts_of_urls() -> None:
    assert url_host("wss://[::1]:8000/x") == "[::1]"
    assert url_host("HTTP://User:pass@LocalHost/") == "localhost"
    assert url_host("blob:http://x/1") is None
    assert url_host("http://[::1/") == ""
    assert url_host("http:///x") == ""
