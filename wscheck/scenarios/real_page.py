"""The three scenarios of docs/origin.md on the application's page in a browser, in place of the simulated client."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wscheck.config.browser_steps import BrowserStep
from wscheck.model.events import SOURCE_SCENARIO, Connected, Delivered, Event, Expected
from wscheck.scenarios.component_sharing import ComponentSharing
from wscheck.scenarios.context import ScenarioContext
from wscheck.scenarios.event_handling import EventHandling

if TYPE_CHECKING:
    from wscheck.observe.browser import Browser, BrowserTab, StorageState
    from wscheck.observe.traffic import IdentityRule, TrafficRedactor

BLANK = "about:blank"


class RealPage(msgspec.Struct, kw_only=True):
    """The application's page and the browser that opens it.

    url              address of the page
    steps            actions on the page, performed in each scenario
    storage_state    cookies and local storage to set before the page opens
    identity         rule that points at the part of the traffic that contains the user
    source_root      folder of the frontend's sources
    browser_program  browser to launch, None for the installed one
    cdp_url          DevTools address of a running browser, None to launch one
    insecure         whether the launched browser accepts untrusted certificates
    """

    url: str
    steps: tuple[BrowserStep, ...]
    storage_state: "StorageState | None"
    identity: "IdentityRule"
    source_root: str
    browser_program: Path | None
    cdp_url: str | None
    insecure: bool
    _redactor: "TrafficRedactor | None" = None

    async def run(self, scenario: str, context: ScenarioContext) -> None:
        """Open the page, perform the steps and observe for `window_s`.

        In component-sharing, leave the page afterwards.
        """
        from wscheck.observe.browser import apply_storage, run_steps

        async with self._browser(context.settings.target.url) as browser:
            if self.storage_state is not None:
                await apply_storage(browser, self.storage_state)
            page = await browser.open(self.url)
            await run_steps(browser, page, self.steps)
            await context.observe()
            observed_until = time.time()
            if scenario == ComponentSharing.id:
                await _leave_page(page, context)
            if browser.ended or browser.crashed_tabs:
                context.mark_not_evaluated("the browser ended or the page crashed before the end of the scenario")
            for reason in browser.unobserved:
                context.mark_not_evaluated(reason)
            observation = await browser.observation()
        for event in observation.events:
            context.record(event)
        record_page_expectations(observation.events, scenario, context, observed_until)

    @asynccontextmanager
    async def _browser(self, target: str) -> "AsyncIterator[Browser]":
        from wscheck.observe.browser import attached, launched
        from wscheck.observe.traffic import TrafficRedactor

        # One redactor for all scenarios, so that a user has the same name in each.
        self._redactor = self._redactor or TrafficRedactor()
        options = (self.identity, self.source_root, self._redactor, target)
        launching = launched(self.browser_program, *options, insecure=self.insecure)
        async with attached(self.cdp_url, *options) if self.cdp_url else launching as browser:
            yield browser


async def _leave_page(page: "BrowserTab", context: ScenarioContext) -> None:
    """Leave the page, which unmounts all components, and observe what it does then."""
    await page.goto(BLANK)
    await context.observe(context.settings.grace_s * 2)


def record_page_expectations(
    events: Sequence[Event], scenario: str, context: ScenarioContext, observed_until: float
) -> None:
    """Record expectations, which rules compare with the `events` that were observed until `observed_until` (Unix time).

    Every page that has connected must still be connected. In the scenario event-handling, every event of the contract
    must have arrived, unless the page was connected for less than the time that the event may take.
    """
    from wscheck.observe.traffic.redaction import is_stand_in

    opened = [event for event in events if isinstance(event, Connected)]
    connected = {(event.user, event.page) for event in opened if event.at is None or event.at <= observed_until}
    for user, page in sorted(connected, key=str):
        context.record(Expected(at=observed_until, source=SOURCE_SCENARIO, user=user, page=page, what="connected"))
    if opened and not connected:
        context.mark_not_evaluated("the page had only just connected at the end: observe for longer (--window)")
    if scenario != EventHandling.id or not connected:
        return
    received = {event.name for event in events if isinstance(event, Delivered)}
    if not received & {event.name for event in context.contract.events}:
        context.mark_not_evaluated(
            "the page received no [[event]] of wscheck.toml: add a [[browser.step]] that clicks what requests one"
        )
        return  # one reason is enough: a finding for each missing event would add nothing
    # Nothing is expected of a connection without a known user, for example that of a chat widget.
    user, label = min({one for one in connected if not is_stand_in(one[0] or "")} or connected, key=str)
    # The time before the page connected does not count: no event could arrive then.
    connected_at = min(event.at or observed_until for event in opened if (event.user, event.page) == (user, label))
    for event in context.contract.events:
        if event.name not in received and observed_until - connected_at >= event.within:
            expected = Expected(
                at=connected_at, source=SOURCE_SCENARIO, user=user, page=label, what="delivered", name=event.name
            )
            context.record(msgspec.structs.replace(expected, within=event.within, required=False))
