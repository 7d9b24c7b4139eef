"""Serves a backend on a TCP port, for `wscheck serve`, for `verify` without a target, and for tests."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from wscheck.backend.server import Backend
from wscheck.model.errors import UsageError

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def listening(backend: Backend, host: str = LOOPBACK, port: int = 0) -> AsyncIterator[str]:
    """Serve until the block ends; yields the URL. Port 0 takes a free one. Raises UsageError when it is taken."""
    listener = _bind(host, port)
    # A connection that a client abandons must not hold up the end: the sockets are closed with the server.
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
            "Choose another port with --port (0 takes a free one), or another address with --host.",
        ) from None
    return listener
