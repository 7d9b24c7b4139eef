"""Tests with unsuitable servers: one message with the problem and the next step, exit code 3, within the timeout."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Any

import pytest
import trustme
from aiohttp import web

from tests.bad_servers import HANDSHAKE, Talk, answering, serving, silent_tcp, talking
from tests.cli import Ran, wscheck
from tests.embedded_backend import embedded_backend
from tests.node_backend import Backend, node_backend
from wscheck.config.loading import load_config
from wscheck.model.findings import Verdict
from wscheck.run.verify.plan import plan_verify_run
from wscheck.run.verify.run import run_verify

QUICK = ("--timeout", "2s", "--window", "300ms", "--scenario", "single-connection")
FLOOD = 300
ACKNOWLEDGED = '40{"sid":"s1"}'

Server = Callable[[], AbstractAsyncContextManager[str]]
Started = Callable[..., AbstractContextManager[Backend]]


async def verify(url: str, *options: str, **environ: Any) -> Ran:
    return await asyncio.to_thread(partial(wscheck, "verify", url, *QUICK, *options, **environ))


def assert_could_not_check(ran: Ran, *patterns: str) -> None:
    """Assert exit code 3 and a message that matches all patterns, without a traceback."""
    assert ran.code == 3, ran.said
    assert "Traceback" not in ran.said
    for pattern in patterns:
        assert re.search(pattern, ran.said), (pattern, ran.said)


@contextlib.asynccontextmanager
async def closed_port() -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


def http(status: int, body: str, kind: str = "text/html") -> Server:
    return lambda: serving(answering(status, body, kind))


def websocket_server(talk: Talk) -> Server:
    return lambda: serving(talking(talk))


async def _never(ws: web.WebSocketResponse) -> None:
    await asyncio.sleep(30)


async def _garbage(ws: web.WebSocketResponse) -> None:
    await ws.send_str("\x00garbage")


@contextlib.asynccontextmanager
async def upgrade_stripped() -> AsyncIterator[str]:
    """Run a proxy that drops the Upgrade header, so that the server refuses the websocket."""

    async def answer(request: web.Request) -> web.Response:
        polls = request.query["transport"] == "polling"
        return web.Response(text=HANDSHAKE) if polls else web.json_response({"code": 3}, status=400)

    app = web.Application()
    app.router.add_get("/socket.io/", answer)
    async with serving(app) as url:
        yield url


UNSUITABLE_SERVERS: list[tuple[str, Server, tuple[str, ...]]] = [
    ("nothing listens", closed_port, ("Nothing answers at http://127", "Start the server")),
    ("accepts and is silent", silent_tcp, ("did not answer within 2 s", "--timeout")),
    ("a web site", http(200, "<html>hello</html>"), ("not a Socket.IO endpoint", "--path")),
    ("not found", http(404, "nope"), ("HTTP 404", "--path")),
    ("behind a login", http(401, "who are you"), ("HTTP 401", "WSCHECK_TOKEN")),
    ("a redirect", http(302, ""), ("HTTP 302", "--path")),
    (
        "Socket.IO 2 that says so",
        http(400, '{"code":5,"message":"Unsupported protocol version"}', "application/json"),
        ("Engine.IO 3", "Socket.IO 2.x", "upgrade"),
    ),
    ("Socket.IO 2 that answers", http(200, f"97:{HANDSHAKE}", "text/plain"), ("Engine.IO 3", "Socket.IO 2.x")),
    ("a proxy without upgrades", upgrade_stripped, ("refuses the websocket: HTTP 400", "forward the Upgrade")),
    ("never acknowledges", websocket_server(_never), ("did not acknowledge", "--namespace")),
    ("garbage after the handshake", websocket_server(_garbage), ("violates the Socket.IO protocol|not acknowledge",)),
]


@pytest.mark.parametrize(
    ("server", "words"), [c[1:] for c in UNSUITABLE_SERVERS], ids=[c[0] for c in UNSUITABLE_SERVERS]
)
async def test_an_unsuitable_server_is_reported(server: Server, words: tuple[str, ...]) -> None:
    async with server() as url:
        ran = await verify(url, "--transports", "websocket")
    assert_could_not_check(ran, "next: ", *words)
    assert ran.err.count("\n") == 2 and ran.out == "", ran.said


async def test_an_unknown_host_is_reported() -> None:
    assert_could_not_check(await verify("http://no-such-host.invalid"), "Nothing answers at", "host and port")


async def test_an_untrusted_certificate_is_reported() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        ran = await verify(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert_could_not_check(ran, "TLS certificate", "--insecure")


async def test_tls_with_a_server_without_tls_is_reported() -> None:
    async with serving(answering(200, "hello")) as url:
        ran = await verify(url.replace("http:", "https:"))
    assert_could_not_check(ran, "The TLS handshake with https://.+ failed: wrong version number", "http://")


@pytest.mark.parametrize(
    ("options", "environ", "words"),
    [
        (("--namespace", "/other"), {"WSCHECK_TOKEN": "token-of-user_123"}, ("no namespace '/other'", "--namespace")),
        (
            (),
            {"WSCHECK_TOKEN": "nonsense-token"},
            ("refused the connection of user_123", "WSCHECK_TOKEN", "--token-in"),
        ),
        ((), {}, ("refused the connection of user_123", "Set WSCHECK_TOKEN .or --token-file")),
    ],
    ids=["wrong namespace", "wrong token", "no token"],
)
async def test_refused_credentials_are_reported(
    options: tuple[str, ...], environ: dict[str, str], words: tuple[str, ...]
) -> None:
    with node_backend() as backend:
        ran = await verify(backend.url, *options, **environ)
    assert_could_not_check(ran, "next: ", *words)
    assert "nonsense-token" not in ran.said


@pytest.mark.parametrize("started", [node_backend, embedded_backend])
async def test_a_missing_first_transport_is_reported(started: Started) -> None:
    with started("--transports", "websocket") as backend:
        ran = await verify(backend.url, WSCHECK_TOKEN="token-of-user_123")
    assert_could_not_check(ran, "does not offer long-polling", "--transports websocket")


async def _malformed(ws: web.WebSocketResponse) -> None:
    await ws.send_str(ACKNOWLEDGED)
    await ws.send_str('42{"this is": no event')


async def _no_packet(ws: web.WebSocketResponse) -> None:
    await ws.send_str(ACKNOWLEDGED)
    await ws.send_str("hello there")


async def _huge(ws: web.WebSocketResponse) -> None:
    await ws.send_str(ACKNOWLEDGED)
    with contextlib.suppress(ConnectionError):
        await ws.send_str('42["big","' + "x" * 20_000_000 + '"]')


async def _flood(ws: web.WebSocketResponse) -> None:
    await ws.send_str(ACKNOWLEDGED)
    with contextlib.suppress(ConnectionError):
        for _ in range(2 * FLOOD):
            await ws.send_str('42["a",1]')


@pytest.mark.parametrize(
    ("talk", "window", "words"),
    [
        (_malformed, "300ms", "a packet that is not Socket.IO"),
        (_no_packet, "300ms", "a frame that is not an Engine.IO packet"),
        (_huge, "2s", "larger than 16 MiB"),
    ],
    ids=["malformed", "no packet", "20 MB"],
)
async def test_malformed_data_after_the_handshake_is_reported(talk: Talk, window: str, words: str) -> None:
    async with serving(talking(talk)) as url:
        ran = await verify(url, "--transports", "websocket", "--window", window)
    assert_could_not_check(ran, words)


async def test_a_flood_of_events_ends_the_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wscheck.scenarios.context.MAX_EVENTS", FLOOD)
    # The long window shows that the limit, and not the window, ends the phase.
    settings = {"verify.window": "600s", "target.transports": "websocket"}
    async with serving(talking(_flood)) as url, asyncio.timeout(60):
        config = load_config({"target.url": url, **settings}, directory=None, environ={})
        report = (await run_verify(plan_verify_run(config, ["single-connection"]))).report
    assert report.verdict is Verdict.INCONCLUSIVE
    assert f"more than {FLOOD} events" in report.reason


@pytest.mark.parametrize(
    ("end", "window", "words"),
    [
        (signal.SIGKILL, "4s", ("the server went away during the scenario: Nothing answers", "look in its log")),
        (signal.SIGSTOP, "500ms", ()),
    ],
    ids=["killed", "hung"],
)
async def test_a_server_that_ends_during_a_run_is_reported(
    end: signal.Signals, window: str, words: tuple[str, ...]
) -> None:
    """Missing answers are neither refusals nor findings, and no further scenario is tried."""
    with node_backend() as backend:
        options = ("--window", window, "--scenario", "second-tab", "--scenario", "auth-refused")
        running = asyncio.create_task(verify(backend.url, *options, WSCHECK_TOKEN="token-of-user_123"))
        async with asyncio.timeout(30):
            # The preflight's connection was the first.
            while backend.counters()["open"] == 0 or backend.counters()["connects"] < 2:
                await asyncio.sleep(0.02)
        os.kill(backend.pid, end)
        ran = await running
    told = " ".join(ran.out.split())
    assert ran.code == 3 and "Traceback" not in ran.said and not re.search(r"\d failed", told), ran.said
    for word in (*words, "not tried: the server went away during single-connection"):
        assert word in told, ran.said
