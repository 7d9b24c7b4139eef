"""One user's token with another user's id: whose connection is it?"""

from wscheck.config.target import Credentials
from wscheck.detect.rules.identity_unverified import IdentityUnverified
from wscheck.observe.client.page import Mount
from wscheck.scenarios.context import Stage
from wscheck.scenarios.scenario import DASHBOARD, Scenario


class IdentityBinding(Scenario):
    id = "identity-binding"
    claim = "A token that belongs to one user does not open the connection of another."
    rules = (IdentityUnverified,)

    async def drive(self, stage: Stage) -> None:
        own, second = stage.cast.user, stage.cast.second
        if own.token is None:
            return stage.skip("there is no token: set WSCHECK_TOKEN")
        if second is None:
            return stage.skip("there is no second user: give --second-user-id")
        # It stays, for a server that keeps one connection per user shows by closing it whose the other one is.
        if not (await stage.page("tab-1").mount(DASHBOARD)).is_connected:
            return stage.unjudged("the server refuses the user's own token, so a refusal proves nothing")
        page = stage.page("tab-2", credentials=Credentials(second.user, own.token, "foreign"))
        await _ask_whose(stage, await page.mount(DASHBOARD))
        return await stage.watch(stage.cast.grace)


async def _ask_whose(stage: Stage, mount: Mount) -> None:
    """Make the server send what names the user."""
    event = next((e for e in stage.contract.events if e.emit is not None and e.user), None)
    if event is not None and event.emit is not None and mount.is_connected:
        await mount.emit(event.emit, event.payload)
        await stage.until(lambda: stage.received(event.name, mount.page), stage.patience(event))
