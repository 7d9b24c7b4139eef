"""Reference backend: a small Socket.IO server for users and their bots, on python-socketio and aiohttp.

By default it keeps one connection per user. On request it has faults that `wscheck verify` must find.
"""

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import socketio
from aiohttp import ClientConnectionResetError, web

from wscheck.backend.demo_tokens import token_owner
from wscheck.backend.faults import Fault, SecondConnectionPolicy
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.model.disconnect_reasons import (
    CLIENT_DISCONNECT,
    CLIENT_NAMESPACE_DISCONNECT,
    FORCED_CLOSE,
    SERVER_DISCONNECT,
    SERVER_NAMESPACE_DISCONNECT,
)
from wscheck.model.errors import UsageError

SLOW_LOOKUP_S = 0.1
LOOPBACK = "127.0.0.1"
A_DAY_S = 86_400.0

# Disconnect reasons of python-socketio, and the reasons that the documented Node server logs for them.
_REASONS = {SERVER_DISCONNECT: SERVER_NAMESPACE_DISCONNECT, CLIENT_DISCONNECT: CLIENT_NAMESPACE_DISCONNECT}

# The libraries log unusual clients to stderr. The documented log contains only the records of ServerLogWriter.
for _name in ("socketio.server", "engineio.server"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)

REPLIES: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "request_bot_status": (("bot_status_update", {"botId": "bot_1", "status": "online"}),),
    "request_message_sync": (("message_sync", {"chatId": "chat_1", "messages": 3}),),
    "request_connection_update": (("connection_update", {"connection": "open"}),),
    "trigger_whatsapp_connection": (
        ("whatsapp_connection_event", {"type": "qr_updated", "qr": "2@made-up"}),
        ("whatsapp_connection_event", {"type": "whatsapp_connected"}),
    ),
    "disconnect_whatsapp": (("whatsapp_connection_event", {"type": "whatsapp_disconnected"}),),
}
"""Dict of the name of a client's event to the events (name, payload) that all sockets of the same user then receive."""


_http_log = logging.getLogger("aiohttp.server")


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Return whether an error of the HTTP server must be logged.

    A client that closes its connection during the WebSocket upgrade is normal, so its error is not logged.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], ClientConnectionResetError))


class ReferenceBackend:
    """Reference backend. `app` is its aiohttp application, `sio` its Socket.IO server."""

    def __init__(
        self,
        log_writer: ServerLogWriter,
        *,
        policy: SecondConnectionPolicy = SecondConnectionPolicy.REPLACE,
        faults: Iterable[Fault] = (),
        namespace: str = "/",
        path: str = "/socket.io",
        ping_interval_s: float = 25.0,
        ping_timeout_s: float = 20.0,
        transports: Iterable[str] = ("polling", "websocket"),
    ) -> None:
        self.faults, self.policy, self.namespace = frozenset(faults), policy, namespace
        self._log_writer = ServerLogWriter(None) if Fault.LOG_NOTHING in self.faults else log_writer
        self._sockets: dict[str, str] = {}
        self._users: dict[str, str] = {}
        self._forced: set[str] = set()
        self._sequence = 0
        self._counts: Counter[str] = Counter()
        self._disconnects: Counter[str] = Counter()
        self._peak = 0
        self.sio: Any = socketio.AsyncServer(
            async_mode="aiohttp",
            cors_allowed_origins="*",
            ping_interval=ping_interval_s,
            ping_timeout=ping_timeout_s,
            transports=list(transports),
            namespaces=[namespace],
        )
        self.sio.on("connect", self._connect, namespace=namespace)
        self.sio.on("disconnect", self._disconnect, namespace=namespace)
        self.sio.on("echo", self._echo, namespace=namespace)
        for name in REPLIES:
            self.sio.on(name, self._reply_handler(name), namespace=namespace)
        self.app = web.Application()
        self.sio.attach(self.app, socketio_path=path.strip("/"))
        self.app.router.add_get("/counters", self._counters)

    async def close(self) -> None:
        """Disconnect all clients and stop the server's tasks."""
        await self.sio.shutdown()

    # --- connections -------------------------------------------------------------------------------------------

    async def _connect(self, sid: str, environ: dict[str, Any], auth: object) -> None:
        user = self._admit(auth)
        before = self._sockets.get(user)
        if Fault.SLOW_LOOKUP in self.faults:
            await asyncio.sleep(SLOW_LOOKUP_S)
        if before is not None and self.policy is SecondConnectionPolicy.REJECT:
            self._refuse("already connected")
        self._sockets[user] = sid
        self._users[sid] = user
        if Fault.NEVER_REAP in self.faults:
            disable_reaping(self.sio.eio, self.sio.manager.eio_sid_from_sid(sid, self.namespace))
        await self.sio.enter_room(sid, f"user:{user}", namespace=self.namespace)
        self._counts["connects"] += 1
        self._peak = max(self._peak, len(self._users))
        self._log_writer.connected(sid, user)
        if before is not None and self.policy is SecondConnectionPolicy.REPLACE:
            # Replace after this handler, so that the new connection is acknowledged before the old one ends.
            self.sio.start_background_task(self._replace, user, before, sid)

    def _admit(self, auth: object) -> str:
        claims = auth if isinstance(auth, dict) else {}
        claimed, owner = claims.get("userId"), token_owner(claims.get("token"))
        if owner is None and Fault.ACCEPT_ANY_TOKEN in self.faults:
            owner = claimed
        if owner is None:
            self._refuse("invalid token")
        if not isinstance(claimed, str) or not claimed:
            self._refuse("userId is missing")
        if claimed != owner and Fault.TRUST_USER_ID not in self.faults:
            self._refuse("token does not belong to this user")
        return claimed

    def _refuse(self, message: str) -> NoReturn:
        self._counts["refused"] += 1
        raise socketio.exceptions.ConnectionRefusedError(message)

    async def _replace(self, user: str, old: str, new: str) -> None:
        """End the user's connection `old`, which `new` replaces, unless it has already ended."""
        if old in self._forced or not self.sio.manager.is_connected(old, self.namespace):
            return
        self._counts["replaced"] += 1
        self._log_writer.replacing(user, old, new)
        await self._end(old)

    async def _end(self, sid: str) -> None:
        if Fault.CLOSE_TRANSPORT not in self.faults:
            await self.sio.disconnect(sid, namespace=self.namespace)
            return
        self._forced.add(sid)
        session = self.sio.manager.eio_sid_from_sid(sid, self.namespace)
        engine_socket = self.sio.eio.sockets.get(session)
        if engine_socket is not None:
            # No CLOSE packet is sent, like `socket.conn.close()` on Node: the client sees its transport close.
            await engine_socket.close(wait=False, abort=True)
            await engine_socket.queue.put(None)

    async def _disconnect(self, sid: str, reason: str) -> None:
        user = self._users.pop(sid, None)
        if user is None:
            return
        if self._sockets.get(user) == sid:
            del self._sockets[user]
        logged_reason = FORCED_CLOSE if sid in self._forced else _REASONS.get(reason, reason)
        self._forced.discard(sid)
        self._disconnects[logged_reason] += 1
        self._log_writer.disconnected(sid, logged_reason)

    # --- events ------------------------------------------------------------------------------------------------

    def _reply_handler(self, name: str) -> Any:
        async def answer(sid: str, *data: object) -> dict[str, bool]:
            self._counts["received"] += 1
            for event, payload in REPLIES[name]:
                await self._send(event, payload, self._users.get(sid, ""))
            return {"ok": True}

        return answer

    async def _send(self, event: str, payload: dict[str, Any], user: str) -> None:
        if event == "message_sync" and Fault.DROP_EVENT in self.faults:
            return
        self._sequence += 1
        data = {**payload, "userId": user, "seq": self._sequence}
        room = None if Fault.LEAK_EVENTS in self.faults else f"user:{user}"
        sockets = len(self._users) if room is None else sum(u == user for u in self._users.values())
        for _ in range(2 if Fault.EMIT_TWICE in self.faults else 1):
            self._counts["emitted"] += sockets
            await self.sio.emit(event, data, room=room, namespace=self.namespace)

    async def _echo(self, sid: str, *data: object) -> object:
        self._counts["received"] += 1
        return data[0] if data else None

    async def _counters(self, request: web.Request) -> web.Response:
        return web.json_response(self.counters())

    def counters(self) -> dict[str, Any]:
        """Return the numbers of connections and events since the start (docs/reference-backend.md, "Counters")."""
        counts = {name: self._counts[name] for name in ("connects", "replaced", "refused", "emitted", "received")}
        return {**counts, "disconnects": dict(self._disconnects), "open": len(self._users), "peak": self._peak}


@asynccontextmanager
async def serve_backend(backend: ReferenceBackend, host: str = LOOPBACK, port: int = 0) -> AsyncIterator[str]:
    """Serve `backend` while the block runs, and yield its URL. Port 0 selects a free port.

    Raises:
        UsageError: The port is in use, or the address is invalid.
    """
    listener = _bind(host, port)
    # An abandoned connection must not delay the end: the sockets close with the server.
    _http_log.addFilter(_is_unexpected)
    runner = web.AppRunner(backend.app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    bound = listener.getsockname()
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"http://{shown}:{bound[1]}"
    finally:
        await backend.close()
        await runner.cleanup()
        await asyncio.sleep(0)


def _bind(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        raise UsageError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.",
            "Choose another port with `serve.port` (0 takes a free one), or another address with `serve.host`.",
        ) from None
    return listener


class _ServerWithoutReaping:
    """Proxy that gives one Engine.IO session a ping timeout of one day.

    The server therefore does not close ("reap") the session when its client stops answering pings.
    """

    ping_timeout = A_DAY_S

    def __init__(self, server: Any) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def disable_reaping(engine: Any, session: str) -> None:
    """Keep `session` open even if its client stops answering pings (fault `never-reap`).

    The client does not notice: the handshake announced the usual ping timeout to it.
    """
    engine_socket = engine.sockets[session]
    engine_socket.server = _ServerWithoutReaping(engine_socket.server)
