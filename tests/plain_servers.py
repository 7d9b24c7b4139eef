"""A server without Socket.IO, in the process of the test: WebSockets at /chat and /, server-sent events at /events.

It keeps one connection per user, takes the user from the token, and answers a request for `status` to that user alone.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from aiohttp import WSCloseCode, WSMsgType, web

PING_S, MISSED_PINGS, TICK_S, SLOW_S = 0.3, 3, 0.1, 0.5

FORGETS = "keeps the older connection open, and sends nothing on it"
ANY_TOKEN = "takes everybody for the user mira"
LEAKS = "sends the answer to every user"
DEAF = "pings, and does not notice that nobody answers"
PINGS = "pings, and closes the connection of a client that does not answer"
LATE_REFUSAL = "accepts a connection, and then refuses it with a close code"
LOGIN = "expects the token in the first message"
TICKS = "sends news to each connection, unrequested"
BEATS = "sends heartbeats of its own"
TWO = "allows a user two connections"
SLOW = "ends the older connection when the newer one is no longer new"
ONLY_ONE = "refuses a second stream, and notices late that the first ended"
BOTH = "ends both connections of a user"
TWICE = "sends everything twice to the connection after the first of a user"

Socket = web.WebSocketResponse | web.StreamResponse


class PlainServer:
    """The server. `faults` are its peculiarities. `opened` counts the connections that it has accepted for a user."""

    def __init__(self, faults: Collection[str] = ()) -> None:
        self.faults, self.opened = faults, 0
        self._sockets: dict[str, Socket] = {}
        self._older: dict[str, Socket | None] = {}
        self._held: set[str] = set()
        self._pongs: dict[Socket, float] = {}
        self._known: set[str] = set()
        self._pushing: list[asyncio.Task[None]] = []
        self._numbers = itertools.count()

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/chat", self.chat, allow_head=False),
                web.get("/", self.chat, allow_head=False),
                web.get("/events", self.events, allow_head=False),
                web.post("/status", self.status),
                web.get("/hello", self.hello),
            ]
        )
        return application

    def owner(self, token: str | None) -> str | None:
        if ANY_TOKEN in self.faults:
            return "mira"
        return token.removeprefix("token-of-") if token and token.startswith("token-of-") else None

    async def chat(self, request: web.Request) -> web.WebSocketResponse:
        user = self.owner(request.query.get("token") or request.cookies.get("token"))
        if user is None and not {LATE_REFUSAL, LOGIN} & set(self.faults):
            raise web.HTTPUnauthorized
        socket = web.WebSocketResponse(autoping=False, timeout=0.2)
        await socket.prepare(request)
        if LOGIN in self.faults:
            first = json.loads((await socket.receive()).data)
            user = self.owner(first.get("token")) if first["type"] == "login" else None
            await socket.send_json({"type": "welcome", "ok": user is not None, "error": user is None and "who?"})
        if user is None:
            await socket.close(code=4401, message=b"unauthorized")
            return socket
        await self._enter(user, socket)
        pinging = asyncio.ensure_future(self._ping(socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.PONG:
                    self._pongs[socket] = time.monotonic()
                elif message.type is WSMsgType.TEXT and json.loads(message.data).get("type") == "status":
                    await self._answer(user)
        finally:
            pinging.cancel()
            self._leave(user, socket)
        return socket

    async def _ping(self, socket: web.WebSocketResponse) -> None:
        self._pongs[socket] = time.monotonic()
        while {PINGS, DEAF} & set(self.faults):
            await socket.ping()
            await asyncio.sleep(PING_S)
            if PINGS in self.faults and time.monotonic() - self._pongs[socket] > MISSED_PINGS * PING_S:
                await socket.close(code=WSCloseCode.GOING_AWAY)
                return

    async def events(self, request: web.Request) -> web.StreamResponse:
        user = self.owner(request.query.get("token") or request.cookies.get("token"))
        if user is None:
            raise web.HTTPUnauthorized
        if user in self._held:
            raise web.HTTPConflict
        self._held.update([user] if ONLY_ONE in self.faults else [])
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        await stream.write(b": hello\n\n")
        await self._enter(user, stream)
        try:
            while self._sockets.get(user) is stream or FORGETS in self.faults:
                await asyncio.sleep(0.02)
                if request.transport is None:
                    break
        finally:
            self._leave(user, stream)
            asyncio.get_running_loop().call_later(SLOW_S, self._held.discard, user)
        return stream

    async def hello(self, request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def status(self, request: web.Request) -> web.Response:
        if user := self.owner(request.query.get("token") or request.cookies.get("token")):
            await self._answer(user)
        return web.Response(status=202)

    async def _enter(self, user: str, socket: Socket) -> None:
        self.opened += 1
        if {TICKS, BEATS} & set(self.faults):
            copies = 2 if user in self._known and TWICE in self.faults else 1
            self._pushing.append(asyncio.ensure_future(self._push(user, copies)))
        self._known.add(user)
        old, self._sockets[user] = self._sockets.get(user), socket
        if TWO in self.faults:
            old, self._older[user] = self._older.get(user), old
        if old is not None and BOTH in self.faults and isinstance(socket, web.WebSocketResponse):
            await socket.close(code=4000)
        if isinstance(old, web.WebSocketResponse) and FORGETS not in self.faults:
            closing = asyncio.ensure_future(self._end(old))
            closing.add_done_callback(lambda done: done.exception())

    async def _end(self, old: web.WebSocketResponse) -> None:
        await asyncio.sleep(SLOW_S if SLOW in self.faults else 0)
        await old.close(code=4000, message=b"replaced")

    def _leave(self, user: str, socket: Socket) -> None:
        if self._sockets.get(user) is socket:
            del self._sockets[user]

    async def _push(self, user: str, copies: int) -> None:
        """Send what nobody requested to the user's connection of now, until there is another or none."""
        await asyncio.sleep(0)
        socket = self._sockets.get(user)
        while socket is not None and self._sockets.get(user) is socket:
            news: dict[str, object] = {"type": "news", "text": "x" * next(self._numbers)}
            if BEATS in self.faults:
                news = {"type": "ping"}
            for _ in range(copies):
                await _send(socket, news)
            await asyncio.sleep(TICK_S)

    async def _answer(self, user: str) -> None:
        answer = {"type": "status", "userId": user, "number": next(self._numbers)}
        for owner, socket in list(self._sockets.items()):
            if owner == user or LEAKS in self.faults:
                await _send(socket, answer)


async def _send(socket: Socket, message: dict[str, object]) -> None:
    with contextlib.suppress(ConnectionError):
        if isinstance(socket, web.WebSocketResponse):
            await socket.send_json(message)
        else:
            await socket.write(f"data: {json.dumps(message)}\n\n".encode())


@asynccontextmanager
async def plain_server(*faults: str) -> AsyncIterator[tuple[str, PlainServer]]:
    """Run the server on a free port of loopback. Yield its host and port, and itself."""
    server = PlainServer(faults)
    runner = web.AppRunner(server.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}", server
    finally:
        await runner.cleanup()
