"""Handlers that were read become events of the connection of their socket."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wscheck.observe.browser import handlers as handlers_module
from wscheck.observe.browser.handlers import HandlerPoller, SocketHandlers, _Change, _SocketState


def socket(sid: str | None, *events: str) -> _SocketState:
    """What a read finds: a socket whose handlers of these events changed. None is left, so no position is looked up."""
    return _SocketState(index=0, sid=sid, nsp="/", changed={name: _Change(0, 0) for name in events})


async def test_handlers_that_were_read_before_the_socket_connected_belong_to_its_connection() -> None:
    handlers = SocketHandlers(cast("Any", None), "session", None, cast("Any", None))
    await handlers._record_socket(socket(None, "order"), at=1.0)
    assert [event.sid for event in handlers.events()] == [None]
    await handlers._record_socket(socket("s1"), at=2.0)
    await handlers._record_socket(socket("s2", "chat"), at=3.0)
    assert [(event.name, event.sid) for event in handlers.events()] == [("order", "s1"), ("chat", "s2")]


class FakePage:
    """DevTools connection to a page in which every call of a function returns one value."""

    def __init__(self, value: object) -> None:
        self.value = value

    def send(self, method: str, params: dict[str, Any], session: str) -> None:
        pass

    async def call(self, method: str, params: dict[str, Any], session: str) -> dict[str, Any]:
        result = {"type": "object", "value": self.value, "objectId": "1"}
        return {"result": result, "objects": result}


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "x",
        {},
        [5],
        [{}],
        [{"index": "0", "nsp": "/", "changed": {}}],
        [{"index": 0, "nsp": "/", "changed": 5}],
    ],
)
async def test_values_of_a_page_that_replaces_built_in_functions_are_no_handlers(value: object) -> None:
    handlers = SocketHandlers(cast("Any", FakePage(value)), "session", None, cast("Any", None))
    await handlers.find_sockets()
    assert handlers.is_malformed and handlers.events() == []


async def test_a_well_formed_answer_is_read() -> None:
    value = [{"index": 0, "sid": "s1", "nsp": "/", "changed": {"order": {"count": 0, "lost": 1}}}]
    handlers = SocketHandlers(cast("Any", FakePage(value)), "session", None, cast("Any", None))
    await handlers.find_sockets()
    assert [event.name for event in handlers.events()] == ["order"] and not handlers.is_malformed


async def test_the_last_read_does_not_wait_for_a_page_that_answers_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {name: SimpleNamespace(session=name, tab=name) for name in ("tab 1", "tab 2")}
    poller = HandlerPoller(*cast("Any", (None, None, None, SimpleNamespace(by_session=targets))))
    read = list[str]()

    async def read_handlers(target: Any) -> None:
        if target.session == "tab 2":
            await asyncio.Event().wait()
        read.append(target.session)

    monkeypatch.setattr(handlers_module, "READ_ALL_TIMEOUT_S", 0.01)
    monkeypatch.setattr(poller, "_read_if_responsive", read_handlers)
    async with asyncio.timeout(10):
        await poller.read_all()
    assert read == ["tab 1"] and [note.partition(" did")[0] for note in poller.notes] == ["tab 2"]
