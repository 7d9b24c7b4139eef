"""Actions of `wscheck browser --loop`: what users do with a page in addition to following its links."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from wscheck.model.errors import CannotCheck
from wscheck.model.events import SOURCE_BROWSER, ActionPerformed
from wscheck.observe.browser import Browser, BrowserTab
from wscheck.observe.browser.links import click_link, followable_links, read_links

QUIET_S, REST_TIMEOUT_S = 0.5, 8.0
"""Time without activity after which a page rests, and the longest time to wait for it (seconds)."""

RECONNECT_TIMEOUT_S = 10.0
"""Longest time for a page to connect again after an action (seconds): Socket.IO waits for up to 7.5 s."""

VISIBILITY_TIMEOUT_S, NEW_TAB_TIMEOUT_S, POLL_S = 3.0, 10.0, 0.05

_ONLINE = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


class PageActions:
    """Actions in a browser, each with the number of connections before and after it.

    events         an event for each action
    notes          sentences about actions that the browser or the page did not perform
    duplicated_at  time at which the tab was duplicated (seconds since the epoch), None if it was not
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.events: list[ActionPerformed] = []
        self.notes: list[str] = []
        self.duplicated_at: float | None = None
        self._is_at_rest = False  # the last action ended with a rest, and nothing has happened since

    async def perform_all(self, tab: BrowserTab) -> None:
        """Perform every action after which the tab shows the same page as before."""
        await self._perform(tab, "reload", self._reload)
        await self._perform(tab, "back and forward", self._go_back_and_forward)
        await self._perform(tab, "offline and online", self._go_offline)
        await self._perform(tab, "hide and show the tab", self._hide)

    async def duplicate(self, tab: BrowserTab) -> None:
        """Open the page in a second tab, which inherits the session storage, and close the second tab."""
        self._is_at_rest = False
        await self._perform(tab, "duplicate the tab", self._duplicate)

    async def measure(self, tab: BrowserTab, action: str, perform: Callable[[], Awaitable[BrowserTab]]) -> BrowserTab:
        """Count the connections before and after `perform`, which runs the configured steps of an action.

        Return the tab of the last step.
        """
        rest = await self._browser.rest.wait(tab, QUIET_S, REST_TIMEOUT_S)
        before, index = self._count(), len(self.events)
        self._mark(tab, action)
        last = await perform()
        after = await self._count_at_rest(last, before)
        self._is_at_rest = False  # other steps may follow
        if rest.is_reached:
            self.events[index] = msgspec.structs.replace(self.events[index], before=before, after=after)
        else:
            self.notes.append(f"The connections of `{action}` were not counted, because {tab.label} does not rest.")
        return last

    async def _perform(self, tab: BrowserTab, action: str, perform: Callable[[BrowserTab], Awaitable[int]]) -> None:
        is_at_rest = self._is_at_rest or (await self._browser.rest.wait(tab, QUIET_S, REST_TIMEOUT_S)).is_reached
        if not is_at_rest:
            self.notes.append(f"The action `{action}` was not tried, because {tab.label} does not come to rest.")
            return
        before = self._count()
        index = len(self.events)
        self._is_at_rest = False
        self._mark(tab, action)
        try:
            after = await perform(tab)
        except CannotCheck as error:
            self.notes.append(f"The action `{action}` could not be performed: {error.problem}")
        else:
            self.events[index] = msgspec.structs.replace(self.events[index], before=before, after=after)

    def _mark(self, tab: BrowserTab, action: str) -> None:
        """Record that a part of an action starts now.

        The rules therefore do not take the connection attempts that follow for a loop of the page.
        """
        self.events.append(ActionPerformed(at=time.time(), source=SOURCE_BROWSER, page=tab.label, action=action))

    def _count(self, tab: BrowserTab | None = None) -> int:
        """Return the number of open connections of a tab, or of all pages."""
        sessions = self._browser.traffic.open_sessions()
        return sum(tab is None or session.initiator.page == tab.label for session in sessions)

    async def _reload(self, tab: BrowserTab) -> int:
        before = self._count()
        await tab.reload()
        return await self._count_at_rest(tab, before)

    async def _go_back_and_forward(self, tab: BrowserTab) -> int:
        """Follow a link, go back, forward, and back again. Return the number of open connections at the end."""
        start, first = await tab.history_entry(), self._count()
        links = followable_links(await read_links(tab), await tab.url(), 1)
        if not links or not await click_link(tab, links[0].url):
            raise CannotCheck("the page has no link that can be followed.", "Describe it as steps.")
        await self._browser.rest.wait(tab, QUIET_S, REST_TIMEOUT_S)
        second = await tab.history_entry()
        for action, entry in (("back", start), ("forward", second), ("back", start)):
            await self._browser.rest.wait(tab, QUIET_S, REST_TIMEOUT_S)
            self._mark(tab, action)
            await tab.show_history_entry(entry)
        return await self._count_at_rest(tab, first)

    async def _go_offline(self, tab: BrowserTab) -> int:
        before = self._count()
        await tab.send("Network.emulateNetworkConditions", **{**_ONLINE, "offline": True})
        try:
            await self._browser.rest.wait(tab, QUIET_S, REST_TIMEOUT_S)
        finally:
            self._mark(tab, "online")
            await tab.send("Network.emulateNetworkConditions", **_ONLINE)
        return await self._count_at_rest(tab, before)

    async def _hide(self, tab: BrowserTab) -> int:
        before, other = self._count(), await self._browser.new_tab()
        try:
            await other.send("Page.bringToFront")
            await self._wait_for_visibility(tab, "hidden")
            await self._browser.rest.wait(tab, QUIET_S, REST_TIMEOUT_S)
        finally:
            await tab.send("Page.bringToFront")
            await self._browser.close_tab(other)
        await self._wait_for_visibility(tab, "visible")
        return await self._count_at_rest(tab, before)

    async def _wait_for_visibility(self, tab: BrowserTab, state: str) -> None:
        deadline = time.monotonic() + VISIBILITY_TIMEOUT_S
        while await tab.evaluate("document.visibilityState") != state:
            if time.monotonic() > deadline:
                raise CannotCheck(f"the tab did not become {state}.", "Try it in a browser with a window.")
            await asyncio.sleep(POLL_S)

    async def _duplicate(self, tab: BrowserTab) -> int:
        """Open the page in another tab. A window that a page opens inherits the session storage of the page."""
        self.duplicated_at = time.time()
        before, own = self._count(), self._count(tab)
        known = set(self._browser.tabs)
        await tab.evaluate("(() => { const other = window.open(location.href); if (other) other.opener = null; })()")
        deadline = time.monotonic() + NEW_TAB_TIMEOUT_S
        while not (new := [other for label, other in self._browser.tabs.items() if label not in known]):
            if time.monotonic() > deadline:
                raise CannotCheck("the browser opened no second tab.", "Open the page in two tabs: give its URL twice.")
            await asyncio.sleep(POLL_S)
        try:
            return await self._count_at_rest(new[0], before + own)
        finally:
            await self._browser.close_tab(new[0])

    async def _count_at_rest(self, tab: BrowserTab, expected: int) -> int:
        """Return the number of open connections when nothing happens in the page any more.

        If there are fewer than expected, the page gets additional time first.
        """
        deadline = time.monotonic() + RECONNECT_TIMEOUT_S
        rest = await self._browser.rest.wait(tab, QUIET_S, REST_TIMEOUT_S)
        while self._count() < expected and time.monotonic() < deadline:
            rest = await self._browser.rest.wait(tab, QUIET_S, QUIET_S)
        self._is_at_rest = rest.is_reached
        return self._count()
