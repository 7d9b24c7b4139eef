"""Two users at the same time: the events of one do not reach the other."""

from wscheck.detect.rules.event_leaked import EventLeaked
from wscheck.observe.client.simulated_page import SimulatedPage
from wscheck.scenarios.context import ScenarioContext
from wscheck.scenarios.scenario import DASHBOARD, Scenario


class Isolation(Scenario):
    id = "isolation"
    claim = "Events of one user never arrive on a connection of another user."
    rules = (EventLeaked,)

    async def run(self, context: ScenarioContext) -> None:
        second_user = context.settings.second_user
        if second_user is None or (second_user.token is None and context.settings.user.token is not None):
            return context.skip("there is no second user: give --second-user-id and WSCHECK_SECOND_TOKEN")
        requested = [e for e in context.contract.events if e.emit is not None and e.user is not None]
        if not requested:
            return context.mark_not_evaluated("the contract has no event with `emit` whose payload contains the user")
        first_page = context.new_page("tab-1")
        second_page = context.new_page("tab-2", credentials=second_user)
        await first_page.mount(DASHBOARD)
        mounted = await second_page.mount(DASHBOARD)
        for event in requested:
            await mounted.emit(event.emit or "", event.payload)
        received = await context.wait_until(
            lambda: any(context.has_received(e.name, second_page) for e in requested),
            context.answer_timeout_s(requested[0]),
        )
        await context.wait_for_duplicates()
        return _check_evidence(context, first_page, received)


def _check_evidence(context: ScenarioContext, first_page: SimulatedPage, received: bool) -> None:
    """Mark the scenario as not evaluated if a leak could not have been observed."""
    if not any(connection.is_connected for connection in first_page.connections):
        context.mark_not_evaluated("the first user's connection ended, so it could not have received other events")
    elif not received:
        context.mark_not_evaluated("the second user received none of their own events, so no event could have leaked")
