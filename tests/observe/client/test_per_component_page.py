"""Tests of the documented fault: a connection per component, and a loop only if the application reconnects."""

import asyncio

from tests.observe.client.conftest import ANN
from tests.observe.client.test_unified_page import until
from wscheck.backend.server import ReferenceBackend
from wscheck.config.target import ServerTarget
from wscheck.model.events import Connecting, Event
from wscheck.observe.client.simulated_page import ClientRecorder, PerComponentPage


async def test_every_component_opens_a_connection_and_none_reconnects_by_itself(
    target: ServerTarget, recorder: ClientRecorder, backend: ReferenceBackend
) -> None:
    page = PerComponentPage("tab-1", target, ANN, recorder)
    dashboard, wizard = await page.mount("Dashboard"), await page.mount("Wizard")
    await until(lambda: not dashboard.is_connected)
    assert wizard.is_connected and dashboard.connection is not wizard.connection
    await asyncio.sleep(0.2)  # long enough for a client that reconnects by itself
    assert (backend.counters()["connects"], backend.counters()["replaced"]) == (2, 1)
    await page.close()


async def test_reconnection_after_replacement_makes_the_documented_loop(
    target: ServerTarget, recorder: ClientRecorder, backend: ReferenceBackend, events: list[Event]
) -> None:
    page = PerComponentPage("tab-1", target, ANN, recorder, reconnect_delay_s=0.02)
    await page.mount("Dashboard")
    await page.mount("Wizard")
    await until(lambda: backend.counters()["replaced"] >= 5)
    await page.close()
    attempts = [event.by_scenario for event in events if isinstance(event, Connecting)]
    assert attempts[:2] == [True, True] and not any(attempts[2:]), "the client decides to reconnect, not a scenario"
    await until(lambda: backend.counters()["open"] == 0)
    await asyncio.sleep(0.1)  # requests in flight have reached the server
    connects = backend.counters()["connects"]
    await asyncio.sleep(0.1)  # nothing reconnects after the page was closed
    assert backend.counters()["connects"] == connects


async def test_an_unmounted_component_closes_its_connection(
    target: ServerTarget, recorder: ClientRecorder, backend: ReferenceBackend
) -> None:
    page = PerComponentPage("tab-1", target, ANN, recorder, reconnect_delay_s=0.02)
    mount = await page.mount("Dashboard")
    await mount.unmount()
    await until(lambda: backend.counters()["open"] == 0)
    assert not mount.is_connected


async def test_a_component_that_unmounts_after_replacement_does_not_reconnect(
    target: ServerTarget, recorder: ClientRecorder, backend: ReferenceBackend
) -> None:
    page = PerComponentPage("tab-1", target, ANN, recorder, reconnect_delay_s=0.05)
    dashboard = await page.mount("Dashboard")
    await page.mount("Wizard")
    await until(lambda: not dashboard.is_connected)
    await dashboard.unmount()
    await asyncio.sleep(0.2)  # four times as long as it would take
    assert (backend.counters()["connects"], len(page.connections)) == (2, 2)
    await page.close()
