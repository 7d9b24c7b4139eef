"""Several connections of one user at the same time.

A server overlooks some of them if it awaits between looking up the user's connection and storing the new one.
"""

import asyncio

import msgspec

from wscheck.detect.rules import RuleOptions
from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.gaps import Gap
from wscheck.model.policy import PER_USER, POLICY_LINE
from wscheck.model.report import Control
from wscheck.scenarios.context import DASHBOARD, WIZARD, ScenarioContext
from wscheck.scenarios.scenario import Scenario

PAGE_COUNT = 5


class Race(Scenario):
    """Simultaneous connections of one user, each from another page, so that only the server can reduce them to one."""

    id = "race"
    claim = f"Of {PAGE_COUNT} connections that one user opens simultaneously, as many stay open as the policy permits."
    rules = (MultipleConnections, ConnectionMissing)

    async def run(self, context: ScenarioContext) -> None:
        pages = [context.new_page(f"tab-{number}") for number in range(1, PAGE_COUNT + 1)]
        components = [page.add_component(DASHBOARD) for page in pages]
        await asyncio.gather(*(mounted.page.attach(mounted) for mounted in components))
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))
        for page in pages if context.settings.policy.is_per_page else pages[:1]:
            context.expect("connected", page)

    async def run_control(self, context: ScenarioContext) -> None:
        """Open two connections of one user, the second well after the first.

        If both stay open, and all simultaneous connections too, the server allows a user several connections. Without
        a `[policy]` in wscheck.toml, the scenario is then inconclusive.
        """
        page = context.new_page(fault=True)
        await page.mount(DASHBOARD)
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))
        await page.mount(WIZARD)
        await context.wait_for_reaction()

    def rule_options(self, options: RuleOptions) -> RuleOptions:
        return options if options.policy.is_set else msgspec.structs.replace(options, connections=PER_USER)

    def policy_gap(self, control: Control, ended: int) -> Gap | None:
        """Return a gap if the server lets a user have several connections, even if they open one after the other.

        A server that kept both connections of the control but replaced some of the simultaneous ones does not allow
        several: the two connections of the control reached different server processes, and each knows only its own
        connections.
        """
        if control.connections_opened < 2 or control.replacements or ended:
            return None
        reason = (
            "the server lets a user have several connections, also when they are not opened simultaneously: if that is "
            f"intended, write {POLICY_LINE}"
        )
        return Gap(id="no-policy", reason=reason, closes_with=POLICY_LINE, rules=("multiple-connections",))
