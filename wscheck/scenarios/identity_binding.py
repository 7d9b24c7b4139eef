"""One user's token with another user's id: whose connection is it?"""

import msgspec

from wscheck.client.target import Credentials
from wscheck.rules.identity_unverified import IdentityUnverified
from wscheck.scenarios.scenario import DASHBOARD, Scenario
from wscheck.scenarios.stage import Stage


class IdentityBinding(Scenario):
    id = "identity-binding"
    must_hold = "A token that belongs to one user does not open the connection of another."
    rules = (IdentityUnverified,)

    async def drive(self, stage: Stage) -> None:
        own, second = stage.cast.user, stage.cast.second
        if own.token is None:
            return stage.skip("there is no token: set WSCHECK_TOKEN")
        if second is None:
            return stage.skip("there is no second user: give --second-user-id")
        if not await _admits(stage, own):
            return stage.unjudged("the server refuses the user's own token, so a refusal proves nothing")
        await stage.page("tab-2", credentials=Credentials(second.user, own.token, "foreign")).mount(DASHBOARD)
        return await stage.watch(stage.cast.grace)


async def _admits(stage: Stage, credentials: Credentials) -> bool:
    """Whether the same token is good enough for its own user."""
    mount = await stage.page("tab-1", credentials=msgspec.structs.replace(credentials)).mount(DASHBOARD)
    admitted = mount.is_connected
    await mount.unmount()
    return admitted
