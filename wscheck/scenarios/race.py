"""Several connections of one user at the very same time: the moment in which a lookup that waits is wrong."""

import asyncio

from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.report import Control
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario

AT_ONCE = 5


class Race(Scenario):
    """The five come from different pages, so that only the server can make them one."""

    id = "race"
    claim = f"{AT_ONCE} simultaneous connections of one user end as one."
    rules = (MultipleConnections, ConnectionMissing)

    async def drive(self, stage: Stage) -> None:
        pages = [stage.page(f"tab-{number}") for number in range(1, AT_ONCE + 1)]
        mounts = [page.begin(DASHBOARD) for page in pages]
        await asyncio.gather(*(mount.page.attach(mount) for mount in mounts))
        await stage.watch(max(stage.window / 2, stage.cast.grace * 2))
        stage.expect("connected", pages[0])

    async def control(self, stage: Stage) -> None:
        """The documented fault at the same target, the wizard well after the dashboard: is it policy to keep both?"""
        page = stage.page(fault=True)
        await page.mount(DASHBOARD)
        await stage.watch(max(stage.window / 2, stage.cast.grace * 2))
        await page.mount(WIZARD)
        await stage.until_it_reacted()

    def moot(self, control: Control, replacements: int) -> str | None:
        """Keeping both in the control is no policy where some of the five were replaced: the two met different
        processes, of which each knows only its own."""
        if control.connections_opened < 2 or control.replacements or replacements:
            return None
        return "the server lets a user hold several connections, also one after the other: it makes no five into one"
