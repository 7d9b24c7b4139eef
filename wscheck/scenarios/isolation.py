"""Two users at the same time: the events of one do not reach the other."""

from collections.abc import Sequence

from wscheck.config.event_contract import ContractEvent
from wscheck.detect.rules.event_leaked import MIN_TRIES, EventLeaked
from wscheck.observe.client.simulated_page import MountedComponent
from wscheck.scenarios.context import DASHBOARD, NO_REQUEST, ScenarioContext, ScenarioSettings
from wscheck.scenarios.scenario import Scenario

QUIET_S = 0.5
"""Seconds in which neither user requests an event, to observe what the server sends unrequested."""


class Isolation(Scenario):
    """Two users who request the same events in turn, several times each.

    If an event reaches the other user after each request of one user, and at no other time, the requests cause it.
    """

    id = "isolation"
    claim = "Events of one user never arrive on a connection of another user."
    rules = (EventLeaked,)

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why the scenario does not apply to this server, "" if it applies."""
        is_silent = settings.contract.first_requestable is None
        return NO_REQUEST if not settings.target.is_socket_io and is_silent else ""

    async def run(self, context: ScenarioContext) -> None:
        second_user = context.settings.second_user
        if second_user is None or (second_user.token is None and context.settings.user.token is not None):
            return context.skip("there is no second user: give --second-user-id and WSCHECK_SECOND_TOKEN")
        requested = [e for e in context.contract.events if e.emit is not None and e.audience != "all"]
        if not requested:
            return context.mark_not_evaluated(
                "the contract has no event with `emit` that is for one user: add `emit` to an [[event]], without "
                '`audience = "all"`'
            )
        first = await context.new_page("tab-1").mount(DASHBOARD)
        second = await context.new_page("tab-2", credentials=second_user).mount(DASHBOARD)
        await context.observe(QUIET_S)
        answered: Sequence[ContractEvent] = requested
        for number in range(MIN_TRIES):
            for requester in (second, first):
                await _request_alone(context, answered, requester)
            if not number:
                names = {e.name for e in answered if any(context.has_received(e.name, p.page) for p in (first, second))}
                answered = [event for event in answered if event.name in names]
        return _check_evidence(context, requested, first, second)


async def _request_alone(
    context: ScenarioContext, events: Sequence[ContractEvent], requester: MountedComponent
) -> None:
    """Request the events on the page of `requester`, wait for the answers, and then for later effects.

    A later effect is, for example, that an event also reaches the other user.
    """
    for event in events:
        context.expect("private", requester.page, name=event.name, within=event.within, required=event.private)
        await requester.emit(event.emit or "", event.payload)
    start = len(context.events)
    names = [event.name for event in events]
    timeout_s = max(map(context.answer_timeout_s, events), default=0.0)
    await context.wait_until(lambda: context.have_arrived(names, requester.page, start), timeout_s)
    await context.wait_for_duplicates()


def _check_evidence(
    context: ScenarioContext, requested: Sequence[ContractEvent], first: MountedComponent, second: MountedComponent
) -> None:
    """Mark the scenario as not evaluated if it could not have shown that an event reached the wrong user."""
    if not (first.is_connected and second.is_connected):
        return context.mark_not_evaluated("a user's connection ended, so it could not have received other events")
    answers = [e for e in requested if any(context.has_received(e.name, mounted.page) for mounted in (first, second))]
    if not answers:
        return context.mark_not_evaluated(
            "neither user received an event that they requested, so no event could have leaked: check `emit` of each "
            "[[event]] in wscheck.toml"
        )
    return None
