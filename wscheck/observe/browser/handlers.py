"""Which handlers each Socket.IO socket of a page has, and where each was written, without touching the page.

The debugger lists the objects of the heap; those that are sockets of socket.io-client are kept by the debugger's own
handle, and their handlers are read from time to time. Nothing is patched, and no global is set.
"""

import asyncio
import time
from typing import Any

import msgspec

from wscheck.model.events import HandlersRegistered
from wscheck.observe.browser.devtools import BrowserGone, CommandFailed, DevToolsConnection
from wscheck.observe.browser.scripts import PageScripts
from wscheck.protocols.socket_io import RESERVED_EVENT_NAMES

GROUP = "wscheck"

# In the page's realm, and reachable from nowhere in it. `held`: the handlers each event had when last read, as the
# array that the emitter itself keeps: an array that was dropped whole, and not emptied, went by off(event).
STATE = "({sockets: [], held: [], root: Object.prototype})"

FIND = """function(objects) {
  const own = (o, k) => { try { const d = Object.getOwnPropertyDescriptor(o, k); return d && d.value } catch {} };
  for (const each of objects) {
    if (own(each, 'io') && typeof own(each, 'nsp') === 'string' && own(each, 'receiveBuffer')
        && !this.sockets.includes(each)) { this.sockets.push(each); this.held.push(new Map()) }
  }
  if (this.sockets.length) {
    let root = this.sockets[0];
    for (let up = root; (up = Object.getPrototypeOf(up)) && up !== Object.prototype;) root = up;
    this.root = root;
  }
  return this.sockets.length;
}"""

READ = """function() {
  return this.sockets.map((socket, at) => {
    const now = socket._callbacks || {}, held = this.held[at], changed = {};
    for (const [name, was] of held) {
      const is = now['$' + name];
      if (is === was.list) continue;
      changed[name] = {count: is ? is.length : 0, lost: was.list.length};
      if (!is) held.delete(name);
    }
    for (const key of Object.keys(now)) {
      const name = key.slice(1), list = now[key], was = held.get(name);
      if (was && was.list === list && was.count === list.length) continue;
      changed[name] = {count: list.length, lost: (changed[name] || {lost: 0}).lost};
      held.set(name, {list, count: list.length});
    }
    return {at, sid: socket.id || null, nsp: socket.nsp, changed};
  });
}"""

FUNCTIONS = "function(at, name) { return (this.sockets[at]._callbacks['$' + name] || []).map(f => f.fn || f) }"
INSIDE = """function(at, name) {
  const text = f => Function.prototype.toString.call(f.fn || f), all = this.sockets[at]._callbacks || {};
  const around = (all.$connect || []).map(text);
  return (all['$' + name] || []).map(f => around.some(each => each.length > text(f).length && each.includes(text(f))));
}"""

Position = tuple[str, int, int]
"""Script id, line and column, both from 0."""


class HandlerSnapshot(msgspec.Struct, frozen=True):
    """The handlers of one event, as they were from `at` on. `sid`: the one the socket had, or had last."""

    at: float
    sid: str | None
    namespace: str
    name: str
    handlers: tuple[Position, ...]
    lost: tuple[Position, ...]
    inside: str | None


class SocketHandlers:
    """The sockets of one page or worker, or of one frame of it (`context`). `find` when there may be new ones, `read`
    from time to time, `told` in the end.

    lineage  for each socket object, the sids it had one after another: a reconnection is the same object
    """

    def __init__(self, wire: DevToolsConnection, session: str, context: int | None, scripts: PageScripts) -> None:
        self._wire, self._session, self._context, self._scripts = wire, session, context, scripts
        self._state: str | None = None
        self._known: dict[tuple[int, str], tuple[Position, ...]] = {}
        self._seen: list[HandlerSnapshot] = []
        self._busy = asyncio.Lock()
        self.lineage: dict[int, list[str]] = {}

    async def find(self) -> None:
        """Look for sockets that are new, and read all. Finds nothing once the page is gone."""
        try:
            async with self._busy:
                state = self._state or await self._begin()
                root = await self._on(state, "function() { return this.root }")
                query = {"prototypeObjectId": root["objectId"], "objectGroup": GROUP}
                objects = (await self._wire.call("Runtime.queryObjects", query, self._session))["objects"]["objectId"]
                await self._on(state, FIND, {"objectId": objects}, value=True)
                self._wire.send("Runtime.releaseObject", {"objectId": objects}, self._session)
        except (CommandFailed, BrowserGone, KeyError):
            return
        await self.read()

    async def read(self) -> None:
        """Note what changed since the last time."""
        if self._state is None:
            return
        try:
            async with self._busy:
                at = time.time()
                for socket in (await self._on(self._state, READ, value=True))["value"]:
                    await self._look(socket, at)
        except (CommandFailed, BrowserGone, KeyError):
            return

    def told(self) -> list[HandlersRegistered]:
        """What was seen, source-mapped. Only sid, namespace and time are filled: whose it was, others know."""
        return [
            HandlersRegistered(
                at=each.at,
                sid=each.sid,
                namespace=each.namespace,
                name=each.name,
                handlers=tuple(self._scripts.written(self._session, *at) for at in each.handlers),
                lost=tuple(self._scripts.written(self._session, *at) for at in each.lost),
                inside=each.inside,
            )
            for each in self._seen
        ]

    async def _begin(self) -> str:
        asked: dict[str, Any] = {"expression": STATE, "objectGroup": GROUP, "silent": True}
        if self._context is not None:
            asked["contextId"] = self._context
        answer = await self._wire.call("Runtime.evaluate", asked, self._session)
        self._state = str(answer["result"]["objectId"])
        return self._state

    async def _on(self, object: str, function: str, *arguments: dict[str, Any], value: bool = False) -> dict[str, Any]:
        asked = {
            "objectId": object,
            "functionDeclaration": function,
            "arguments": list(arguments),
            "returnByValue": value,
            "silent": True,
        }
        if not value:
            asked["objectGroup"] = GROUP
        answer = await self._wire.call("Runtime.callFunctionOn", asked, self._session)
        result: dict[str, Any] = answer["result"]
        return result

    async def _look(self, socket: dict[str, Any], at: float) -> None:
        number, sid = socket["at"], socket["sid"]
        sids = self.lineage.setdefault(number, [])
        if sid is not None and sid not in sids:
            sids.append(sid)
        for name, change in socket["changed"].items():
            before = self._known.get((number, name), ())
            now, inside = await self._locate(number, name) if change["count"] else ((), None)
            self._known[number, name] = now
            # A list that was dropped while it still held several: somebody else's handlers went along.
            lost = before if change["lost"] > 1 and not now else ()
            if name not in RESERVED_EVENT_NAMES:
                last = sids[-1] if sids else None
                self._seen.append(HandlerSnapshot(at, last, socket["nsp"], name, now, lost, inside))

    async def _locate(self, number: int, name: str) -> tuple[tuple[Position, ...], str | None]:
        """Where the event's handlers begin, and "connect" when the connect handler's text holds each of theirs."""
        state, which = self._state or "", ({"value": number}, {"value": name})
        array = await self._on(state, FUNCTIONS, *which)
        within = (await self._on(state, INSIDE, *which, value=True))["value"]
        asked = {"objectId": array["objectId"], "ownProperties": True}
        listed = await self._wire.call("Runtime.getProperties", asked, self._session)
        ids = [p["value"]["objectId"] for p in listed["result"] if p["name"].isdigit() and "objectId" in p["value"]]
        found = [at for each in ids if (at := await self._function(each)) is not None]
        return tuple(found), "connect" if within and all(within) else None

    async def _function(self, id: str) -> Position | None:
        asked = {"objectId": id, "ownProperties": True}
        answer = await self._wire.call("Runtime.getProperties", asked, self._session)
        for prop in answer.get("internalProperties", []):
            if prop["name"] == "[[FunctionLocation]]":
                at = prop["value"]["value"]
                self._scripts.want(self._session, [at["scriptId"]])
                return at["scriptId"], at["lineNumber"], at.get("columnNumber", 0)
        return None
