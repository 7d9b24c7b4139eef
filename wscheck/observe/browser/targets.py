"""Targets (the DevTools term for tabs, frames and workers). Each target can open connections."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from wscheck.observe.browser import page_calls
from wscheck.observe.browser.devtools import DevToolsConnection
from wscheck.observe.traffic import Initiator, UrlFormatter

# Attach through a page only to targets that the browser does not report (attaching twice hangs a service worker).
_CHILD_FILTER = [{"type": kind, "exclude": True} for kind in ("service_worker", "shared_worker", "page", "tab")] + [{}]
_TYPES = frozenset({"page", "iframe", "worker", "shared_worker", "service_worker"})
_INTERNAL_SCHEMES = ("devtools://", "chrome://", "chrome-extension://", "edge://")
_AUTO_ATTACH = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}


class DevToolsTarget(msgspec.Struct):
    """An attached target: a tab, frame or worker.

    session   the DevTools session id
    tab       label of the tab that contains the target
    document  number of the document that the target shows, or of the worker; each load has its own
    contexts  dict of JavaScript execution context id to frame id
    frames    dict of frame id to URL, of the frames in the target that are not targets themselves
    resumed   done when the browser has resumed the target; a page that navigates earlier may lose its enabled domains
    """

    session: str
    id: str
    type: str
    url: str
    tab: str
    document: int = 0
    contexts: dict[int, str] = msgspec.field(default_factory=dict)
    frames: dict[str, str] = msgspec.field(default_factory=dict)
    resumed: "asyncio.Future[Any] | None" = None


class DevToolsTargets:
    """All targets of a browser.

    wscheck attaches to each target, enables the DevTools domains in it and resumes it.

    on_attached  called with each new target before it is resumed
    """

    def __init__(
        self, devtools: DevToolsConnection, urls: UrlFormatter, on_attached: Callable[[DevToolsTarget], None]
    ) -> None:
        self._devtools, self._urls, self._on_attached = devtools, urls, on_attached
        self.by_session: dict[str, DevToolsTarget] = {}
        self.tabs: dict[str, DevToolsTarget] = {}
        self._shared_workers, self._documents = 0, itertools.count(1)

    async def attach(self) -> None:
        """Attach to every open target, and to each target that is opened from now on."""
        await self._devtools.call("Target.setAutoAttach", _AUTO_ATTACH)

    def on_attached_event(self, params: dict[str, Any], parent: str) -> DevToolsTarget | None:
        """Process Target.attachedToTarget. Return None for a target that is not observed, but only resumed."""
        info, session = params["targetInfo"], params["sessionId"]
        kind, url = info["type"], info["url"]
        if kind not in _TYPES or url.startswith(_INTERNAL_SCHEMES):
            self._devtools.send("Runtime.runIfWaitingForDebugger", {}, session)
            return None
        target = DevToolsTarget(session, info["targetId"], kind, url, self._tab_label(kind, url, parent))
        self.on_document(target)
        self.by_session[session] = target
        if kind == "page":
            self.tabs[target.tab] = target
        self._on_attached(target)
        self._enable_and_resume(target)
        return target

    def on_document(self, target: DevToolsTarget) -> None:
        """Process the load of another document in a target."""
        target.document = next(self._documents)

    def _tab_label(self, kind: str, url: str, parent: str) -> str:
        """Return the label of a tab, or of the tab that a frame or worker belongs to.

        A service or shared worker belongs to the only open tab of its origin, which must have started it. If several
        tabs have this origin, the worker has a label of its own.
        """
        if kind == "page":
            return f"tab {len(self.tabs) + 1}"
        if (parent_target := self.by_session.get(parent)) is not None:
            return parent_target.tab
        tabs = [each.tab for each in self.tabs.values() if _origin(each.url) == _origin(url)]
        if len(tabs) == 1:
            return tabs[0]
        self._shared_workers += 1
        return f"{kind.replace('_', ' ')} {self._shared_workers}"

    def _enable_and_resume(self, target: DevToolsTarget) -> None:
        send, session = self._devtools.send, target.session
        send("Network.enable", {"maxPostDataSize": 1_000_000}, session)
        send("Runtime.enable", {}, session)
        send("Debugger.enable", {}, session)
        # A `debugger` statement must not pause the page.
        send("Debugger.setSkipAllPauses", {"skip": True}, session)
        send("Debugger.setAsyncCallStackDepth", {"maxDepth": 32}, session)
        if target.type in ("page", "iframe"):
            send("Page.enable", {}, session)
            send("Inspector.enable", {}, session)
            send("Runtime.addBinding", {"name": page_calls.BINDING}, session)
            script = {"source": page_calls.WRAPPER, "runImmediately": True}
            send("Page.addScriptToEvaluateOnNewDocument", script, session)
        if target.type != "service_worker":
            send("Target.setAutoAttach", {**_AUTO_ATTACH, "filter": _CHILD_FILTER}, session)
        target.resumed = send("Runtime.runIfWaitingForDebugger", {}, session)

    def on_info_changed(self, params: dict[str, Any]) -> None:
        """Process Target.targetInfoChanged, which reports the URL of a new target."""
        info = params["targetInfo"]
        for target in self.by_session.values():
            if target.id == info["targetId"]:
                target.url = info["url"] or target.url

    def on_detached_event(self, params: dict[str, Any]) -> DevToolsTarget | None:
        """Process Target.detachedFromTarget."""
        return self.by_session.pop(params["sessionId"], None)

    def initiator(self, session: str) -> Initiator | None:
        """Return the page or worker of a DevTools session as an `Initiator` without a stack; None if it is unknown."""
        target = self.by_session.get(session)
        if target is None:
            return None
        return Initiator(target.id, target.tab, f"{target.type} {self._urls.page(target.url)}", target.document)

    def frame_label(self, session: str, frame: str) -> str:
        """Return "iframe URL" for a frame within a target, empty for its main frame."""
        target = self.by_session.get(session)
        if target is None or frame not in target.frames:
            return ""
        return f"iframe {self._urls.page(target.frames[frame])}"

    def on_execution_context(self, method: str, params: dict[str, Any], session: str) -> None:
        """Process Runtime.executionContextCreated, executionContextDestroyed and executionContextsCleared."""
        target = self.by_session.get(session)
        if target is None:
            return
        if method == "Runtime.executionContextCreated":
            context = params["context"]
            aux = context.get("auxData", {})
            if aux.get("isDefault", True):
                target.contexts[context["id"]] = aux.get("frameId", "")
        elif method == "Runtime.executionContextDestroyed":
            target.contexts.pop(params["executionContextId"], None)
        else:
            target.contexts.clear()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
