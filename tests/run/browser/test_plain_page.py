"""A real page with a WebSocket, an EventSource and a stream of fetch(): openers, and which side closed each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.needs import needs
from tests.pages import watched_until
from wscheck.model.report import BrowserReport, ConnectionSummary

PAGE = """<script>
const base = location.host;
function closed() { const socket = new WebSocket(`ws://${base}/closed`); socket.onopen = () => socket.close(); }
function cut() { new WebSocket(`ws://${base}/cut`); }
function ticks() { window.ticks = new EventSource('/ticks'); }
async function feed() { const answer = await fetch('/feed'), reader = answer.body.getReader();
  while (!(await reader.read()).done); }
closed(); cut(); ticks(); feed();
if (!(window.ticks instanceof EventSource) || EventSource.OPEN !== 1) ticks();
</script>"""


async def _page(request: web.Request) -> web.Response:
    return web.Response(text=PAGE, content_type="text/html")


async def _websocket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    if request.path == "/cut":
        await socket.close(code=4001)
    async for _ in socket:
        pass
    return socket


async def _stream(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await answer.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await answer.write(f'event: {request.path[1:]}\ndata: {{"x":1}}\n\n'.encode())
            await asyncio.sleep(0.2)
    return answer


@pytest.fixture
async def url() -> AsyncIterator[str]:
    needs("chromium")
    app = web.Application()
    app.router.add_get("/", _page)
    for path, answer in (("/closed", _websocket), ("/cut", _websocket), ("/ticks", _stream), ("/feed", _stream)):
        app.router.add_get(path, answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


def by_path(report: BrowserReport) -> dict[str, ConnectionSummary]:
    return {one.endpoint.rpartition("/")[2]: one for one in report.connections}


def is_complete(report: BrowserReport) -> bool:
    found = by_path(report)
    ended = all(found[path].closed_at is not None for path in ("closed", "cut") if path in found)
    return len(found) == 4 and ended and {"ticks", "feed"} <= report.events.keys()


async def test_a_page_without_socket_io_has_openers_events_and_ends(url: str) -> None:
    report = await watched_until(is_complete, url)
    found = by_path(report)
    assert {path: one.opener.function for path, one in found.items() if one.opener is not None} == {
        path: path for path in ("closed", "cut", "ticks", "feed")
    }
    assert (found["closed"].reason, found["cut"].reason) == ("io client disconnect", "transport close")
    assert {found["ticks"].reason, found["feed"].reason} == {None}
    assert report.events.keys() == {"ticks", "feed"} and report.findings == []
