"""Everything in a browser that can hold a connection: tabs, frames, workers, also those that open later."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from wscheck.observe.browser.devtools import DevToolsConnection
from wscheck.observe.traffic import Initiator, UrlFormatter

# A page is asked for what only it can see; the rest is the browser's to tell (asking twice hangs a service worker).
_BENEATH = [{"type": kind, "exclude": True} for kind in ("service_worker", "shared_worker", "page", "tab")] + [{}]
_TYPES = frozenset({"page", "iframe", "worker", "shared_worker", "service_worker"})
_INTERNAL = ("devtools://", "chrome://", "chrome-extension://", "edge://")


class DevToolsTarget(msgspec.Struct):
    """One attached target. `tab`: the label of the tab that holds it. `contexts`: its JavaScript realms by frame.
    `frames`: the addresses of the frames in it that are no targets of their own, by id. `ready` is done once it was let
    run: a page that is sent elsewhere before may lose what was switched on."""

    session: str
    id: str
    type: str
    url: str
    tab: str
    contexts: dict[int, str] = msgspec.field(default_factory=dict)
    frames: dict[str, str] = msgspec.field(default_factory=dict)
    ready: "asyncio.Future[Any] | None" = None


class DevToolsTargets:
    """Attaches to every target, switches on what is needed, and lets it run. `on_new` is told before it runs."""

    def __init__(
        self, wire: DevToolsConnection, addresses: UrlFormatter, on_new: Callable[[DevToolsTarget], None]
    ) -> None:
        self._wire, self._addresses, self._on_new = wire, addresses, on_new
        self.by_session: dict[str, DevToolsTarget] = {}
        self.tabs: dict[str, DevToolsTarget] = {}
        self._others = 0

    async def attach(self) -> None:
        """To everything that is open, and from now on to whatever opens."""
        asked = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}
        await self._wire.call("Target.setAutoAttach", asked)

    def attached(self, params: dict[str, Any], parent: str) -> DevToolsTarget | None:
        """Target.attachedToTarget. None for what is not watched; it runs on all the same."""
        info, session = params["targetInfo"], params["sessionId"]
        kind, url = info["type"], info["url"]
        if kind not in _TYPES or url.startswith(_INTERNAL):
            self._wire.send("Runtime.runIfWaitingForDebugger", {}, session)
            return None
        held = DevToolsTarget(session, info["targetId"], kind, url, self._tab(kind, parent))
        self.by_session[session] = held
        if kind == "page":
            self.tabs[held.tab] = held
        self._on_new(held)
        self._switch_on(held)
        return held

    def _tab(self, kind: str, parent: str) -> str:
        if kind == "page":
            return f"tab {len(self.tabs) + 1}"
        if (above := self.by_session.get(parent)) is not None:
            return above.tab
        self._others += 1
        return f"{kind.replace('_', ' ')} {self._others}"

    def _switch_on(self, held: DevToolsTarget) -> None:
        send, session = self._wire.send, held.session
        send("Network.enable", {"maxPostDataSize": 1_000_000}, session)
        send("Runtime.enable", {}, session)
        send("Debugger.enable", {}, session)
        # A `debugger` statement must not stop a page that nobody debugs.
        send("Debugger.setSkipAllPauses", {"skip": True}, session)
        send("Debugger.setAsyncCallStackDepth", {"maxDepth": 32}, session)
        if held.type in ("page", "iframe"):
            send("Page.enable", {}, session)
            send("Inspector.enable", {}, session)
        if held.type != "service_worker":
            beneath = {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True, "filter": _BENEATH}
            send("Target.setAutoAttach", beneath, session)
        held.ready = send("Runtime.runIfWaitingForDebugger", {}, session)

    def changed(self, params: dict[str, Any]) -> None:
        """Target.targetInfoChanged: a target's address is known only once it is there."""
        info = params["targetInfo"]
        for held in self.by_session.values():
            if held.id == info["targetId"]:
                held.url = info["url"] or held.url

    def detached(self, params: dict[str, Any]) -> DevToolsTarget | None:
        """Target.detachedFromTarget."""
        return self.by_session.pop(params["sessionId"], None)

    def origin(self, session: str) -> Initiator | None:
        """Who holds what is told on `session`."""
        held = self.by_session.get(session)
        if held is None:
            return None
        return Initiator(held.id, held.tab, f"{held.type} {self._addresses.page(held.url)}")

    def framed(self, session: str, frame: str) -> str:
        """What a frame of the same site is called as a holder of connections; empty for the page itself."""
        held = self.by_session.get(session)
        if held is None or frame not in held.frames:
            return ""
        return f"iframe {self._addresses.page(held.frames[frame])}"

    def context(self, method: str, params: dict[str, Any], session: str) -> None:
        """The realms of a page come and go: Runtime.executionContextCreated and its like."""
        held = self.by_session.get(session)
        if held is None:
            return
        if method == "Runtime.executionContextCreated":
            context = params["context"]
            aux = context.get("auxData", {})
            if aux.get("isDefault", True):
                held.contexts[context["id"]] = aux.get("frameId", "")
        elif method == "Runtime.executionContextDestroyed":
            held.contexts.pop(params["executionContextId"], None)
        else:
            held.contexts.clear()
