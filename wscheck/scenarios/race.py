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
from wscheck.scenarios.scenario import PhaseFigures, Scenario

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
        await context.watch_endings()
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

    def policy_gap(self, control: Control, phase: PhaseFigures) -> Gap | None:
        """Return a gap if the server lets a user have several connections, even if they are opened one after the other.

        If the server kept both connections of the control and some of the simultaneous connections, there are two
        possible reasons. Either it allows a user this number of connections. Or the connections reached different
        server processes, and each process knows only its own connections. Only the servers' logs show the reason.
        """
        if control.connections_opened < 2 or control.replacements or phase.turned_away or phase.stayed < 2:
            return None
        if phase.stayed == phase.opened:
            reason = (
                "the server lets a user have several connections, also when they are not opened simultaneously: if "
                f"that is intended, write {POLICY_LINE}"
            )
            return Gap(id="no-policy", reason=reason, closes_with=POLICY_LINE, rules=("multiple-connections",))
        if phase.processes > 1:
            return None
        reason = (
            f"the server keeps {phase.stayed} of {phase.opened} simultaneous connections of a user, and both of two "
            f"that are opened one after the other: either it allows a user {phase.stayed}, then write connections = "
            f"{phase.stayed} under [policy] in wscheck.toml, or it has several processes that each keep one "
            "(--server-log for each of them)"
        )
        closes = f"connections = {phase.stayed} under [policy] in wscheck.toml"
        return Gap(id="no-policy", reason=reason, closes_with=closes, rules=("multiple-connections",))

    def is_settled(self, phase: PhaseFigures, options: RuleOptions) -> bool:
        limit = self.rule_options(options).policy.limit
        return limit is not None and phase.stayed <= limit
