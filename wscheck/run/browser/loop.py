"""Repeated visits of each view of a page by `wscheck browser`, with a count of what is open after each visit.

Connections and subscriptions that stay open after visits are counted. `PageActions` does what users do with a page
in addition to following its links: it reloads or duplicates the tab, for example.

place    view of a page, or repeated step, for which a loop counts connections; in reports the path of the URL
round    one visit of a place and the return to the start
at rest  nothing has happened in the page for a while: no request, no new connection, no other document
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import msgspec

from wscheck.model.errors import CannotCheck
from wscheck.model.events import (
    SOURCE_BROWSER,
    ActionPerformed,
    CodeLocation,
    Connected,
    Event,
    HandlersRegistered,
    RoundCounted,
    Subscribed,
    Unsubscribed,
)
from wscheck.model.report import Scope
from wscheck.observe.browser import Browser, BrowserTab
from wscheck.observe.browser.links import (
    PageLink,
    click_link,
    followable_links,
    leads_to,
    read_links,
    view_url,
)

QUIET_S, FIRST_QUIET_S = 0.3, 1.0
"""Time without activity after which a page rests: in general, and on the first visit of a place (seconds).

The first visit shows for how long the page pauses between two activities. The later visits wait for longer than that.
Every return leads to the same view, so the first return counts for all places.
Visits never follow each other as fast as the runs of an effect: a close on the way back, and the opening of the next
visit, must not look like an effect that runs again.
"""

REST_TIMEOUT_S = 8.0
"""Longest time to wait for a page to rest (seconds)."""

DELAYED_CLOSE_S = 3.0
"""Longest time to wait after the last round for connections that close with a delay (seconds)."""

ReportProgress = Callable[[str, int, int], None]
AddGap = Callable[[str], None]

ACTION_QUIET_S = 0.5
"""Time without activity after which a page rests after an action (seconds)."""

RECONNECT_TIMEOUT_S = 10.0
"""Longest time for a page to connect again after an action (seconds): Socket.IO waits for up to 7.5 s."""

VISIBILITY_TIMEOUT_S, NEW_TAB_TIMEOUT_S, POLL_S = 3.0, 10.0, 0.05

_ONLINE = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Connections that are open after a round: a visit of a view and the return to the start.

    page           label of the tab
    place          path of the visited view, or line of the repeated step
    round          number of the round; 0 before the first one
    open           dict of the Engine.IO session id of each open connection to its socket ids
    subscriptions  number of open subscriptions of all open connections
    at_rest        True if this is the count after the last round, repeated because connections may close with a delay
    """

    at: float
    page: str
    place: str
    round: int
    open: Mapping[str | None, Sequence[str]]
    subscriptions: int = 0
    at_rest: bool = False

    @property
    def total(self) -> int:
        """Sum of the open connections and the open subscriptions."""
        return len(self.open) + self.subscriptions


class PageLoop:
    """Repeated visits of the views of a page in a browser.

    snapshots  what was open after each round
    actions    events of the actions that were performed on the pages
    """

    def __init__(self, browser: Browser, add_gap: AddGap, progress: ReportProgress) -> None:
        self._browser, self._add_gap, self._progress = browser, add_gap, progress
        self._quiet_s: dict[str | None, float] = {}  # by place; None: of the return from any place
        self._restless: set[str] = set()
        self.snapshots: list[Snapshot] = []
        self.actions: list[ActionPerformed] = []

    async def follow_links(self, tab: BrowserTab, rounds: int, limit: int) -> None:
        """Visit each view that a link of the page leads to, `rounds` times, and return each time."""
        await self._browser.allow_downloads(allowed=False)
        try:
            if not await self._rest(tab, ""):
                return
            start = await tab.url()
            links = followable_links(await read_links(tab), start, limit)
            if not links and not self.snapshots:
                page = self._browser.traffic.urls.page(start)
                self._add_gap(
                    f"{page} has no link that --loop may follow: describe a visit as steps with `repeat` (browser.step)"
                )
            # Two links whose addresses differ only in a secret are one place.
            by_place = {self._place(link.url): link for link in reversed(links)}
            for place, link in reversed(by_place.items()):
                try:
                    await self._visit_repeatedly(tab, start, place, link, rounds)
                except CannotCheck as error:
                    self._add_gap(f"{place} could not be visited repeatedly: {error.problem}")
                    await self._load(tab, start)
        finally:
            await self._browser.allow_downloads(allowed=True)

    async def _visit_repeatedly(self, tab: BrowserTab, start: str, place: str, link: PageLink, rounds: int) -> None:
        await self._count(tab, place, 0)
        for number in range(1, rounds + 1):
            self._progress(f"round {number} of {place}", number, rounds)
            entry = await tab.history_entry()
            self._act(tab, f"visit {place}")
            if not await click_link(tab, link.url):
                self._add_gap(f"the link to {place} was gone after {number - 1} rounds")
                return
            has_rested = await self._rest(tab, place)
            is_back = await self._return(tab, start, link, entry, place)
            await self._count(tab, place, number)
            if not is_back:
                self._add_gap(f"the page could not return from {place} by a link or the history, in round {number}")
                await self._load(tab, start)
                return
            if not has_rested:
                break  # each further round would take as long
        await self._count_delayed_closes(tab, place)
        if self._has_more_open(tab, place):
            await self._load(tab, start)  # what this view left open must not mix with the connections of the next

    async def _load(self, tab: BrowserTab, url: str) -> None:
        self._act(tab, "load the page again")
        await tab.goto(url)
        await self._rest(tab, "")

    async def _return(self, tab: BrowserTab, start: str, link: PageLink, entry: int, place: str) -> bool:
        """Go back to the URL `start`. Return whether the page there contains `link`, which led to the visited view.

        If the visited view has a link to `start`, click it; otherwise show entry `entry` of the tab's history.
        `place` is the path of the visited view. The test for `link` is needed because a page may show another view
        under the same URL.
        """
        if not await self._shows(tab, start, link):
            self._act(tab, f"return from {place}")
            back = next((each for each in await read_links(tab) if leads_to(each, start)), None)
            if back is None or not await click_link(tab, back.url):
                await tab.show_history_entry(entry)
            await self._rest(tab, place, is_return=True)
        return await self._shows(tab, start, link)

    async def _shows(self, tab: BrowserTab, url: str, link: PageLink) -> bool:
        """Return whether a tab shows the view at `url`, and this view contains `link`."""
        is_there = any(view_url(each.url) == view_url(link.url) for each in await read_links(tab))
        return is_there and view_url(await tab.url()) == view_url(url)

    async def on_round(self, tab: BrowserTab, place: str, number: int, rounds: int) -> None:
        """Count the open connections after round `number` of a repeated step. `place` is the line of the step."""
        self._progress(f"round {number} of {place}", number, rounds)
        await self._rest(tab, place)
        await self._count(tab, place, number)
        if number == rounds:
            await self._count_delayed_closes(tab, place)
        self._act(tab, place)

    def _place(self, url: str) -> str:
        """Return the path, the query and the route of a URL, without credentials.

        The route is the part of the fragment that a single-page application uses as its path: "#/bots".
        """
        shown = urlsplit(self._browser.traffic.urls.page(url))
        query, route = f"?{shown.query}" if shown.query else "", urlsplit(view_url(url)).fragment.partition("?")[0]
        return f"{shown.path}{query}" + (f"#{self._browser.traffic.urls.redact(route)}" if route else "")

    def _act(self, tab: BrowserTab, action: str) -> None:
        self.actions.append(ActionPerformed(at=time.time(), source=SOURCE_BROWSER, page=tab.label, action=action))

    async def _rest(self, tab: BrowserTab, place: str, *, is_return: bool = False) -> bool:
        """Wait until nothing happens in the page any more, after a visit of `place` (a view or a repeated step).

        With `is_return`, wait after the return from `place` to the start. Return True if the page came to rest in time.
        Otherwise record a gap (missing evidence) and return False.
        """
        shown = None if is_return else place
        quiet_s = self._quiet_s.get(shown, FIRST_QUIET_S)
        rest = await self._browser.rest.wait(tab, quiet_s, REST_TIMEOUT_S)
        needed_s = max(self._quiet_s.get(shown, 0.0), QUIET_S + 1.5 * rest.longest_s)
        self._quiet_s[shown] = min(FIRST_QUIET_S, needed_s)
        if not rest.is_reached and place not in self._restless:
            self._restless.add(place)
            self._add_gap(
                f"{tab.label} did not come to rest within {REST_TIMEOUT_S:g} s{f' ({place})' if place else ''}: "
                "connections open and end all the time, or it never finishes loading"
            )
        return rest.is_reached

    async def _count(self, tab: BrowserTab, place: str, number: int, *, at_rest: bool = False) -> None:
        await self._browser.read_handlers()
        sessions = self._browser.traffic.open_sessions()
        snapshot = Snapshot(
            at=time.time(),
            page=tab.label,
            place=place,
            round=number,
            open={session.eio: tuple(session.sids) for session in sessions},
            subscriptions=sum(len(session.subscriptions) for session in sessions),
            at_rest=at_rest,
        )
        self.snapshots.append(snapshot)

    def _total(self) -> int:
        """Return the number of connections and subscriptions of all tabs that are open now."""
        sessions = self._browser.traffic.open_sessions()
        return len(sessions) + sum(len(session.subscriptions) for session in sessions)

    async def _count_delayed_closes(self, tab: BrowserTab, place: str) -> None:
        """If some rounds left something open, wait for connections that close with a delay, and count again."""
        if not self._has_more_open(tab, place):
            return
        delay_s = 0.0 if self._closes_nothing_later(tab, place) else DELAYED_CLOSE_S
        deadline, first, *later = time.monotonic() + delay_s, *self._counts(tab, place)
        while time.monotonic() < deadline and self._total() > first:
            await self._browser.rest.wait(tab, QUIET_S, QUIET_S)
        await self._count(tab, place, len(later), at_rest=True)

    def _has_more_open(self, tab: BrowserTab, place: str) -> bool:
        """Return whether more was open after a visit to `place` than before the first visit."""
        first, *later = self._counts(tab, place)
        return max(later, default=0) > first

    def _closes_nothing_later(self, tab: BrowserTab, place: str) -> bool:
        """Return whether everything that the early rounds left open is still open after `DELAYED_CLOSE_S` seconds.

        If it is, the page closes nothing with a delay, so what the last rounds left open will stay open too.
        """
        first, *later = self._series(tab, place)
        long_ago = [each for each in later if time.time() - each.at >= DELAYED_CLOSE_S]
        if not long_ago or len(long_ago[-1].open) <= len(first.open):
            return False
        still_open = {session.eio for session in self._browser.traffic.open_sessions()}
        return all(each.open.keys() <= still_open for each in long_ago)

    def _series(self, tab: BrowserTab, place: str) -> list[Snapshot]:
        return [each for each in self.snapshots if each.place == place and each.page == tab.label]

    def _counts(self, tab: BrowserTab, place: str) -> list[int]:
        return [each.total for each in self._series(tab, place)]

    def scope(self, scope: Scope) -> Scope:
        """Return `scope`, extended by the number of views and steps that were repeated."""
        if not self.snapshots:
            return scope
        places = len({(each.page, each.place) for each in self.snapshots})
        left = f"what repeated visits of {'a place' if places == 1 else f'{places} places'} leave open"
        return msgspec.structs.replace(scope, checked=f"{scope.checked}, and {left}")

    def events(self, observed: Sequence[Event]) -> list[Event]:
        """Return events for the actions, and for the connections that were open after each round.

        `observed` are all events of the browser.
        """
        return [*self.actions, *count_rounds(self.snapshots, observed)]


class _SeriesKey(msgspec.Struct, frozen=True):
    """Key for the counts of one kind of thing after each round.

    A key stands for the connections of one user from one call site, for the handlers of one event at one location, or
    for the subscriptions to one name at one call site.
    """

    what: str = "connections"
    name: str = ""
    opener: CodeLocation | None = None
    component: str | None = None
    user: str | None = None


def count_rounds(snapshots: Iterable[Snapshot], observed: Sequence[Event]) -> list[RoundCounted]:
    """Return how many connections, handlers and subscriptions were open after each round.

    Connections are counted per call site, handlers per event and location, subscriptions per name and call site.
    """
    by_place: dict[tuple[str, str], list[tuple[Snapshot, Counter[_SeriesKey]]]] = {}
    opened = {event.eio: event for event in observed if isinstance(event, Connected)}
    observed = [event for event in observed if isinstance(event, HandlersRegistered | Subscribed | Unsubscribed)]
    for snapshot in snapshots:
        counts = Counter(_opener_key(opened.get(eio)) for eio in snapshot.open)
        counts |= _count_handlers(snapshot, observed)
        counts |= _count_subscriptions(snapshot, observed)
        by_place.setdefault((snapshot.page, snapshot.place), []).append((snapshot, counts))
    return [
        RoundCounted(
            at=snapshot.at,
            source=SOURCE_BROWSER,
            page=snapshot.page,
            place=snapshot.place,
            round=snapshot.round,
            at_rest=snapshot.at_rest,
            count=counts[key],
            **msgspec.structs.asdict(key),
        )
        for rounds in by_place.values()
        for key in dict.fromkeys(key for _, counts in rounds for key in counts) or [_SeriesKey()]
        for snapshot, counts in rounds
    ]


def _opener_key(event: Connected | None) -> _SeriesKey:
    if event is None:
        return _SeriesKey()
    return _SeriesKey(opener=event.opener, component=event.component, user=event.user)


def _count_handlers(snapshot: Snapshot, observed: Iterable[Event]) -> Counter[_SeriesKey]:
    """Return the number of handlers per event and location.

    If several connections are open, the largest number on one of them counts.
    """
    sids = {sid for each in snapshot.open.values() for sid in each}
    latest: dict[tuple[str | None, str], HandlersRegistered] = {}
    for event in observed:
        if isinstance(event, HandlersRegistered) and event.sid in sids and (event.at or 0.0) <= snapshot.at:
            latest[event.sid, event.name] = event
    most = Counter[_SeriesKey]()
    for event in latest.values():
        for location, count in Counter(event.handlers).items():
            key = _SeriesKey(what="handlers", name=event.name, opener=location, user=event.user)
            most[key] = max(most[key], count)
    return most


def _count_subscriptions(snapshot: Snapshot, observed: Iterable[Event]) -> Counter[_SeriesKey]:
    """Return the number of subscriptions per name and call site.

    If several connections are open, the largest number on one of them counts.
    """
    sids = {sid for each in snapshot.open.values() for sid in each}
    open_by_sid: dict[str | None, dict[str, Subscribed]] = {}
    for event in observed:
        if isinstance(event, Subscribed | Unsubscribed) and event.sid in sids and (event.at or 0.0) <= snapshot.at:
            subscriptions = open_by_sid.setdefault(event.sid, {})
            if isinstance(event, Subscribed):
                subscriptions[event.subscription] = event
            else:
                subscriptions.pop(event.subscription, None)
    most = Counter[_SeriesKey]()
    for subscriptions in open_by_sid.values():
        keys = (
            _SeriesKey(what="subscriptions", name=each.name, opener=each.subscriber, user=each.user)
            for each in subscriptions.values()
        )
        most |= Counter(keys)
    return most


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
        """Reload the page, go back and forward, go offline and online, and hide and show the tab."""
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
        rest = await self._browser.rest.wait(tab, ACTION_QUIET_S, REST_TIMEOUT_S)
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
        is_at_rest = self._is_at_rest or (await self._browser.rest.wait(tab, ACTION_QUIET_S, REST_TIMEOUT_S)).is_reached
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
        """Record that an action, or the next part of it, starts now.

        The rules then attribute the connection attempts that follow to the action, and not to a loop in the page.
        """
        self.events.append(ActionPerformed(at=time.time(), source=SOURCE_BROWSER, page=tab.label, action=action))

    def _count(self, tab: BrowserTab | None = None) -> int:
        """Return the number of open connections of `tab`, or of all tabs if it is None."""
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
        await self._browser.rest.wait(tab, ACTION_QUIET_S, REST_TIMEOUT_S)
        second = await tab.history_entry()
        for action, entry in (("back", start), ("forward", second), ("back", start)):
            await self._browser.rest.wait(tab, ACTION_QUIET_S, REST_TIMEOUT_S)
            self._mark(tab, action)
            await tab.show_history_entry(entry)
        return await self._count_at_rest(tab, first)

    async def _go_offline(self, tab: BrowserTab) -> int:
        before = self._count()
        await tab.send("Network.emulateNetworkConditions", **{**_ONLINE, "offline": True})
        try:
            await self._browser.rest.wait(tab, ACTION_QUIET_S, REST_TIMEOUT_S)
        finally:
            self._mark(tab, "online")
            await tab.send("Network.emulateNetworkConditions", **_ONLINE)
        return await self._count_at_rest(tab, before)

    async def _hide(self, tab: BrowserTab) -> int:
        before, other = self._count(), await self._browser.new_tab()
        try:
            await other.send("Page.bringToFront")
            await self._wait_for_visibility(tab, "hidden")
            await self._browser.rest.wait(tab, ACTION_QUIET_S, REST_TIMEOUT_S)
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
        rest = await self._browser.rest.wait(tab, ACTION_QUIET_S, REST_TIMEOUT_S)
        while self._count() < expected and time.monotonic() < deadline:
            rest = await self._browser.rest.wait(tab, ACTION_QUIET_S, ACTION_QUIET_S)
        self._is_at_rest = rest.is_reached
        return self._count()
