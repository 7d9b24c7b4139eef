"""Tests of the steps after connecting, against a server that speaks the packets of each case."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.bad_servers import serving, talking
from tests.observe.client.conftest import ANN
from wscheck.config.connect import ConnectOptions, ConnectStep
from wscheck.config.target import ServerTarget
from wscheck.model.events import Connected, Delivered, Event, Refused
from wscheck.observe.client.simulated_page import ClientRecorder, UnifiedPage

LOGIN = ConnectStep(emit="login", payload={"key": "{token}"}, ack=True, within=2.0)
WELCOME = ConnectStep(wait_for="welcome", within=0.2)


@asynccontextmanager
async def page_at(app: web.Application, recorder: ClientRecorder, *steps: ConnectStep) -> AsyncIterator[UnifiedPage]:
    async with serving(app) as url:
        connect = ConnectOptions(steps=steps)
        target = ServerTarget(url=url, transports=("websocket",), timeout_s=5.0, connect=connect)
        page = UnifiedPage("tab-1", target, ANN, recorder)
        try:
            await page.mount("Component")
            yield page
        finally:
            await page.close()


def script(*answers: str, closes: bool = False) -> web.Application:
    """Return a server that sends `answers` after it received the first event. `{id}` is the acknowledgement id."""

    async def talk(ws: web.WebSocketResponse) -> None:
        await ws.send_str('40{"sid":"s1"}')
        await ws.send_str('42["notice",1]')
        received = await ws.receive_str()
        for answer in answers:
            await ws.send_str(answer.replace("{id}", received[2:].partition("[")[0]))
        if closes:
            await ws.close()

    return talking(talk)


def told(events: list[Event]) -> list[str | None]:
    """Return "connected", the message of a refusal, and the names of events, in order."""
    found: list[str | None] = []
    for event in events:
        if isinstance(event, Connected):
            found.append("connected")
        elif isinstance(event, Refused):
            found.append(event.message)
        elif isinstance(event, Delivered):
            found.append(event.name)
    return found


async def test_the_connection_counts_after_the_last_step(events: list[Event], recorder: ClientRecorder) -> None:
    app = script('42["tick",1]', '43{id}[{"ok":true}]', '42["welcome",{"name":"ann"}]')
    async with page_at(app, recorder, LOGIN, WELCOME) as page:
        assert page.components[0].is_connected
    assert told(events) == ["connected", "notice", "tick", "welcome"]


@pytest.mark.parametrize(
    ("answers", "closes", "message"),
    [
        (('43{id}[{"error":"bad key"}]',), False, "step 1 after connecting, login: bad key"),
        (("43{id}[]",), False, "step 2 after connecting, welcome: no welcome within 0.2 s"),
        (("41",), False, "step 1 after connecting, login: the server ended the connection (io server disconnect)"),
        ((), True, "step 1 after connecting, login: the server ended the connection (transport close)"),
    ],
)
async def test_a_step_that_fails_is_a_refusal(
    events: list[Event], recorder: ClientRecorder, answers: tuple[str, ...], closes: bool, message: str
) -> None:
    async with page_at(script(*answers, closes=closes), recorder, LOGIN, WELCOME) as page:
        assert not page.components[0].is_connected
    assert told(events) == [message]
    assert {event.reason for event in events if isinstance(event, Refused)} == {"refused"}


async def test_cookies_and_headers_are_sent_exactly_as_given_with_every_request(recorder: ClientRecorder) -> None:
    seen: list[tuple[str, str | None, str | None]] = []
    probed = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append((request.query["transport"], request.headers.get("Cookie"), request.headers.get("Origin")))
        if request.query["transport"] == "websocket":
            probed.set()
        elif "sid" in request.query:
            await probed.wait()
            return web.Response(status=500)
        response = web.Response(text='0{"sid":"e1","upgrades":["websocket"],"pingInterval":9000,"pingTimeout":9000}')
        response.set_cookie("route", "a1")
        return response

    app = web.Application()
    app.router.add_route("*", "/socket.io/", answer)
    connect = ConnectOptions(cookies={"s": "YWZn/Q2V+c=="}, headers={"Origin": "https://app.example"})
    async with serving(app) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, timeout_s=1.0, connect=connect), ANN, recorder)
        await page.mount("Component")
        await page.close()
    assert seen[0] == ("polling", "s=YWZn/Q2V+c==", "https://app.example")
    assert set(seen[1:]) == {
        ("polling", "s=YWZn/Q2V+c==; route=a1", "https://app.example"),
        ("websocket", "s=YWZn/Q2V+c==; route=a1", "https://app.example"),
    }
