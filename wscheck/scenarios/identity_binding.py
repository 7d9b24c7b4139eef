"""A token of one user sent with the id of another user: it must not open a connection of that other user."""

from wscheck.config.target import Credentials
from wscheck.detect.rules.identity_unverified import IdentityUnverified
from wscheck.observe.client.simulated_page import MountedComponent
from wscheck.scenarios.context import DASHBOARD, ScenarioContext, ScenarioSettings
from wscheck.scenarios.scenario import Scenario


class IdentityBinding(Scenario):
    id = "identity-binding"
    claim = "A token of one user does not open a connection of another user."
    rules = (IdentityUnverified,)

    def skip_reason(self, settings: ScenarioSettings) -> str:
        """Return the reason why the scenario does not apply to this server, "" if it applies."""
        if settings.target.is_socket_io or settings.target.sends_user:
            return ""
        return "the client sends no user id that could be another's: name its place with --user-in"

    async def run(self, context: ScenarioContext) -> None:
        user, second_user = context.settings.user, context.settings.second_user
        if user.token is None:
            return context.skip("there is no token: set WSCHECK_TOKEN")
        if second_user is None:
            return context.skip("there is no second user: give --second-user-id")
        # This page stays open. A server that allows one connection per user closes it if the next connection is the
        # same user's, and so shows which user that is.
        if not (await context.new_page("tab-1").mount(DASHBOARD)).is_connected:
            return context.mark_not_evaluated("the server refuses the user's own token, so a refusal proves nothing")
        page = context.new_page("tab-2", credentials=Credentials(second_user.user, user.token, "foreign"))
        await _request_event_with_user(context, await page.mount(DASHBOARD))
        return await context.observe(context.settings.grace_s)


async def _request_event_with_user(context: ScenarioContext, mounted: MountedComponent) -> None:
    """Request an event whose payload contains the user, and wait for this event."""
    event = next((e for e in context.contract.events if e.emit is not None and e.user), None)
    if event is not None and event.emit is not None and mounted.is_connected:
        await mounted.emit(event.emit, event.payload)
        await context.wait_until(
            lambda: context.has_received(event.name, mounted.page), context.answer_timeout_s(event)
        )
