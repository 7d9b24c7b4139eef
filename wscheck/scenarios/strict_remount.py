"""React's StrictMode: a component unmounts before its connection is open, and mounts again."""

import asyncio

from wscheck.scenarios.context import DASHBOARD, ScenarioContext
from wscheck.scenarios.scenario import Scenario


class StrictRemount(Scenario):
    id = "strict-remount"
    claim = "A component that mounts, unmounts and immediately mounts again has one connection and one handler."

    async def run(self, context: ScenarioContext) -> None:
        page = context.new_page()
        first = page.add_component(DASHBOARD)
        opening = asyncio.ensure_future(page.attach(first))
        await asyncio.sleep(0)  # the first attempt has started, but is not connected yet
        await first.unmount()
        await opening
        second = await page.mount(DASHBOARD)
        context.expect("connected", page)
        event = context.contract.first_requestable
        if event is not None:
            await context.request(event, second, [second])
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))
        context.expect("connected", page)
        await second.unmount()
        await context.observe(context.settings.grace_s * 2)
