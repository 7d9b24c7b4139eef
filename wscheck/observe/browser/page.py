"""Pages in the browser: the commands for the configured steps, the documents that the tabs loaded, and obstacles.

An obstacle may have prevented a page from connecting: an exception, or a script that did not load.
"""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, overload

import msgspec

from wscheck.config.browser_steps import KEY_CODES, MODIFIERS
from wscheck.detect import stack_frames
from wscheck.model.errors import CannotCheck
from wscheck.model.events import CodeLocation
from wscheck.observe.browser.devtools import CommandFailed, DevToolsConnection, MalformedValue, page_value
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.browser.targets import DevToolsTarget
from wscheck.observe.traffic import UrlFormatter

T = TypeVar("T")

LOAD_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.05
LOAD_POLL_INTERVAL_S = 0.5
HTTP_ERROR = 400

CERTIFICATE_HELP = (
    "Trust the authority of the certificate on this machine, or pass `target.insecure` for a test server. "
    "With `browser.cdp`, start the browser with --ignore-certificate-errors."
)

_NAVIGATION_ERRORS = ("context was destroyed", "Cannot find context", "navigated or closed", "Cannot find default")

MAX_OBSTACLES_PER_KIND = 3
MAX_SCRIPT_REQUESTS = 10_000


class BrowserTab:
    """A tab of the browser. Selectors are CSS, timeouts are seconds.

    Every method raises CannotCheck if the page does not perform the command in time.

    on_navigate           called with each URL that a command opens in the tab
    load_timed_out_after  seconds for which the load event was awaited in vain; None if the page loaded
    """

    def __init__(
        self, devtools: DevToolsConnection, session: str, label: str, on_navigate: Callable[[str], None]
    ) -> None:
        self._devtools, self.session, self.label, self._on_navigate = devtools, session, label, on_navigate
        self._loaded = asyncio.Event()
        self.crashed = False
        self.load_timed_out_after: float | None = None

    def on_event(self, method: str) -> None:
        """Process Page.loadEventFired or Inspector.targetCrashed."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Inspector.targetCrashed":
            self.crashed = True
            self._loaded.set()

    async def goto(self, url: str, timeout: float | None = None) -> None:
        """Open `url` and wait for its load event, for LOAD_TIMEOUT_S if no timeout is given."""
        started_at = self._start_navigation()
        self._on_navigate(url)
        result = await self._call("Page.navigate", {"url": url})
        if result.get("errorText"):
            problem = f"{self.label}: the page did not load: {result['errorText']}."
            next_step = CERTIFICATE_HELP if "ERR_CERT" in problem else "Check the URL in a browser."
            raise CannotCheck(problem, next_step)
        # Without a loaderId only the fragment of the URL changed.
        if "loaderId" in result:
            await self._wait_until_loaded(started_at, timeout)

    async def reload(self, timeout: float | None = None) -> None:
        """Reload the page and wait for its load event."""
        started_at = self._start_navigation()
        await self._call("Page.reload")
        await self._wait_until_loaded(started_at, timeout)

    async def back(self, timeout: float = 2.0) -> None:
        """Go back one entry in the tab's history."""
        history = await self._call("Page.getNavigationHistory")
        previous = history["currentIndex"] - 1
        if previous < 0:
            raise CannotCheck("There is no page to go back to.", "Visit two pages before `back`.")
        self._loaded.clear()
        await self._call("Page.navigateToHistoryEntry", {"entryId": history["entries"][previous]["id"]})
        # A page from the back/forward cache has no load event.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._loaded.wait(), min(timeout, 2.0))

    async def history_entry(self) -> int:
        """Return the id of the current entry in the tab's history."""
        history = await self._call("Page.getNavigationHistory")
        return int(history["entries"][history["currentIndex"]]["id"])

    async def show_history_entry(self, entry: int) -> None:
        """Go to an entry of the tab's history, as several clicks on the browser's back button do. Do not wait."""
        await self._call("Page.navigateToHistoryEntry", {"entryId": entry})

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a DevTools command to the tab and return its result."""
        return await self._call(method, params)

    @overload
    async def evaluate(self, expression: str) -> Any: ...

    @overload
    async def evaluate(self, expression: str, form: type[T]) -> T: ...

    async def evaluate(self, expression: str, form: Any = Any) -> Any:
        """Return the JSON value of a JavaScript expression, which must be of the type `form`; a promise is awaited."""
        arguments = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        result = await self._call("Runtime.evaluate", arguments)
        if "exceptionDetails" in result:
            error = result["exceptionDetails"].get("exception", {}).get("description") or "it failed"
            raise CannotCheck(
                f"The page's script failed: {error.splitlines()[0][:160]}.", "Try it in the browser's console."
            )
        try:
            return page_value(result["result"], form)
        except MalformedValue:
            problem = f"{self.label} replaces built-in functions of JavaScript, so that it could not be read."
            raise CannotCheck(problem, "Load the page without the script that replaces them.") from None

    async def wait_for(self, selector: str, timeout: float = 10.0) -> None:
        """Wait until an element exists and has a size."""
        is_visible = (
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " return !!e && e.getClientRects().length > 0 })()"
        )
        deadline = time.monotonic() + timeout
        while not await self._is_true(is_visible):
            if time.monotonic() > deadline:
                problem = f"{self.label}: nothing matches `{selector}` within {timeout:g} s."
                raise CannotCheck(problem, "Check the selector in the page.")
            await asyncio.sleep(POLL_INTERVAL_S)

    async def _is_true(self, expression: str) -> bool:
        """Return whether a JavaScript expression is true. Return False while the page navigates."""
        try:
            return bool(await self.evaluate(expression))
        except CannotCheck as error:
            if any(text in error.problem for text in _NAVIGATION_ERRORS):
                return False
            if "SyntaxError" in error.problem:
                raise CannotCheck("That is not a CSS selector.", "Try document.querySelector in the console.") from None
            raise

    async def click(self, selector: str, timeout: float = 10.0) -> None:
        """Wait for an element and click its middle with real mouse events."""
        await self.wait_for(selector, timeout)
        x, y = await self._middle(selector)
        position = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for event_type in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", {"type": event_type, **position})

    async def fill(self, selector: str, text: str, timeout: float = 10.0) -> None:
        """Replace the text of an input, once it exists."""
        await self.wait_for(selector, timeout)
        await self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select?.() }})()"
        )
        await self._call("Input.insertText", {"text": text})

    async def press(self, keys: str) -> None:
        """Press a key, or keys such as "Control+K", in the focused element."""
        *names, key = keys.split("+") if len(keys) > 1 else [keys]
        modifiers = sum(MODIFIERS[name] for name in names)
        text = {"Enter": "\r", "Space": " "}.get(key, key if len(key) == 1 else "")
        event: dict[str, Any] = {
            "key": " " if key == "Space" else key,
            "code": f"Key{key.upper()}" if len(key) == 1 and key.isalpha() else f"Digit{key}" if key.isdigit() else key,
            "windowsVirtualKeyCode": KEY_CODES.get(key, ord(key[0].upper())),
            "modifiers": modifiers,
        }
        if text and not modifiers & ~MODIFIERS["Shift"]:
            event["text"] = text
        for event_type in ("keyDown", "keyUp"):
            await self._call("Input.dispatchKeyEvent", {"type": event_type, **event})

    async def select(self, selector: str, option: str, timeout: float = 10.0) -> None:
        """Choose the option of a select element whose value or text is `option`."""
        await self.wait_for(selector, timeout)
        chosen = await self.evaluate(
            f"((e, wanted) => {{ const o = [...(e.options || [])].find(each => each.value === wanted"
            " || each.text.trim() === wanted); if (!o) return false; o.selected = true;"
            " for (const type of ['input', 'change']) e.dispatchEvent(new Event(type, {bubbles: true})); return true })"
            f"(document.querySelector({json.dumps(selector)}), {json.dumps(option)})"
        )
        if not chosen:
            raise CannotCheck(f"{self.label}: `{selector}` has no such option.", "Give the option's value or text.")

    async def upload(self, selector: str, path: str, timeout: float = 10.0) -> None:
        """Choose a file in a file input, which may be hidden, once it exists."""
        element = f"document.querySelector({json.dumps(selector)})"
        deadline = time.monotonic() + timeout
        while not await self._is_true(f"!!{element}"):
            if time.monotonic() > deadline:
                problem = f"{self.label}: nothing matches `{selector}` within {timeout:g} s."
                raise CannotCheck(problem, "Check the selector in the page.")
            await asyncio.sleep(POLL_INTERVAL_S)
        found = await self._call("Runtime.evaluate", {"expression": element})
        arguments = {"files": [str(Path(path).absolute())], "objectId": found["result"]["objectId"]}
        await self._call("DOM.setFileInputFiles", arguments)

    async def hover(self, selector: str, timeout: float = 10.0) -> None:
        """Move the mouse to the middle of an element, once it exists."""
        await self.wait_for(selector, timeout)
        x, y = await self._middle(selector)
        await self._call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})

    async def scroll(self, to: str | float, timeout: float = 10.0) -> None:
        """Scroll to an element, once it exists, or by a number of pixels."""
        if isinstance(to, str):
            await self.wait_for(to, timeout)
            await self.evaluate(f"document.querySelector({json.dumps(to)}).scrollIntoView({{block: 'center'}})")
        else:
            await self.evaluate(f"scrollBy(0, {to:g})")

    async def _middle(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view and return the position of its middle."""
        return await self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()",
            tuple[float, float],
        )

    async def screenshot(self) -> bytes:
        """Return a screenshot as PNG."""
        result = await self._call("Page.captureScreenshot", {"format": "png"})
        return base64.b64decode(result["data"])

    async def thumbnail(self) -> str:
        """Return a screenshot as a JPEG `data:` URI."""
        # A background tab paints nothing, and the command would never return.
        await self._call("Page.bringToFront")
        result = await self._call("Page.captureScreenshot", {"format": "jpeg", "quality": 60})
        return f"data:image/jpeg;base64,{result['data']}"

    async def url(self) -> str:
        """Return the URL that the tab shows."""
        return str(await self.evaluate("location.href"))

    def _start_navigation(self) -> float:
        """Discard earlier load events. Return the current time in seconds since the epoch."""
        self._loaded.clear()
        return time.time()

    async def _wait_until_loaded(self, started_at: float, timeout: float | None) -> None:
        """Wait until the page has loaded, or until the timeout.

        The page is also polled, because a busy Chromium may not report the load event of a small page. A page with a
        pending request (an image, a script) has no load event, but it may work nevertheless. So a timeout raises
        nothing.
        """
        timeout = LOAD_TIMEOUT_S if timeout is None else timeout
        deadline, self.load_timed_out_after = time.monotonic() + timeout, None
        while not self._loaded.is_set():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                self.load_timed_out_after = timeout
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(remaining, LOAD_POLL_INTERVAL_S)):
                    await self._loaded.wait()
            if not self._loaded.is_set() and await self._is_complete(started_at):
                break
        if self.crashed:
            raise CannotCheck(f"{self.label}: the page crashed.", "Open the page in a browser.")

    async def _is_complete(self, since: float) -> bool:
        """Return whether a page that started to load after `since` (seconds since the epoch) has loaded."""
        expression = f"document.readyState === 'complete' && performance.timeOrigin >= {since * 1000 - 100}"
        with contextlib.suppress(CannotCheck, TimeoutError):
            async with asyncio.timeout(LOAD_POLL_INTERVAL_S):
                return bool(await self.evaluate(expression))
        return False

    async def _call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await self._devtools.call(method, params, self.session)
        except CommandFailed as error:
            raise CannotCheck(f"{self.label}: the browser refused {method}: {error}.", "Is the tab open?") from error


class PageLoads:
    """Documents that the tabs loaded: errors, redirects, and tabs that were open before wscheck attached.

    The notes explain why a page shows no connection: an error page, a login page, or a page that was not reloaded.
    """

    def __init__(self, urls: UrlFormatter) -> None:
        self._urls = urls
        self._requested_url: dict[str, str] = {}
        self._status: dict[str, int] = {}
        self._open_before: set[str] = set()

    def set_open_before(self, tabs: Iterable[DevToolsTarget]) -> None:
        """Store the tabs that were open before wscheck attached; the browser does not report their websockets."""
        self._open_before |= {target.id for target in tabs if target.url.startswith(("http:", "https:"))}

    def on_loaded(self, target_id: str) -> None:
        """Process a navigation of a tab."""
        self._open_before.discard(target_id)

    def on_navigate(self, target_id: str, url: str) -> None:
        """Process a command that sends a tab to `url`."""
        self._requested_url[target_id] = url

    def on_response(self, target: DevToolsTarget | None, params: dict[str, Any]) -> None:
        """Process Network.responseReceived: store the status of the document of a tab.

        Documents of frames are ignored.
        """
        if target is not None and params.get("type") == "Document" and params.get("frameId") == target.id:
            self._status[target.id] = params["response"]["status"]

    def notes(self, tabs: Mapping[str, DevToolsTarget], connected: Collection[str]) -> Iterator[str]:
        """Yield sentences about tabs that explain missing connections.

        Such a tab was open before wscheck attached, shows an HTTP error, or was redirected and never connected.

        tabs       dict of label to tab
        connected  labels of the tabs that connected
        """
        for label, target in tabs.items():
            shown, status = self._urls.page(target.url), self._status.get(target.id, 0)
            requested = self._urls.page(self._requested_url.get(target.id, target.url))
            if target.id in self._open_before:
                yield f"{label} was open before the check, and its earlier connections are unknown: reload {shown}."
            if status >= HTTP_ERROR:
                yield f"{label} got HTTP {status} for {shown}."
            elif label not in connected and _without_query(requested) != _without_query(shown):
                login = "is a login missing (--storage-state, or steps)?"
                yield f"{label} was sent to {requested} and shows {shown}: {login}"


def _without_query(url: str) -> str:
    return url.partition("?")[0].rstrip("/")


class _Exception(msgspec.Struct, frozen=True):
    session: str
    tab: str
    text: str
    frames: tuple[dict[str, Any], ...]


class PageObstacles:
    """Exceptions, and scripts that did not load, of all pages.

    Call the `on_` methods with DevTools events, and `reasons` at the end.
    """

    def __init__(self, urls: UrlFormatter, scripts: PageScripts) -> None:
        self._urls, self._scripts = urls, scripts
        self._exceptions: list[_Exception] = []
        self._script_urls: dict[tuple[str, str], str] = {}
        self._blocked: dict[str, str] = {}

    def on_exception(self, session: str, tab: str, details: dict[str, Any]) -> None:
        """Process Runtime.exceptionThrown."""
        if len(self._exceptions) >= MAX_OBSTACLES_PER_KIND:
            return
        thrown = details.get("exception", {})
        text = str(thrown.get("description") or thrown.get("value") or details.get("text", "")).partition("\n")[0]
        frames = details.get("stackTrace", {}).get("callFrames") or [details]
        known = tuple(each for each in frames if each.get("scriptId"))
        self._scripts.request_maps(session, [each["scriptId"] for each in known])
        self._exceptions.append(_Exception(session, tab, text, known))

    def on_network_event(self, session: str, tab: str, method: str, params: dict[str, Any]) -> None:
        """Record a script that did not load, from a DevTools event of the Network domain."""
        if method == "Network.requestWillBeSent" and params.get("type") == "Script":
            if len(self._script_urls) < MAX_SCRIPT_REQUESTS:
                self._script_urls[session, params["requestId"]] = params["request"]["url"]
        elif method == "Network.responseReceived" and params.get("type") == "Script":
            if (status := params["response"]["status"]) >= HTTP_ERROR:
                self._blocked[params["response"]["url"]] = f"HTTP {status}"
        elif method == "Network.loadingFailed" and not params.get("canceled"):
            self._on_failed(session, params)

    def _on_failed(self, session: str, params: dict[str, Any]) -> None:
        if (url := self._script_urls.get((session, params["requestId"]))) is not None:
            self._blocked[url] = str(params.get("blockedReason") or params.get("errorText") or "it did not load")

    def reasons(self) -> list[str]:
        """Return a sentence for each obstacle, the most likely first. Call this after the source maps are decoded."""
        blocked = [
            f"the script {self._urls.script(url)} did not load ({self._urls.redact(reason)}): "
            "is it blocked, or is its address wrong?"
            for url, reason in list(self._blocked.items())[:MAX_OBSTACLES_PER_KIND]
        ]
        return [*blocked, *map(self._describe, self._exceptions)]

    def _describe(self, exception: _Exception) -> str:
        places = [_located(self._scripts, exception.session, frame) for frame in exception.frames]
        own = next(iter(stack_frames.app_frames(places)), places[0] if places else None)
        at = f" at {own}" if own is not None else ""
        return (
            f"a script of {exception.tab} threw {self._urls.redact(exception.text)}{at}: fix the error, and run again"
        )


def _located(scripts: PageScripts, session: str, frame: dict[str, Any]) -> CodeLocation:
    return scripts.resolve_frame(session, frame)[0]
