"""A second tab of the same user: what does the server's policy do to the first, and is it told why?"""

from wscheck.detect.rules.event_leaked import EventLeaked
from wscheck.detect.rules.tab_displaced import TabDisplaced
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, Scenario


class SecondTab(Scenario):
    id = "second-tab"
    claim = "A second tab does not start a war of replacements; what it does to the first tab is told."
    rules = (TabDisplaced, EventLeaked)

    async def drive(self, stage: Stage) -> None:
        for name in ("tab-1", "tab-2"):
            await stage.page(name).mount(DASHBOARD)
        await stage.watch(max(stage.window / 2, stage.cast.grace * 2))
