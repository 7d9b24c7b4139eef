"""Server that stands in for an application's backend. `python -m corpus.servers.stand_in OPTIONS-AS-JSON`.

It serves the application's frontend, answers requests with the JSON of the entry (`{}` by default), and accepts every
websocket and every event stream. What a websocket says is a dialect: enough of the backend's protocol for the frontend
to stay connected. An event stream says a comment every few seconds.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import WSMsgType, web

Dialect = Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]
_PING_S = 3.0


async def _silent(socket: web.WebSocketResponse, _: web.Request) -> None:
    """Read and say nothing."""
    async for _message in socket:
        pass


async def _cable(socket: web.WebSocketResponse, _: web.Request) -> None:
    """Welcome the client and confirm its subscriptions, as Action Cable does, with a ping every few seconds."""
    await socket.send_str('{"type":"welcome"}')

    async def ping() -> None:
        while True:
            await asyncio.sleep(_PING_S)
            await socket.send_str('{"type":"ping"}')

    pinging = asyncio.create_task(ping())
    try:
        async for message in socket:
            said = json.loads(message.data) if message.type is WSMsgType.TEXT else {}
            if said.get("command") == "subscribe":
                answer = {"type": "confirm_subscription", "identifier": said["identifier"]}
                await socket.send_str(json.dumps(answer))
    finally:
        pinging.cancel()


async def _zigbee2mqtt(socket: web.WebSocketResponse, request: web.Request) -> None:
    """Send the first topics that Zigbee2MQTT publishes to its frontend."""
    topics: dict[str, Any] = {
        "bridge/state": {"state": "online"},
        "bridge/info": {
            "version": "2.6.0",
            "config": {"frontend": {}, "devices": {}, "groups": {}},
            "permit_join": False,
        },
        "bridge/devices": [],
        "bridge/groups": [],
    }
    for topic, payload in topics.items():
        await socket.send_str(json.dumps({"topic": topic, "payload": payload}))
    await _silent(socket, request)


async def _graphql(socket: web.WebSocketResponse, _: web.Request) -> None:
    """Acknowledge the connection of a GraphQL client, answer no subscription, and restart when the client says so."""
    async for message in socket:
        if message.data == "restart":
            await socket.close(code=1012)
        elif message.type is WSMsgType.TEXT and json.loads(message.data).get("type") == "connection_init":
            await socket.send_str('{"type":"connection_ack"}')


async def _restarting(socket: web.WebSocketResponse, _: web.Request) -> None:
    """End the websocket as a server that restarts does, when the client says so."""
    async for message in socket:
        if message.data == "restart":
            await socket.close(code=1012)


async def _socketio(socket: web.WebSocketResponse, request: web.Request) -> None:
    """Open a Socket.IO connection of version 2 (Engine.IO 3) or later, and answer its heartbeat."""
    opened = {"sid": uuid4().hex, "upgrades": [], "pingInterval": 25000, "pingTimeout": 60000}
    await socket.send_str(f"0{json.dumps(opened)}")
    if request.query.get("EIO") == "3":
        await socket.send_str("40")
    async for message in socket:
        said = message.data if message.type is WSMsgType.TEXT else ""
        if said == "2":
            await socket.send_str("3")
        elif said.startswith("40"):
            namespace = said.partition("{")[0]
            await socket.send_str(f'{namespace}{{"sid":"{uuid4().hex}"}}')


async def _yjs(socket: web.WebSocketResponse, _: web.Request) -> None:
    """Answer the first message of a Yjs provider with an empty document, and return its checks as they are."""
    async for message in socket:
        if message.type is WSMsgType.BINARY and message.data[:2] == b"\x00\x00":
            await socket.send_bytes(b"\x00\x01\x02\x00\x00")
        elif message.type is WSMsgType.BINARY and message.data[:1] == b"\x66":
            await socket.send_bytes(message.data)


DIALECTS: dict[str, Dialect] = {
    "silent": _silent,
    "cable": _cable,
    "graphql": _graphql,
    "restarting": _restarting,
    "socket.io": _socketio,
    "yjs": _yjs,
    "zigbee2mqtt": _zigbee2mqtt,
}


async def _stream(request: web.Request) -> web.StreamResponse:
    """Keep an event stream open until the client ends it."""
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await stream.prepare(request)
    with suppress(ConnectionError):
        while True:
            await stream.write(b": nothing new\n\n")
            await asyncio.sleep(_PING_S)
    return stream


def application(root: Path, websocket: str, answers: dict[str, Any]) -> web.Application:
    """Return the server of a frontend's folder."""
    speak = DIALECTS[websocket]
    root = root.resolve()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
            socket = web.WebSocketResponse(protocols=list(filter(None, offered)))
            await socket.prepare(request)
            await speak(socket, request)
            return socket
        if "text/event-stream" in request.headers.get("Accept", ""):
            return await _stream(request)
        if request.path in answers:
            return web.json_response(answers[request.path])
        path = (root / request.path.lstrip("/")).resolve()
        if path.is_relative_to(root) and path.is_file():
            return web.FileResponse(path)
        if "text/html" in request.headers.get("Accept", ""):
            return web.FileResponse(root / "index.html")
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return app


def main() -> None:
    """Serve until the process is ended. The options are one JSON object: port, root, websocket and answers."""
    options = json.loads(sys.argv[1])
    app = application(Path(options["root"]), options["websocket"], options["answers"])
    web.run_app(app, host="127.0.0.1", port=options["port"], print=None)


if __name__ == "__main__":
    main()
