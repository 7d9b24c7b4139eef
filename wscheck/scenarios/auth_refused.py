"""An invalid token is refused, and the client does not retry repeatedly."""

import msgspec

from wscheck.detect.rules.excessive_attempts import ExcessiveAttempts
from wscheck.detect.rules.token_unchecked import TokenUnchecked
from wscheck.scenarios.context import WRONG_TOKEN, ScenarioContext
from wscheck.scenarios.scenario import DASHBOARD, WIZARD, Scenario

CONTROL_ATTEMPTS = 8


class AuthRefused(Scenario):
    id = "auth-refused"
    claim = "The server refuses an invalid token, and the client does not retry repeatedly."
    rules = (TokenUnchecked, ExcessiveAttempts)

    async def run(self, context: ScenarioContext) -> None:
        invalid = msgspec.structs.replace(context.settings.user, token=WRONG_TOKEN, kind="invalid")
        page = context.new_page(credentials=invalid)
        await page.mount(DASHBOARD)
        await page.mount(WIZARD)
        await context.observe(context.window_s / 2)

    async def run_control(self, context: ScenarioContext) -> None:
        """Connect with an invalid token again and again, as a client that retries at once after every refusal.

        The server must refuse the token, or a rule must report the attempts. Otherwise the scenario is inconclusive,
        because it could not have failed at this server.
        """
        invalid = msgspec.structs.replace(context.settings.user, token=WRONG_TOKEN, kind="invalid")
        page = context.new_page(credentials=invalid, fault=True)
        for _ in range(CONTROL_ATTEMPTS):
            mounted = await page.mount(DASHBOARD)
            await mounted.unmount()
