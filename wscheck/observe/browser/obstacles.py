"""Obstacles: what may have prevented a page from connecting, or hidden its connections."""

from typing import Any
from urllib.parse import urlsplit

import msgspec

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.traffic import UrlFormatter
from wscheck.observe.traffic.demux import parse_engine_url

MAX_PER_KIND = 3
MAX_REQUESTS = 10_000
HTTP_ERROR = 400

# Websockets of development servers, for hot and live reload.
_RELOAD_PATHS = (
    "/_next/webpack-hmr",
    "/sockjs-node",
    "/livereload",
    "/_nuxt/",
    "/ng-cli-ws",
    "/@vite",
    "/__vite",
)


class _Exception(msgspec.Struct, frozen=True):
    session: str
    tab: str
    text: str
    frames: tuple[dict[str, Any], ...]


class PageObstacles:
    """Exceptions, scripts that did not load, and connections of other protocols, of all pages.

    Call the `on_` methods with DevTools events, and `reasons` at the end.
    """

    def __init__(self, urls: UrlFormatter, scripts: PageScripts) -> None:
        self._urls, self._scripts = urls, scripts
        self._exceptions: list[_Exception] = []
        self._script_urls: dict[tuple[str, str], str] = {}
        self._blocked: dict[str, str] = {}
        self._foreign: dict[str, str] = {}

    def on_exception(self, session: str, tab: str, details: dict[str, Any]) -> None:
        """Process Runtime.exceptionThrown."""
        if len(self._exceptions) >= MAX_PER_KIND:
            return
        thrown = details.get("exception", {})
        text = str(thrown.get("description") or thrown.get("value") or details.get("text", "")).partition("\n")[0]
        frames = details.get("stackTrace", {}).get("callFrames") or [details]
        known = tuple(each for each in frames if each.get("scriptId"))
        self._scripts.request_maps(session, [each["scriptId"] for each in known])
        self._exceptions.append(_Exception(session, tab, text, known))

    def on_network_event(self, session: str, tab: str, method: str, params: dict[str, Any]) -> None:
        """Process an event of the Network domain."""
        if method == "Network.requestWillBeSent" and params.get("type") == "Script":
            if len(self._script_urls) < MAX_REQUESTS:
                self._script_urls[session, params["requestId"]] = params["request"]["url"]
        elif method == "Network.responseReceived" and params.get("type") == "Script":
            if (status := params["response"]["status"]) >= HTTP_ERROR:
                self._blocked[params["response"]["url"]] = f"HTTP {status}"
        elif method == "Network.loadingFailed" and (session, params["requestId"]) in self._script_urls:
            if not params.get("canceled"):
                reason = params.get("blockedReason") or params.get("errorText") or "it did not load"
                self._blocked[self._script_urls[session, params["requestId"]]] = str(reason)
        elif method == "Network.webSocketCreated" and not _is_known(params["url"]):
            self._foreign.setdefault(self._urls.page(params["url"]).partition("?")[0], tab)
        elif method == "Network.responseReceived" and params.get("type") == "EventSource":
            self._foreign.setdefault(self._urls.page(params["response"]["url"]).partition("?")[0], tab)

    def reasons(self) -> list[str]:
        """Return a sentence for each obstacle, the most likely first. The source maps must be decoded."""
        blocked = [
            f"the script {self._urls.script(url)} did not load ({self._urls.redact(reason)}): "
            "is it blocked, or is its address wrong?"
            for url, reason in list(self._blocked.items())[:MAX_PER_KIND]
        ]
        return [*blocked, *map(self._describe, self._exceptions), *self._other_protocols()]

    def _describe(self, exception: _Exception) -> str:
        places = [_located(self._scripts, exception.session, frame) for frame in exception.frames]
        own = next(iter(stack_frames.app_frames(places)), places[0] if places else None)
        at = f" at {own}" if own is not None else ""
        return (
            f"a script of {exception.tab} threw {self._urls.redact(exception.text)}{at}: fix the error, and run again"
        )

    def _other_protocols(self) -> list[str]:
        if not self._foreign:
            return []
        urls = ", ".join(list(self._foreign)[:MAX_PER_KIND])
        return [f"the page has connections of a protocol that is not evaluated: {urls}"]


def _located(scripts: PageScripts, session: str, frame: dict[str, Any]) -> CodeLocation:
    return scripts.resolve_frame(session, frame)[0]


def _is_known(url: str) -> bool:
    """Report whether a websocket is Socket.IO's, or that of a development server."""
    path = urlsplit(url).path
    is_reload = path.startswith(_RELOAD_PATHS) or (path == "/" and "token=" in url)
    return is_reload or parse_engine_url(url) is not None
