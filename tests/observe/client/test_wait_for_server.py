"""Tests of waiting for a server that starts."""

import asyncio
import socket
import time

import pytest
from aiohttp import web

from tests.bad_servers import HANDSHAKE, answering, serving
from tests.observe.client.conftest import ANN
from wscheck.config.target import ServerTarget
from wscheck.model.errors import NotSocketIO, Rejected, Unreachable
from wscheck.model.secrets import Redactor
from wscheck.observe.client.preflight import first_handshake


async def handshake(url: str, wait_s: float) -> bool:
    return await first_handshake(ServerTarget(url=url, timeout_s=5.0, wait_s=wait_s), ANN, Redactor())


async def test_a_server_that_starts_later_is_awaited() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    waiting = asyncio.ensure_future(handshake(f"http://127.0.0.1:{port}", 30.0))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    runner = web.AppRunner(answering(200, HANDSHAKE, "text/plain"))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        assert await waiting
    finally:
        await runner.cleanup()


async def test_a_proxy_without_its_server_is_awaited() -> None:
    statuses = iter([502, 503])

    async def answer(request: web.Request) -> web.Response:
        status = next(statuses, 200)
        return web.Response(status=status, text=HANDSHAKE if status == 200 else "bad gateway")

    app = web.Application()
    app.router.add_get("/socket.io/", answer)
    async with serving(app) as url:
        assert await handshake(url, 30.0)


@pytest.mark.parametrize("wait_s", [0.0, 0.3])
async def test_a_server_that_does_not_start_is_unreachable(wait_s: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with pytest.raises(Unreachable, match="Nothing answers"):
        await handshake(f"http://127.0.0.1:{port}", wait_s)


@pytest.mark.parametrize(("status", "error"), [(404, NotSocketIO), (403, Rejected)])
async def test_an_answer_of_a_running_server_is_not_awaited(status: int, error: type[Exception]) -> None:
    began = time.monotonic()
    async with serving(answering(status, "no")) as url:
        with pytest.raises(error):
            await handshake(url, 60.0)
    assert time.monotonic() - began < 30
