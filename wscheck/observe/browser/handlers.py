"""Event handlers of each Socket.IO socket in a page, and their source positions, without changes to the page.

The debugger lists the objects in the page's memory. wscheck stores references to those objects that are sockets of
socket.io-client, and reads the handlers of these sockets periodically. The page's code cannot reach the references,
nothing is patched, and no global variable is set.
"""

import asyncio
import contextlib
import itertools
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from wscheck.model.events import Connected, Event, HandlersRegistered
from wscheck.observe.browser.devtools import BrowserEnded, CommandFailed, DevToolsConnection, MalformedValue, page_value
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.browser.targets import DevToolsTarget, DevToolsTargets
from wscheck.observe.traffic.demux import TrafficDemux
from wscheck.protocols.socket_io import RESERVED_EVENT_NAMES

MAX_CONTEXTS = 8
POLL_INTERVAL_S = 0.05
POLLS_PER_READ = 4

BUSY_TIMEOUT_S = 5.0
"""Seconds within which a page must evaluate `0`. The handlers of a slower page are not read."""

READ_ALL_TIMEOUT_S = 10.0
"""Longest time of the last read of all handlers (seconds). Pages with many frames answer each command late."""

MALFORMED = "{} replaces built-in functions of JavaScript, so that its event handlers could not all be read."

OBJECT_GROUP = "wscheck"

# An object in the page's JavaScript context that the page cannot reach. `lists`: for each socket, the handler array of
# each event at the last read. The emitter drops an array that still contains handlers only in off(event).
STATE = "({sockets: [], lists: [], root: Object.prototype})"

FIND_SOCKETS = """function(objects) {
  const own = (o, k) => { try { const d = Object.getOwnPropertyDescriptor(o, k); return d && d.value } catch {} };
  for (const each of objects) {
    if (own(each, 'io') && typeof own(each, 'nsp') === 'string' && own(each, 'receiveBuffer')
        && !this.sockets.includes(each)) { this.sockets.push(each); this.lists.push(new Map()) }
  }
  if (this.sockets.length) {
    let root = this.sockets[0];
    for (let up = root; (up = Object.getPrototypeOf(up)) && up !== Object.prototype;) root = up;
    this.root = root;
  }
  return this.sockets.length;
}"""

READ_CHANGES = """function() {
  return this.sockets.map((socket, index) => {
    const now = socket._callbacks || {}, lists = this.lists[index], changed = {};
    for (const [name, was] of lists) {
      const is = now['$' + name];
      if (is === was.list) continue;
      changed[name] = {count: is ? is.length : 0, lost: was.list.length};
      if (!is) lists.delete(name);
    }
    for (const key of Object.keys(now)) {
      const name = key.slice(1), list = now[key], was = lists.get(name);
      if (was && was.list === list && was.count === list.length) continue;
      changed[name] = {count: list.length, lost: (changed[name] || {lost: 0}).lost};
      lists.set(name, {list, count: list.length});
    }
    return {index, sid: socket.id || null, nsp: socket.nsp, changed};
  });
}"""

HANDLER_FUNCTIONS = """function(index, name) {
  return (this.sockets[index]._callbacks['$' + name] || []).map(f => f.fn || f);
}"""
# For each handler of the event: is its source text part of the text of a "connect" handler?
IN_CONNECT_HANDLER = """function(index, name) {
  const text = f => Function.prototype.toString.call(f.fn || f), all = this.sockets[index]._callbacks || {};
  const around = (all.$connect || []).map(text);
  return (all['$' + name] || []).map(f => around.some(each => each.length > text(f).length && each.includes(text(f))));
}"""

ScriptPosition = tuple[str, int, int]
"""Script id, line and column, both from 0."""

MAX_BLOCK = 6_000
"""Longest block of code that is examined, in characters. A longer block is taken for a whole module or bundle."""

MAX_LEVELS = 2
"""Blocks around a handler that are examined: for example an effect, and the component that contains it."""

_REMOVAL = re.compile(
    r"\.(?:off|removeListener|removeEventListener|removeAllListeners)\??\.?\(\s*"
    r"(?:(?P<quote>[\"'`])(?P<event>[^\"'`]*)(?P=quote)|(?P<name>[^\s,)\"'`][^,)]*))?\s*(?:,\s*(?P<handler>[^)]*))?"
)
# A removal of a function that is created in the call removes nothing.
_NEW_FUNCTION = re.compile(r"=>|^\(|^(?:async\s+)?function\b|\.bind\(")


class _Change(msgspec.Struct, frozen=True):
    """Change of the handlers of one event.

    count  number of handlers that the event has now
    lost   number of handlers that the last call of off(event) removed
    """

    count: int
    lost: int


class _SocketState(msgspec.Struct, frozen=True):
    """One socket of a page, with the events whose handlers have changed, as `READ_CHANGES` returns it."""

    index: int
    nsp: str
    changed: dict[str, _Change]
    sid: str | None = None


class HandlerSnapshot(msgspec.Struct, frozen=True):
    """Handlers that one socket has for one event, from time `at` until the next snapshot of that event.

    socket  number of the socket within its JavaScript context
    sid     socket id, or the last one if the socket is disconnected; None before it has connected
    lost    handlers that one call of off(event) removed together, which may belong to several components
    inside  "connect" if a "connect" handler registers all of the handlers, else None
    removes about handlers that are registered more than once: True if the code around each of them also removes it;
            None if that is unknown, or if there are no such handlers
    """

    at: float
    socket: int
    sid: str | None
    namespace: str
    name: str
    handlers: tuple[ScriptPosition, ...]
    lost: tuple[ScriptPosition, ...]
    inside: str | None
    removes: bool | None = None


class SocketHandlers:
    """Handlers of all sockets in one JavaScript context of a page or worker.

    Call `find_sockets` when there may be new sockets, `read_changes` periodically, and `events` at the end.

    sids_by_socket  list of socket ids for each socket object, oldest id first; a reconnection gives the object a new id
    is_malformed    the page returned unexpected values, so its handlers could not be read
    """

    def __init__(self, devtools: DevToolsConnection, session: str, context: int | None, scripts: PageScripts) -> None:
        self._devtools, self._session, self._context, self._scripts = devtools, session, context, scripts
        self._state: str | None = None
        self._positions: dict[tuple[int, str], tuple[ScriptPosition, ...]] = {}
        self._snapshots: list[HandlerSnapshot] = []
        self._removal: dict[tuple[ScriptPosition, str], bool | None] = {}
        self._lock = asyncio.Lock()
        self.sids_by_socket: dict[int, list[str]] = {}
        self.is_malformed = False

    async def find_sockets(self) -> None:
        """Find new sockets, and read the handlers of all sockets. Do nothing if the page is gone."""
        try:
            async with self._lock:
                state = self._state or await self._create_state()
                root = await self._call_on(state, "function() { return this.root }")
                query = {"prototypeObjectId": root["objectId"], "objectGroup": OBJECT_GROUP}
                result = await self._devtools.call("Runtime.queryObjects", query, self._session)
                objects = result["objects"]["objectId"]
                await self._call_on(state, FIND_SOCKETS, {"objectId": objects}, by_value=True)
                self._devtools.send("Runtime.releaseObject", {"objectId": objects}, self._session)
        except (CommandFailed, BrowserEnded, KeyError):
            return
        await self.read_changes()

    async def read_changes(self) -> None:
        """Record each event whose handlers have changed since the last call."""
        if self._state is None:
            return
        try:
            async with self._lock:
                at = time.time()
                changes = await self._call_on(self._state, READ_CHANGES, by_value=True)
                for socket in page_value(changes, list[_SocketState]):
                    await self._record_socket(socket, at)
        except MalformedValue:
            self.is_malformed = True
        except (CommandFailed, BrowserEnded, KeyError):
            return

    def events(self) -> list[HandlersRegistered]:
        """Return an event for each snapshot of handlers, with source positions, but without the user and the page."""
        return [
            HandlersRegistered(
                at=each.at,
                sid=each.sid or self._first_sid(each.socket),
                namespace=each.namespace,
                name=each.name,
                handlers=tuple(self._scripts.resolve_position(self._session, *at) for at in each.handlers),
                lost=tuple(self._scripts.resolve_position(self._session, *at) for at in each.lost),
                inside=each.inside,
                removes=each.removes,
            )
            for each in self._snapshots
        ]

    def _first_sid(self, socket: int) -> str | None:
        """Return the first sid of a socket, None if it never connected.

        Use this sid for handlers that were read before the socket had connected.
        """
        return next(iter(self.sids_by_socket.get(socket, ())), None)

    async def _create_state(self) -> str:
        arguments: dict[str, Any] = {"expression": STATE, "objectGroup": OBJECT_GROUP, "silent": True}
        if self._context is not None:
            arguments["contextId"] = self._context
        result = await self._devtools.call("Runtime.evaluate", arguments, self._session)
        self._state = str(result["result"]["objectId"])
        return self._state

    async def _call_on(
        self, object_id: str, function: str, *arguments: dict[str, Any], by_value: bool = False
    ) -> dict[str, Any]:
        """Call a JavaScript function with the object as its `this`. Return the DevTools `RemoteObject` of its result.

        With `by_value`, this contains the result as JSON. Otherwise, it refers to the object in the page.
        """
        params = {
            "objectId": object_id,
            "functionDeclaration": function,
            "arguments": list(arguments),
            "returnByValue": by_value,
            "silent": True,
        }
        if not by_value:
            params["objectGroup"] = OBJECT_GROUP
        response = await self._devtools.call("Runtime.callFunctionOn", params, self._session)
        result: dict[str, Any] = response["result"]
        return result

    async def _record_socket(self, socket: _SocketState, at: float) -> None:
        index, sid = socket.index, socket.sid
        sids = self.sids_by_socket.setdefault(index, [])
        if sid is not None and sid not in sids:
            sids.append(sid)
        for name, change in socket.changed.items():
            before = self._positions.get((index, name), ())
            now, inside = await self._locate_handlers(index, name) if change.count else ((), None)
            self._positions[index, name] = now
            # off(event) removed several handlers, so it also removed those of other components.
            lost = before if change.lost > 1 and not now else ()
            if name not in RESERVED_EVENT_NAMES:
                last_sid, removes = sids[-1] if sids else None, await self._remove_handlers(now, name)
                snapshot = HandlerSnapshot(at, index, last_sid, socket.nsp, name, now, lost, inside, removes)
                self._snapshots.append(snapshot)

    async def _remove_handlers(self, handlers: Sequence[ScriptPosition], event: str) -> bool | None:
        """Return True if each handler that is registered more than once is also removed by the code around it.

        Return None if that is unknown, or if no handler is registered repeatedly.
        """
        repeated = [position for position, count in Counter(handlers).items() if count > 1]
        facts = [await self._removes(position, event) for position in repeated]
        return None if not facts or None in facts else all(facts)

    async def _removes(self, position: ScriptPosition, event: str) -> bool | None:
        key = (position, event)
        if key not in self._removal:
            script_id, line, column = position
            arguments = {"scriptId": script_id}
            source = (await self._devtools.call("Debugger.getScriptSource", arguments, self._session))["scriptSource"]
            self._removal[key] = removes_handler(source, line, column, event)
        return self._removal[key]

    async def _locate_handlers(self, index: int, name: str) -> tuple[tuple[ScriptPosition, ...], str | None]:
        """Return the positions of the handlers of the event `name` on the socket with the number `index`.

        The second value is "connect" if "connect" handlers register all of them, else None.
        """
        state, arguments = self._state or "", ({"value": index}, {"value": name})
        functions = await self._call_on(state, HANDLER_FUNCTIONS, *arguments)
        inside = await self._call_on(state, IN_CONNECT_HANDLER, *arguments, by_value=True)
        in_connect = page_value(inside, list[bool])
        params = {"objectId": functions["objectId"], "ownProperties": True}
        properties = (await self._devtools.call("Runtime.getProperties", params, self._session))["result"]
        ids = [p["value"]["objectId"] for p in properties if p["name"].isdigit() and "objectId" in p.get("value", {})]
        positions = [at for each in ids if (at := await self._locate_function(each)) is not None]
        return tuple(positions), "connect" if in_connect and all(in_connect) else None

    async def _locate_function(self, object_id: str) -> ScriptPosition | None:
        params = {"objectId": object_id, "ownProperties": True}
        response = await self._devtools.call("Runtime.getProperties", params, self._session)
        for prop in response.get("internalProperties", []):
            if prop["name"] == "[[FunctionLocation]]":
                at = prop["value"]["value"]
                self._scripts.request_maps(self._session, [at["scriptId"]])
                return at["scriptId"], at["lineNumber"], at.get("columnNumber", 0)
        return None


class HandlerPoller:
    """Poller that reads the handlers of every page and worker periodically.

    Call `start` for each page or worker, `read_all` at the end of the observation, then `events`, `sids_by_socket` and
    `notes`.
    """

    def __init__(
        self,
        devtools: DevToolsConnection,
        traffic: TrafficDemux,
        scripts: PageScripts,
        targets: DevToolsTargets,
    ) -> None:
        self._devtools, self._traffic, self._scripts, self._targets = devtools, traffic, scripts, targets
        self._handlers: dict[tuple[str, int], SocketHandlers] = {}
        self._connections_at_last_find: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: dict[str, str] = {}
        self._tabs: dict[str, str] = {}

    @property
    def notes(self) -> list[str]:
        """Sentences about pages that could not be inspected."""
        busy = [
            f"{page} did not answer for {BUSY_TIMEOUT_S:g} s: its script is busy or never ends."
            for page in self._busy.values()
        ]
        malformed = {session for (session, _), each in self._handlers.items() if each.is_malformed}
        return [*busy, *(MALFORMED.format(self._tabs[session]) for session in sorted(malformed))]

    def is_busy(self, target: DevToolsTarget) -> bool:
        """Return whether the page did not answer the last command in time."""
        return target.session in self._busy

    def start(self, target: DevToolsTarget) -> None:
        """Poll a page or worker until it ends."""
        self._tasks.append(asyncio.create_task(self._poll(target)))

    async def stop(self) -> None:
        """Stop polling."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def read_all(self) -> None:
        """Read the handlers of every page and worker once more, for at most `READ_ALL_TIMEOUT_S` in all."""
        targets = list(self._targets.by_session.values())
        reads = {asyncio.create_task(self._read_if_responsive(each)): each for each in targets}
        _, late = await asyncio.wait(reads, timeout=READ_ALL_TIMEOUT_S) if reads else (set(), set())
        for read in late:  # each of many commands was answered, but slowly
            read.cancel()
            self._busy[reads[read].session] = reads[read].tab
        for finished in await asyncio.gather(*reads, return_exceptions=True):
            if isinstance(finished, Exception):
                raise finished

    def sids_by_socket(self) -> list[list[str]]:
        """Return a list of socket ids, oldest first, for each socket object of each page."""
        return [sids for handlers in self._handlers.values() for sids in handlers.sids_by_socket.values()]

    def events(self, connections: Iterable[Event]) -> Iterator[Event]:
        """Yield the handlers of each socket, with the user and the page of the socket's connection."""
        by_sid = {event.sid: event for event in connections if isinstance(event, Connected)}
        for handlers in self._handlers.values():
            for event in handlers.events():
                connected = by_sid.get(event.sid)
                if connected is not None:
                    yield msgspec.structs.replace(
                        event,
                        source=connected.source,
                        user=connected.user,
                        eio=connected.eio,
                        page=connected.page,
                        transport=connected.transport,
                        document=connected.document,
                    )

    async def _poll(self, target: DevToolsTarget) -> None:
        """Find sockets when there are new connections, and read the handlers of all sockets periodically.

        Each page has its own task: a busy page must not delay the other pages.
        """
        for turn in itertools.count():
            await asyncio.sleep(POLL_INTERVAL_S)
            if self._targets.by_session.get(target.session) is not target:
                return
            await self._poll_once(target, read=turn % POLLS_PER_READ == 0)

    async def _poll_once(self, target: DevToolsTarget, *, read: bool = True) -> None:
        # A socket object exists before it is connected, and usually has its handlers by then.
        sessions = [each for each in self._traffic.sessions if each.initiator.target_id == target.id]
        count = sum(1 + len(session.sids) for session in sessions)
        is_new = count > 0 and count != self._connections_at_last_find.get(target.session)
        if is_new or (read and count):
            self._connections_at_last_find[target.session] = count
            for context in list(target.contexts)[:MAX_CONTEXTS]:
                await self._inspect_context(target, context, find=is_new)

    async def _read_if_responsive(self, target: DevToolsTarget) -> None:
        """Read a page's handlers. Skip a page that a script blocks: each command would wait for half a minute."""
        probe = self._devtools.send("Runtime.evaluate", {"expression": "0"}, target.session)
        await asyncio.wait([probe], timeout=BUSY_TIMEOUT_S)
        if probe.done():
            self._busy.pop(target.session, None)
            await self._poll_once(target)
        else:
            self._busy[target.session] = target.tab

    async def _inspect_context(self, target: DevToolsTarget, context: int, *, find: bool) -> None:
        key = (target.session, context)
        handlers = self._handlers.get(key)
        if handlers is None:
            handlers = SocketHandlers(self._devtools, target.session, context, self._scripts)
            self._handlers[key] = handlers
            self._tabs[target.session] = target.tab
        with contextlib.suppress(CommandFailed, BrowserEnded):
            await (handlers.find_sockets() if find else handlers.read_changes())


def removes_handler(text: str, line: int, column: int, event: str) -> bool | None:
    """Return whether the code around a handler of `event` removes the handler again.

    Return None if the position is not in the text, or no block around it is short enough.

    line, column  position of the handler in the text, from 0
    """
    offset = _offset(text, line, column)
    if offset is None:
        return None
    found = False
    start = offset
    for _ in range(MAX_LEVELS):
        block = _enclosing_block(text, start)
        if block is None:
            break
        start, end = block
        found = True
        if any(_removes(match, event) for match in _REMOVAL.finditer(text, start, end)):
            return True
    return False if found else None


def _offset(text: str, line: int, column: int) -> int | None:
    at = 0
    for _ in range(line):
        at = text.find("\n", at) + 1
        if at == 0:
            return None
    return at + column if at + column <= len(text) else None


def _enclosing_block(text: str, offset: int) -> tuple[int, int] | None:
    """Return start and end of the innermost pair of braces around `offset`, None if there is none or if it is too long.

    Braces in strings count as well, because they are nearly always balanced there.
    """
    depth = 0
    for start in range(offset - 1, max(offset - MAX_BLOCK, 0) - 1, -1):
        if text[start] == "}":
            depth += 1
        elif text[start] == "{":
            if depth == 0:
                end = _closing_brace(text, start)
                return None if end is None else (start, end)
            depth -= 1
    return None


def _closing_brace(text: str, start: int) -> int | None:
    depth = 0
    for at in range(start, min(start + MAX_BLOCK, len(text))):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    return None


def _removes(removal: "re.Match[str]", event: str) -> bool:
    if removal["event"] not in (None, event):
        return False
    handler = removal["handler"]
    return handler is None or _NEW_FUNCTION.search(handler) is None
