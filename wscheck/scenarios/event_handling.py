"""Second test of docs/origin.md: every event of the contract arrives exactly once."""

import asyncio
from functools import partial

import msgspec

from wscheck.detect.rules.event_unheard import EventUnheard
from wscheck.scenarios.context import (
    DASHBOARD,
    NO_MESSAGE,
    SHORT_WAIT_S,
    WIZARD,
    WRONG_TOKEN,
    ScenarioContext,
    ScenarioSettings,
)
from wscheck.scenarios.scenario import CONNECTION_RULES, Scenario


class EventHandling(Scenario):
    id = "event-handling"
    claim = "Every event of the contract arrives exactly once, and reaches every component."
    rules = (*CONNECTION_RULES, EventUnheard)

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why the scenario does not apply to this server, "" if it applies."""
        return NO_MESSAGE if not settings.target.is_socket_io and not settings.contract.events else ""

    async def run(self, context: ScenarioContext) -> None:
        page = context.new_page()
        components = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        context.expect("connected", page)
        requested = [e for e in context.contract.events if e.emit is not None]
        await context.request_all(requested, components[0], components)
        unrequested = [e for e in context.contract.events if e.emit is None]
        for event in unrequested:
            context.expect("unrequested", page, name=event.name, required=event.required)
        await asyncio.gather(
            *(context.wait_until(partial(context.has_received, e.name, page), e.within) for e in unrequested)
        )
        for event in unrequested:
            if event.required and not context.has_received(event.name, page):
                context.mark_not_evaluated(
                    f"{event.name} did not arrive, and its [[event]] in wscheck.toml has no `emit` that requests it"
                )
        await context.wait_for_duplicates()
        await context.request_possible_copies_again(requested, components[0])
        context.expect("connected", page)
        if requested and not context.has_received_anything(page) and components[0].is_connected:
            for mounted in components:
                await mounted.unmount()
            await _connect_as_stranger(context)


async def _connect_as_stranger(context: ScenarioContext) -> None:
    """Connect with a wrong token.

    If the server accepts the wrong token and sends nothing, the application may use another namespace, and the
    scenario tested the wrong one.
    """
    stranger = msgspec.structs.replace(context.settings.user, token=WRONG_TOKEN, kind="invalid")
    mounted = await context.new_page("tab-2", credentials=stranger, timeout_s=SHORT_WAIT_S * 8).mount(DASHBOARD)
    await context.observe(SHORT_WAIT_S)
    await mounted.unmount()
