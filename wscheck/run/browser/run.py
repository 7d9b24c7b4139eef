"""`wscheck browser`, wired: a browser, what is visited in it, how long it is watched, and what that showed."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from wscheck.config.browser_steps import BrowserStep
from wscheck.config.settings import redact_url
from wscheck.detect.engine import RuleOptions
from wscheck.model.errors import CannotCheck, UsageError
from wscheck.model.events import SOURCE_BROWSER, AnyEvent, Event, NotEvaluated, PhaseEnded
from wscheck.model.findings import Bar
from wscheck.model.report import BrowserReport, PageSummary
from wscheck.observe.browser import Browser, StorageState, apply_storage, attached, launched, run_steps
from wscheck.observe.traffic import IdentityRule
from wscheck.run import page_report

ADDRESS = "WSCHECK_CDP_URL"
"""What a command finds the browser's address in."""

# After a command ended: what its last click caused is still on its way.
SETTLE_S = 0.3

LEAVE_S = 3.0
"""How long a command may take to end when it is asked to."""

Progress = Callable[[str, int, int], None]


class Browse(msgspec.Struct, kw_only=True):
    """What to watch.

    urls     each is opened in a tab of its own
    visits   where the first tab goes afterwards, one after the other
    for_s    how long to watch, after `urls` and again after each of `visits`
    program  the browser to launch; found on PATH without one
    cdp      the address of a browser that runs already, instead
    insecure whether the launched one shows pages whose certificate nobody vouches for
    command  a program that drives the browser; watched until it ends, in place of `for_s`
    storage  cookies and local storage that the browser begins with
    steps    what to do in the first tab, once the pages are there
    root     the folder of the checkout in which the frontend lies
    picture  whether a screenshot of each page is wanted
    """

    urls: tuple[str, ...] = ()
    visits: tuple[str, ...] = ()
    for_s: float = 5.0
    program: Path | None = None
    cdp: str | None = None
    insecure: bool = False
    command: tuple[str, ...] = ()
    identity: IdentityRule | None = None
    options: RuleOptions = msgspec.field(default_factory=RuleOptions)
    bar: Bar = msgspec.field(default_factory=Bar)
    storage: StorageState | None = None
    steps: tuple[BrowserStep, ...] = ()
    root: str = ""
    picture: bool = False


class Outcome(msgspec.Struct):
    """What a run came to: the report, and the events it stands on."""

    report: BrowserReport
    events: list[AnyEvent]


async def browse(run: Browse, progress: Progress = lambda what, done, of: None) -> Outcome:
    """Watch, judge, report. Cancelled (Ctrl-C), it reports what it has and says so. Raises UsageError, CannotCheck."""
    if not (run.urls or run.cdp or run.command or run.steps):
        raise UsageError("There is nothing to watch.", "Give a URL, --cdp ADDRESS, or -- COMMAND.")
    began = time.time()
    async with _browser(run) as browser:
        watch = _Watch(run, browser, progress)
        await watch.go()
        ended = time.time()
        seen = await browser.seen()
        watch.doubt_what_is_under_way()
        pages = await _pictures(browser, seen.pages) if run.picture else seen.pages
    latest = max((event.at for event in seen.events if event.at is not None), default=ended)
    events: list[Event] = [*seen.events, *watch.unjudged, PhaseEnded(at=max(ended, latest), source=SOURCE_BROWSER)]
    urls = " ".join(browser.traffic.addresses.page(url) for url in run.urls)
    target = urls or redact_url(run.cdp or "") or "".join(run.command[:1])
    report = page_report.report(events, run.options, run.bar, target=target, pages=pages, notes=seen.notes)
    report.started_at, report.duration_s = began, round(time.time() - began, 3)
    if watch.interrupted:
        report.interrupt()
    return Outcome(report, page_report.recorded(events))


@asynccontextmanager
async def _browser(run: Browse) -> AsyncIterator[Browser]:
    if run.cdp is not None:
        async with attached(run.cdp, run.identity, run.root) as browser:
            yield browser
    else:
        async with launched(run.program, run.identity, run.root, insecure=run.insecure) as browser:
            yield browser


async def _pictures(browser: Browser, pages: list[PageSummary]) -> list[PageSummary]:
    """Each page with its picture, where one can be had; a report without is better than none."""
    for page in pages:
        with contextlib.suppress(CannotCheck, TimeoutError):
            async with asyncio.timeout(5):
                page.screenshot = await browser.picture(page)
    return pages


async def _leave(process: asyncio.subprocess.Process) -> None:
    """End a program in order, or without it."""
    process.terminate()
    try:
        async with asyncio.timeout(LEAVE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class _Watch:
    """One run from the first page to the last moment."""

    def __init__(self, run: Browse, browser: Browser, progress: Progress) -> None:
        self._run, self._browser, self._progress = run, browser, progress
        self.unjudged: list[NotEvaluated] = []
        self.interrupted = False

    async def go(self) -> None:
        task = asyncio.ensure_future(self._act())
        gone = asyncio.ensure_future(self._browser.until_gone())
        try:
            await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._cannot_tell("the browser ended before the watch did")
            elif task.exception() is not None and not self._browser.gone:
                await task
            elif task.exception() is not None:
                self._cannot_tell("the browser ended before the watch did")
            for page in self._browser.crashed:
                self._cannot_tell(f"{page} crashed while it was watched")
            for said in self._browser.unseen:
                self._cannot_tell(said)
        except asyncio.CancelledError:
            self.interrupted = True
            if (this := asyncio.current_task()) is not None:
                this.uncancel()
        finally:
            for each in (task, gone):
                each.cancel()
            await asyncio.gather(task, gone, return_exceptions=True)

    async def _act(self) -> None:
        run, browser = self._run, self._browser
        if run.storage is not None:
            await apply_storage(browser, run.storage)
        pages = [await browser.tab() for _ in run.urls]
        await asyncio.gather(*(page.goto(url) for page, url in zip(pages, run.urls, strict=True)))
        if run.command:
            await self._drive()
            return
        if run.steps:
            pages = pages or [await browser.tab()]
            await run_steps(browser, pages[0], run.steps)
        await self._wait()
        for url in run.visits:
            first = pages[0] if pages else await browser.tab()
            await first.goto(url)
            await self._wait()

    async def _wait(self) -> None:
        """In steps, so that a progress bar moves."""
        until, whole = time.monotonic() + self._run.for_s, max(round(self._run.for_s), 1)
        while (left := until - time.monotonic()) > 0:
            self._progress("the page", whole - round(left), whole)
            await asyncio.sleep(min(left, 1.0))

    async def _drive(self) -> None:
        """The command's own output goes to stderr: stdout carries the report."""
        command = self._run.command
        environ = {**os.environ, ADDRESS: self._browser.address}
        try:
            process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr, env=environ)
        except OSError as error:
            raise UsageError(f"`{command[0]}` cannot be run: {error.strerror}.", "Check what follows `--`.") from error
        try:
            code = await process.wait()
        finally:
            if process.returncode is None:
                await _leave(process)
        await asyncio.sleep(SETTLE_S)
        if code:
            self._cannot_tell(f"the command ended with {code}: what it was to show may be missing")

    def doubt_what_is_under_way(self) -> None:
        """A connection that is still being opened in the end may be the second one."""
        waiting = sum(session.under_way for session in self._browser.traffic.sessions)
        if waiting and not self.unjudged:
            what = "a connection was" if waiting == 1 else f"{waiting} connections were"
            self._cannot_tell(f"{what} still being opened when the watch ended: watch longer (--for)")

    def _cannot_tell(self, reason: str) -> None:
        self.unjudged.append(NotEvaluated(at=time.time(), source=SOURCE_BROWSER, reason=reason))
