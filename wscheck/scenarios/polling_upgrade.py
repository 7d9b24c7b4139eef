"""Long-polling, then websocket: two transports, one connection."""

from wscheck.model.events import Connected, Upgraded
from wscheck.scenarios.context import DASHBOARD, WIZARD, ScenarioContext, ScenarioSettings
from wscheck.scenarios.scenario import Scenario

UPGRADE_TIMEOUT_S = 2.0

POLLING_FIRST = ("polling", "websocket")


class PollingUpgrade(Scenario):
    """A page whose transport changes. Afterwards the websocket must carry traffic in both directions.

    The answer to a request of the contract shows it, or a second ping, which the server sends only after the answer to
    the first.
    """

    id = "polling-upgrade"
    claim = "A page that starts with long-polling and upgrades to websocket has one connection."

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why this application never upgrades the transport, "" if it can.

        A transport that the application does not use may not work at this server.
        """
        if not settings.target.is_socket_io:
            return "only Socket.IO starts with long-polling and upgrades the transport"
        used = settings.target.transports
        if set(used) < set(POLLING_FIRST):
            return f"the application uses {used[0]} only, so the transport is never upgraded"
        return ""

    async def run(self, context: ScenarioContext) -> None:
        page = context.new_page(transports=POLLING_FIRST)
        components = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        context.expect("connected", page)
        await context.wait_until(lambda: _is_upgraded(context), UPGRADE_TIMEOUT_S)
        await context.observe(context.window_s / 2)
        unanswered = None
        if _is_upgraded(context):
            unanswered = await context.show_traffic(components[0], components)
        elif any(isinstance(event, Connected) for event in context.events):
            context.mark_not_evaluated(
                "the transport was not upgraded: the server does not offer it, or a proxy drops the Upgrade header"
            )
        context.expect("connected", page)
        for mounted in components:
            await mounted.unmount()
        if unanswered is not None:
            await context.request_elsewhere(unanswered, transports=POLLING_FIRST[:1])  # is the upgrade the reason?

    async def run_control(self, context: ScenarioContext) -> None:
        """Mount two components that each open a connection (the documented fault), starting with long-polling.

        The rules must report the second connection, or the server must refuse it. Otherwise the scenario is
        inconclusive, because it could not have failed at this server.
        """
        page = context.new_page(fault=True, transports=POLLING_FIRST)
        await page.mount(DASHBOARD)
        await page.mount(WIZARD)
        await context.wait_for_reaction()


def _is_upgraded(context: ScenarioContext) -> bool:
    return any(
        isinstance(event, Upgraded) or (isinstance(event, Connected) and event.transport == "websocket")
        for event in context.events
    )
