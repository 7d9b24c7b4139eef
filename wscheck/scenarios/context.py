"""Where a scenario plays: it gives out pages, notes what is expected, and waits for what happens."""

import asyncio
import time
from collections.abc import Callable, Sequence

import msgspec

from wscheck.config.event_contract import Contract, ContractEvent
from wscheck.config.target import Credentials, ServerTarget
from wscheck.model.events import (
    SOURCE_SCENARIO,
    SOURCE_SERVER_LOG,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Expected,
    Handled,
    NotEvaluated,
    PhaseEnded,
    Refused,
    Unreadable,
)
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.client.console_messages import Narrate, silent
from wscheck.observe.client.page import Mount, Page
from wscheck.observe.client.per_component import PerComponentPage
from wscheck.observe.client.recorder import ReplayWitness
from wscheck.observe.client.unified import UnifiedPage

WRONG_TOKEN = Secret("wscheck-this-is-not-a-token")

# What answers at all answers a healthy client within it; what takes longer is waited for beside the next.
MOMENT_S = 0.25

# Long enough for a duplicate that the server sends right after the original.
AFTERMATH_S = 0.3

# A contract's events are a handful; beyond this a run would only fill memory.
FLOOD = 20_000


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """Who plays and how: the users, the client under test, and how long to look (seconds).

    trigger, disconnect  what the wizard emits to connect WhatsApp, and to disconnect it: None for never
    """

    target: ServerTarget
    user: Credentials
    second: Credentials | None
    contract: Contract
    client: str = "unified"
    reconnect_on_kick: float | None = None
    window: float = 2.0
    grace: float = 0.25
    trigger: str = "trigger_whatsapp_connection"
    disconnect: str | None = None

    @property
    def redactor(self) -> Redactor:
        """Hides what they present."""
        return Redactor([self.user.token, self.second.token if self.second is not None else None])


class Stage:
    """One phase of one scenario. Everything that happens is recorded as events, in order."""

    def __init__(self, cast: Cast, *, narrate: Narrate = silent, unanswered: str = "") -> None:
        """`unanswered`: why the server, as was seen, answers nothing that is asked of it; "" where it may."""
        self.cast, self.contract, self.window, self.unanswered = cast, cast.contract, cast.window, unanswered
        self.events: list[Event] = []
        redactor = cast.redactor
        self._narrate: Narrate = lambda line: narrate(redactor.redact(line))
        self._pages: list[Page] = []
        self._changed, self._over, self._deliveries = asyncio.Event(), False, 0
        self.witness = ReplayWitness(self.record, cast.contract, redactor)

    def record(self, event: Event) -> None:
        """Take one event from any source, and wake whoever waits for it; after the phase ended, nothing."""
        if self._over or (isinstance(event, Delivered | Handled) and self._flooded(event)):
            return
        self.events.append(event)
        self._over = isinstance(event, PhaseEnded)
        self._changed.set()

    def _flooded(self, event: Event) -> bool:
        """Whether more events came than a run may keep; the first time, say so and leave the server to itself."""
        self._deliveries += 1
        if self._deliveries == FLOOD:
            reason = f"the server sent more than {FLOOD:,} events in one scenario"
            self.record(Unreadable(at=event.at, source=event.source, user=event.user, reason=reason))
            self._leaving = asyncio.ensure_future(self.leave())
        return self._deliveries >= FLOOD

    # --- who plays -----------------------------------------------------------------------------------------------

    def page(
        self,
        name: str = "tab-1",
        *,
        credentials: Credentials | None = None,
        transports: tuple[str, ...] | None = None,
        fault: bool = False,
    ) -> Page:
        """A page of the client under test, or of the documented fault."""
        target = self.cast.target
        if transports is not None:
            target = msgspec.structs.replace(target, transports=transports)
        who = credentials or self.cast.user
        page: Page
        if fault or self.cast.client == "per-component":
            page = PerComponentPage(name, target, who, self.witness, reconnect_on_kick=self.cast.reconnect_on_kick)
        else:
            page = UnifiedPage(name, target, who, self.witness)
        page.narrate, page.trigger = self._narrate, self.cast.trigger
        page.disconnect = self.cast.disconnect or page.disconnect
        self._pages.append(page)
        return page

    async def leave(self) -> None:
        """Close every page, so that the next phase meets a server without our connections."""
        for page in self._pages:
            await page.close()

    # --- what is expected ------------------------------------------------------------------------------------------

    def expect(
        self,
        what: str,
        page: Page,
        *,
        name: str | None = None,
        component: str | None = None,
        within: float = 0.0,
        required: bool = True,
    ) -> None:
        """State what must follow on `page`; a rule judges it."""
        self.record(
            Expected(
                at=time.time(),
                source=SOURCE_SCENARIO,
                user=page.credentials.user,
                page=page.name,
                what=what,
                name=name,
                component=component,
                within=within,
                required=required,
                assumed=name is not None and self.contract.is_default,
            )
        )

    async def ask(self, event: ContractEvent, asking: Mount, hearing: Sequence[Mount]) -> None:
        """Make the server send `event`; it must arrive, and every component of `hearing` must handle it."""
        came = await self._emit(event, asking, hearing)
        if not await self.until(came, self.patience(event)) and self.unanswered:
            self.unjudged(self.unanswered)

    async def ask_each(self, events: Sequence[ContractEvent], asking: Mount, hearing: Sequence[Mount]) -> None:
        """Ask for one after the other, as `ask` does, but let none that keeps us waiting hold up the next: so long as
        any of them comes, the others have all their time again, for a server may do one thing at a time."""
        awaited: list[Callable[[], bool]] = []
        for event in events:
            awaited.append(await self._emit(event, asking, hearing))
            await self.until(awaited[-1], min(MOMENT_S, self.patience(event)))
        within, left = max(map(self.patience, events), default=0.0), len(awaited) + 1
        while 0 < len(awaited := [came for came in awaited if not came()]) < left:
            left = len(awaited)
            await self.until(lambda: any(came() for came in awaited), within)

    def patience(self, event: ContractEvent) -> float:
        """How long to wait for it. Where the server was seen to answer nothing, only a moment."""
        return min(MOMENT_S, event.within) if self.unanswered else event.within

    async def _emit(self, event: ContractEvent, asking: Mount, hearing: Sequence[Mount]) -> Callable[[], bool]:
        """Ask for `event`; gives what tells whether it came to all of `hearing`."""
        page = asking.page
        since = len(self.events)
        self.expect("delivered", page, name=event.name, within=event.within, required=event.required)
        for mount in hearing:
            self.expect(
                "handled",
                page,
                name=event.name,
                component=mount.component,
                within=event.within,
                required=event.required,
            )
        if event.emit == self.cast.trigger:
            await asking.trigger_whatsapp_connection(event.payload)
        elif event.emit is not None:
            await asking.emit(event.emit, event.payload)
        heard = {mount.component for mount in hearing}
        return lambda: heard <= self._handlers_of(event.name, page, since)

    def _handlers_of(self, name: str, page: Page, since: int) -> set[str | None]:
        return {
            e.component
            for e in self.events[since:]
            if isinstance(e, Handled) and e.name == name and e.page == page.name
        }

    def unjudged(self, reason: str) -> None:
        """Something could not be judged: the scenario is inconclusive unless a rule finds it failed."""
        self.record(NotEvaluated(at=time.time(), source=SOURCE_SCENARIO, reason=reason))

    def skip(self, reason: str) -> None:
        """The scenario cannot be tried here."""
        self.record(NotEvaluated(at=time.time(), source=SOURCE_SCENARIO, reason=reason, skipped=True))

    # --- what happens ----------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait until `condition` holds, looking again after every event; False when it did not in time."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    async def watch(self, seconds: float | None = None) -> None:
        """Look on for the window: for what must not happen there is no shorter way."""
        await self.until(lambda: self._deliveries >= FLOOD, self.window if seconds is None else seconds)

    async def aftermath(self) -> None:
        """Look on long enough to see a duplicate."""
        await asyncio.sleep(AFTERMATH_S)

    async def until_it_reacted(self) -> None:
        """Wait until the target replaced or refused a connection, or kept two past the grace."""
        await self.until(self._reacted, self.cast.grace * 2)
        await asyncio.sleep(0.05)  # the end of a replaced connection follows its replacement

    def _reacted(self) -> bool:
        return any(isinstance(e, Refused | Disconnected) and e.source != SOURCE_SERVER_LOG for e in self.events)

    def received(self, name: str, page: Page) -> bool:
        """Whether `page` received an event of this name so far."""
        return any(isinstance(e, Delivered) and e.name == name and e.page == page.name for e in self.events)

    def emitted(self, name: str) -> bool:
        """Whether the client sent an event of this name so far."""
        return any(isinstance(e, Emitted) and e.name == name for e in self.events)
