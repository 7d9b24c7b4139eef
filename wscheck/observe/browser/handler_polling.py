"""When each page and worker is looked into for its handlers, and what that showed in the end."""

import asyncio
import contextlib
import itertools
from collections.abc import Iterable, Iterator

import msgspec

from wscheck.model.events import Connected, Event
from wscheck.observe.browser.devtools import BrowserGone, CommandFailed, DevToolsConnection
from wscheck.observe.browser.handlers import SocketHandlers
from wscheck.observe.browser.scripts import PageScripts
from wscheck.observe.browser.targets import DevToolsTarget, DevToolsTargets
from wscheck.observe.traffic import TrafficDemux

REALMS = 8
TURN_S = 0.05
READ_TURNS = 4

BUSY_S = 5.0
"""Whoever has not answered the simplest question by then is not asked any other."""


class HandlerPoller:
    """`begin` with each page or worker; `last` before its end; then `registered`, `objects` and `notes`."""

    def __init__(
        self, wire: DevToolsConnection, traffic: TrafficDemux, scripts: PageScripts, targets: DevToolsTargets
    ) -> None:
        self._wire, self._traffic, self._scripts, self._targets = wire, traffic, scripts, targets
        self._handlers: dict[tuple[str, int], SocketHandlers] = {}
        self._looked_for: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: dict[str, str] = {}

    @property
    def notes(self) -> list[str]:
        """Who could not be looked into."""
        return [
            f"{who} did not answer for {BUSY_S:g} s: its script is busy or never ends." for who in self._busy.values()
        ]

    def begin(self, held: DevToolsTarget) -> None:
        """Look into it as long as it is there."""
        self._tasks.append(asyncio.create_task(self._look(held)))

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def last(self) -> None:
        """A last look into everything that is there."""
        await asyncio.gather(*(self._last(held) for held in list(self._targets.by_session.values())))

    def objects(self) -> list[list[str]]:
        """For each socket object of each page, the sids it had."""
        return [sids for handlers in self._handlers.values() for sids in handlers.lineage.values()]

    def registered(self, events: Iterable[Event]) -> Iterator[Event]:
        """Handlers know their socket; whose it is, and what it is part of, its connection knows."""
        by_sid = {event.sid: event for event in events if isinstance(event, Connected)}
        for handlers in self._handlers.values():
            for each in handlers.told():
                of = by_sid.get(each.sid)
                if of is not None:
                    whose = {"user": of.user, "eio": of.eio, "page": of.page, "transport": of.transport}
                    yield msgspec.structs.replace(each, source=of.source, **whose)

    async def _look(self, held: DevToolsTarget) -> None:
        """For new sockets at once when there are new connections, and from time to time for what became of their
        handlers. Each page by itself: a busy one must not hold up the others."""
        for turn in itertools.count():
            await asyncio.sleep(TURN_S)
            if self._targets.by_session.get(held.session) is not held:
                return
            await self._once(held, all=turn % READ_TURNS == 0)

    async def _once(self, held: DevToolsTarget, *, all: bool = True) -> None:
        # A socket is there before it is connected, and has its handlers by then.
        count = sum(1 + len(session.sids) for session in self._traffic.sessions if session.origin.id == held.id)
        fresh = count > 0 and count != self._looked_for.get(held.session)
        if fresh or (all and count):
            self._looked_for[held.session] = count
            for context in list(held.contexts)[:REALMS]:
                await self._into(held, context, fresh=fresh)

    async def _last(self, held: DevToolsTarget) -> None:
        """A page whose script never ends answers no question, and waits half a minute with each."""
        alive = self._wire.send("Runtime.evaluate", {"expression": "0"}, held.session)
        await asyncio.wait([alive], timeout=BUSY_S)
        if alive.done():
            self._busy.pop(held.session, None)
            await self._once(held)
        else:
            self._busy[held.session] = held.tab

    async def _into(self, held: DevToolsTarget, context: int, *, fresh: bool) -> None:
        key = (held.session, context)
        handlers = self._handlers.get(key)
        if handlers is None:
            handlers = self._handlers[key] = SocketHandlers(self._wire, held.session, context, self._scripts)
        with contextlib.suppress(CommandFailed, BrowserGone):
            await (handlers.find() if fresh else handlers.read())
