"""Several connections of one user at the same time.

A server overlooks some of them if it awaits between looking up the user's connection and storing the new one.
"""

import asyncio

from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.report import Control
from wscheck.scenarios.context import ScenarioContext
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario

PAGE_COUNT = 5


class Race(Scenario):
    """Simultaneous connections of one user, each from another page, so that only the server can reduce them to one."""

    id = "race"
    claim = f"Of {PAGE_COUNT} connections that one user opens simultaneously, one stays open."
    rules = (MultipleConnections, ConnectionMissing)

    async def run(self, context: ScenarioContext) -> None:
        pages = [context.new_page(f"tab-{number}") for number in range(1, PAGE_COUNT + 1)]
        components = [page.add_component(DASHBOARD) for page in pages]
        await asyncio.gather(*(mounted.page.attach(mounted) for mounted in components))
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))
        context.expect("connected", pages[0])

    async def run_control(self, context: ScenarioContext) -> None:
        """Open two connections of one user, the second well after the first.

        If both stay open, and all simultaneous connections too, the server allows a user several connections, and the
        scenario is skipped.
        """
        page = context.new_page(fault=True)
        await page.mount(DASHBOARD)
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))
        await page.mount(WIZARD)
        await context.wait_for_reaction()

    def not_applicable_reason(self, control: Control, replacements: int) -> str | None:
        """Return why the scenario does not apply if the server allows a user several connections, otherwise None.

        A server that kept both connections of the control but replaced some of the simultaneous ones does not allow
        several: the two connections of the control reached different server processes, each of which knows only its
        own connections.
        """
        if control.connections_opened < 2 or control.replacements or replacements:
            return None
        return "the server lets a user have several connections, also when they are not opened simultaneously"
