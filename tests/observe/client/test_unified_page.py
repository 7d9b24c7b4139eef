"""Tests of the unified page: one connection, shared by all components, that does not reconnect by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from tests.observe.client.conftest import ANN
from wscheck.backend.server import ReferenceBackend
from wscheck.config.target import ServerTarget
from wscheck.model.events import Connected, Disconnected, Event
from wscheck.observe.client.simulated_page import ClientRecorder, EventHandlers, UnifiedPage

DOCUMENTED_HANDLERS = {
    "on_bot_status_update": ("bot_status_update", {"status": "online"}),
    "on_message_sync": ("message_sync", {"messages": 3}),
    "on_connection_update": ("connection_update", {"connection": "open"}),
    "on_whatsapp_connected": ("whatsapp_connection_event", {"type": "whatsapp_connected"}),
    "on_whatsapp_disconnected": ("whatsapp_connection_event", {"type": "whatsapp_disconnected"}),
    "on_qr_updated": ("whatsapp_connection_event", {"type": "qr_updated"}),
    "on_connection_failed": ("whatsapp_connection_event", {"type": "connection_failed"}),
}


@pytest.fixture
async def page(target: ServerTarget, recorder: ClientRecorder) -> AsyncIterator[UnifiedPage]:
    unified_page = UnifiedPage("tab-1", target, ANN, recorder)
    yield unified_page
    await unified_page.close()


async def until(condition: Callable[[], bool], within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)


async def test_components_that_mount_simultaneously_share_one_connection(
    page: UnifiedPage, backend: ReferenceBackend
) -> None:
    dashboard, wizard, third = await asyncio.gather(*(page.mount(name) for name in ("A", "B", "C")))
    assert dashboard.connection is wizard.connection is third.connection
    assert dashboard.is_connected and wizard.is_connected
    assert backend.counters()["connects"] == 1


async def test_the_connection_closes_when_the_last_component_unmounts(
    page: UnifiedPage, backend: ReferenceBackend
) -> None:
    dashboard, wizard = await page.mount("A"), await page.mount("B")
    await dashboard.unmount()
    assert wizard.is_connected and not dashboard.is_connected
    await dashboard.unmount()  # a second unmount does nothing
    assert wizard.is_connected
    await wizard.unmount()
    assert not wizard.is_connected
    await until(lambda: backend.counters()["open"] == 0)
    assert backend.counters()["connects"] == 1


async def test_a_component_that_mounts_again_opens_a_new_connection(
    page: UnifiedPage, backend: ReferenceBackend
) -> None:
    await (await page.mount("A")).unmount()
    assert (await page.mount("A")).is_connected
    assert backend.counters()["connects"] == 2


async def test_an_unmount_during_the_host_name_lookup_does_not_cancel_the_caller(
    target: ServerTarget, recorder: ClientRecorder, events: list[Event]
) -> None:
    by_name = msgspec.structs.replace(target, url=target.url.replace("127.0.0.1", "localhost"))
    page = UnifiedPage("tab-1", by_name, ANN, recorder)
    mount = page.add_component("A")
    opening = asyncio.ensure_future(page.attach(mount))
    await asyncio.sleep(0)
    await mount.unmount()
    await opening
    assert not opening.cancelled()
    assert not any(isinstance(event, Connected) for event in events)


@pytest.mark.parametrize("handler", DOCUMENTED_HANDLERS)
async def test_each_documented_handler_receives_only_its_event(
    page: UnifiedPage, backend: ReferenceBackend, handler: str
) -> None:
    handled: list[tuple[str, Any]] = []

    def record_as(attribute: str) -> Callable[[Any], None]:
        return lambda data: handled.append((attribute, data))

    recorders: dict[str, Any] = {attribute: record_as(attribute) for attribute in DOCUMENTED_HANDLERS}
    handlers = EventHandlers(**recorders)
    await page.mount("A", handlers)
    name, payload = DOCUMENTED_HANDLERS[handler]
    await backend.sio.emit(name, payload, room="user:ann")
    await until(lambda: bool(handled))
    assert handled == [(handler, payload)]


async def test_an_unmounted_component_receives_no_events(page: UnifiedPage, backend: ReferenceBackend) -> None:
    unmounted_received: list[Any] = []
    mounted_received: list[Any] = []
    unmounted = await page.mount("A", EventHandlers(on_message_sync=unmounted_received.append))
    await page.mount("B", EventHandlers(on_message_sync=mounted_received.append))
    await unmounted.unmount()
    await backend.sio.emit("message_sync", {"n": 1}, room="user:ann")
    await until(lambda: bool(mounted_received))
    assert (unmounted_received, mounted_received) == ([], [{"n": 1}])


async def test_whatsapp_actions_reach_the_server(page: UnifiedPage) -> None:
    kinds: list[str] = []
    handlers = EventHandlers(
        on_whatsapp_connected=lambda data: kinds.append(data["type"]),
        on_whatsapp_disconnected=lambda data: kinds.append(data["type"]),
    )
    wizard = await page.mount("B", handlers)
    await wizard.trigger_whatsapp_connection()
    await until(lambda: kinds == ["whatsapp_connected"])
    await wizard.disconnect_whatsapp()
    await until(lambda: kinds == ["whatsapp_connected", "whatsapp_disconnected"])


async def test_a_replaced_page_does_not_reconnect(
    page: UnifiedPage, target: ServerTarget, recorder: ClientRecorder, events: list[Event], backend: ReferenceBackend
) -> None:
    first = await page.mount("A")
    other = UnifiedPage("tab-2", target, ANN, recorder)
    await other.mount("A")
    await until(lambda: not first.is_connected)
    reasons = [e.reason for e in events if isinstance(e, Disconnected) and e.page == "tab-1"]
    assert reasons == ["io server disconnect"]
    await asyncio.sleep(0.2)  # long enough for a client that reconnects
    assert backend.counters()["connects"] == 2
    await other.close()


async def test_a_page_reconnects_once_after_network_loss_and_calls_on_reconnect(
    page: UnifiedPage, events: list[Event]
) -> None:
    reconnections: list[str] = []
    handlers = EventHandlers(on_reconnect=lambda: reconnections.append("reconnected"))
    mounts = [await page.mount("A", handlers), await page.mount("B", handlers)]
    connection = mounts[0].connection
    assert connection is not None
    await connection.drop_network()
    await page.reconnect()
    assert all(mount.is_connected for mount in mounts)
    assert reconnections == ["reconnected", "reconnected"]
    assert sum(isinstance(e, Connected) for e in events) == 2


async def test_a_refusal_reaches_the_error_handler(target: ServerTarget, recorder: ClientRecorder) -> None:
    errors: list[Any] = []
    page = UnifiedPage("tab-1", target, type(ANN)("bob", ANN.token), recorder)
    mount = await page.mount("A", EventHandlers(on_connection_error=errors.append))
    assert not mount.is_connected
    assert errors == [{"reason": "refused", "message": "token does not belong to this user"}]
