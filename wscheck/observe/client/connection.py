"""One connection of the simulated client, of any protocol: the attempt, the server's answer and the end."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

from wscheck.config.connect import ConnectStep
from wscheck.config.target import Credentials, ServerTarget

MAX_EARLY_EVENTS = 100
"""Largest number of events that are buffered until the connection is open."""


class ConnectionListener(Protocol):
    """Callbacks for the events of a connection. Each callback has the name of the event type that is recorded."""

    def connecting(self, connection: "ClientConnection") -> None: ...
    def connected(self, connection: "ClientConnection") -> None: ...
    def refused(self, connection: "ClientConnection", reason: str, message: str) -> None: ...
    def upgraded(self, connection: "ClientConnection") -> None: ...
    def disconnected(self, connection: "ClientConnection", reason: str) -> None: ...
    def delivered(self, connection: "ClientConnection", name: str, payload: object) -> None: ...
    def emitted(self, connection: "ClientConnection", name: str) -> None: ...
    def unreadable(self, connection: "ClientConnection", reason: str) -> None: ...


class StepFailed(Exception):
    """Error: the connection ended while a step after connecting was performed."""


class ClientConnection(ABC):
    """One connection attempt and the connection that results from it. Each protocol has a subclass.

    protocol     id of the protocol in the recorded events, None for Socket.IO
    unanswered_pings  number of pings without an answer after which an open connection proves that the server does
                      not close silent clients
    sid          id of the connection, None until connected
    eio          id of the Engine.IO session, None until connected; None for other protocols
    rejection    message with which the server refused the connection, None if it did not
    failure      first problem that ended the attempt, None if there was none
    timed_out    true if `failure` is a timeout
    by_scenario  true if a step of a scenario makes the attempt, false if the simulated client decides to connect
    ping_count   number of pings that the server has sent
    """

    protocol: ClassVar[str | None] = None
    unanswered_pings: ClassVar[int] = 0

    def __init__(
        self,
        target: ServerTarget,
        credentials: Credentials,
        listener: ConnectionListener,
        *,
        page: str,
        component: str,
    ) -> None:
        self.target, self.credentials, self.page, self.component = target, credentials, page, component
        self.sid: str | None = None
        self.eio: str | None = None
        self.rejection: str | None = None
        self.failure: str | None = None
        self.timed_out = self.by_scenario = False
        self.ping_count = 0
        self._listener = listener
        self._closed_by_us = False
        self._steps = ClientSteps(self)
        self._early_events: list[list[Any]] = []
        self._ended, self._pinged = asyncio.Event(), asyncio.Event()
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Create the attributes that only this subclass needs."""

    @property
    def is_connected(self) -> bool:
        return self.sid is not None and not self._ended.is_set()

    @property
    @abstractmethod
    def transport(self) -> str | None:
        """Current transport, None before the handshake."""

    @abstractmethod
    async def open(self) -> bool:
        """Connect. Return True if the server accepted the connection and every step succeeded.

        A problem of the server does not raise an exception: it is reported to the listener's `refused`.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connection normally, like a page that no longer needs it."""

    @abstractmethod
    async def drop_network(self) -> None:
        """Close the TCP connections without notice to the server, and wait until the client notices."""

    @property
    @abstractmethod
    def two_pings_s(self) -> float:
        """Seconds within which the server sends its next two pings to a client that answers; infinite if unknown."""

    @abstractmethod
    async def silence_limit_s(self) -> float | str:
        """Return the seconds within which the server must close this connection if the client falls silent.

        If the client cannot find out this limit, return the reason as text.
        """

    @abstractmethod
    def stop_answering_pings(self) -> None:
        """Ignore pings from now on, like a suspended laptop."""

    @abstractmethod
    async def send(self, name: str, payload: object, on_answer: Callable[..., None] | None = None) -> None:
        """Send an event. `on_answer` is called with the acknowledgement, if the protocol has one.

        Raises:
            StepFailed: The connection has ended.
        """

    async def emit(self, name: str, data: object = None) -> None:
        """Send an event. Do nothing if the connection has ended."""
        if not self.is_connected:
            return
        self._listener.emitted(self, name)
        try:
            await self.send(name, self.target.fill(data, self.credentials))
        except StepFailed:
            return  # the end itself is reported elsewhere

    async def wait_until_ended(self, timeout_s: float | None = None) -> bool:
        """Wait until the connection has ended. Return False if it is still open after `timeout_s` seconds.

        The default of `timeout_s` is the timeout of the target.
        """
        try:
            async with asyncio.timeout(timeout_s if timeout_s is not None else self.target.timeout_s):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    async def wait_for_pings(self, count: int, timeout_s: float) -> bool:
        """Wait until the server has sent `count` more pings. Return False on timeout, or if the connection ends."""
        expected = self.ping_count + count
        try:
            async with asyncio.timeout(timeout_s):
                while self.is_connected and self.ping_count < expected:
                    self._pinged.clear()
                    await self._pinged.wait()
        except TimeoutError:
            pass
        return self.is_connected and self.ping_count >= expected

    @property
    def end_text(self) -> str:
        """Reason for the end of the connection, as a phrase for a message."""
        return "the connection ended"

    async def _fail(self, reason: str, message: str) -> None:
        self.timed_out = reason == "timeout" and self.failure is None
        self.failure = self.failure or message
        if self.sid is None and not self._closed_by_us:
            self._listener.refused(self, reason, message)
        await self._release()

    @abstractmethod
    async def _release(self) -> None:
        """Free everything that the connection uses."""

    def _report_connected(self) -> None:
        """Report to the listener that the connection is open, then the events that arrived earlier."""
        self._listener.connected(self)
        early_events, self._early_events = self._early_events, []
        for event in early_events:
            self.on_event(event)

    # --- what arrives --------------------------------------------------------------------------------------------

    def on_ping(self) -> None:
        self.ping_count += 1
        self._pinged.set()

    def on_event(self, data: list[Any]) -> None:
        """Handle an event. `data` contains its name, then its arguments.

        A server may send events before the connection counts as open: its connect handler may send some, and others are
        answers to the steps after connecting.
        """
        if self.sid is None and len(self._early_events) < MAX_EARLY_EVENTS:
            self._early_events.append(data)
            self._steps.received(data)
        else:
            self._listener.delivered(self, data[0], data[1] if len(data) == 2 else data[1:])

    def on_malformed(self, problem: str) -> None:
        self.failure = f"it sent {problem}"
        self._listener.unreadable(self, f"the server sent {problem}")


class ClientSteps:
    """Run of the steps after connecting (events to send or await) on one connection, and the server's answers."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._unread_events: list[list[Any]] = []
        self._acknowledgement: tuple[Any, ...] | None = None
        self._end_reason: str | None = None
        self._progress = asyncio.Event()

    def received(self, event: list[Any]) -> None:
        """Handle an event that arrived before the last step was done: the current step may wait for this event."""
        self._unread_events.append(event)
        self._progress.set()

    def ended(self, reason: str) -> None:
        """Handle the end of the connection."""
        self._end_reason = self._end_reason or reason
        self._progress.set()

    async def run(self) -> str | None:
        """Perform the steps, and return why the server refused one of them, or None if it accepted all."""
        for number, step in enumerate(self._connection.target.connect.steps, start=1):
            try:
                async with asyncio.timeout(step.within):
                    problem = await self._perform(step)
            except TimeoutError:
                missing = step.wait_for if self._acknowledgement or not step.ack else "acknowledgement"
                problem = f"no {missing} within {step.within:g} s"
            except StepFailed:
                problem = f"the connection ended ({self._end_reason or 'transport close'})"
            if problem is not None:
                return f"step {number} after connecting, {step.label}: {problem}"
        return None

    async def _perform(self, step: ConnectStep) -> str | None:
        """Perform one step. Return why the server refused it, None if the server accepted it."""
        self._acknowledgement = event = None
        if step.emit is not None:
            self._unread_events.clear()  # the answer to a request comes after it
            payload = self._connection.target.fill(step.payload, self._connection.credentials)
            await self._connection.send(step.emit, payload, self._acknowledged if step.ack else None)
        while True:
            event = event or self._take_event(step.wait_for)
            if (event or step.wait_for is None) and (self._acknowledgement is not None or not step.ack):
                break
            if self._end_reason is not None:
                return f"the server ended the connection ({self._end_reason})"
            self._progress.clear()
            await self._progress.wait()
        answer = self._acknowledgement if step.ack else (event or [])[1:]
        return step.refusal_in(answer[0] if answer else None)

    def _acknowledged(self, *arguments: Any) -> None:
        self._acknowledgement = arguments
        self._progress.set()

    def _take_event(self, name: str | None) -> list[Any] | None:
        """Return the next unread event with this name, None if there is none.

        Also discard the events that arrived before it, so that no later step can use them.
        """
        for position, event in enumerate(self._unread_events):
            if event[0] == name:
                del self._unread_events[: position + 1]
                return event
        return None
