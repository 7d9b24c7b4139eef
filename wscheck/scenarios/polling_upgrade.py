"""Long-polling first, then websocket: two transports, one connection."""

from wscheck.model.events import SOURCE_CLIENT, Connected
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario

POLL_FIRST = ("polling", "websocket")


class PollingUpgrade(Scenario):
    id = "polling-upgrade"
    claim = "A page that starts with long-polling and upgrades to websocket holds one connection."

    async def drive(self, stage: Stage) -> None:
        if nothing := _nothing_to_upgrade(stage):
            return stage.skip(nothing)
        page = stage.page(transports=POLL_FIRST)
        mounts = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        stage.expect("connected", page)
        await stage.watch(stage.window / 2)
        seen = [e.transport for e in stage.events if isinstance(e, Connected) and e.source == SOURCE_CLIENT]
        if seen and "websocket" not in seen:
            stage.unjudged("no upgrade came about: the server offers none, or a proxy drops its headers")
        for mount in mounts:
            await mount.unmount()
        return None

    async def control(self, stage: Stage) -> None:
        """The documented fault at the same target, with long-polling first."""
        if _nothing_to_upgrade(stage):
            return  # what the application does not use may not even work there
        page = stage.page(fault=True, transports=POLL_FIRST)
        await page.mount(DASHBOARD)
        await page.mount(WIZARD)
        await stage.until_it_reacted()


def _nothing_to_upgrade(stage: Stage) -> str:
    used = stage.cast.target.transports
    return f"the application uses {used[0]} only, so there is nothing to upgrade" if set(used) < set(POLL_FIRST) else ""
