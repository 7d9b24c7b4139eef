"""The documented scenarios on the real page: a browser opens it in place of the client under test."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from wscheck.config.browser_steps import BrowserStep
from wscheck.model.events import SOURCE_SCENARIO, Connected, Delivered, Event, Expected
from wscheck.scenarios.component_sharing import ComponentSharing
from wscheck.scenarios.context import Stage
from wscheck.scenarios.event_handling import EventHandling

if TYPE_CHECKING:
    from wscheck.observe.browser import Browser, BrowserTab, StorageState
    from wscheck.observe.traffic import IdentityRule, TrafficRedactor

BLANK = "about:blank"


class RealPage(msgspec.Struct, kw_only=True):
    """The page, and how to get to what it should show: dashboard and wizard.

    steps    what is done on it, in each scenario
    identity where its traffic says who the user is
    root     the folder of the checkout in which the frontend lies
    program, cdp  the browser to launch, or the address of one that runs
    insecure whether the launched one shows pages whose certificate nobody vouches for
    """

    url: str
    steps: tuple[BrowserStep, ...]
    storage: "StorageState | None"
    identity: "IdentityRule"
    root: str
    program: Path | None
    cdp: str | None
    insecure: bool
    _hiding: "TrafficRedactor | None" = None

    async def drive(self, scenario: str, stage: Stage) -> None:
        """Opens the page, does the steps, and looks on for the window; at the end of component-sharing it leaves."""
        from wscheck.observe.browser import apply_storage, run_steps

        async with self._browser(stage.cast.target.url) as browser:
            if self.storage is not None:
                await apply_storage(browser, self.storage)
            page = await browser.open(self.url)
            await run_steps(browser, page, self.steps)
            await stage.watch()
            looked = time.time()
            if scenario == ComponentSharing.id:
                await _leave(page, stage)
            if browser.ended or browser.crashed_tabs:
                stage.unjudged("the browser ended or the page crashed before the scenario did")
            for said in browser.unobserved:
                stage.unjudged(said)
            seen = await browser.observation()
        for event in seen.events:
            stage.record(event)
        expect(seen.events, scenario, stage, looked)

    @asynccontextmanager
    async def _browser(self, target: str) -> "AsyncIterator[Browser]":
        from wscheck.observe.browser import attached, launched
        from wscheck.observe.traffic import TrafficRedactor

        # One redactor for all scenarios, so that a user has the same name in each.
        self._hiding = self._hiding or TrafficRedactor()
        told = (self.identity, self.root, self._hiding, target)
        launching = launched(self.program, *told, insecure=self.insecure)
        async with attached(self.cdp, *told) if self.cdp else launching as browser:
            yield browser


async def _leave(page: "BrowserTab", stage: Stage) -> None:
    """Whoever leaves the page unmounts all of it, and what it does then is watched as well."""
    await page.goto(BLANK)
    await stage.watch(stage.cast.grace * 2)


def expect(seen: Sequence[Event], scenario: str, stage: Stage, looked: float) -> None:
    """What must hold on a page: its users are connected when it was looked at; events of the contract came, if it was
    connected for as long as they may take."""
    from wscheck.observe.traffic.redaction import is_stand_in

    opened = [event for event in seen if isinstance(event, Connected)]
    connected = {(event.user, event.page) for event in opened if event.at is None or event.at <= looked}
    for user, page in sorted(connected, key=str):
        stage.record(Expected(at=looked, source=SOURCE_SCENARIO, user=user, page=page, what="connected"))
    if opened and not connected:
        stage.unjudged("the page had only just connected when the watch ended: watch longer (--window)")
    if scenario != EventHandling.id or not connected:
        return
    came = {event.name for event in seen if isinstance(event, Delivered)}
    if not came & {event.name for event in stage.contract.events}:
        stage.unjudged("the page received no event of the contract: let a [[browser.step]] click what asks for one")
        return  # that each of them did not come says no more
    # A chat widget's connection, of which nobody knows whose it is, is asked for nothing.
    user, label = min({one for one in connected if not is_stand_in(one[0] or "")} or connected, key=str)
    # What a slow machine needs to get to the page is not time in which it could have received anything.
    since = min(event.at or looked for event in opened if (event.user, event.page) == (user, label))
    for event in stage.contract.events:
        if event.name not in came and looked - since >= event.within:
            told = Expected(at=since, source=SOURCE_SCENARIO, user=user, page=label, what="delivered", name=event.name)
            stage.record(msgspec.structs.replace(told, within=event.within, required=False))
