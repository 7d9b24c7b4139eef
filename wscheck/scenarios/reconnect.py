"""The page loses its network and reconnects."""

from wscheck.detect.rules import DOCUMENTED
from wscheck.detect.rules.connection_missing import ConnectionMissing
from wscheck.detect.rules.connection_replaced import ConnectionReplaced
from wscheck.detect.rules.event_duplicated import bursts_of_copies
from wscheck.detect.rules.event_missing import EventMissing
from wscheck.observe.client.simulated_page import SimulatedPage
from wscheck.scenarios.context import DASHBOARD, WIZARD, ScenarioContext
from wscheck.scenarios.scenario import Scenario


class Reconnect(Scenario):
    """A page without network. A server may notice the new connection before it notices the loss of the old one.

    In that case it replaces a connection that is not used any more, so `connection-replaced` does not apply.
    """

    id = "reconnect"
    claim = "A page that lost its network and reconnected has one connection, and no handler runs twice."
    rules = (*(rule for rule in DOCUMENTED if rule is not ConnectionReplaced), ConnectionMissing, EventMissing)

    async def run(self, context: ScenarioContext) -> None:
        page = context.new_page()
        components = [await page.mount(DASHBOARD), await page.mount(WIZARD)]
        for connection in [c for c in page.connections if c.is_connected]:
            await connection.drop_network()
        await page.reconnect()
        context.expect("connected", page)
        event, unanswered = context.contract.first_requestable, None
        requester = next((mounted for mounted in components if mounted.is_connected), None)
        if event is None:
            await self._observe_pushes(context, page)
        elif requester is not None and not await context.request(event, requester, components):
            unanswered = event
            if not event.required:
                context.mark_not_evaluated(
                    f"{event.name} did not arrive after the reconnection, and is not required, so nothing shows that "
                    "the connection carries events: add a required [[event]] with `emit`"
                )
        await context.observe(max(context.window_s / 2, context.settings.grace_s * 2))
        context.expect("connected", page)
        if unanswered is not None and not context.no_answer_reason:
            await context.request_elsewhere(unanswered)

    async def _observe_pushes(self, context: ScenarioContext, page: SimulatedPage) -> None:
        """Observe whether events that the server sends unrequested arrive twice after the reconnection.

        This is done if the contract contains no event that can be requested. If copies arrive, the scenario is marked
        as not evaluated, because they may be different events.
        """
        first_index = len(context.events)
        if not await context.wait_for_push(page):
            context.mark_not_evaluated(
                "no [[event]] in wscheck.toml has an `emit` that requests it, and the server sent nothing unrequested, "
                "so duplicate handlers cannot be observed"
            )
        elif copies := bursts_of_copies(context.events[first_index:]):
            context.mark_not_evaluated(
                f"{copies[0][0].name} arrived {len(copies[0])} times at once after the reconnection: request it by an "
                "[[event]] with `emit` in wscheck.toml, which shows whether these are copies of one event"
            )
