"""The client on the wire beside the stock JavaScript client: requests, TCP connections, upgrade and early events."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import WSMsgType, web

from tests.bad_servers import serving
from tests.needs import needs
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.events import Delivered, Event
from wscheck.observe.client.simulated_page import ClientRecorder, UnifiedPage

LIBRARY = Path(__file__).parents[3] / "examples/bot-dashboard/node_modules/socket.io-client/dist/socket.io.js"

HANDSHAKE = '0{"sid":"e1","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'

PAGE = """<!doctype html><script src="/socket.io.js"></script><script>
const socket = io("/", { auth: { token: "t" } });
socket.onAny((name) => { if (name === "late") socket.emit("received", names.concat(name)); else names.push(name); });
const names = [];
</script>"""


class Recorder:
    """A server that records the requests of one client, with their TCP connections, and the packets on the websocket.

    It sends the event `early` before the acknowledgement, and `late` after the upgrade. It answers CONNECT after the
    first poll has arrived, as over a network, where both are under way at once.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, int]] = []
        self.frames: list[str] = []
        self.upgraded = asyncio.Event()
        self._connections: dict[object, int] = {}
        self._acknowledged, self._polled, self._probed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._polls = itertools.count()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/socket.io.js", self._library)
        app.router.add_route("*", "/socket.io/", self._answer)
        return app

    async def _page(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def _library(self, request: web.Request) -> web.Response:
        return web.Response(body=LIBRARY.read_bytes(), content_type="text/javascript")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        connection = self._connections.setdefault(request.transport, len(self._connections))
        if request.query["transport"] == "websocket":
            self.requests.append(("websocket", connection))
            return await self._websocket(request)
        if "sid" not in request.query:
            self.requests.append(("open", connection))
            return web.Response(text=HANDSHAKE)
        if request.method == "POST":
            self.requests.append(("post", connection))
            self._acknowledged.set()
            await self._polled.wait()
            return web.Response(text="ok")
        self.requests.append(("poll", connection))
        self._polled.set()
        if not next(self._polls):
            await self._acknowledged.wait()
            return web.Response(text='42["early"]\x1e40{"sid":"s1"}')
        await self._probed.wait()
        return web.Response(text="6")

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type is not WSMsgType.TEXT:
                break
            self.frames.append(message.data)
            if message.data == "2probe":
                await ws.send_str("3probe")
                self._probed.set()
            elif message.data == "5":
                await ws.send_str('42["late"]')
            else:
                self.upgraded.set()
        return ws


@contextlib.asynccontextmanager
async def chromium(url: str) -> AsyncIterator[None]:
    # The other processes of the browser may still write when the first one has ended.
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", url),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.kill()
            await process.wait()


async def record_chromium() -> Recorder:
    recorder = Recorder()
    async with serving(recorder.app()) as url, chromium(url):
        async with asyncio.timeout(30):
            await recorder.upgraded.wait()
    return recorder


async def record_ours(events: list[Event], listener: ClientRecorder) -> Recorder:
    recorder = Recorder()
    async with serving(recorder.app()) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, user_in="query.u"), Credentials("ann", None), listener)
        mounted = await page.mount("Dashboard")
        async with asyncio.timeout(10):
            while not any(isinstance(event, Delivered) and event.name == "late" for event in events):
                await asyncio.sleep(0.005)
            await mounted.emit("received", ["early", "late"])
            await recorder.upgraded.wait()
        await page.close()
    return recorder


async def test_the_client_behaves_on_the_wire_like_the_stock_client(
    events: list[Event], recorder: ClientRecorder
) -> None:
    needs("chromium")
    stock, ours = await record_chromium(), await record_ours(events, recorder)
    assert ours.frames == stock.frames
    for client in (ours, stock):
        first = first_connections(client)
        # CONNECT, the first poll and the probe are sent together. One uses the TCP connection of the handshake.
        assert {first["post"], first["poll"], first["websocket"]} == {0, 1, 2}, client.requests
        assert first["open"] == 0 in (first["post"], first["poll"]), client.requests


def first_connections(recorder: Recorder) -> dict[str, int]:
    """Return the TCP connection of the first request of each kind, in the order of these requests."""
    first: dict[str, int] = {}
    for kind, connection in recorder.requests:
        first.setdefault(kind, connection)
    return first
