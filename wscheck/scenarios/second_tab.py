"""A second tab of the same user: it may end the first tab's connection, but must not start a loop of replacements."""

from wscheck.detect.rules import RuleOptions
from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.event_leaked import EventLeaked
from wscheck.detect.rules.event_missing import EventMissing
from wscheck.detect.rules.tab_displaced import TabDisplaced
from wscheck.scenarios.context import DASHBOARD, ScenarioContext
from wscheck.scenarios.scenario import Scenario


class SecondTab(Scenario):
    """Two pages of one user. A page that stays connected must still be served.

    A server that stores one socket per user may keep a connection open and forget it.
    """

    id = "second-tab"
    claim = "A second tab does not start a loop of replacements. Its effect on the first tab is reported."
    rules = (TabDisplaced, ConnectionMissing, EventLeaked, EventMissing)

    async def run(self, context: ScenarioContext) -> None:
        tabs = [await context.new_page(name).mount(DASHBOARD) for name in ("tab-1", "tab-2")]
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))
        # Whichever tab the server prefers, one of them must stay connected.
        context.expect("connected", next((mounted for mounted in tabs if mounted.is_connected), tabs[0]).page)
        event = context.contract.first_requestable
        if event is None or not event.required or context.settings.contract_is_assumed:
            return  # what the server need not send shows nothing when it does not arrive
        for mounted in tabs:
            if mounted.is_connected:
                await context.request(event, mounted, [mounted])

    def rule_options(self, options: RuleOptions) -> RuleOptions:
        return options
