"""One tab, driven: what a journey needs, and nothing that needs a library of its own."""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from wscheck.model.errors import CannotCheck
from wscheck.observe.browser.devtools import CommandFailed, DevToolsConnection

LOAD_S = 30.0
POLL_S = 0.05
LOOK_S = 0.5

UNTRUSTED = (
    "Trust its authority on this machine, or pass --insecure for a test server; "
    "a browser that is watched with --cdp is started with --ignore-certificate-errors."
)

_BETWEEN_PAGES = ("context was destroyed", "Cannot find context", "navigated or closed", "Cannot find default")


class BrowserTab:
    """A tab of the browser. Selectors are CSS. Everything raises CannotCheck when the page cannot do it in time.

    on_goto  is told each address that the tab is sent to
    """

    def __init__(self, wire: DevToolsConnection, session: str, label: str, on_goto: Callable[[str], None]) -> None:
        self._wire, self.session, self.label, self._on_goto = wire, session, label, on_goto
        self._loaded = asyncio.Event()
        self.crashed = False
        self.unfinished: float | None = None
        """How many seconds the page was waited for, when it was still loading then."""

    def heard(self, method: str) -> None:
        """The browser told of this page: Page.loadEventFired, Inspector.targetCrashed."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Inspector.targetCrashed":
            self.crashed = True
            self._loaded.set()

    async def goto(self, url: str, within: float | None = None) -> None:
        """Opens `url` and waits for its load event, up to LOAD_S."""
        began = self._leave()
        self._on_goto(url)
        answer = await self._call("Page.navigate", {"url": url})
        if answer.get("errorText"):
            problem = f"{self.label}: the page did not load: {answer['errorText']}."
            raise CannotCheck(problem, UNTRUSTED if "ERR_CERT" in problem else "Open it in a browser: is it there?")
        if "loaderId" in answer:  # without one the address only changed behind its #
            await self._load(began, within)

    async def reload(self, within: float | None = None) -> None:
        """Loads the page anew."""
        began = self._leave()
        await self._call("Page.reload")
        await self._load(began, within)

    async def back(self, within: float = 2.0) -> None:
        """One step back in the tab's history."""
        history = await self._call("Page.getNavigationHistory")
        before = history["currentIndex"] - 1
        if before < 0:
            raise CannotCheck("There is no page to go back to.", "Visit two pages before `back`.")
        self._loaded.clear()
        await self._call("Page.navigateToHistoryEntry", {"entryId": history["entries"][before]["id"]})
        with contextlib.suppress(TimeoutError):  # a page from the browser's own cache has no load event
            await asyncio.wait_for(self._loaded.wait(), min(within, 2.0))

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, promises awaited; it must be something that JSON can hold."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True, "userGesture": True}
        answer = await self._call("Runtime.evaluate", asked)
        if "exceptionDetails" in answer:
            said = answer["exceptionDetails"].get("exception", {}).get("description", "it failed")
            raise CannotCheck(f"The page's script failed: {said.splitlines()[0][:160]}.", "Try it in the console.")
        return answer["result"].get("value")

    async def wait_for(self, selector: str, within: float = 10.0) -> None:
        """Until an element is there and has a size."""
        probe = (
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " return !!e && e.getClientRects().length > 0 })()"
        )
        deadline = time.monotonic() + within
        while not await self._holds(probe):
            if time.monotonic() > deadline:
                problem = f"{self.label}: nothing matches `{selector}` within {within:g} s."
                raise CannotCheck(problem, "Check the selector in the page.")
            await asyncio.sleep(POLL_S)

    async def _holds(self, probe: str) -> bool:
        """A page that is just being replaced by another has nothing that holds."""
        try:
            return bool(await self.evaluate(probe))
        except CannotCheck as error:
            if any(said in error.problem for said in _BETWEEN_PAGES):
                return False
            if "SyntaxError" in error.problem:
                raise CannotCheck("That is no CSS selector.", "Try document.querySelector in its console.") from None
            raise

    async def click(self, selector: str, within: float = 10.0) -> None:
        """A real click in the middle of the element, once it is there."""
        await self.wait_for(selector, within)
        at = await self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center'});"
            " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()"
        )
        where = {"x": at[0], "y": at[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            await self._call("Input.dispatchMouseEvent", {"type": kind, **where})

    async def fill(self, selector: str, text: str, within: float = 10.0) -> None:
        """Types `text` into an input in place of what it held."""
        await self.wait_for(selector, within)
        await self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select?.() }})()"
        )
        await self._call("Input.insertText", {"text": text})

    async def screenshot(self) -> bytes:
        """What is on the screen, as PNG."""
        answer = await self._call("Page.captureScreenshot", {"format": "png"})
        return base64.b64decode(answer["data"])

    async def picture(self) -> str:
        """The same, smaller, as a `data:` URI. A tab in the background paints nothing and would never answer."""
        await self._call("Page.bringToFront")
        answer = await self._call("Page.captureScreenshot", {"format": "jpeg", "quality": 60})
        return f"data:image/jpeg;base64,{answer['data']}"

    async def address(self) -> str:
        """Where the tab is now."""
        return str(await self.evaluate("location.href"))

    def _leave(self) -> float:
        """What was loaded so far does not count any more. Returns the time, in seconds since the epoch."""
        self._loaded.clear()
        return time.time()

    async def _load(self, began: float, within: float | None) -> None:
        """Waits for the load event, and looks now and then: Chromium under load does not tell it of small pages.

        A page for which something stays on its way (an image, a script) never tells it, and may run all the same.
        """
        within = LOAD_S if within is None else within
        until, self.unfinished = time.monotonic() + within, None
        while not self._loaded.is_set():
            left = until - time.monotonic()
            if left <= 0:
                self.unfinished = within
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_S)):
                    await self._loaded.wait()
            if not self._loaded.is_set() and await self._complete(began):
                break
        if self.crashed:
            raise CannotCheck(f"{self.label}: the page crashed.", "Open it in a browser.")

    async def _complete(self, since: float) -> bool:
        """Whether a page that began after `since` (seconds since the epoch) has loaded."""
        probe = f"document.readyState === 'complete' && performance.timeOrigin >= {since * 1000 - 100}"
        with contextlib.suppress(CannotCheck, TimeoutError):
            async with asyncio.timeout(LOOK_S):
                return bool(await self.evaluate(probe))
        return False

    async def _call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await self._wire.call(method, params, self.session)
        except CommandFailed as error:
            raise CannotCheck(f"{self.label}: the browser refused {method}: {error}.", "Is the tab open?") from error
