"""Documented test 2: every contracted event arrives, once, on the one connection."""

import asyncio
from functools import partial

from wscheck.detect.rules.event_unheard import EventUnheard
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import CONNECTION_RULES, DASHBOARD, WIZARD, Scenario


class EventHandling(Scenario):
    id = "event-handling"
    claim = "Every event of the contract arrives once, on the one connection, and reaches every component."
    rules = (*CONNECTION_RULES, EventUnheard)

    async def drive(self, stage: Stage) -> None:
        page = stage.page()
        mounts = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        stage.expect("connected", page)
        await stage.ask_each([e for e in stage.contract.events if e.emit is not None], mounts[0], mounts)
        unasked = [e for e in stage.contract.events if e.emit is None]
        await asyncio.gather(*(stage.until(partial(stage.received, e.name, page), e.within) for e in unasked))
        for event in unasked:
            if not stage.received(event.name, page):
                stage.unjudged(f"{event.name} was not observed, and the contract names nothing that makes it come")
        await stage.aftermath()
