"""A server that never stops sending: the timers of the client run, and the connection closes."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from wscheck.observe.client import instrumented_client
from wscheck.observe.client.instrumented_client import InstrumentedClient, _InstrumentedWebSocket

EVENT = SimpleNamespace(type=aiohttp.WSMsgType.TEXT, data='42["noise"]')


class Listener:
    """Problems that a client reported. All other reports are ignored."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def on_malformed(self, problem: str) -> None:
        self.problems.append(problem)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class Endless:
    """A websocket with a message in its buffer at any time."""

    async def receive(self) -> Any:
        return EVENT

    async def close(self) -> None:
        await asyncio.Event().wait()


async def test_a_buffered_message_lets_other_tasks_run() -> None:
    websocket, turns = _InstrumentedWebSocket(Endless(), Listener()), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.ensure_future(other())
    for _ in range(instrumented_client.MESSAGES_PER_TURN * 4):
        assert await websocket.receive() is EVENT
    task.cancel()
    assert turns >= 3


async def test_a_websocket_closes_although_messages_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instrumented_client, "CLOSE_LIMIT_S", 0.01)
    websocket = _InstrumentedWebSocket(Endless(), Listener())
    async with asyncio.timeout(20):
        await websocket.close()


async def test_text_in_place_of_an_attachment_is_malformed() -> None:
    listener = Listener()
    client = InstrumentedClient(listener)
    await client._handle_eio_message('51-["picture",{"_placeholder":true,"num":0}]')
    assert listener.problems == []
    await client._handle_eio_message("1")
    assert listener.problems == ["text instead of an attachment"]
