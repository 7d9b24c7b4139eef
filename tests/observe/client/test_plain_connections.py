"""Connections of the simulated client without Socket.IO, at servers that send what they should not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from wscheck.config.event_contract import Contract, ContractEvent
from wscheck.config.target import EVENT_STREAM, WEBSOCKET, Credentials, ServerTarget
from wscheck.model.errors import UsageError
from wscheck.observe.client import plain_connections
from wscheck.observe.client.connection import ClientConnection
from wscheck.observe.client.new_connection import new_connection
from wscheck.observe.client.plain_connections import check_stream_requests
from wscheck.observe.client.preflight import IgnoreEvents

Serve = Callable[[Any], Awaitable[None]]


class Recorder(IgnoreEvents):
    """A listener that records the names and payloads of events, problems and ends."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def delivered(self, connection: ClientConnection, name: str, payload: object) -> None:
        self.calls.append((name, payload))

    def unreadable(self, connection: ClientConnection, reason: str) -> None:
        self.calls.append(("unreadable", reason))

    def refused(self, connection: ClientConnection, reason: str, message: str) -> None:
        self.calls.append((reason, message))

    def disconnected(self, connection: ClientConnection, reason: str) -> None:
        self.calls.append(("disconnected", reason))


@asynccontextmanager
async def connected(protocol: str, serve: Serve, **headers: str) -> AsyncIterator[tuple[ClientConnection, Recorder]]:
    """Open a connection to a server that calls `serve` with its side of the connection."""

    async def handle(request: web.Request) -> web.StreamResponse:
        answer: web.StreamResponse = (
            web.WebSocketResponse(timeout=0.1)
            if protocol == WEBSOCKET
            else web.StreamResponse(headers={"Content-Type": "text/event-stream", **headers})
        )
        await answer.prepare(request)
        await serve(answer)
        return answer

    application = web.Application()
    application.router.add_get("/", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    recorder = Recorder()
    target = ServerTarget(url=f"http://127.0.0.1:{runner.addresses[0][1]}", timeout_s=5.0).with_protocol(protocol)
    connection = new_connection(target, Credentials("ann"), recorder, page="tab", component="component")
    try:
        await connection.open()
        yield connection, recorder
    finally:
        await connection.close()
        await runner.cleanup()


async def send_text_without_end(socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):
        while not socket.closed:
            await socket.send_str("noise" * 1000)


async def test_a_server_that_never_stops_sending_does_not_hold_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_connections, "GOODBYE_LIMIT_S", 0.2)
    async with connected(WEBSOCKET, send_text_without_end) as (connection, _), asyncio.timeout(30):
        assert connection.is_connected
        await connection.close()
        assert not connection.is_connected


async def test_a_message_that_is_too_large_ends_the_connection() -> None:
    async with connected(WEBSOCKET, lambda socket: socket.send_str("x" * (17 << 20))) as (connection, recorder):
        assert await connection.wait_until_ended(30)
        assert recorder.calls[0] == ("unreadable", "the server sent a message larger than 16 MiB")


async def test_messages_have_the_name_that_they_state() -> None:
    async def serve(socket: web.WebSocketResponse) -> None:
        for text in ('{"type": "a", "x": 1}', '["b", 2]', "text", "{"):
            await socket.send_str(text)
        await socket.send_bytes(b"\xff")
        await socket.close(code=4000)

    async with connected(WEBSOCKET, serve) as (connection, recorder):
        await connection.wait_until_ended(30)
        assert recorder.calls == [
            ("a", {"type": "a", "x": 1}),
            ("b", ["b", 2]),
            *(("message", payload) for payload in ("text", "{", None)),
            ("disconnected", "io server disconnect"),
        ]


async def test_events_of_a_stream_have_their_type_or_the_name_that_they_state() -> None:
    async def serve(stream: web.StreamResponse) -> None:
        for part in (b": ping\n\nevent: a\nda", b'ta: {"x": "\xc3', b'\xa4"}\n\ndata: {"type": "b"}\n\n'):
            await stream.write(part)
            await asyncio.sleep(0)

    async with connected(EVENT_STREAM, serve) as (connection, recorder):
        await connection.wait_until_ended(30)
        assert recorder.calls == [
            ("a", {"x": "ä"}),
            ("b", {"type": "b"}),
            ("disconnected", "io server disconnect"),
        ]


async def test_an_answer_of_another_media_type_is_no_stream() -> None:
    async with connected(EVENT_STREAM, lambda stream: stream.write(b"x"), **{"Content-Type": "text/html"}) as (
        connection,
        recorder,
    ):
        assert not connection.is_connected
        assert recorder.calls == [("refused", "HTTP 200 with the media type text/html, not text/event-stream")]


def test_what_a_client_emits_on_a_stream_is_a_request() -> None:
    check_stream_requests(Contract((ContractEvent(name="a", emit="POST /a?b=c"), ContractEvent(name="b"))))
    with pytest.raises(UsageError, match="`emit` must be an HTTP request"):
        check_stream_requests(Contract((ContractEvent(name="a", emit="a"),)))
