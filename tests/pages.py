"""The example's pages, served by the Node backend, and watched."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.frontend import built
from tests.needs import needs
from tests.node_backend import EXAMPLE, Backend, node_backend
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import PhaseEnded
from wscheck.model.findings import Bar, Finding
from wscheck.model.report import BrowserReport
from wscheck.observe.browser import launched
from wscheck.run.browser.run import BrowserPlan, run_browser
from wscheck.run.page_report import PageOutcome, report


@contextmanager
def served(variant: str, *options: str) -> Iterator[Backend]:
    """The pages of one variant ("dev" or "prod") with a backend that replaces, on one port."""
    needs("chromium")
    with node_backend("--static", str(built(variant)), *options) as backend:
        yield backend


async def watched(*urls: str, seconds: float = 2.0, **more: Any) -> PageOutcome:
    """What a run over `urls`, each in a tab of its own, comes to."""
    return await run_browser(BrowserPlan(urls=urls, for_s=seconds, **more))


async def watched_until(done: Callable[[BrowserReport], bool], *urls: str, within: float = 30.0) -> BrowserReport:
    """What the pages show by the time that `done` says so; at the latest after `within` seconds."""
    async with launched() as browser:
        pages = [await browser.new_tab() for _ in urls]
        await asyncio.gather(*(page.goto(url) for page, url in zip(pages, urls, strict=True)))
        deadline = time.monotonic() + within
        while True:
            late = time.monotonic() > deadline
            seen = (await browser.observation(final=late)).events
            told = report([*seen, PhaseEnded(at=time.time(), source="browser")], RuleOptions(), Bar(), target=urls[0])
            if late or done(told):
                return told
            await asyncio.sleep(0.3)


def of(user: str, findings: Sequence[Finding]) -> list[Finding]:
    """The findings about one user: tabs of one run are told apart by their users."""
    return [finding for finding in findings if finding.user == user]


@cache
def lines(path: str) -> list[str]:
    """The lines of a source file of the example, as a place names it."""
    return Path(EXAMPLE, path).read_text().splitlines()
