"""Servers that misbehave on purpose, each on a free loopback port: what a user may point wscheck at by mistake."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import WSMsgType, web

HANDSHAKE = '0{"sid":"e1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'

Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def serving(app: web.Application, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """With `tls` at https://localhost, the name that its certificate should have."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener, ssl_context=tls).start()
    port = listener.getsockname()[1]
    try:
        yield f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
        await asyncio.sleep(0.03)  # transports close their sockets in a later iteration of the loop


@asynccontextmanager
async def silent_tcp() -> AsyncIterator[str]:
    """Accepts and never says a word."""
    holding: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda reader, writer: holding.append(writer), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in holding:
            writer.close()


def answering(status: int, body: str, content_type: str = "text/html") -> web.Application:
    """Every path answers the same."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, content_type=content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


def talking(talk: Talk) -> web.Application:
    """Handshakes like Engine.IO 4 on both transports, then does on the websocket whatever `talk` does."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.query.get("transport") != "websocket":
            return web.Response(text=HANDSHAKE, content_type="text/plain")
        ws = web.WebSocketResponse(max_msg_size=0)
        await ws.prepare(request)
        await ws.send_str(HANDSHAKE)
        async for message in ws:
            if message.type is WSMsgType.TEXT and message.data.startswith("40"):
                await talk(ws)
        return ws

    app = web.Application()
    app.router.add_route("*", "/socket.io/", answer)
    return app
