"""The example's pages, served by the Node backend, and runs of `wscheck browser` over them."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.frontend import built
from tests.needs import needs
from tests.node_backend import Backend, node_backend
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import PhaseEnded
from wscheck.model.findings import Bar, Finding
from wscheck.model.report import BrowserReport
from wscheck.observe.browser import launched
from wscheck.run.browser.run import BrowserPlan, run_browser
from wscheck.run.page_report import PageOutcome, evaluate_pages


@contextmanager
def served(variant: str, *options: str) -> Iterator[Backend]:
    """Serve the pages of one variant ("dev" or "prod") with a backend that replaces connections, on one port."""
    needs("chromium")
    with node_backend("--static", str(built(variant)), *options) as backend:
        yield backend


async def watched(*urls: str, seconds: float = 2.0, **plan: Any) -> PageOutcome:
    """Return the outcome of a run over `urls`, each in its own tab."""
    return await run_browser(BrowserPlan(urls=urls, for_s=seconds, **plan))


async def watched_until(done: Callable[[BrowserReport], bool], *urls: str, timeout_s: float = 30.0) -> BrowserReport:
    """Return the report as soon as `done` accepts it, at the latest after `timeout_s` seconds."""
    async with launched() as browser:
        tabs = [await browser.new_tab() for _ in urls]
        await asyncio.gather(*(tab.goto(url) for tab, url in zip(tabs, urls, strict=True)))
        deadline = time.monotonic() + timeout_s
        while True:
            late = time.monotonic() > deadline
            events = (await browser.observation(final=late)).events
            ended = PhaseEnded(at=time.time(), source="browser")
            result = evaluate_pages([*events, ended], RuleOptions(), Bar(), target=urls[0])
            if late or done(result):
                return result
            await asyncio.sleep(0.3)


def findings_of(user: str, findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings about one user; the tabs of one run have different users."""
    return [finding for finding in findings if finding.user == user]
