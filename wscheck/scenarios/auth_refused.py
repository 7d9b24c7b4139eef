"""A wrong token is refused, and the client leaves it at that."""

import msgspec

from wscheck.detect.rules.excessive_attempts import ExcessiveAttempts
from wscheck.detect.rules.token_unchecked import TokenUnchecked
from wscheck.scenarios.context import WRONG_TOKEN, Stage
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario

STORM = 8


class AuthRefused(Scenario):
    id = "auth-refused"
    claim = "A wrong token is refused, and the refusal is not answered with a storm of retries."
    rules = (TokenUnchecked, ExcessiveAttempts)

    async def drive(self, stage: Stage) -> None:
        nobody = msgspec.structs.replace(stage.cast.user, token=WRONG_TOKEN, kind="invalid")
        page = stage.page(credentials=nobody)
        await page.mount(DASHBOARD)
        await page.mount(WIZARD)
        await stage.watch(stage.window / 2)

    async def control(self, stage: Stage) -> None:
        """A client that retries every refusal at once."""
        nobody = msgspec.structs.replace(stage.cast.user, token=WRONG_TOKEN, kind="invalid")
        page = stage.page(credentials=nobody, fault=True)
        for _ in range(STORM):
            mount = await page.mount(DASHBOARD)
            await mount.unmount()
