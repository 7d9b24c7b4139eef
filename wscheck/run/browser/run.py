"""Run of `wscheck browser`: the plan, the actions in the browser, and the outcome."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from operator import itemgetter
from pathlib import Path

import msgspec

from wscheck.config.browser_steps import BrowserStep
from wscheck.config.loading import Config
from wscheck.config.settings import redact_url
from wscheck.detect.engine import RuleOptions
from wscheck.model.disconnect_reasons import SERVER_ENDED
from wscheck.model.errors import CannotCheck, UsageError
from wscheck.model.events import SOURCE_BROWSER, Connected, Connecting, Disconnected, Event, NotEvaluated, PhaseEnded
from wscheck.model.findings import Bar, Verdict
from wscheck.model.report import PageSummary, Scope
from wscheck.observe.browser import (
    Browser,
    BrowserObservation,
    BrowserTab,
    StorageState,
    apply_storage,
    attached,
    launched,
    run_steps,
)
from wscheck.observe.browser.storage import load_storage_state
from wscheck.observe.host_limit import host_limit
from wscheck.observe.traffic import IdentityRule, TrafficSession
from wscheck.observe.traffic.inconclusive import NO_TRAFFIC, NOTHING_SEEN
from wscheck.report.finding_text import join_limited
from wscheck.run import page_report
from wscheck.run.background import BackgroundTask
from wscheck.run.browser.loop import PageActions, PageLoop
from wscheck.run.page_report import PageOutcome

CDP_URL_VARIABLE = "WSCHECK_CDP_URL"
"""Environment variable that contains the DevTools URL of the browser, for the command that drives the browser."""

SETTLE_S = 0.3
"""Time in which the last action of a command has effects after the command has ended (seconds)."""

OPENING_TIMEOUT_S, OPENING_POLL_S = 3.0, 0.1
"""Longest time to wait for connections that are being opened when the watch ends, on a busy machine (seconds)."""

TERMINATE_TIMEOUT_S = 3.0
THUMBNAIL_TIMEOUT_S = 5

ReportProgress = Callable[[str, int, int], None]
"""Function that is called with a description of the current action, the number of steps done, and the total number."""

SCOPE = Scope(
    checked="the pages that were open, during the watch",
    not_checked="other pages and actions (`--visit`, `[[browser.step]]`), and the server",
    closes_with="wscheck verify URL",
)

_SCHEMES = ("http://", "https://", "file://")

PENDING_TIMEOUT_S = 2.0
"""Time in addition to the grace period, in which an inconclusive verdict may still become conclusive (seconds)."""

POLL_INTERVAL_S = 0.1

HOSTS_NAMED = 4
"""Largest number of hosts that a message names."""


class BrowserPlan(msgspec.Struct, kw_only=True):
    """Plan of a browser run: the pages to open, and the time to watch them.

    urls        pages, each opened in its own tab
    visits      pages that the first tab opens afterwards, one after the other
    for_s       seconds to watch after the pages of `urls` have loaded, and again after each page of `visits`
    program     the browser to launch, by default the first one that is installed
    cdp         the URL of a browser that already runs, instead of `program`
    insecure    ignore invalid TLS certificates in a launched browser
    command     a program that drives the browser; the watch ends with the program, instead of after `for_s`
    until       async function that is called with the browser; the watch ends when it returns, instead of after `for_s`
    storage     cookies and local storage at the start
    steps       [[browser.step]] of wscheck.toml: clicks and input in the first tab, after the pages have loaded
    loop        number of visits of each view to which the first page has a link; 0 to follow no link
    loop_links  number of links that are followed at most
    root        the folder of the checkout that contains the frontend
    thumbnails  add a screenshot of each page to the report
    """

    urls: tuple[str, ...] = ()
    visits: tuple[str, ...] = ()
    for_s: float = 5.0
    program: Path | None = None
    cdp: str | None = None
    insecure: bool = False
    command: tuple[str, ...] = ()
    until: Callable[[Browser], Awaitable[None]] | None = None
    identity: IdentityRule | None = None
    options: RuleOptions = msgspec.field(default_factory=RuleOptions)
    bar: Bar = msgspec.field(default_factory=Bar)
    storage: StorageState | None = None
    steps: tuple[BrowserStep, ...] = ()
    loop: int = 0
    loop_links: int = 10
    root: str = ""
    thumbnails: bool = False


def plan_browser_run(config: Config, urls: Sequence[str], visits: Sequence[str], command: Sequence[str]) -> BrowserPlan:
    """Return the plan of a run from the configuration and the arguments of the command line.

    Raises:
        UsageError: A URL has no scheme, or two options exclude each other.
    """
    for url in (*urls, *visits):
        if not url.startswith(_SCHEMES):
            problem = f"`{redact_url(url)}` is not the address of a page."
            raise UsageError(problem, "Write http://localhost:3000/, with its scheme.")
    program, cdp = config["browser.browser"], config["browser.cdp"]
    if program and cdp:
        raise UsageError(
            "`browser.browser` launches a browser, `browser.cdp` watches a running one.", "Give one of the two."
        )
    insecure = config.values["target.insecure"]
    if insecure.given and cdp:
        raise UsageError(
            "`target.insecure` has no effect on a running browser (`browser.cdp`).",
            "Start that browser with --ignore-certificate-errors.",
        )
    loop = config.values["browser.loop"]
    is_own_page = bool(urls or config.steps) and not command
    if loop.given and not is_own_page:
        raise UsageError(
            "`browser.loop` follows the links of a page that wscheck opens.",
            "Give the URL of the page, and no command.",
        )
    storage_state = config["browser.storage_state"]
    return BrowserPlan(
        urls=tuple(urls),
        visits=tuple(visits),
        for_s=config["browser.for"],
        program=Path(program) if program else None,
        cdp=cdp,
        insecure=insecure.value,
        command=tuple(command),
        storage=load_storage_state(Path(storage_state)) if storage_state else None,
        steps=config.steps,
        loop=(loop.value or 0) if is_own_page else 0,
        loop_links=config["browser.loop_links"],
        identity=IdentityRule.parse(config["browser.identity"]),
        root=config["browser.source_root"] or "",
        options=config.judge_options,
        bar=config.bar,
    )


async def run_browser(plan: BrowserPlan, progress: ReportProgress = lambda what, done, total: None) -> PageOutcome:
    """Open the pages, watch them, and evaluate their connections.

    If the run is cancelled (Ctrl-C), return the report on the events so far, marked as interrupted.

    Raises:
        UsageError: The plan opens nothing, or the command cannot be run.
        CannotCheck: There is no browser, or a page did not load.
    """
    if not (plan.urls or plan.cdp or plan.command or plan.steps):
        raise UsageError(
            "There is nothing to watch.", "Give a URL, `browser.cdp=ADDRESS`, or `browser.command=COMMAND`."
        )
    started_at = time.time()
    async with _open_browser(plan) as browser:
        session = _BrowserRun(plan, browser, progress)
        with _refused_documents():
            await session.run()
        ended_at = time.time()
        observation = await browser.observation()
        session.record_pending_connections()
        session.record_missing_traffic(observation)
        session.record_refused_hosts()
        pages = observation.pages
        if plan.thumbnails:
            await _add_thumbnails(browser, pages)
    latest = max((event.at for event in observation.events if event.at is not None), default=ended_at)
    events: list[Event] = [
        *_at_permitted_hosts(session.without_duplicated_tab(observation.events)),
        *session.page_actions.events,
        *session.loop.events(observation.events),
        *session.gaps,
        PhaseEnded(at=max(ended_at, latest), source=SOURCE_BROWSER),
    ]
    urls = " ".join(browser.traffic.urls.page(url) for url in plan.urls)
    target = urls or redact_url(plan.cdp or "") or "".join(plan.command[:1])
    report = page_report.evaluate_pages(
        events,
        plan.options,
        plan.bar,
        target=target,
        scope=session.loop.scope(SCOPE),
        pages=pages,
        notes=[*observation.notes, *session.page_actions.notes, *session.notes],
        interrupted=session.interrupted,
    )
    report.started_at, report.duration_s = started_at, round(time.time() - started_at, 3)
    return PageOutcome(report, page_report.in_evaluation_order(events))


@asynccontextmanager
async def _open_browser(plan: BrowserPlan) -> AsyncIterator[Browser]:
    if plan.cdp is not None:
        async with attached(plan.cdp, plan.identity, plan.root) as browser:
            yield browser
    else:
        async with launched(plan.program, plan.identity, plan.root, insecure=plan.insecure) as browser:
            yield browser


@contextmanager
def _refused_documents() -> Iterator[None]:
    """In the `with` block, replace CannotCheck (a page did not load) if `wscheck mcp` refused a host that a page needs.

    Raises:
        UsageError: A page needs a host that is not permitted; the message names it.
    """
    try:
        yield
    except CannotCheck as error:
        limit = host_limit()
        hosts = [host for host, matters in limit.refused.items() if matters] if limit is not None else []
        if not hosts:
            raise
        raise UsageError(
            f"{error.problem} It needs {_named(hosts)}, which is not permitted.",
            f"Start `wscheck mcp` with {' '.join(f'`mcp.allow={host}`' for host in hosts[:HOSTS_NAMED])}.",
        ) from error


def _at_permitted_hosts(events: Iterable[Event]) -> list[Event]:
    """Return `events` without those about hosts that are not permitted: such connections fail without a fault."""
    limit = host_limit()
    if limit is None:
        return list(events)
    return [event for event in events if (url := getattr(event, "url", None)) is None or limit.permits(url)]


def _named(hosts: Sequence[str]) -> str:
    return join_limited(hosts, HOSTS_NAMED)


def _allow(hosts: Sequence[str]) -> str:
    return "start `wscheck mcp` with " + " ".join(f"--allow {host}" for host in hosts[:HOSTS_NAMED])


async def _add_thumbnails(browser: Browser, pages: Sequence[PageSummary]) -> None:
    """Add a screenshot to each page that still responds."""
    for page in pages:
        with contextlib.suppress(CannotCheck, TimeoutError):
            async with asyncio.timeout(THUMBNAIL_TIMEOUT_S):
                page.screenshot = await browser.thumbnail(page)


async def _terminate(process: asyncio.subprocess.Process) -> None:
    """Terminate a program, and kill it if it does not end in time."""
    process.terminate()
    try:
        async with asyncio.timeout(TERMINATE_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class _BrowserRun:
    """Run of a plan in one browser.

    gaps          evidence that is missing from this run
    notes         limits of the observation, in sentences
    loop          repeated visits of views, with the connections that were open after each visit
    page_actions  other actions of users, with the number of connections before and after each action
    """

    def __init__(self, plan: BrowserPlan, browser: Browser, progress: ReportProgress) -> None:
        self._plan, self._browser, self._progress = plan, browser, progress
        self.gaps: list[NotEvaluated] = []
        self.notes: list[str] = []
        self.loop = PageLoop(browser, self._add_gap, progress)
        self.page_actions = PageActions(browser)
        self.interrupted = False

    async def run(self) -> None:
        """Perform all actions of the plan, or stop when the browser ends or the run is cancelled."""
        actions = asyncio.ensure_future(self._perform_actions())
        browser_end = asyncio.ensure_future(self._browser.wait_until_ended())
        try:
            await asyncio.wait([actions, browser_end], return_when=asyncio.FIRST_COMPLETED)
            if not actions.done():
                self._add_gap("the browser ended before the end of the check")
            elif actions.exception() is not None and not self._browser.ended:
                await actions
            elif actions.exception() is not None:
                self._add_gap("the browser ended before the end of the check")
            for tab in self._browser.crashed_tabs:
                self._add_gap(f"{tab} crashed during the check")
            for reason in self._browser.unobserved:
                self._add_gap(reason)
        except asyncio.CancelledError:
            self.interrupted = True
            self._browser.interrupt()
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
        finally:
            for each in (actions, browser_end):
                each.cancel()
            await asyncio.gather(actions, browser_end, return_exceptions=True)

    async def _perform_actions(self) -> None:
        plan, browser = self._plan, self._browser
        if plan.storage is not None:
            await apply_storage(browser, plan.storage)
        tabs = [await browser.new_tab() for _ in plan.urls]
        await asyncio.gather(*(tab.goto(url) for tab, url in zip(tabs, plan.urls, strict=True)))
        if plan.command:
            await self._run_command()
            return
        if plan.until is not None:
            await plan.until(browser)
            return
        if plan.steps or plan.loop:
            tabs = tabs or [await browser.new_tab()]
            last = await run_steps(browser, tabs[0], plan.steps, self)
        if plan.loop:
            await self.loop.follow_links(last, plan.loop, plan.loop_links)
            await self.page_actions.perform_all(last)
        await self._watch()
        for url in plan.visits:
            first = tabs[0] if tabs else await browser.new_tab()
            await first.goto(url)
            await self._watch()
        if plan.loop:
            await self.page_actions.duplicate(last)

    async def on_round(self, tab: BrowserTab, place: str, number: int, rounds: int) -> None:
        """Count the open connections after round `number` of a repeated step. `place` is the line of the step."""
        await self.loop.on_round(tab, place, number, rounds)

    async def on_measure(
        self, tab: BrowserTab, action: str, perform: Callable[[], Awaitable[BrowserTab]]
    ) -> BrowserTab:
        """Count the open connections before and after `perform`, and return the tab that it returns."""
        return await self.page_actions.measure(tab, action, perform)

    async def _watch(self) -> None:
        """Wait for `for_s` seconds, and move the progress bar meanwhile."""
        deadline, total = time.monotonic() + self._plan.for_s, max(round(self._plan.for_s), 1)
        while (remaining := deadline - time.monotonic()) > 0:
            self._progress("the page", total - round(remaining), total)
            await asyncio.sleep(min(remaining, 1.0))
        await self._wait_for_openings()

    async def _wait_for_openings(self) -> None:
        """Wait until each connection is acknowledged or refused, and has been open for longer than the grace period."""
        deadline = time.monotonic() + OPENING_TIMEOUT_S
        while time.monotonic() < deadline and any(map(self._is_unsettled, self._browser.traffic.sessions)):
            await asyncio.sleep(OPENING_POLL_S)

    def _is_unsettled(self, session: TrafficSession) -> bool:
        is_new = time.time() - session.opened_at <= self._plan.options.grace_s + OPENING_POLL_S
        return session.opening or (is_new and not session.ended)

    async def _run_command(self) -> None:
        """Run the command. Its output goes to stderr, because stdout contains the report."""
        command = self._plan.command
        environ = {**os.environ, CDP_URL_VARIABLE: self._browser.devtools_url}
        try:
            process = await asyncio.create_subprocess_exec(*command, stdout=sys.stderr, env=environ)
        except OSError as error:
            raise UsageError(
                f"`{command[0]}` cannot be run: {error.strerror}.", "Check `browser.command=COMMAND`."
            ) from error
        try:
            exit_code = await process.wait()
        finally:
            if process.returncode is None:
                await _terminate(process)
        await asyncio.sleep(SETTLE_S)
        if exit_code:
            self._add_gap(
                f"the command ended with exit code {exit_code}: connections that it should cause may be missing"
            )

    def without_duplicated_tab(self, events: Sequence[Event]) -> list[Event]:
        """Return `events` without those that happened after the tab was duplicated and therefore prove nothing.

        Without a policy (--connections), a second tab may have a connection of its own. Of the events after the
        duplication, only connection attempts are then kept: they show if the two tabs are in a loop. Return all events
        if there is a policy, or if both tabs send the same id from the session storage and the server ends one of
        their connections.
        """
        start = self.page_actions.duplicated_at
        if start is None or self._plan.options.connections is not None:
            return list(events)
        later = [event for event in events if (event.at or 0.0) >= start]
        share_id = any(isinstance(event, Connected) and event.shared_key for event in later)
        if share_id and any(isinstance(event, Disconnected) and event.reason in SERVER_ENDED for event in later):
            return list(events)
        return [event for event in events if (event.at or 0.0) < start or isinstance(event, Connecting)]

    def record_pending_connections(self) -> None:
        """Record a gap for connections that are still being opened: one of them may be a user's second connection."""
        now, sessions = time.time(), self._browser.traffic.sessions
        pending = [(session.endpoint, now - session.opened_at) for session in sessions if session.opening]
        if pending and not self.gaps:
            self._add_gap(pending_reason(pending))

    def record_refused_hosts(self) -> None:
        """Record the hosts that the pages needed and could not reach, because they are not permitted.

        Without a script or an answer of such a host, a page may behave differently. An image or a font changes nothing.
        """
        limit = host_limit()
        refused = limit.refused if limit is not None else {}
        needed = [host for host, matters in refused.items() if matters]
        passive = [host for host, matters in refused.items() if not matters]
        if needed:
            reason = f"the page requested {_named(needed)}, which is not permitted, and may behave differently"
            self._add_gap(f"{reason}: {_allow(needed)}")
        if passive:
            self.notes.append(f"Images, fonts or styles were not loaded from {_named(passive)}: {_allow(passive)}.")

    def record_missing_traffic(self, observation: BrowserObservation) -> None:
        """If the pages made no connection, record a gap (missing evidence) for each reason that the browser reported.

        If it reported no reason, record one gap that contains the time for which the pages were watched.
        """
        if self.gaps or any(isinstance(event, Connecting) for event in observation.events):
            return
        for obstacle in observation.obstacles:
            self._add_gap(f"{NOTHING_SEEN}: {obstacle.removesuffix('.')}")
        if not self.gaps and self._plan.urls and not self._plan.command:
            later = (
                "if the page connects later, watch longer (--for) or perform the action that connects (browser.step)"
            )
            self._add_gap(f"{NO_TRAFFIC}, within {self._plan.for_s:g} s; {later}")

    def _add_gap(self, reason: str) -> None:
        self.gaps.append(NotEvaluated(at=time.time(), source=SOURCE_BROWSER, reason=reason))


def pending_reason(pending: Sequence[tuple[str, float]]) -> str:
    """Return the reason for a gap: the server has not answered to these connections.

    pending  endpoint of each connection, and the seconds since it was requested; at least one
    """
    endpoint, waited = max(pending, key=itemgetter(1))
    if waited <= OPENING_TIMEOUT_S:
        subject = "a connection was" if len(pending) == 1 else f"{len(pending)} connections were"
        return f"{subject} still being opened when the check ended: watch longer (--for)"
    others = f", and {len(pending) - 1} more" if len(pending) > 1 else ""
    return (
        f"the server had not accepted the connection to {endpoint} after {waited:.0f} s{others}: its log may say "
        "why; or watch longer (--for)"
    )


class BackgroundWatch:
    """Watch of a running browser in a separate thread, from the creation of this object until `finish`.

    The setting `browser.cdp` contains the DevTools address of the browser.
    """

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
        """End the watch and return the report.

        If `settle` is true, wait first for effects of the last actions, and for the end of the grace period of an
        overlap (the time that two connections may overlap, --grace).
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
        """Return whether to wait on: the evidence is still inconclusive, or a connection is still being opened."""
        events = (await browser.observation(final=False)).events
        ended = PhaseEnded(at=time.time(), source=SOURCE_BROWSER)
        report = page_report.evaluate_pages([*events, ended], self._plan.options, self._plan.bar, target="")
        return report.verdict is Verdict.INCONCLUSIVE or any(one.opening for one in browser.traffic.sessions)
