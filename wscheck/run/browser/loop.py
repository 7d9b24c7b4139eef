"""Loops of `wscheck browser`: repeated visits of each view of a page, and what is open after each round of visits.

place    view of a page, or repeated step, for which a loop counts connections; in reports the path of the URL
round    one visit of a place and the return to the start
at rest  nothing has happened in the page for a while: no request, no new connection, no other document
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
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


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Connections that are open after a round.

    page, place, round, at_rest  as in `RoundCounted`
    open                         dict of the Engine.IO session id of each open connection to its socket ids
    subscriptions                number of open subscriptions of all open connections
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
        """Number of open connections and subscriptions."""
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
        """Return to the page `start`, and report whether this page shows the link to the visited view again.

        If the visited view has a link to the page, the link is clicked; otherwise the tab goes back in its history. A
        page may show another view under the same URL.
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
        """Count what is open after a round of steps, as `StepObserver` describes."""
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
        """Wait until nothing happens in the page any more, after a visit of a place or the return from it.

        If the page does not come to rest in time, record a gap (missing evidence) for the place, and return False.
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
        """Return the number of open connections and subscriptions at present."""
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
        """Return whether everything that the early rounds left open is still open after `DELAYED_CLOSE_S`.

        Then what the last rounds left open will not close with a delay either.
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
        """Return `scope` with the places that were visited repeatedly."""
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
    """Key of a series of counts, for one user: connections of an opener, handlers of an event, or subscriptions."""

    what: str = "connections"
    name: str = ""
    opener: CodeLocation | None = None
    component: str | None = None
    user: str | None = None


def count_rounds(snapshots: Iterable[Snapshot], observed: Sequence[Event]) -> list[RoundCounted]:
    """Return the numbers of connections per opener, handlers per event and location, and subscriptions per name."""
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
