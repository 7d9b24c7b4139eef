"""Rest of a page: no connection opens or ends, nothing loads, and the page's main thread is idle."""

import asyncio
import contextlib
import time
from typing import Any

import msgspec

from wscheck.model.errors import CannotCheck
from wscheck.observe.browser.page import BrowserTab
from wscheck.observe.browser.targets import DevToolsTargets
from wscheck.observe.traffic import TrafficDemux
from wscheck.observe.traffic.demux import parse_engine_url

POLL_S = 0.05
IDLE_TIMEOUT_S = 2.0

MAX_OPENING_S, MAX_REQUEST_S = 5.0, 3.0
"""Longest time for which a connection that is being opened, and a pending request, count as activity (seconds)."""

# The page answers when its main thread has nothing to do. A hidden page answers after the timeout.
_WHEN_IDLE = """new Promise(done => (window.requestIdleCallback || setTimeout)(
  () => setTimeout(() => done([location.href, document.readyState === 'complete'])), {timeout: 500}))"""


class Rest(msgspec.Struct, frozen=True):
    """Result of waiting for a page to rest.

    is_reached  the page rested before the timeout
    longest_s   the longest time without activity that activity ended (seconds)
    """

    is_reached: bool
    longest_s: float


class PageRest:
    """Observer of everything that a page does until it rests. Feed `on_network_event` with all network events."""

    def __init__(self, traffic: TrafficDemux, targets: DevToolsTargets) -> None:
        self._traffic, self._targets = traffic, targets
        self._pending: dict[tuple[str, str], float] = {}

    def on_network_event(self, session: str, method: str, params: dict[str, Any]) -> None:
        """Process an event of the Network domain: a request starts or ends. Long polls and streams are no activity."""
        key = (session, params.get("requestId", ""))
        if method == "Network.requestWillBeSent":
            is_loading = params.get("type") in ("Document", "Script", "Fetch", "XHR")
            if is_loading and parse_engine_url(params["request"]["url"]) is None:
                self._pending[key] = time.monotonic()
        elif method in ("Network.loadingFinished", "Network.loadingFailed"):
            self._pending.pop(key, None)

    async def wait(self, tab: BrowserTab, quiet_s: float, timeout_s: float) -> Rest:
        """Wait until nothing has happened for `quiet_s` seconds, at most `timeout_s` seconds."""
        changed_at = time.monotonic()
        deadline, longest_s, last = changed_at + timeout_s, 0.0, None
        while True:
            page = await self._when_idle(tab)
            state = (page, self._state())
            now = time.monotonic()
            is_loaded = page is not None and (page[1] or tab.load_timed_out_after is not None)
            if state != last or not is_loaded or self._is_busy(now):
                if last is not None:
                    longest_s = max(longest_s, now - changed_at)
                changed_at, last = now, state
            elif now - changed_at >= quiet_s:
                return Rest(True, longest_s)
            if now > deadline:
                return Rest(False, longest_s)
            await asyncio.sleep(POLL_S)

    async def _when_idle(self, tab: BrowserTab) -> tuple[str, bool] | None:
        """Return the page's URL and whether it has loaded, as soon as it is idle; None while it navigates."""
        with contextlib.suppress(CannotCheck, TimeoutError):
            async with asyncio.timeout(IDLE_TIMEOUT_S):
                url, is_loaded = await tab.evaluate(_WHEN_IDLE)
                return url, is_loaded
        return None

    def _state(self) -> tuple[object, ...]:
        """Return what each activity changes: the connections, and the documents of all tabs, frames and workers."""
        sessions = self._traffic.sessions
        documents = tuple((each.session, each.document) for each in self._targets.by_session.values())
        ended = sum(session.unused_from is not None for session in sessions)
        return len(sessions), sum(len(session.sids) for session in sessions), ended, documents

    def _is_busy(self, now: float) -> bool:
        self._pending = {key: at for key, at in self._pending.items() if now - at < MAX_REQUEST_S}
        opened_after = time.time() - MAX_OPENING_S
        return bool(self._pending) or any(
            session.opening and session.opened_at > opened_after for session in self._traffic.sessions
        )
