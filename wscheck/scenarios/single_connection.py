"""First test of docs/origin.md: two components of one page, one connection."""

from wscheck.scenarios.context import DASHBOARD, WIZARD, ScenarioContext
from wscheck.scenarios.scenario import Scenario


class SingleConnection(Scenario):
    id = "single-connection"
    claim = "Two components of one page share one connection, and it is not replaced."

    async def run(self, context: ScenarioContext) -> None:
        page = context.new_page()
        components = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        await context.observe()
        context.expect("connected", page)
        for mounted in components:
            await mounted.unmount()
