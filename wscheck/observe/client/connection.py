"""One Socket.IO connection: an attempt, what the server answers to it, and how it ends."""

import asyncio
from typing import Any, Protocol

import aiohttp
import engineio
import socketio

from wscheck.config.target import Credentials, ServerTarget, place_credentials
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT
from wscheck.observe.client.frame_tap import LARGEST_MESSAGE
from wscheck.observe.client.handshake_errors import turned_away
from wscheck.observe.client.instrumented_client import ObservedClient
from wscheck.observe.client.task_cancel import is_cancelled
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

# Events that may precede the acknowledgement; a server that sends more is flooding.
MOST_EARLY = 100


class Listener(Protocol):
    """What happens on a connection, as its owner hears it."""

    def connecting(self, connection: "Connection") -> None: ...
    def connected(self, connection: "Connection") -> None: ...
    def refused(self, connection: "Connection", reason: str, message: str) -> None: ...
    def disconnected(self, connection: "Connection", reason: str) -> None: ...
    def delivered(self, connection: "Connection", name: str, payload: object) -> None: ...
    def emitted(self, connection: "Connection", name: str) -> None: ...
    def unreadable(self, connection: "Connection", reason: str) -> None: ...


class Connection:
    """One connection attempt and what becomes of it.

    sid, eio and transport are None until connected.
    """

    def __init__(
        self,
        target: ServerTarget,
        credentials: Credentials,
        listener: Listener,
        *,
        page: str,
        component: str,
    ) -> None:
        self.target, self.credentials, self.page, self.component = target, credentials, page, component
        self.sid: str | None = None
        self.eio: str | None = None
        self.rejection: str | None = None
        self.failure: str | None = None
        self.timed_out = False
        self._listener = listener
        self._http: aiohttp.ClientSession | None = None
        self._socket: Any = None
        self._left = self._astray = False
        self._early: list[list[Any]] = []
        self._answered, self._over = asyncio.Event(), asyncio.Event()

    @property
    def is_connected(self) -> bool:
        return self.sid is not None and not self._over.is_set()

    @property
    def transport(self) -> str | None:
        return self._socket.eio.current_transport if self._socket is not None else None

    @property
    def reap_after_s(self) -> float:
        """pingInterval + pingTimeout, as the handshake announced them."""
        return float(self._socket.eio.ping_interval + self._socket.eio.ping_timeout)

    @property
    def ping_timeout_s(self) -> float:
        """pingTimeout, as the handshake announced it."""
        return float(self._socket.eio.ping_timeout)

    async def open(self) -> bool:
        """Connect; True when the namespace acknowledged. Never raises for what the server does."""
        self._listener.connecting(self)
        presented = place_credentials(self.target, self.credentials)
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=not self.target.insecure))
        self._socket = ObservedClient(
            self,
            reconnection=False,
            handle_sigint=False,
            http_session=self._http,
            request_timeout=self.target.timeout_s,
            websocket_extra_options={"max_msg_size": LARGEST_MESSAGE},
        )
        url = self.target.url + (("&" if "?" in self.target.url else "?") + presented.query if presented.query else "")
        try:
            async with asyncio.timeout(self.target.timeout_s):
                await self._socket.connect(
                    url,
                    headers=presented.headers,
                    auth=presented.auth,
                    transports=list(self.target.transports),
                    namespaces=[self.target.namespace],
                    socketio_path=self.target.path.strip("/"),
                    wait=False,
                )
                # The stock client would sleep through a kick that comes with its acknowledgement, until its time is up.
                await self._answered.wait()
            if self.sid is None:
                await self._fail(*self._unanswered())
        except TimeoutError:
            await self._fail("timeout", f"no answer within {self.target.timeout_s:g} s")
        except asyncio.CancelledError:
            # aiohttp cancels the look-up of a host name when its session is closed, and with it whoever waits for it.
            if not self._left or is_cancelled():
                raise
        except (socketio.exceptions.ConnectionError, engineio.exceptions.EngineIOError) as error:
            self.rejection = self.rejection or turned_away(error)
            await self._fail("refused" if self.rejection is not None else "unreachable", self.rejection or str(error))
        except Exception as error:
            # What a broken server can make the stock client raise has no end: KeyError, ValueError, UnicodeError.
            await self._fail("protocol", f"{type(error).__name__}: {error}")
        return self.is_connected

    def _unanswered(self) -> tuple[str, str]:
        if self.rejection is not None:
            return "refused", self.rejection
        if self._astray:
            return "protocol", SESSION_ID_UNKNOWN
        return "unreachable", "the connection ended before the server acknowledged it"

    async def _fail(self, reason: str, message: str) -> None:
        self.timed_out = reason == "timeout" and self.failure is None
        self.failure = self.failure or message
        if self.sid is None and not self._left:
            self._listener.refused(self, reason, message)
        await self._release()

    async def close(self) -> None:
        """Leave politely: DISCONNECT, then close the session."""
        self._left = True
        if self._socket is not None and self.is_connected:
            self.ended(IO_CLIENT_DISCONNECT)
            await _quietly(self._socket.disconnect())
        await self._release()

    async def cut(self) -> None:
        """Drop the network under the connection, without a word to the server."""
        if self._http is not None and self._http.connector is not None:
            await self._http.connector.close()
        await self.over()

    async def over(self, within: float | None = None) -> bool:
        """Wait until the connection has ended; False when it has not `within` seconds."""
        try:
            async with asyncio.timeout(within if within is not None else self.target.timeout_s):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def fall_silent(self) -> None:
        """Stop answering pings, as a closed laptop does."""
        self._socket.eio.fall_silent()

    async def emit(self, name: str, data: object = None) -> None:
        """Send an event; what cannot be sent because the connection ended is not sent, as in a browser."""
        if not self.is_connected:
            return
        self._listener.emitted(self, name)
        await _quietly(self._socket.emit(name, data, namespace=self.target.namespace))

    async def _release(self) -> None:
        self._over.set()
        self._answered.set()
        if self._socket is not None and self._socket.eio.state == "connected":
            await _quietly(self._socket.eio.disconnect(abort=True))
        if self._http is not None:
            await self._http.close()

    # --- called by the observed client -------------------------------------------------------------------------

    def acknowledged(self, data: object) -> None:
        self.sid = str(data["sid"]) if isinstance(data, dict) and "sid" in data else self._socket.eio.sid
        self.eio = self._socket.eio.sid
        self._listener.connected(self)
        self._answered.set()
        early, self._early = self._early, []
        for event in early:
            self.arrived(event)

    def rejected(self, data: object) -> None:
        message = data.get("message") if isinstance(data, dict) else data
        self.rejection = str(message) if message else "refused without a reason"
        self._answered.set()

    def astray(self) -> None:
        """The stock client would wait for the answer until its time is up."""
        self._astray = True
        self._answered.set()

    def ended(self, reason: str) -> None:
        self._answered.set()
        if self.sid is not None and not self._over.is_set():
            self._over.set()
            self._listener.disconnected(self, IO_CLIENT_DISCONNECT if self._left else reason)

    def arrived(self, data: list[Any]) -> None:
        if self.sid is None and len(self._early) < MOST_EARLY:
            # python-socketio sends what its connect handler emits first; a browser keeps it until it is connected.
            self._early.append(data)
        else:
            self._listener.delivered(self, data[0], data[1] if len(data) == 2 else data[1:])

    def malformed(self, what: str) -> None:
        self.failure = f"it sent {what}"
        self._listener.unreadable(self, f"the server sent {what}")


async def _quietly(waiting: Any) -> None:
    """Await what may fail because the other side is gone; that it is gone is reported elsewhere."""
    try:
        await waiting
    except (socketio.exceptions.SocketIOError, engineio.exceptions.EngineIOError, aiohttp.ClientError, OSError):
        return
