"""A second tab of the same user: it may end the first tab's connection, but must not start a loop of replacements."""

from wscheck.detect.rules import RuleOptions
from wscheck.detect.rules.event_leaked import EventLeaked
from wscheck.detect.rules.tab_displaced import TabDisplaced
from wscheck.scenarios.context import DASHBOARD, ScenarioContext
from wscheck.scenarios.scenario import Scenario


class SecondTab(Scenario):
    id = "second-tab"
    claim = "A second tab does not start a loop of replacements. Its effect on the first tab is reported."
    rules = (TabDisplaced, EventLeaked)

    async def run(self, context: ScenarioContext) -> None:
        for name in ("tab-1", "tab-2"):
            await context.new_page(name).mount(DASHBOARD)
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))

    def rule_options(self, options: RuleOptions) -> RuleOptions:
        return options
