"""A browser that is watched: everything above wired together, and what it showed in the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from wscheck.model.errors import CannotCheck
from wscheck.model.events import SOURCE_BROWSER, Connected, Event
from wscheck.model.report import PageSummary
from wscheck.observe.browser import launch
from wscheck.observe.browser.devtools import CommandFailed, DevToolsConnection
from wscheck.observe.browser.handler_polling import HandlerPoller
from wscheck.observe.browser.network import NetworkFeed
from wscheck.observe.browser.opener import DevToolsStack, resolve
from wscheck.observe.browser.page import BrowserTab
from wscheck.observe.browser.page_loads import PageLoads
from wscheck.observe.browser.reconnects import attribute_reconnects
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.browser.targets import DevToolsTarget, DevToolsTargets
from wscheck.observe.traffic import ConnectionOrigin, EngineSession, IdentityRule, TrafficDemux, TrafficRedactor


class BrowserObservation(msgspec.Struct):
    """What a browser showed. `notes`: what could not be seen as well as it should, in sentences."""

    events: list[Event]
    pages: list[PageSummary]
    notes: list[str]


class Browser:
    """Use `launched` or `attached`. Tabs that others open are watched as well as those that `open` opens."""

    def __init__(
        self,
        wire_url: str,
        identity: IdentityRule | None,
        root: str,
        *,
        own: bool,
        hiding: TrafficRedactor | None = None,
        target: str = "",
    ) -> None:
        self._own, self._used = own, False
        self._opened: list[str] = []
        self._wire = DevToolsConnection(wire_url, self._hear)
        self.at_start = ""
        """JavaScript that runs in every tab we open, before any of its page's own."""
        self._whose = identity
        self.traffic = TrafficDemux(identity, source=SOURCE_BROWSER, hiding=hiding, target=target)
        self._scripts = PageScripts(self.traffic.addresses, root)
        self._targets = DevToolsTargets(self._wire, self.traffic.addresses, self._arrived)
        self._shown = PageLoads(self.traffic.addresses)
        self._looks = HandlerPoller(self._wire, self.traffic, self._scripts, self._targets)
        self._pages: dict[str, BrowserTab] = {}
        self._arrivals: dict[str, asyncio.Future[BrowserTab]] = {}

    async def _begin(self) -> None:
        await self._wire.__aenter__()
        self._network = NetworkFeed(
            self._wire, self.traffic, lambda raw: self._scripts.want(raw.session, raw.scripts())
        )
        await self._targets.attach()
        self._shown.before(self._targets.tabs.values())

    async def _end(self) -> None:
        if not self._own:
            await self._tidy()
        await self._looks.end()
        self._network.close()
        self._scripts.close()
        await self._wire.__aexit__()

    async def _tidy(self) -> None:
        """Somebody else's browser keeps none of our tabs: each would hold a connection of their user."""
        for id in self._opened:
            with contextlib.suppress(CommandFailed, CannotCheck):
                await self._wire.call("Target.closeTarget", {"targetId": id})

    @property
    def gone(self) -> bool:
        """Whether the browser ended."""
        return self._wire.gone.is_set()

    @property
    def address(self) -> str:
        """Where another program finds this browser, as Playwright's `connectOverCDP` takes it."""
        return self._wire.url

    @property
    def crashed(self) -> list[str]:
        """The tabs whose page crashed, by label."""
        return [page.label for page in self._pages.values() if page.crashed]

    @property
    def unseen(self) -> list[str]:
        """What could not be seen, in sentences: what a page does that never finished loading, and what was said where
        the browser shows nothing."""
        late = [(page.label, page.unfinished) for page in self._pages.values() if page.unfinished is not None]
        told = [f"{p} did not finish loading within {s:g} s: what it does once it has was not seen" for p, s in late]
        return [*told, *self._network.unseen]

    @property
    def tabs(self) -> dict[str, BrowserTab]:
        """Every tab by its label, those that the pages opened themselves too."""
        return {page.label: page for page in self._pages.values()}

    async def picture(self, of: PageSummary) -> str | None:
        """What the tab at this address shows, as a `data:` URI; None when there is no such tab any more."""
        for held in self._targets.tabs.values():
            page = self._pages.get(held.session)
            if page is not None and not page.crashed and self.traffic.addresses.page(held.url) == of.url:
                return await page.picture()
        return None

    async def until_gone(self) -> None:
        """Returns when the browser ended."""
        await self._wire.gone.wait()

    async def open(self, url: str, within: float | None = None) -> BrowserTab:
        """A new tab at `url`, once it has loaded. Raises CannotCheck when it does not."""
        page = await self.tab()
        await page.goto(url, within)
        return page

    async def tab(self) -> BrowserTab:
        """A new, empty tab; the first one of a browser of our own is there already."""
        if self._own and len(self._targets.tabs) == 1 and not self._used:
            self._used = True
            page = await self._page(next(iter(self._targets.tabs.values())).id)
        else:
            created = await self._wire.call("Target.createTarget", {"url": "about:blank"})
            self._opened.append(created["targetId"])
            page = await self._page(created["targetId"])
        if self.at_start:
            await self._wire.call("Page.addScriptToEvaluateOnNewDocument", {"source": self.at_start}, page.session)
        return page

    async def _page(self, id: str) -> BrowserTab:
        arrival = self._arrivals.setdefault(id, asyncio.get_running_loop().create_future())
        async with asyncio.timeout(10):
            page = await arrival
            held = self._targets.by_session.get(page.session)
            if held is not None and held.ready is not None:
                await held.ready
        return page

    async def cookies(self, cookies: list[dict[str, Any]]) -> None:
        """Sets cookies, as CDP's `Storage.setCookies` takes them. Any may be a session; all but the user's id hide."""
        whose = self._whose
        for cookie in cookies:
            if whose is None or whose.claim or (whose.place, whose.steps) != ("cookie", (cookie.get("name"),)):
                self.traffic.hiding.learn(str(cookie.get("value", "")))
        await self._wire.call("Storage.setCookies", {"cookies": cookies})

    # --- what the browser tells ---------------------------------------------------------------------------------

    def _hear(self, method: str, params: dict[str, Any], session: str) -> None:
        if method.startswith("Network."):
            self._sent_or_received(method, params, session)
        elif method == "Debugger.scriptParsed":
            self._scripts.parsed(session, params)
        elif method == "Target.attachedToTarget":
            self._targets.attached(params, session)
        elif method == "Target.detachedFromTarget":
            if (held := self._targets.detached(params)) is not None:
                self._network.gone(held.id)
        elif method == "Target.targetInfoChanged":
            self._targets.changed(params)
        elif method.startswith("Runtime.executionContext"):
            self._targets.context(method, params, session)
        elif method in ("Page.loadEventFired", "Inspector.targetCrashed") and session in self._pages:
            self._pages[session].heard(method)
            if self._pages[session].crashed:
                self._crashed(session)
        elif method == "Page.frameNavigated":
            self._navigated(params["frame"], session)
        elif method == "Page.javascriptDialogOpening" and self._own:
            # Nobody sees it and nothing goes on before it is closed; in somebody else's browser that is theirs to do.
            closed = {"accept": params["type"] in ("alert", "beforeunload")}
            self._wire.send("Page.handleJavaScriptDialog", closed, session)

    def _sent_or_received(self, method: str, params: dict[str, Any], session: str) -> None:
        if (origin := self._targets.origin(session)) is not None:
            self._network.take(method, params, session, origin)
        if method == "Network.responseReceived":
            self._shown.answered(self._targets.by_session.get(session), params)

    def _crashed(self, session: str) -> None:
        self._wire.abandon(session)
        if (held := self._targets.by_session.get(session)) is not None:
            self._network.gone(held.id)

    def _arrived(self, held: DevToolsTarget) -> None:
        self._looks.begin(held)
        if held.type != "page":
            return
        page = BrowserTab(self._wire, held.session, held.tab, lambda url: self._shown.asked(held.id, url))
        self._pages[held.session] = page
        arrival = self._arrivals.setdefault(held.id, asyncio.get_running_loop().create_future())
        if not arrival.done():
            arrival.set_result(page)

    def _navigated(self, frame: dict[str, Any], session: str) -> None:
        """A page that leaves for another takes its connections along."""
        held = self._targets.by_session.get(session)
        if held is not None and "parentId" in frame:
            held.frames[frame["id"]] = frame["url"]
        elif held is not None:
            held.url = frame["url"]
            self._shown.loaded(held.id)
            self._network.gone(held.id)

    # --- the end ------------------------------------------------------------------------------------------------

    async def seen(self, *, final: bool = True) -> BrowserObservation:
        """Everything so far, in the order of its time, with openers and handlers source-mapped. `final`: nothing more
        is to come."""
        if not self.gone:
            await self._looks.last()
        await self._network.settle()
        await self._scripts.settle()
        if final:
            self.traffic.settle()
        sessions = list(self.traffic.sessions)
        found = {id(session): self._whence(session) for session in sessions}
        whence = attribute_reconnects(sessions, found, self._looks.objects())
        events = self.traffic.events(lambda session: whence[id(session)])
        events = sorted([*events, *self._looks.registered(events)], key=lambda event: event.at or 0.0)
        pages = [
            PageSummary(type="page", url=self.traffic.addresses.page(held.url)) for held in self._targets.tabs.values()
        ]
        connected = {event.page for event in events if isinstance(event, Connected) and event.page}
        notes = [*self._shown.notes(self._targets.tabs, connected), *self._looks.notes, *self._scripts.notes]
        notes += filter(None, [self.traffic.note])
        return BrowserObservation(events, [page for page in pages if page.url != "about:blank"], notes)

    def _whence(self, session: EngineSession) -> ConnectionOrigin:
        stack = session.origin.stack
        if not isinstance(stack, DevToolsStack):
            return ConnectionOrigin()
        whence = resolve(stack, self._scripts)
        frames = filter(None, (self._scripts.frame(stack.session, script) for script in stack.scripts()))
        return msgspec.structs.replace(whence, target=self._targets.framed(stack.session, next(frames, "")))


@asynccontextmanager
async def launched(
    program: Path | None = None,
    identity: IdentityRule | None = None,
    root: str = "",
    hiding: TrafficRedactor | None = None,
    target: str = "",
    *,
    insecure: bool = False,
) -> AsyncIterator[Browser]:
    """A headless Chromium with a fresh profile. Raises UsageError or CannotCheck when there is none.

    root      the folder of the checkout in which the frontend lies, empty for the checkout itself
    hiding    that of the run, where it watches several browsers
    target    the address of the server that is looked at, where that is known
    insecure  it shows pages whose certificate nobody vouches for
    """
    more = [launch.UNVERIFIED] if insecure else []
    async with (
        launch.running(launch.find(program), more) as address,
        _watched(Browser(address, identity, root, own=True, hiding=hiding, target=target)) as browser,
    ):
        yield browser


@asynccontextmanager
async def attached(
    url: str,
    identity: IdentityRule | None = None,
    root: str = "",
    hiding: TrafficRedactor | None = None,
    target: str = "",
) -> AsyncIterator[Browser]:
    """A browser that runs already, which is left running. Raises Unreachable when nothing answers at `url`."""
    address = await launch.address_of(url)
    async with _watched(Browser(address, identity, root, own=False, hiding=hiding, target=target)) as browser:
        yield browser


@asynccontextmanager
async def _watched(browser: Browser) -> AsyncIterator[Browser]:
    await browser._begin()
    try:
        yield browser
    except CommandFailed as error:
        raise CannotCheck(f"The browser refused a command: {error}.", "Update the browser, or try another.") from error
    finally:
        await browser._end()
