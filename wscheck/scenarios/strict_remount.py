"""React's StrictMode mounts, unmounts and mounts again before the first connection is even there."""

import asyncio

from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, Scenario


class StrictRemount(Scenario):
    id = "strict-remount"
    claim = "A component that mounts, unmounts and mounts again at once holds one connection, with one handler."

    async def drive(self, stage: Stage) -> None:
        page = stage.page()
        first = page.begin(DASHBOARD)
        opening = asyncio.ensure_future(page.attach(first))
        await asyncio.sleep(0)  # the first connection has begun and is not there yet
        await first.unmount()
        await opening
        second = await page.mount(DASHBOARD)
        stage.expect("connected", page)
        event = next((e for e in stage.contract.events if e.emit is not None), None)
        if event is not None:
            await stage.ask(event, second, [second])
        await stage.watch(max(stage.window / 2, stage.cast.grace * 2))
        stage.expect("connected", page)
        await second.unmount()
        await stage.watch(stage.cast.grace * 2)
