"""Tests of long-polling: the client reads bursts completely and reports malformed responses."""

import asyncio
import itertools

import msgspec
import pytest
from aiohttp import web

from tests.bad_servers import HANDSHAKE, serving
from tests.observe.client.conftest import ANN
from wscheck.backend.server import ReferenceBackend
from wscheck.config.target import ServerTarget
from wscheck.model.events import Connected, Delivered, Event, Refused, Unreadable
from wscheck.observe.client.instrumented_client import MAX_MESSAGE_BYTES, MAX_PACKETS_PER_RESPONSE
from wscheck.observe.client.simulated_page import ClientRecorder, UnifiedPage

BURST = 60
"""More than the 16 packets that python-engineio accepts in one response."""


async def wait_for_events(kind: type[Event], events: list[Event], count: int = 1) -> list[Event]:
    async with asyncio.timeout(10):
        while sum(isinstance(event, kind) for event in events) < count:
            await asyncio.sleep(0.005)
    return [event for event in events if isinstance(event, kind)]


ACKNOWLEDGED = '40{"sid":"s1"}'


def answering_with(body: bytes, *, then: bytes | None = None, first: str = ACKNOWLEDGED) -> web.Application:
    """Return a server that accepts a client by long-polling, then answers with `body`, and after that with `then`."""
    acknowledged = asyncio.Event()
    answers = itertools.chain([first.encode(), body], itertools.repeat(body if then is None else then))

    async def answer(request: web.Request) -> web.Response:
        if request.method == "POST":
            acknowledged.set()
            return web.Response(text="ok")
        if "sid" not in request.query:
            return web.Response(text=HANDSHAKE)
        await acknowledged.wait()
        return web.Response(body=next(answers))

    app = web.Application()
    app.router.add_route("*", "/socket.io/", answer)
    return app


async def test_a_burst_is_read_completely(events: list[Event], recorder: ClientRecorder) -> None:
    async with serving(answering_with(b"\x1e".join([b'42["a",1]'] * BURST))) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, transports=("polling",), timeout_s=5.0), ANN, recorder)
        mount = await page.mount("Dashboard")
        await wait_for_events(Delivered, events, BURST)
        assert mount.is_connected
        await page.close()
    assert not any(isinstance(event, Unreadable) for event in events)


@pytest.mark.parametrize(("recovery", "digests"), [(',"pid":"p1"', 1), ("", 2)])
async def test_copies_are_alike_without_the_offset_for_recovery(
    recovery: str, digests: int, events: list[Event], recorder: ClientRecorder
) -> None:
    copies = b'42["line",{"n":1},"1764525832000-0"]\x1e42["line",{"n":1},"1764525832000-1"]'
    async with serving(answering_with(copies, then=b"6", first=f'40{{"sid":"s1"{recovery}}}')) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, transports=("polling",), timeout_s=5.0), ANN, recorder)
        await page.mount("Dashboard")
        delivered = await wait_for_events(Delivered, events, 2)
        await page.close()
    assert len({event.digest for event in delivered if isinstance(event, Delivered)}) == digests


async def test_events_before_the_acknowledgement_are_delivered_after_it(
    events: list[Event], recorder: ClientRecorder
) -> None:
    """python-socketio sends the events of its connect handler first. A browser buffers them."""
    async with serving(answering_with(b"6", first=f'42["welcome",1]\x1e{ACKNOWLEDGED}')) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, transports=("polling",), timeout_s=5.0), ANN, recorder)
        await page.mount("Dashboard")
        await page.close()
    kinds = [(type(event), getattr(event, "sid", None)) for event in events]
    assert kinds.index((Connected, "s1")) < kinds.index((Delivered, "s1"))


async def test_an_empty_poll_is_not_malformed(events: list[Event], recorder: ClientRecorder) -> None:
    """python-engineio answers so while it closes a session."""
    async with serving(answering_with(b"", then=b'42["a",1]')) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, transports=("polling",), timeout_s=5.0), ANN, recorder)
        await page.mount("Dashboard")
        await wait_for_events(Delivered, events)
        await page.close()
    assert not any(isinstance(event, Unreadable) for event in events)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b'42["big","' + b"x" * MAX_MESSAGE_BYTES + b'"]', "a message larger than 16 MiB"),
        (b"\x1e".join([b'42["a",1]'] * (MAX_PACKETS_PER_RESPONSE + 1)), "more than 20,000 packets in one response"),
        (b"\xff\xfe\x00", "a frame that is not an Engine.IO packet"),
    ],
    ids=["too large", "too many", "no text"],
)
async def test_malformed_responses_are_reported(
    body: bytes, problem: str, events: list[Event], recorder: ClientRecorder
) -> None:
    async with serving(answering_with(body)) as url:
        page = UnifiedPage("tab-1", ServerTarget(url=url, transports=("polling",), timeout_s=5.0), ANN, recorder)
        await page.mount("Dashboard")
        unreadable = await wait_for_events(Unreadable, events)
        await page.close()
    assert [event.reason for event in unreadable if isinstance(event, Unreadable)] == [f"the server sent {problem}"]


async def test_a_disconnect_together_with_the_acknowledgement_does_not_delay_mounting(
    target: ServerTarget, events: list[Event], recorder: ClientRecorder
) -> None:
    polling = msgspec.structs.replace(target, transports=("polling",), timeout_s=30.0)
    pages = [UnifiedPage(f"tab-{number}", polling, ANN, recorder) for number in range(5)]
    async with asyncio.timeout(10):
        mounts = await asyncio.gather(*(page.mount("Dashboard") for page in pages))
    assert sum(mount.is_connected for mount in mounts) == 1
    for page in pages:
        await page.close()
    assert not any(isinstance(event, Refused) for event in events)


async def test_closing_does_not_wait_for_the_open_poll(
    backend: ReferenceBackend, target: ServerTarget, recorder: ClientRecorder
) -> None:
    """The server answers the poll with its next ping, 25 seconds later."""
    page = UnifiedPage("tab-1", msgspec.structs.replace(target, transports=("polling",)), ANN, recorder)
    await page.mount("Dashboard")
    async with asyncio.timeout(5):
        await page.close()
    assert backend.counters()["disconnects"] == {"client namespace disconnect": 1}
