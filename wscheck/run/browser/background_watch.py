"""Watch of a running browser in the background, while a test in the calling thread drives the browser."""

import asyncio
import threading
import time
from contextlib import suppress

import msgspec

from wscheck.config.loading import Config
from wscheck.model.events import SOURCE_BROWSER, PhaseEnded
from wscheck.model.findings import Verdict
from wscheck.observe.browser import Browser
from wscheck.run import page_report
from wscheck.run.background import BackgroundTask
from wscheck.run.browser.run import SETTLE_S, BrowserPlan, plan_browser_run, run_browser
from wscheck.run.page_report import PageOutcome

PENDING_TIMEOUT_S = 2.0
"""Time in addition to the grace period, in which an inconclusive verdict may still become conclusive (seconds)."""

POLL_INTERVAL_S = 0.1


class BackgroundWatch:
    """Watch of the browser at the setting `browser.cdp`, from the creation of the object until `finish`."""

    def __init__(self, config: Config) -> None:
        """Start the watch. Return as soon as the browser is attached.

        Raises:
            UsageError: A setting is invalid.
            CannotCheck: The browser does not answer.
        """
        self._plan: BrowserPlan = msgspec.structs.replace(plan_browser_run(config, [], [], []), until=self._until)
        self._attached = threading.Event()
        self._settle = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finish_requested: asyncio.Event | None = None
        self._task = BackgroundTask(run_browser(self._plan))
        while not self._attached.wait(0.02):
            if not self._task.running:
                self._task.result()

    def finish(self, *, settle: bool = True) -> PageOutcome:
        """End the watch and return its outcome.

        If `settle` is true, wait first for effects of the last actions, and for the end of the grace period of an
        overlap.
        """
        self._settle = settle
        if self._loop is not None and self._finish_requested is not None:
            # If the browser has already ended, the loop is closed and raises RuntimeError.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finish_requested.set)
        return self._task.result()

    async def _until(self, browser: Browser) -> None:
        self._loop, self._finish_requested = asyncio.get_running_loop(), asyncio.Event()
        self._attached.set()
        await self._finish_requested.wait()
        if self._settle:
            await asyncio.sleep(SETTLE_S)
            deadline = time.monotonic() + self._plan.options.grace_s + PENDING_TIMEOUT_S
            while time.monotonic() < deadline and await self._is_open(browser):
                await asyncio.sleep(POLL_INTERVAL_S)

    async def _is_open(self, browser: Browser) -> bool:
        """Return whether the evidence is still inconclusive or a connection is still being opened."""
        events = (await browser.observation(final=False)).events
        ended = PhaseEnded(at=time.time(), source=SOURCE_BROWSER)
        report = page_report.evaluate_pages([*events, ended], self._plan.options, self._plan.bar, target="")
        return report.verdict is Verdict.INCONCLUSIVE or any(one.opening for one in browser.traffic.sessions)
