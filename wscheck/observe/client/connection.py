"""One Socket.IO connection of the simulated client: the attempt, the server's answer and the end."""

import asyncio
from typing import Any, Protocol

import aiohttp
import engineio
import socketio

from wscheck.config.connect import ConnectStep
from wscheck.config.target import Credentials, ServerTarget, build_handshake_credentials
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT
from wscheck.model.errors import failure_reason
from wscheck.observe.client.cancellation import is_current_task_cancelled
from wscheck.observe.client.instrumented_client import (
    MAX_MESSAGE_BYTES,
    InstrumentedClient,
    RequestWithExactCookies,
    http_refusal,
)
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

MAX_EARLY_EVENTS = 100
"""Largest number of events that are buffered until the server acknowledges the connection."""


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


class ClientConnection:
    """One connection attempt and the connection that results from it.

    sid          socket id, None until connected
    eio          id of the Engine.IO session, None until connected
    rejection    message with which the server refused the connection, None if it did not
    failure      first problem that ended the attempt, None if there was none
    timed_out    true if `failure` is a timeout
    by_scenario  true if a step of a scenario makes the attempt, false if the simulated client decides to connect
    ping_count   number of pings that the server has sent
    """

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
        self._listener = listener
        self._http: aiohttp.ClientSession | None = None
        self._client: Any = None
        self._closed_by_us = self._session_unknown = False
        self._early_events: list[list[Any]] = []
        self._acknowledged_sid: str | None = None
        self._steps = _StepRun(self)
        self.ping_count = 0
        self._answered, self._ended, self._pinged = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @property
    def is_connected(self) -> bool:
        return self.sid is not None and not self._ended.is_set()

    @property
    def transport(self) -> str | None:
        """Current transport, None before the handshake."""
        return self._client.eio.current_transport if self._client is not None else None

    @property
    def ping_deadline_s(self) -> float:
        """Seconds after which the server must close a silent connection: pingInterval + pingTimeout."""
        return float(self._client.eio.ping_interval + self._client.eio.ping_timeout)

    @property
    def ping_interval_s(self) -> float:
        """The server's pingInterval in seconds, from the handshake."""
        return float(self._client.eio.ping_interval)

    @property
    def ping_timeout_s(self) -> float:
        """The server's pingTimeout in seconds, from the handshake."""
        return float(self._client.eio.ping_timeout)

    async def open(self) -> bool:
        """Connect and upgrade the transport. Return True if the server acknowledged CONNECT and every step succeeded.

        A problem of the server does not raise an exception: it is reported to the listener's `refused`.
        """
        self._listener.connecting(self)
        placed = build_handshake_credentials(self.target, self.credentials)
        # Headers of the session are in every request, as with the JavaScript client.
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=not self.target.insecure),
            headers=placed.headers,
            # Like a browser, keep the cookies of a server that is named by its IP address.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            request_class=RequestWithExactCookies,
        )
        self._client = InstrumentedClient(
            self,
            reconnection=False,
            handle_sigint=False,
            http_session=self._http,
            request_timeout=self.target.timeout_s,
            websocket_extra_options={"max_msg_size": MAX_MESSAGE_BYTES},
        )
        url = self.target.url + (("&" if "?" in self.target.url else "?") + placed.query if placed.query else "")
        try:
            async with asyncio.timeout(self.target.timeout_s):
                await self._client.connect(
                    url,
                    auth=placed.auth,
                    transports=list(self.target.transports),
                    namespaces=[self.target.namespace],
                    socketio_path=self.target.path.strip("/"),
                    wait=False,
                )
                # The library's own wait would miss a DISCONNECT that arrives together with the acknowledgement.
                await self._answered.wait()
                if self._acknowledged_sid is not None and self.sid is None:
                    await self._run_steps()
            if self.is_connected:
                await self._client.eio.wait_for_upgrade()
            if self.sid is None:
                await self._fail(*self._missing_acknowledgement())
        except TimeoutError:
            await self._fail("timeout", f"no answer within {self.target.timeout_s:g} s")
        except asyncio.CancelledError:
            # aiohttp cancels the look-up of a host name when its session closes, and with it the task that awaits it.
            if not self._closed_by_us or is_current_task_cancelled():
                raise
        except (socketio.exceptions.ConnectionError, engineio.exceptions.EngineIOError) as error:
            self.rejection = self.rejection or http_refusal(error)
            await self._fail("refused" if self.rejection is not None else "unreachable", self.rejection or str(error))
        except Exception as error:
            # A broken server makes the library raise many types: KeyError, ValueError, UnicodeError and others.
            await self._fail("protocol", failure_reason(error, "the client cannot read an answer"))
        return self.is_connected

    def _missing_acknowledgement(self) -> tuple[str, str]:
        """Return the reason and message for an attempt that ended without an acknowledgement."""
        if self.rejection is not None:
            return "refused", self.rejection
        if self._session_unknown:
            return "protocol", SESSION_ID_UNKNOWN
        return "unreachable", "the connection ended before the server acknowledged it"

    async def _run_steps(self) -> None:
        """Perform the steps after the acknowledgement. The connection counts as connected only after the last one."""
        self.rejection = await self._steps.run(self._client)
        if self.rejection is None:
            self._become_connected()

    def _become_connected(self) -> None:
        """Report the connection, then the events that arrived before."""
        self.sid, self.eio = self._acknowledged_sid, self._client.eio.sid
        self._listener.connected(self)
        early_events, self._early_events = self._early_events, []
        for event in early_events:
            self.on_event(event)

    async def _fail(self, reason: str, message: str) -> None:
        self.timed_out = reason == "timeout" and self.failure is None
        self.failure = self.failure or message
        if self.sid is None and not self._closed_by_us:
            self._listener.refused(self, reason, message)
        await self._release()

    async def close(self) -> None:
        """Send DISCONNECT and close the Engine.IO session."""
        self._closed_by_us = True
        if self._client is not None and self.is_connected:
            self.on_ended(IO_CLIENT_DISCONNECT)
            await _ignore_connection_errors(self._client.disconnect())
        await self._release()

    async def drop_network(self) -> None:
        """Close the TCP connections without notice to the server, and wait until the client notices."""
        if self._http is not None and self._http.connector is not None:
            await self._http.connector.close()
        await self.wait_until_ended()

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

    def stop_answering_pings(self) -> None:
        """Ignore pings from now on, like a suspended laptop."""
        self._client.eio.stop_answering_pings()

    async def emit(self, name: str, data: object = None) -> None:
        """Send an event. Do nothing if the connection has ended."""
        if not self.is_connected:
            return
        self._listener.emitted(self, name)
        payload = self.target.fill(data, self.credentials)
        await _ignore_connection_errors(self._client.emit(name, payload, namespace=self.target.namespace))

    async def _release(self) -> None:
        self._ended.set()
        self._pinged.set()
        self._answered.set()
        if self._client is not None and self._client.eio.state == "connected":
            await _ignore_connection_errors(self._client.eio.disconnect(abort=True))
        if self._client is not None:
            await self._client.eio.cancel_upgrade()
        if self._http is not None:
            await self._http.close()

    # --- PacketListener ------------------------------------------------------------------------------------------

    def on_acknowledged(self, data: object) -> None:
        self._acknowledged_sid = str(data["sid"]) if isinstance(data, dict) and "sid" in data else self._client.eio.sid
        if not self.target.connect.steps:
            self._become_connected()
        self._answered.set()

    def on_rejected(self, data: object) -> None:
        message = data.get("message") if isinstance(data, dict) else data
        self.rejection = str(message) if message else "refused without a reason"
        self._answered.set()

    def on_upgraded(self) -> None:
        if self.is_connected:
            self._listener.upgraded(self)

    def on_ping(self) -> None:
        self.ping_count += 1
        self._pinged.set()

    def on_unknown_session(self) -> None:
        # No acknowledgement will arrive: end the wait now, not after the timeout.
        self._session_unknown = True
        self._answered.set()

    def on_ended(self, reason: str) -> None:
        self._answered.set()
        self._pinged.set()
        self._steps.ended(reason)
        if self.sid is not None and not self._ended.is_set():
            self._ended.set()
            self._listener.disconnected(self, IO_CLIENT_DISCONNECT if self._closed_by_us else reason)

    def on_event(self, data: list[Any]) -> None:
        if self.sid is None and len(self._early_events) < MAX_EARLY_EVENTS:
            # A python-socketio server sends the events of its connect handler before the acknowledgement.
            # A browser buffers them too.
            self._early_events.append(data)
            self._steps.received(data)
        else:
            self._listener.delivered(self, data[0], data[1] if len(data) == 2 else data[1:])

    def on_malformed(self, problem: str) -> None:
        self.failure = f"it sent {problem}"
        self._listener.unreadable(self, f"the server sent {problem}")


class _StepRun:
    """Steps of one connection after its acknowledgement, and the server's answers to them."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._unread_events: list[list[Any]] = []
        self._acknowledgement: tuple[Any, ...] | None = None
        self._end_reason: str | None = None
        self._progress = asyncio.Event()

    def received(self, event: list[Any]) -> None:
        """Handle an event that arrived before the last step: the current step may wait for it."""
        self._unread_events.append(event)
        self._progress.set()

    def ended(self, reason: str) -> None:
        """Handle the end of the connection."""
        self._end_reason = self._end_reason or reason
        self._progress.set()

    async def run(self, client: Any) -> str | None:
        """Perform the steps, and return why the server refused one of them, or None if it accepted all."""
        for number, step in enumerate(self._connection.target.connect.steps, start=1):
            try:
                async with asyncio.timeout(step.within):
                    problem = await self._perform(step, client)
            except TimeoutError:
                missing = step.wait_for if self._acknowledgement or not step.ack else "acknowledgement"
                problem = f"no {missing} within {step.within:g} s"
            except (socketio.exceptions.SocketIOError, engineio.exceptions.EngineIOError):
                problem = f"the connection ended ({self._end_reason or 'transport close'})"
            if problem is not None:
                return f"step {number} after connecting, {step.label}: {problem}"
        return None

    async def _perform(self, step: ConnectStep, client: Any) -> str | None:
        """Perform one step. Return why the server refused it, None if the server accepted it."""
        self._acknowledgement = event = None
        if step.emit is not None:
            self._unread_events.clear()  # the answer to a request comes after it
            await self._emit(step, client)
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

    async def _emit(self, step: ConnectStep, client: Any) -> None:
        connection = self._connection
        payload = connection.target.connect.fill(
            step.payload, connection.credentials.user, connection.credentials.token
        )
        acknowledged = self._acknowledged if step.ack else None
        await client.emit(step.emit, payload, namespace=connection.target.namespace, callback=acknowledged)

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


async def _ignore_connection_errors(awaitable: Any) -> None:
    """Await `awaitable`, and ignore the errors of a connection that has ended. The end itself is reported elsewhere."""
    try:
        await awaitable
    except (socketio.exceptions.SocketIOError, engineio.exceptions.EngineIOError, aiohttp.ClientError, OSError):
        return
