"""Browser under observation: turns DevTools events into events of wscheck, and runs the configured steps."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urljoin

import msgspec

from wscheck.config.browser_steps import BrowserStep
from wscheck.detect import stack_frames
from wscheck.model.code_facts import OpenerCode
from wscheck.model.errors import CannotCheck
from wscheck.model.events import SOURCE_BROWSER, ActionPerformed, Connected, Event
from wscheck.model.report import PageSummary
from wscheck.model.secrets import Secret
from wscheck.observe.browser import launch
from wscheck.observe.browser.devtools import BrowserEnded, CommandFailed, DevToolsConnection, MalformedValue, page_value
from wscheck.observe.browser.handlers import MAX_CONTEXTS, HandlerPoller
from wscheck.observe.browser.mounted_components import MountedComponents, read_mounted_components
from wscheck.observe.browser.network import NetworkFeed, PageRest
from wscheck.observe.browser.opener import (
    DevToolsStack,
    OpenerCodeReader,
    attribute_packages,
    attribute_reconnects,
    opener_frames,
)
from wscheck.observe.browser.page import BrowserTab, PageLoads, PageObstacles
from wscheck.observe.browser.page_calls import PageCalls
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.browser.targets import DevToolsTarget, DevToolsTargets
from wscheck.observe.host_limit import host_limit
from wscheck.observe.traffic import ConnectionOrigin, IdentityRule, TrafficDemux, TrafficRedactor, TrafficSession

TAB_TIMEOUT_S = 10
STEP_POLL_S = 0.05


MAX_PARENTS = 6
"""Parts of one stack, before awaits and timers, that are requested from the browser."""


class BrowserObservation(msgspec.Struct):
    """Events and pages of a browser.

    notes      sentences for the report about what was observed only in part
    obstacles  sentences about what may have prevented the pages from connecting, the most likely first
    """

    events: list[Event]
    pages: list[PageSummary]
    notes: list[str]
    obstacles: list[str] = msgspec.field(default_factory=list)


class Browser:
    """Observed browser, created with `launched` or `attached`.

    Tabs that pages or users open are observed as well.

    startup_script  JavaScript that runs in every tab that wscheck opens, before the page's own scripts
    """

    def __init__(
        self,
        devtools_url: str,
        identity: IdentityRule | None,
        root: str,
        *,
        is_own: bool,
        redactor: TrafficRedactor | None = None,
        target: str = "",
    ) -> None:
        self._is_own, self._first_tab_used = is_own, False
        self._opened_tabs: list[str] = []
        self._devtools = DevToolsConnection(devtools_url, self._on_event)
        self.startup_script = ""
        self._identity = identity
        self.traffic = TrafficDemux(identity, source=SOURCE_BROWSER, redactor=redactor, target=target)
        self._scripts = PageScripts(self.traffic.urls, root, self._script_text)
        self._code = OpenerCodeReader(self._scripts, self.traffic.redactor)
        self._page_calls = PageCalls(self._scripts)
        self._steps: list[ActionPerformed] = []
        self._stack_tasks: list[asyncio.Task[None]] = []
        self._targets = DevToolsTargets(self._devtools, self.traffic.urls, self._on_target_attached)
        self._page_loads = PageLoads(self.traffic.urls)
        self._obstacles = PageObstacles(self.traffic.urls, self._scripts)
        self._handlers = HandlerPoller(self._devtools, self.traffic, self._scripts, self._targets)
        self._session_storage: dict[str, set[tuple[str, str]]] = {}
        self.rest = PageRest(self.traffic, self._targets)
        self._tabs: dict[str, BrowserTab] = {}
        self._tab_arrivals: dict[str, asyncio.Future[BrowserTab]] = {}
        self._host_limit = host_limit()

    async def _start(self) -> None:
        await self._devtools.__aenter__()
        self._network = NetworkFeed(self._devtools, self.traffic, self._request_maps, self._page_calls)
        await self._targets.attach()
        self._page_loads.set_open_before(self._targets.tabs.values())

    async def _script_text(self, session: str, script_id: str) -> str:
        try:
            result = await self._devtools.call("Debugger.getScriptSource", {"scriptId": script_id}, session)
        except (CommandFailed, CannotCheck):
            return ""
        return str(result.get("scriptSource", ""))

    async def _complete_stack(self, stack: DevToolsStack) -> None:
        """Add the earlier parts of a stack, which lie beyond its awaits and timers.

        A console message contains only the id of an earlier part. If the stack is that of a loop that sends queued
        messages, omit the part before its `await`: the code that started the loop did not queue the message.
        """
        segment = stack.stack
        with contextlib.suppress(CommandFailed, BrowserEnded, KeyError):
            for _ in range(MAX_PARENTS):
                while "parent" in segment:
                    segment = segment["parent"]
                if "parentId" not in segment:
                    break
                arguments = {"stackTraceId": segment["parentId"]}
                found = await self._devtools.call("Debugger.getStackTrace", arguments, stack.session)
                if stack.is_of_loop and segment is stack.stack and found["stackTrace"].get("description") == "await":
                    break
                segment["parent"] = found["stackTrace"]
        self._request_maps(stack)

    def _request_maps(self, stack: DevToolsStack) -> None:
        self._scripts.request_maps(stack.session, stack.script_ids())

    async def _stop(self) -> None:
        if not self._is_own:
            await self._close_opened_tabs()
        await self._handlers.stop()
        for task in self._stack_tasks:
            task.cancel()
        self._network.close()
        self._scripts.close()
        await self._devtools.__aexit__()

    async def _close_opened_tabs(self) -> None:
        """Close the tabs that wscheck opened in a user's browser, because their pages would stay connected."""
        for target_id in self._opened_tabs:
            with contextlib.suppress(CommandFailed, CannotCheck):
                await self._devtools.call("Target.closeTarget", {"targetId": target_id})

    @property
    def ended(self) -> bool:
        """True if the browser ended."""
        return self._devtools.ended.is_set()

    @property
    def devtools_url(self) -> str:
        """DevTools websocket URL, which Playwright's `connectOverCDP` accepts."""
        return self._devtools.url

    @property
    def crashed_tabs(self) -> list[str]:
        """Labels of the tabs whose page crashed."""
        return [tab.label for tab in self._tabs.values() if tab.crashed]

    @property
    def unobserved(self) -> list[str]:
        """Sentences about what was not observed: pages that did not finish loading, and WebTransport connections."""
        unfinished = [
            f"{tab.label} did not finish loading within {tab.load_timed_out_after:g} s: its later behaviour is unknown"
            for tab in self._tabs.values()
            if tab.load_timed_out_after is not None
        ]
        return [*unfinished, *self._network.unobserved]

    @property
    def tabs(self) -> dict[str, BrowserTab]:
        """Every tab by its label, including those that pages opened."""
        return {tab.label: tab for tab in self._tabs.values()}

    async def thumbnail(self, page: PageSummary) -> str | None:
        """Return a screenshot of the tab that shows a page, as a `data:` URI; None if no tab shows it any more."""
        for target in self._targets.tabs.values():
            tab = self._tabs.get(target.session)
            if tab is not None and not tab.crashed and self.traffic.urls.page(target.url) == page.url:
                return await tab.thumbnail()
        return None

    async def wait_until_ended(self) -> None:
        """Return when the browser ended."""
        await self._devtools.ended.wait()

    async def open(self, url: str, timeout: float | None = None) -> BrowserTab:
        """Open `url` in a new tab and wait until it has loaded.

        Raises:
            CannotCheck: The page did not load.
        """
        tab = await self.new_tab()
        await tab.goto(url, timeout)
        return tab

    async def new_tab(self) -> BrowserTab:
        """Return an empty tab: the first one of a launched browser, or a new one."""
        if self._is_own and len(self._targets.tabs) == 1 and not self._first_tab_used:
            self._first_tab_used = True
            tab = await self._wait_for_tab(next(iter(self._targets.tabs.values())).id)
        else:
            created = await self._devtools.call("Target.createTarget", {"url": "about:blank"})
            self._opened_tabs.append(created["targetId"])
            tab = await self._wait_for_tab(created["targetId"])
        if self.startup_script:
            source = {"source": self.startup_script}
            await self._devtools.call("Page.addScriptToEvaluateOnNewDocument", source, tab.session)
        return tab

    async def close_tab(self, tab: BrowserTab) -> None:
        """Close a tab, and wait until it is gone. Its connections end."""
        if (target := self._targets.by_session.get(tab.session)) is None:
            return
        await self._read_session_storage([target])
        await self._devtools.call("Target.closeTarget", {"targetId": target.id})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TAB_TIMEOUT_S):
                while tab.session in self._targets.by_session:
                    await asyncio.sleep(STEP_POLL_S)

    async def _wait_for_tab(self, target_id: str) -> BrowserTab:
        arrival = self._tab_arrivals.setdefault(target_id, asyncio.get_running_loop().create_future())
        async with asyncio.timeout(TAB_TIMEOUT_S):
            tab = await arrival
            target = self._targets.by_session.get(tab.session)
            if target is not None and target.resumed is not None:
                await target.resumed
        return tab

    async def allow_downloads(self, *, allowed: bool) -> None:
        """Refuse downloads if `allowed` is False. Otherwise restore the browser's default behaviour."""
        behaviour = {"behavior": "default" if allowed else "deny"}
        await self._devtools.call("Browser.setDownloadBehavior", behaviour)

    async def read_handlers(self) -> None:
        """Read the event handlers that every page and worker has registered now."""
        await self._handlers.read_all()

    async def set_cookies(self, cookies: list[dict[str, Any]]) -> None:
        """Set cookies (DevTools: Storage.setCookies). Every value is a secret, except a plain user id."""
        rule = self._identity
        for cookie in cookies:
            names_user = rule is not None and (rule.source, rule.keys) == ("cookie", (cookie.get("name"),))
            if rule is None or rule.claim or not names_user:
                self.traffic.redactor.learn(str(cookie.get("value", "")))
        await self._devtools.call("Storage.setCookies", {"cookies": cookies})

    def record_step(self, tab: BrowserTab, action: str) -> None:
        """Record that a configured step starts now, if its `action` acts on the page, as a click does."""
        if action in _ACTING_STEPS:
            event = ActionPerformed(at=time.time(), source=SOURCE_BROWSER, page=tab.label, action=action, by_step=True)
            self._steps.append(event)

    # --- DevTools events ----------------------------------------------------------------------------------------

    def _on_event(self, method: str, params: dict[str, Any], session: str) -> None:
        if method.startswith("Network."):
            self._on_network_event(method, params, session)
        elif method == "Runtime.bindingCalled":
            self._page_calls.on_binding_called(session, params)
        elif method == "Runtime.consoleAPICalled":
            stack = self._page_calls.on_console_message(session, params)
            if stack is not None:
                self._stack_tasks.append(asyncio.create_task(self._complete_stack(stack)))
        elif method == "Debugger.scriptParsed":
            self._scripts.on_script_parsed(session, params)
        elif method.startswith("Target."):
            self._on_target_event(method, params, session)
        elif method.startswith("Runtime.executionContext"):
            self._targets.on_execution_context(method, params, session)
        elif method in ("Page.loadEventFired", "Inspector.targetCrashed") and session in self._tabs:
            self._tabs[session].on_event(method)
            if self._tabs[session].crashed:
                self._on_crash(session)
        elif method == "Runtime.exceptionThrown":
            self._obstacles.on_exception(session, self._tab_label(session), params["exceptionDetails"])
        elif method == "Page.frameNavigated":
            self._on_navigated(params["frame"], session)
        elif method == "Page.javascriptDialogOpening" and self._is_own:
            # A dialog blocks the page. A launched browser has no user to close the dialog.
            answer = {"accept": params["type"] in ("alert", "beforeunload")}
            self._devtools.send("Page.handleJavaScriptDialog", answer, session)

    def _on_target_event(self, method: str, params: dict[str, Any], session: str) -> None:
        if method == "Target.attachedToTarget":
            self._targets.on_attached_event(params, session)
        elif method == "Target.detachedFromTarget":
            if (target := self._targets.on_detached_event(params)) is not None:
                self._network.on_target_closed(target.id)
        elif method == "Target.targetInfoChanged":
            self._targets.on_info_changed(params)

    def _on_network_event(self, method: str, params: dict[str, Any], session: str) -> None:
        self.rest.on_network_event(session, method, params)
        if self._host_limit is not None:
            self._host_limit.on_network_event(method, params)
        if (initiator := self._targets.initiator(session)) is not None:
            self._network.feed(method, params, session, initiator)
        self._obstacles.on_network_event(session, self._tab_label(session), method, params)
        if method == "Network.responseReceived":
            self._page_loads.on_response(self._targets.by_session.get(session), params)

    def _tab_label(self, session: str) -> str:
        target = self._targets.by_session.get(session)
        return target.tab if target is not None else "a page"

    def _on_crash(self, session: str) -> None:
        self._devtools.abandon_session(session)
        if (target := self._targets.by_session.get(session)) is not None:
            self._network.on_target_closed(target.id)

    def _on_target_attached(self, target: DevToolsTarget) -> None:
        self._handlers.start(target)
        if target.type != "page":
            return
        tab = BrowserTab(
            self._devtools, target.session, target.tab, lambda url: self._page_loads.on_navigate(target.id, url)
        )
        self._tabs[target.session] = tab
        arrival = self._tab_arrivals.setdefault(target.id, asyncio.get_running_loop().create_future())
        if not arrival.done():
            arrival.set_result(tab)

    def _on_navigated(self, frame: dict[str, Any], session: str) -> None:
        """Process a navigation. A navigation of the main frame closes the page's connections."""
        target = self._targets.by_session.get(session)
        if target is not None and "parentId" in frame:
            target.frames[frame["id"]] = frame["url"]
        elif target is not None:
            target.url = frame["url"]
            self._targets.on_document(target)
            self._page_loads.on_loaded(target.id)
            self._network.on_target_closed(target.id)

    # --- result -------------------------------------------------------------------------------------------------

    async def observation(self, *, final: bool = True) -> BrowserObservation:
        """Return all events so far, ordered by time, with the source positions of openers and event handlers.

        final  true if no more traffic follows
        """
        if final and self._is_own:
            self._stop_scripts()
        if not self.ended:
            await self._handlers.read_all()
        await self._network.drain()
        await asyncio.gather(*self._stack_tasks)
        self._stack_tasks.clear()
        await self._scripts.wait_for_maps()
        if final:
            self.traffic.flush()
        components: dict[str, MountedComponents] = {}
        if not self.ended:
            components, _ = await asyncio.gather(
                self._read_components(self.traffic.sessions), self._read_session_storage(self._targets.tabs.values())
            )
        # Nothing may be awaited from here on: pages open further sessions at any time.
        sessions = list(self.traffic.sessions)
        resolved = {id(session): self._resolve_origin(session, components) for session in sessions}
        origins = attribute_reconnects(sessions, resolved, self._handlers.sids_by_socket())
        origins = attribute_packages(sessions, origins, self._code)
        for session in sessions:
            if (key := shared_key(session.initiator.page, session.sent, self._session_storage)) is not None:
                name = self.traffic.redactor.redact(key)
                origins[id(session)] = msgspec.structs.replace(origins[id(session)], shared_key=name)
        connections = self.traffic.events(
            lambda session: origins[id(session)],
            lambda session, stack: self._resolve_stack(session, stack, components),
        )
        events = sorted(
            [*connections, *self._handlers.events(connections), *self._steps], key=lambda event: event.at or 0.0
        )
        tabs = self._targets.tabs
        pages = [PageSummary(type="page", url=self.traffic.urls.page(target.url)) for target in tabs.values()]
        connected = {event.page for event in events if isinstance(event, Connected) and event.page}
        loads, obstacles = list(self._page_loads.notes(tabs, connected)), self._obstacles.reasons()
        notes = [*loads, *self._handlers.notes, *self._scripts.notes, *self._code.notes]
        notes += self.traffic.notes
        shown = [page for page in pages if page.url != "about:blank"]
        return BrowserObservation(events, shown, notes, [*loads, *obstacles])

    def interrupt(self) -> None:
        """Let `observation` return soon, if necessary without some facts about the code: the run was interrupted."""
        self._code.interrupt()

    def _stop_scripts(self) -> None:
        """Let the pages run no further script, so that a busy page does not delay the last commands.

        A command waits until the running script ends, and a page that logs all the time runs scripts without a pause.
        Do not use this in a user's browser, where pages go on: a timer that is skipped would not be set again.
        """
        for target in self._targets.by_session.values():
            if target.type in ("page", "iframe"):
                self._devtools.send("Emulation.setScriptExecutionDisabled", {"value": True}, target.session)

    async def _read_components(self, sessions: Sequence[TrafficSession]) -> dict[str, MountedComponents]:
        """Return the mounted components of each page with connections, by DevTools session.

        Skip pages that do not respond.
        """
        stacks = [session.initiator.raw_stack for session in sessions]
        used = {stack.session for stack in stacks if isinstance(stack, DevToolsStack)}
        targets = [self._targets.by_session[each] for each in sorted(used) if each in self._targets.by_session]
        pages = [each for each in targets if each.type in ("page", "iframe") and not self._handlers.is_busy(each)]
        found = await asyncio.gather(
            *(
                read_mounted_components(self._devtools, each.session, list(each.contexts)[:MAX_CONTEXTS])
                for each in pages
            )
        )
        return {page.session: components for page, components in zip(pages, found, strict=True)}

    async def _read_session_storage(self, targets: Iterable[DevToolsTarget]) -> None:
        """Store the session storage of each tab.

        Skip tabs that do not respond, and pages without access to a session storage.
        """
        tabs = [each for each in targets if each.type == "page" and not self._handlers.is_busy(each)]
        arguments = {"expression": _SESSION_STORAGE, "returnByValue": True, "silent": True}
        calls = (self._devtools.call("Runtime.evaluate", arguments, each.session) for each in tabs)
        for tab, result in zip(tabs, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            with contextlib.suppress(MalformedValue):
                if isinstance(result, dict):
                    self._session_storage[tab.tab] = page_value(result["result"], set[tuple[str, str]])

    def _resolve_origin(self, session: TrafficSession, components: Mapping[str, MountedComponents]) -> ConnectionOrigin:
        return self._resolve_stack(session, session.initiator.raw_stack, components)

    def _resolve_stack(
        self, session: TrafficSession, stack: object, components: Mapping[str, MountedComponents]
    ) -> ConnectionOrigin:
        if not isinstance(stack, DevToolsStack):
            return ConnectionOrigin()
        origin = self._code.resolve_origin(stack)
        frames = filter(None, (self._scripts.frame_id(stack.session, script) for script in stack.script_ids()))
        frame_label = self._targets.frame_label(stack.session, next(frames, ""))
        target = self._targets.by_session.get(stack.session)
        is_shown = target is not None and target.document == session.initiator.document
        mounted = components.get(stack.session) if is_shown else None
        code = _with_components(origin.code, stack, origin, mounted)
        return msgspec.structs.replace(origin, target=frame_label, code=code)


def shared_key(tab: str, sent: Collection[str], storages: Mapping[str, set[tuple[str, str]]]) -> str | None:
    """Return a session storage key whose value a tab sent, if another tab has the same key and value.

    Return None if there is no such key. Of several keys, return the first in alphabetical order.

    tab       label of the tab
    sent      values that the tab sent to the server
    storages  dict of tab label to the (key, value) entries of its session storage
    """
    others = {entry for label, entries in storages.items() if label != tab for entry in entries}
    return min((key for key, value in storages.get(tab, set()) & others if value in sent), default=None)


_ACTING_STEPS = frozenset({"click", "fill", "press", "select", "upload", "back"})
"""Steps that may show another view. A step that loads a document ends its connections."""

_SESSION_STORAGE = """(() => { try {
  return Object.entries(sessionStorage).slice(0, 100).filter(([key, value]) => value.length > 5 && value.length < 500);
} catch { return [] } })()"""
"""JavaScript for the entries of the session storage. Short values, such as "true", may be equal by chance."""

_PARTLY_COUNTED = frozenset({"vue"})
"""Frameworks whose components may run code that is not found, such as Vue's watchers: no component is then unknown."""


def _with_components(
    code: OpenerCode | None, stack: DevToolsStack, origin: ConnectionOrigin, mounted: MountedComponents | None
) -> OpenerCode | None:
    """Return `code` with the number and names of the mounted components that run this code.

    Return it unchanged if they are unknown.
    """
    if mounted is None:
        return code
    frames = opener_frames(stack, origin)
    count, names = mounted.running((each["scriptId"], (each["lineNumber"], each["columnNumber"])) for each in frames)
    framework = stack_frames.framework_name(origin.stack) or (code.holder if code is not None else "")
    if not count and (framework not in mounted.frameworks or framework in _PARTLY_COUNTED):
        return code
    return msgspec.structs.replace(code or OpenerCode(), mounted=count, components=names)


@asynccontextmanager
async def launched(
    program: Path | None = None,
    identity: IdentityRule | None = None,
    root: str = "",
    redactor: TrafficRedactor | None = None,
    target: str = "",
    *,
    insecure: bool = False,
) -> AsyncIterator[Browser]:
    """Launch a headless Chromium with a fresh profile, and close it afterwards.

    program   the executable, by default the first browser that is installed
    root      folder of the frontend within the repository, empty if it is the repository's root
    redactor  redactor that several browsers of a run share, None for a new one
    target    the URL of the server under test, if known
    insecure  ignore invalid TLS certificates

    Raises:
        UsageError: `program` is not an executable file.
        CannotCheck: There is no browser, or it does not start.
    """
    limit = host_limit()
    flags = [launch.IGNORE_CERTIFICATES] if insecure else []
    flags += limit.browser_flags if limit is not None else []
    async with (
        launch.running_browser(launch.find_browser(program), flags) as url,
        _observed(Browser(url, identity, root, is_own=True, redactor=redactor, target=target)) as browser,
    ):
        yield browser


@asynccontextmanager
async def attached(
    url: str,
    identity: IdentityRule | None = None,
    root: str = "",
    redactor: TrafficRedactor | None = None,
    target: str = "",
) -> AsyncIterator[Browser]:
    """Attach to a running browser, which continues to run afterwards. The parameters are those of `launched`.

    Raises:
        Unreachable: Nothing answers at `url`.
    """
    devtools_url = await launch.devtools_url(url)
    browser = Browser(devtools_url, identity, root, is_own=False, redactor=redactor, target=target)
    async with _observed(browser):
        yield browser


@asynccontextmanager
async def _observed(browser: Browser) -> AsyncIterator[Browser]:
    await browser._start()
    try:
        yield browser
    except CommandFailed as error:
        raise CannotCheck(
            f"The browser refused a command: {error}.", "Update the browser, or try another browser."
        ) from error
    finally:
        await browser._stop()


class StepObserver(Protocol):
    """Object whose methods `run_steps` calls for the steps with `repeat` and `measure`."""

    async def on_round(self, tab: BrowserTab, place: str, number: int, rounds: int) -> None:
        """Count open connections and subscriptions, before the first round and after each round of a `repeat` step.

        place   position of the step in the configuration, for messages
        number  number of the round that has just ended, 0 before the first round
        rounds  number of all rounds
        """
        ...

    async def on_measure(
        self, tab: BrowserTab, action: str, perform: Callable[[], Awaitable[BrowserTab]]
    ) -> BrowserTab:
        """Count open connections, run the steps of a `measure` step with `perform()`, and count again.

        Return the tab of the last step. `action` is the argument of the `measure` step.
        """
        ...


async def run_steps(
    browser: Browser, tab: BrowserTab, steps: Sequence[BrowserStep], observer: StepObserver | None = None
) -> BrowserTab:
    """Run `steps` ([[browser.step]] of wscheck.toml), starting in `tab`. Return the tab of the last step.

    Raises:
        CannotCheck: A step failed; the message starts with the line of the step.
    """
    since = started_at = time.time()
    for step in steps:
        since, started_at = started_at, time.time()
        try:
            if step.action == "repeat":
                tab = await _repeat(browser, tab, step, observer)
            elif step.action == "measure":
                tab = await _measure(browser, tab, step, observer)
            else:
                browser.record_step(tab, step.action)
                tab = await _run_step(browser, tab, step, since)
        except CannotCheck as error:
            problem = browser.traffic.redactor.redact(f"{step}: {error.problem}")
            raise CannotCheck(problem, error.next_step) from error
    return tab


async def _repeat(browser: Browser, tab: BrowserTab, step: BrowserStep, observer: StepObserver | None) -> BrowserTab:
    rounds = int(step.argument)
    for number in range(rounds + 1):
        if number:
            tab = await run_steps(browser, tab, step.steps)
        if observer is not None:
            await observer.on_round(tab, f"the steps at {step.location}", number, rounds)
    return tab


async def _measure(browser: Browser, tab: BrowserTab, step: BrowserStep, observer: StepObserver | None) -> BrowserTab:
    if observer is None:
        return await run_steps(browser, tab, step.steps)
    return await observer.on_measure(tab, str(step.argument), lambda: run_steps(browser, tab, step.steps))


async def _run_step(browser: Browser, tab: BrowserTab, step: BrowserStep, since: float) -> BrowserTab:
    """Run one step; return the tab for the next step.

    `since` is the time at which the previous step started.
    """
    value = str(step.argument)
    match step.action:
        case "goto":
            await tab.goto(urljoin(await tab.url(), value), step.timeout_s)
        case "wait_for":
            await tab.wait_for(value, step.timeout_s)
        case "wait_for_connection":
            await _wait_for_connections(browser, int(step.argument), step.timeout_s)
        case "wait_for_event":
            await _wait_until(
                lambda: browser.traffic.has_delivered(value, since), f"no event `{value}` arrived", step.timeout_s
            )
        case "wait":
            await asyncio.sleep(float(step.argument))
        case "reload":
            await tab.reload(step.timeout_s)
        case "back":
            await tab.back(step.timeout_s)
        case "tab":
            return await _switch_tab(browser, tab, step)
        case _:
            await _run_input_step(browser, tab, step, value)
    return tab


async def _run_input_step(browser: Browser, tab: BrowserTab, step: BrowserStep, value: str) -> None:
    """Run a step that uses the mouse, the keyboard or a form, as a user would."""
    match step.action:
        case "click":
            await tab.click(value, step.timeout_s)
        case "fill":
            await tab.fill(value, _reveal_text(browser, step.typed), step.timeout_s)
        case "press":
            await tab.press(value)
        case "select":
            await tab.select(value, _reveal_text(browser, step.typed), step.timeout_s)
        case "upload":
            await tab.upload(value, _reveal_text(browser, step.typed), step.timeout_s)
        case "hover":
            await tab.hover(value, step.timeout_s)
        case "scroll":
            await tab.scroll(step.argument, step.timeout_s)


async def _wait_for_connections(browser: Browser, count: int, timeout_s: float) -> None:
    expected = "no connection was open" if count == 1 else f"fewer than {count} connections were open"
    await _wait_until(lambda: len(browser.traffic.open_sessions()) >= count, expected, timeout_s)


async def _wait_until(is_met: Callable[[], bool], otherwise: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_met():
        if time.monotonic() > deadline:
            raise CannotCheck(f"{otherwise} within {timeout_s:g} s.", "Check what the page does, or raise `within`.")
        await asyncio.sleep(STEP_POLL_S)


def _reveal_text(browser: Browser, text: str | Secret) -> str:
    if isinstance(text, Secret):
        browser.traffic.redactor.learn(text.reveal())
        return text.reveal()
    return text


async def _switch_tab(browser: Browser, tab: BrowserTab, step: BrowserStep) -> BrowserTab:
    """Open a new tab at a URL, or return the tab with a number."""
    if isinstance(step.argument, str):
        return await browser.open(urljoin(await tab.url(), step.argument), step.timeout_s)
    label = f"tab {step.argument:g}"
    tabs = browser.tabs
    if label not in tabs:
        raise CannotCheck(f"There is no {label}.", f"Open tabs: {', '.join(tabs) or 'none'}.")
    return tabs[label]
