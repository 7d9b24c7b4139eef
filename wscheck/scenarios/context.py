"""Context of one scenario phase: creates pages, records expectations and events, and waits."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from wscheck.config.event_contract import Contract, ContractEvent
from wscheck.config.target import Credentials, ServerTarget
from wscheck.detect.rules.event_duplicated import bursts_of_copies
from wscheck.model.events import (
    SOURCE_CLIENT,
    SOURCE_SCENARIO,
    SOURCE_SERVER_LOG,
    Connected,
    Connecting,
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
from wscheck.model.policy import ConnectionPolicy
from wscheck.model.secrets import Redactor, Secret
from wscheck.observe.client.console_messages import ConsoleLog, discard_line
from wscheck.observe.client.simulated_page import (
    ClientRecorder,
    MountedComponent,
    PerComponentPage,
    SimulatedPage,
    UnifiedPage,
)

DASHBOARD, WIZARD = "Dashboard", "BotCreationWizard"
"""Names of the simulated components, which are those of the reference application."""

NEUTRAL_COMPONENTS = ("component 1", "component 2")
"""Names of the simulated components at another server than the embedded backend."""

WRONG_TOKEN = Secret("wscheck-this-is-not-a-token")

SHORT_WAIT_S = 0.25
"""Seconds within which a healthy server answers a healthy client. Slower answers overlap with the next request."""

LOOP_WAIT_S = 1.0
"""Seconds after the delay of the client within which the next attempt of a loop starts, also on a busy machine."""

SLICE_S = 0.02
"""Part of a wait whose length adapts to the speed of this machine (seconds)."""

DUPLICATE_WAIT_S = 0.3
"""Seconds within which a server that sends an event twice sends the second copy."""

COPY_TRIES = 3
"""Requests of one event, to tell copies from different events."""

LONE_TRIES = 2
"""Further tries to receive an event that arrived in copies, with one client that does nothing else."""

QUIET_S = 0.5
"""Seconds after which a server has sent what a client caused by connecting, leaving or requesting."""

MAX_GREETING_S = 5.0
"""Longest time to wait for an event that arrives after connecting (seconds)."""

LONE_PAGE = "lone tab"
"""Page that connects only to try again. It is no part of the scenario."""

SHOWING_PINGS = 2
"""Pings that show that the server receives the client's answers: it sends the second only after one."""

NO_MESSAGE = "no [[event]] in wscheck.toml names a message of this server"
NO_REQUEST = "no [[event]] in wscheck.toml has an `emit` that requests it"
"""Reasons to skip a scenario at a server that is no Socket.IO server, whose messages only the contract can name."""

MAX_EVENTS = 20_000
"""Largest number of received events per phase. A contract has a few events; a flood would only fill the memory."""


class ScenarioSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Server, users and client of a scenario. Times are in seconds.

    components         names of the first and the second simulated component
    contract_is_assumed  no contract is configured, so the server may send other events
    client             "unified" or "per-component"
    reconnect_delay_s  delay after which the per-component client reconnects after a disconnect; None for never
    window_s           time to observe that unwanted events do not occur
    grace_s            grace period: time that two connections of a user may overlap
    trigger_event      event that the second component emits to start an action (`actions.trigger`)
    disconnect_event   event that the second component emits to end this action; None for never
    max_attempts       connection attempts of one user that the rules allow within `attempts_window_s` seconds
    anonymous          the server may accept a connection without a token
    expired_token      a token of the user that has expired; None if there is none
    policy             policy for the connections of a user
    """

    target: ServerTarget
    user: Credentials
    second_user: Credentials | None
    contract: Contract
    contract_is_assumed: bool = False
    components: tuple[str, str] = (DASHBOARD, WIZARD)
    client: str = "unified"
    reconnect_delay_s: float | None = None
    window_s: float = 2.0
    grace_s: float = 0.25
    max_attempts: int = 5
    attempts_window_s: float = 10.0
    trigger_event: str = "trigger_whatsapp_connection"
    disconnect_event: str | None = None
    anonymous: bool = False
    expired_token: Secret | None = None

    @property
    def users(self) -> tuple[str, ...]:
        """Ids of the run's users."""
        return (self.user.user, self.second_user.user) if self.second_user is not None else (self.user.user,)

    policy: ConnectionPolicy = ConnectionPolicy()

    @property
    def redactor(self) -> Redactor:
        """Redactor of the tokens and of the secrets in [connect]."""
        second = self.second_user.token if self.second_user is not None else None
        return Redactor([self.user.token, second, self.expired_token, *self.target.connect.secrets])


class ScenarioContext:
    """One phase of one scenario: its actions with the client under test, or its control with a faulty client.

    It records everything that happens as events, in order.

    settings          server, users and client
    events            events recorded so far
    window_s          `window_s` of the settings
    no_answer_reason  why the server answers no request of the contract, known from an earlier phase; "" if it may
                      answer
    recorder          listener that records the actions and connections of the pages
    """

    def __init__(
        self, settings: ScenarioSettings, *, console: ConsoleLog = discard_line, no_answer_reason: str = ""
    ) -> None:
        self.settings, self.contract, self.window_s = settings, settings.contract, settings.window_s
        self.no_answer_reason = no_answer_reason
        self.events: list[Event] = []
        redactor = settings.redactor
        self._console: ConsoleLog = lambda line: console(redactor.redact(line))
        self._pages: list[SimulatedPage] = []
        self._changed, self._ended, self._event_count = asyncio.Event(), False, 0
        self.recorder = ClientRecorder(self.record, settings.contract, redactor, settings.users)

    def record(self, event: Event) -> None:
        """Append an event of any source and wake the waiting tasks. After the end of the phase, do nothing."""
        if self._ended or (isinstance(event, Delivered | Handled) and self._exceeds_limit(event)):
            return
        self.events.append(event)
        self._ended = isinstance(event, PhaseEnded)
        self._changed.set()

    def _exceeds_limit(self, event: Event) -> bool:
        """Count `event`, and return whether the phase now has `MAX_EVENTS` events or more.

        When the limit is reached, also record that there were too many events, and close the pages.
        """
        self._event_count += 1
        if self._event_count == MAX_EVENTS:
            reason = f"the server sent more than {MAX_EVENTS:,} events in one scenario"
            self.record(Unreadable(at=event.at, source=event.source, user=event.user, reason=reason))
            self._closing = asyncio.ensure_future(self.close_pages())
        return self._event_count >= MAX_EVENTS

    # --- pages ---------------------------------------------------------------------------------------------------

    def new_page(
        self,
        name: str = "tab-1",
        *,
        credentials: Credentials | None = None,
        transports: tuple[str, ...] | None = None,
        timeout_s: float | None = None,
        fault: bool = False,
    ) -> SimulatedPage:
        """Return a new page of the client under test. With `fault`, each component opens a connection.

        `timeout_s` limits the time that the connections of the page may take to open, in addition to the target's
        limit.
        """
        target = self.settings.target
        if timeout_s is not None:
            target = msgspec.structs.replace(target, timeout_s=min(timeout_s, target.timeout_s))
        if transports is not None:
            target = msgspec.structs.replace(target, transports=transports)
        user = credentials or self.settings.user
        page: SimulatedPage
        if fault or self.settings.client == "per-component":
            # A control shows the fault with its first two connections. How often it loops would depend on chance.
            delay_s = None if fault else self.settings.reconnect_delay_s
            page = PerComponentPage(name, target, user, self.recorder, reconnect_delay_s=delay_s)
        else:
            page = UnifiedPage(name, target, user, self.recorder)
        page.console, page.trigger_event = self._console, self.settings.trigger_event
        page.disconnect_event = self.settings.disconnect_event or page.disconnect_event
        page.component_names = dict(zip((DASHBOARD, WIZARD), self.settings.components, strict=True))
        page.before_unmount = self.observe_loop
        page.is_sole_page = lambda: user.kind == "own" and not self._has_connection(user.user)
        self._pages.append(page)
        return page

    def _has_connection(self, user: str) -> bool:
        connections = (c for page in self._pages if page.credentials.user == user for c in page.connections)
        return any(connection.is_connected for connection in connections)

    async def close_pages(self) -> None:
        """Close every page, so that the next phase starts without connections of this one."""
        for page in self._pages:
            await page.close()

    # --- expectations --------------------------------------------------------------------------------------------

    def expect(
        self,
        what: str,
        page: SimulatedPage,
        *,
        name: str | None = None,
        component: str | None = None,
        within: float = 0.0,
        required: bool = True,
    ) -> None:
        """Record that `what` must happen on `page` within `within` seconds. A rule evaluates this.

        The other arguments are fields of `Expected`, which describes them.
        """
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
                assumed=name is not None and self.settings.contract_is_assumed,
            )
        )

    async def request(
        self, event: ContractEvent, requester: MountedComponent, receivers: Sequence[MountedComponent]
    ) -> bool:
        """Make the server send `event`, and wait until every component of `receivers` has handled it.

        `requester` emits the request. If the event does not arrive in time, a rule reports it, and the result is False.
        """
        has_arrived = await self._emit_request(event, requester, receivers)
        in_time = await self.wait_until(has_arrived, self.answer_timeout_s(event))
        if not in_time and self.no_answer_reason:
            self.mark_not_evaluated(self.no_answer_reason)
        return in_time

    async def show_traffic(
        self, requester: MountedComponent, receivers: Sequence[MountedComponent]
    ) -> ContractEvent | None:
        """Test whether the open connection of `requester` carries traffic in both directions.

        The answer to a request shows this. A second ping shows it too, because the server sends it only after the
        client has answered the first ping. Without an answer and a second ping, the scenario is not evaluated.

        Return the event of the contract that did not arrive on request although it is required, None otherwise.
        """
        event, connection = self.contract.first_requestable, requester.connection
        if connection is None or not connection.is_connected:
            return None
        if event is not None and event.required and not self.settings.contract_is_assumed:
            return None if await self.request(event, requester, receivers) else event
        if event is not None and await self.is_answered(event, requester):
            return None
        wait_s = connection.two_pings_s
        timeout_s = self.settings.target.timeout_s
        if wait_s <= timeout_s and await connection.wait_for_pings(SHOWING_PINGS, wait_s):
            return None
        if connection.is_connected:
            longer = f", or pass --timeout {math.ceil(wait_s)}s, to wait for pings" if wait_s > timeout_s else ""
            self.mark_not_evaluated(
                "nothing shows that the connection carries traffic in both directions: add an [[event]] with `emit` to "
                f"wscheck.toml{longer}"
            )
        return None

    async def request_elsewhere(self, event: ContractEvent, *, transports: tuple[str, ...] | None = None) -> None:
        """Close all connections, open a new one, and request on it an event that did not arrive before.

        An answer shows that the server knows the request, so that its configuration does not explain the absence.
        """
        await self.close_pages()
        alone = await self.new_page(LONE_PAGE, transports=transports).mount(DASHBOARD)
        if alone.is_connected:
            await self.is_answered(event, alone)
        await alone.unmount()

    async def is_answered(self, event: ContractEvent, requester: MountedComponent) -> bool:
        """Request an event that the server need not send, and return whether it arrived."""
        start = len(self.events)
        await requester.emit(event.emit or "", event.payload)
        timeout_s = self.answer_timeout_s(event)
        return await self.wait_until(lambda: self.have_arrived([event.name], requester.page, start), timeout_s)

    async def request_all(
        self, events: Sequence[ContractEvent], requester: MountedComponent, receivers: Sequence[MountedComponent]
    ) -> None:
        """Request several events, as `request` does for one, without waiting for each before the next.

        A server may process one request at a time. Therefore the arrival of a pending event restarts the timeout of the
        other pending events.
        """
        pending: list[Callable[[], bool]] = []
        for event in events:
            pending.append(await self._emit_request(event, requester, receivers))
            await self.wait_until(pending[-1], min(SHORT_WAIT_S, self.answer_timeout_s(event)))
        timeout_s = max(map(self.answer_timeout_s, events), default=0.0)
        pending_before = len(pending) + 1
        while 0 < len(pending := [has_arrived for has_arrived in pending if not has_arrived()]) < pending_before:
            pending_before = len(pending)
            await self.wait_until(lambda: any(has_arrived() for has_arrived in pending), timeout_s)

    async def request_possible_copies_again(self, events: Sequence[ContractEvent], requester: MountedComponent) -> None:
        """Request each event again that arrived several times with the same content but different sequence numbers.

        Only repeated requests show whether these are copies of one event, or different events. Other fields that differ
        from message to message, such as times, are treated like sequence numbers.
        """
        for event in events:
            arrived = [e for e in self.events if isinstance(e, Delivered) and e.name == event.name]
            cores = Counter(e.core for e in arrived if e.core is not None and e.page == requester.page.name)
            if event.emit is None or max(cores.values(), default=0) < 2:
                continue
            for _ in range(COPY_TRIES - 1):
                await asyncio.sleep(SHORT_WAIT_S)
                await requester.emit(event.emit, event.payload)
            await asyncio.sleep(SHORT_WAIT_S)

    async def try_copies_again(self) -> None:
        """Try to receive each event again that arrived in copies on one connection, while no other client is connected.

        The copies may have different origins, such as the answer to a request and a broadcast that another client
        caused by leaving. Such copies do not arrive each time. A rule compares the deliveries of all attempts.
        """
        bursts = bursts_of_copies(self.events)
        if not bursts:
            return
        names = list(dict.fromkeys(burst[0].name for burst in bursts))
        requests = {burst[0].name: self._request_for(burst) for burst in bursts}
        mounted = self._connected_component({burst[0].page for burst in bursts})
        if mounted is not None and any(requests.values()):
            await self.observe(QUIET_S)
            for _ in range(LONE_TRIES):
                await self._request_each_once(requests, mounted)
        if mounted is not None and all(map(self._is_answer, bursts)):
            return
        await self.close_pages()
        observed_s = max(QUIET_S, min(max(map(self._time_connected, bursts)) + QUIET_S, MAX_GREETING_S))
        for _ in range(LONE_TRIES):
            await self.observe(QUIET_S)
            page = self.new_page(LONE_PAGE)
            for name in names:
                self.expect("once", page, name=name)
            alone = await page.mount(DASHBOARD)
            await self.observe(observed_s)
            if mounted is None and alone.is_connected:
                await self._request_each_once(requests, alone)
            await alone.unmount()

    async def _request_each_once(
        self, requests: Mapping[str, ContractEvent | None], requester: MountedComponent
    ) -> None:
        """Request the events with these names, one after the other.

        Before the next request, wait until all effects of the previous request have arrived.

        requests  dict of event name to the event of the contract whose request causes it, None if no request does
        """
        for name, request in requests.items():
            if request is None:
                continue
            self.expect("answered-once", requester.page, name=name)
            await self.is_answered(msgspec.structs.replace(request, name=name), requester)
            await self.wait_for_duplicates()

    def _request_for(self, burst: Sequence[Delivered]) -> ContractEvent | None:
        """Return the event of the contract whose request led to `burst` (copies of an event), None if unknown.

        If the contract names no request for the delivered event, take the last request before the deliveries, and
        return the event that the contract names as the answer to it.
        """
        own = self.contract.event_named(burst[0].name)
        if own is not None and own.emit is not None:
            return own
        requests = self._requests_before(burst)
        return self.contract.reply_to(requests[-1].name) if requests else None

    def _is_answer(self, burst: Sequence[Delivered]) -> bool:
        """Return whether `burst` (copies of an event) may be the answer to a request.

        The contract must name a request for the event, and the client must have sent something before the delivery.
        """
        own = self.contract.event_named(burst[0].name)
        return own is not None and own.emit is not None and bool(self._requests_before(burst))

    def _requests_before(self, burst: Sequence[Delivered]) -> list[Emitted]:
        """Return the events that the client had sent on the connection before the first event of `burst`, oldest first.

        `burst` contains copies of one event.
        """
        at = burst[0].at or 0.0
        return [e for e in self.events if isinstance(e, Emitted) and e.sid == burst[0].sid and (e.at or at) < at]

    def _connected_component(self, pages: set[str | None]) -> MountedComponent | None:
        """Return a component that is connected on one of the pages, None if there is none."""
        mounted = (each for page in self._pages if page.name in pages for each in page.components)
        return next((each for each in mounted if each.is_connected), None)

    def _time_connected(self, burst: Sequence[Delivered]) -> float:
        """Return the seconds from the opening of the connection to the last of the copies of an event in `burst`."""
        opened = (e.at for e in self.events if isinstance(e, Connected) and e.sid == burst[0].sid)
        last = burst[-1].at or 0.0
        return last - (next(opened, None) or last)

    def answer_timeout_s(self, event: ContractEvent) -> float:
        """Return the seconds to wait for `event`; a short time if the server is known to answer nothing."""
        return min(SHORT_WAIT_S, event.within) if self.no_answer_reason else event.within

    async def _emit_request(
        self, event: ContractEvent, requester: MountedComponent, receivers: Sequence[MountedComponent]
    ) -> Callable[[], bool]:
        """Request `event`, and return a function that tests whether all `receivers` have handled it."""
        page = requester.page
        first_index = len(self.events)
        self.expect("delivered", page, name=event.name, within=event.within, required=event.required)
        for receiver in receivers:
            self.expect(
                "handled",
                page,
                name=event.name,
                component=receiver.component,
                within=event.within,
                required=event.required,
            )
        if event.emit == self.settings.trigger_event:
            await requester.trigger_whatsapp_connection(event.payload)
        elif event.emit is not None:
            await requester.emit(event.emit, event.payload)
        components = {receiver.component for receiver in receivers}
        return lambda: components <= self._components_that_handled(event.name, page, first_index)

    def _components_that_handled(self, name: str, page: SimulatedPage, first_index: int) -> set[str | None]:
        return {
            e.component
            for e in self.events[first_index:]
            if isinstance(e, Handled) and e.name == name and e.page == page.name
        }

    def mark_not_evaluated(self, reason: str) -> None:
        """Record that a part of the scenario could not be evaluated.

        The scenario is inconclusive unless a rule finds a fault.
        """
        self.record(NotEvaluated(at=time.time(), source=SOURCE_SCENARIO, reason=reason))

    def skip(self, reason: str) -> None:
        """Record that the scenario does not apply to this server or configuration, for this reason."""
        self.record(NotEvaluated(at=time.time(), source=SOURCE_SCENARIO, reason=reason, skipped=True))

    # --- waiting -------------------------------------------------------------------------------------------------

    async def wait_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `condition` is true, and return False on timeout. The condition is tested after every event."""
        try:
            async with asyncio.timeout(timeout_s):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    async def wait_patiently(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait like `wait_until`, and longer while this machine is busy, because the server is late too.

        The wait is divided into short waits. If one of them takes longer than requested, only its requested length
        counts.
        """
        while timeout_s > 0 and not condition():
            slice_s = min(SLICE_S, timeout_s)
            await self.wait_until(condition, slice_s)
            timeout_s -= slice_s
        return condition()

    async def observe(self, seconds: float | None = None) -> None:
        """Wait for `seconds` (default: `window_s`): long enough for an unwanted event to occur."""
        await self.wait_until(lambda: self._event_count >= MAX_EVENTS, self.window_s if seconds is None else seconds)

    async def watch_endings(self) -> None:
        """Continue to observe while the server still ends connections, for at most four times `window_s`."""
        deadline = time.monotonic() + 4 * self.window_s
        while (now := time.monotonic()) < deadline:
            ends = [event.at for event in self.events if isinstance(event, Disconnected) and event.at is not None]
            if not ends or time.time() - max(ends) > self.settings.grace_s:
                return
            await self.observe(min(self.settings.grace_s * 2, deadline - now))

    async def observe_loop(self) -> None:
        """While components of a page replace each other's connections, watch until the limit of attempts is exceeded.

        Otherwise the speed of this machine would decide whether the loop exceeds the limit before the scenario ends.
        The watch ends after `attempts_window_s`, or when the loop ends, or at once if the loop is too slow to exceed
        the limit.
        """
        settings = self.settings
        delay_s, window_s = settings.reconnect_delay_s, settings.attempts_window_s
        if settings.client != "per-component" or delay_s is None or delay_s * settings.max_attempts > window_s:
            return
        if not any(len(page.components) > 1 for page in self._pages) or len(self._attempt_times()) < 2:
            return
        await self.wait_until(self._has_reaction, settings.grace_s * 2)
        deadline = time.monotonic() + window_s
        while self._has_reaction() and not self._exceeds_attempts() and (left := deadline - time.monotonic()) > 0:
            seen = len(self._attempt_times())
            if not await self.wait_until(lambda: len(self._attempt_times()) > seen, min(delay_s + LOOP_WAIT_S, left)):  # noqa: B023
                break
        await self.wait_until(self._is_settled, LOOP_WAIT_S)

    def _is_settled(self) -> bool:
        """Return whether each connection attempt has succeeded or failed, so that the events contain every outcome."""
        own = [e for e in self.events if e.source == SOURCE_CLIENT]
        return sum(isinstance(e, Connecting) for e in own) <= sum(isinstance(e, Connected | Refused) for e in own)

    def _attempt_times(self, *, by_client: bool = False) -> list[float]:
        """Return the times of the user's connection attempts.

        With `by_client`, leave out the attempts that the scenario itself made.
        """
        user = self.settings.user.user
        attempts = (e for e in self.events if isinstance(e, Connecting) and e.user == user)
        return [e.at for e in attempts if e.at is not None and not (by_client and e.by_scenario)]

    def _exceeds_attempts(self) -> bool:
        """Return whether the user made more attempts than allowed, as the rule `excessive-attempts` counts them."""
        times, allowed = self._attempt_times(by_client=True), self.settings.max_attempts
        window_s = self.settings.attempts_window_s
        return any(last - first <= window_s for first, last in zip(times, times[allowed:], strict=False))

    async def wait_for_push(self, page: SimulatedPage) -> bool:
        """Wait for an event that the server sends to `page` unrequested, and for copies of it.

        What a server sends to each new connection does not count: it is over after `QUIET_S`. Return False if no event
        arrives within the window.
        """
        await self.observe(QUIET_S)
        first_index = len(self.events)

        def is_pushed() -> bool:
            return any(isinstance(e, Delivered) and e.page == page.name for e in self.events[first_index:])

        if not await self.wait_until(is_pushed, self.window_s):
            return False
        await self.wait_for_duplicates()
        return True

    async def wait_for_duplicates(self) -> None:
        """Wait long enough for a duplicate of the last event to arrive."""
        await asyncio.sleep(DUPLICATE_WAIT_S)

    async def wait_for_reaction(self) -> None:
        """Wait until the server has refused or ended a connection, for at most about twice the grace period."""
        await self.wait_patiently(self._has_reaction, self.settings.grace_s * 2)
        await asyncio.sleep(0.05)  # the end of a replaced connection follows its replacement

    def _has_reaction(self) -> bool:
        return any(isinstance(e, Refused | Disconnected) and e.source != SOURCE_SERVER_LOG for e in self.events)

    def has_received(self, name: str, page: SimulatedPage) -> bool:
        """Return True if `page` has received an event of this name."""
        return any(isinstance(e, Delivered) and e.name == name and e.page == page.name for e in self.events)

    def has_received_anything(self, page: SimulatedPage) -> bool:
        """Return True if `page` has received an event."""
        return any(isinstance(e, Delivered) and e.page == page.name for e in self.events)

    def have_arrived(self, names: Sequence[str], page: SimulatedPage, first_index: int) -> bool:
        """Return True if `page` has received an event of each name since `events[first_index]`."""
        arrived = {e.name for e in self.events[first_index:] if isinstance(e, Delivered) and e.page == page.name}
        return arrived.issuperset(names)

    def has_emitted(self, name: str) -> bool:
        """Return True if the client has emitted an event of this name."""
        return any(isinstance(e, Emitted) and e.name == name for e in self.events)
