"""Documented test 1: the dashboard and the wizard are open, and there is one connection."""

from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario


class SingleConnection(Scenario):
    id = "single-connection"
    claim = "Two components of one page use one connection, and nothing replaces it."

    async def drive(self, stage: Stage) -> None:
        page = stage.page()
        mounts = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        await stage.watch()
        stage.expect("connected", page)
        for mount in mounts:
            await mount.unmount()
