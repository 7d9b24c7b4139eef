"""One Socket.IO connection of the simulated client."""

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import engineio
import socketio

from wscheck.config.target import build_handshake_credentials
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT
from wscheck.model.errors import failure_reason
from wscheck.observe.client.cancellation import is_current_task_cancelled
from wscheck.observe.client.connection import ClientConnection, StepFailed
from wscheck.observe.client.instrumented_client import (
    MAX_MESSAGE_BYTES,
    InstrumentedClient,
    RequestWithExactCookies,
    http_refusal,
)
from wscheck.observe.host_limit import http_session
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN


class SocketIoConnection(ClientConnection):
    """One connection to a Socket.IO server. `sid` is the socket id."""

    def _prepare(self) -> None:
        self._http: aiohttp.ClientSession | None = None
        self._client: Any = None
        self._session_unknown = False
        self._acknowledged_sid: str | None = None
        self._answered = asyncio.Event()

    @property
    def transport(self) -> str | None:
        """Current transport, None before the handshake."""
        return self._client.eio.current_transport if self._client is not None else None

    @property
    def two_pings_s(self) -> float:
        return float(2 * self._client.eio.ping_interval + self._client.eio.ping_timeout)

    async def silence_limit_s(self) -> float | str:
        """Return pingInterval + 2 * pingTimeout, in seconds.

        Engine.IO waits for pingInterval + pingTimeout. python-engineio tests for silent clients only once per
        pingTimeout, so it may need one pingTimeout more.
        """
        timeout_s = float(self._client.eio.ping_timeout)
        return float(self._client.eio.ping_interval) + timeout_s + max(1.0, timeout_s)

    async def open(self) -> bool:
        """Connect and upgrade the transport. Return True if the server acknowledged CONNECT and every step succeeded.

        A problem of the server does not raise an exception: it is reported to the listener's `refused`.
        """
        self._listener.connecting(self)
        placed = build_handshake_credentials(self.target, self.credentials)
        # Headers of the session are in every request, as with the JavaScript client.
        self._http = http_session(
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
        self.rejection = await self._steps.run()
        if self.rejection is None:
            self._become_connected()

    def _become_connected(self) -> None:
        self.sid, self.eio = self._acknowledged_sid, self._client.eio.sid
        self._report_connected()

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

    def stop_answering_pings(self) -> None:
        """Ignore pings from now on, like a suspended laptop."""
        self._client.eio.stop_answering_pings()

    async def send(self, name: str, payload: object, on_answer: Callable[..., None] | None = None) -> None:
        """Send an event. With `on_answer`, request an acknowledgement.

        Raises:
            StepFailed: The connection has ended.
        """
        try:
            await self._client.emit(name, payload, namespace=self.target.namespace, callback=on_answer)
        except (socketio.exceptions.SocketIOError, engineio.exceptions.EngineIOError, aiohttp.ClientError, OSError):
            raise StepFailed from None

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


async def _ignore_connection_errors(awaitable: Any) -> None:
    """Await `awaitable`, and ignore the errors of a connection that has ended. The end itself is reported elsewhere."""
    try:
        await awaitable
    except (socketio.exceptions.SocketIOError, engineio.exceptions.EngineIOError, aiohttp.ClientError, OSError):
        return
