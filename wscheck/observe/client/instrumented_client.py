"""python-socketio's AsyncClient, with a callback for every packet.

The library's client has five limits that a check of connections cannot accept:

- It ignores a DISCONNECT that arrives before its own `connect()` returned.
- It cannot stop answering pings.
- It closes the connection if one polling response carries more than 16 packets.
- It reports malformed and oversized messages only as a transport error.
- It upgrades to websocket before it polls or sends anything, so that every poll uses one TCP connection. The stock
  JavaScript client sends CONNECT, polls and probes the websocket at the same time, on several TCP connections. A server
  of several processes without sticky sessions would accept this library, and refuse the JavaScript client.

This module therefore overrides private methods of python-socketio 5.x and python-engineio 4.x.
"""

import asyncio
import contextlib
import logging
import re
import time
from typing import Any, Protocol

import aiohttp
import engineio
import socketio

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.model.errors import failure_reason
from wscheck.observe.client.cancellation import cancel_all
from wscheck.protocols.socket_io import offers_recovery, without_recovery_offset

# More than any event of a usual application needs, and less than what exhausts the memory of a CI machine.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_PACKETS_PER_RESPONSE = 20_000

MESSAGES_PER_TURN = 50
"""Number of messages of one websocket after which other tasks run. A server that sends without pause would otherwise
block all timers.
"""

CLOSE_LIMIT_S = 5.0
"""Seconds for the closing handshake of a websocket."""

UPGRADE_LIMIT_S = 1.0
"""Seconds for which a caller waits for an upgrade in progress."""

TOO_LARGE = f"a message larger than {MAX_MESSAGE_BYTES >> 20} MiB"
_TOO_MANY_PACKETS = f"more than {MAX_PACKETS_PER_RESPONSE:,} packets in one response"
_NOT_A_PACKET = "a frame that is not an Engine.IO packet"
_RECORD_SEPARATOR = b"\x1e"

# Answers to a session id that the process does not know: engine.io (Node.js), then python-engineio. Other answers with
# status 400 have other reasons.
_UNKNOWN_SESSION = re.compile(rb'"code":\s*1\b|Session ID unknown|Invalid session')
_STATUS_IN_ERROR = re.compile(r"^Unexpected status code (\d{3})\b")

# The library's default is 16, which a burst of events exceeds easily.
engineio.payload.Payload.max_decode_packets = MAX_PACKETS_PER_RESPONSE

# The libraries log errors to stderr. Here, every problem that matters is reported to the listener instead.
for _name in ("socketio.client", "engineio.client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class PacketListener(Protocol):
    """Callbacks for the packets of one connection.

    on_acknowledged     the server answered CONNECT with `data`
    on_rejected         the server answered CONNECT with CONNECT_ERROR and `data`
    on_event            an event arrived; `data` is its name, then its arguments, without an offset for recovery
    on_ended            the connection ended; `reason` is "io server disconnect" or "transport close"
    on_upgraded         the connection was upgraded to websocket
    on_ping             the server sent a ping
    on_unknown_session  a request of the session reached a process that does not know the session
    on_malformed        the server sent something that is not a packet; `problem` completes "the server sent ..."
    """

    def on_acknowledged(self, data: object) -> None: ...
    def on_rejected(self, data: object) -> None: ...
    def on_event(self, data: list[Any]) -> None: ...
    def on_ended(self, reason: str) -> None: ...
    def on_upgraded(self) -> None: ...
    def on_ping(self) -> None: ...
    def on_unknown_session(self) -> None: ...
    def on_malformed(self, problem: str) -> None: ...


class _InstrumentedWebSocket:
    """A WebSocket that reports malformed and oversized frames before the library turns them into a transport error."""

    def __init__(self, ws: Any, listener: PacketListener) -> None:
        self._ws, self._listener = ws, listener
        self._received = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)

    async def receive(self) -> Any:
        self._received += 1
        if self._received % MESSAGES_PER_TURN == 0:
            await asyncio.sleep(0)  # a message that is buffered already is returned without a turn of the event loop
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.ERROR:
            self._listener.on_malformed(_frame_problem(message.data))
        elif message.type is aiohttp.WSMsgType.TEXT and not message.data[:1].isdigit():
            self._listener.on_malformed(_NOT_A_PACKET)
        return message

    async def close(self, *arguments: Any, **options: Any) -> Any:
        """Close within `CLOSE_LIMIT_S`. aiohttp would wait without limit while the server sends other frames."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                return await self._ws.close(*arguments, **options)
        return False


def _frame_problem(error: object) -> str:
    if getattr(error, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
        return TOO_LARGE
    return f"a broken websocket frame ({error})"


class _InstrumentedEngine(engineio.AsyncClient):  # type: ignore[misc]
    """An Engine.IO client that can stop answering pings and reports what it receives.

    It upgrades like engine.io-client (`probe` in its socket.js): while it polls, it probes a websocket; then it stops
    polling, sends UPGRADE on the websocket and, from then on, everything else.
    """

    answers_pings = True
    listener: PacketListener
    transports: list[str]
    ws: Any

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._upgrade_task: asyncio.Task[None] | None = None
        self._held_packets: list[Any] | None = None
        """Packets to send after the upgrade to websocket. None, except while polling is being stopped for it."""
        self._polling_ended, self._writing = asyncio.Event(), asyncio.Event()

    async def _connect_polling(self, url: str, headers: Any, engineio_path: str) -> None:
        transports, self.transports = self.transports, ["polling"]  # so that the library does not upgrade
        try:
            await super()._connect_polling(url, headers, engineio_path)
        finally:
            self.transports = transports
        if "websocket" in transports and "websocket" in self.upgrades:
            self._upgrade_task = asyncio.create_task(self._upgrade(url, engineio_path))

    async def _upgrade(self, url: str, engineio_path: str) -> None:
        """Probe a websocket, and continue on it if the server answers. Otherwise continue polling."""
        await self._writing.wait()
        ws = await self._probe(url, engineio_path)
        if ws is None:
            return
        self._held_packets = []
        try:
            await self.queue.join()  # what was sent before must arrive before UPGRADE
            await self._polling_ended.wait()
            if self.state == "connected":
                await ws.send_str(engineio.packet.Packet(engineio.packet.UPGRADE).encode())
                self.ws, self.current_transport = _InstrumentedWebSocket(ws, self.listener), "websocket"
                self.read_loop_task = self.start_background_task(self._read_loop_websocket)
                self.listener.on_upgraded()
        except (aiohttp.ClientError, OSError):
            await self._end_with_error()
        finally:
            held, self._held_packets = self._held_packets, None
            for packet in held:
                await self.queue.put(packet)
            if self.current_transport != "websocket":
                await ws.close()

    async def wait_for_upgrade(self) -> None:
        """Wait until the upgrade in progress has ended, at most `UPGRADE_LIMIT_S` seconds."""
        if self._upgrade_task is not None:
            await asyncio.wait([self._upgrade_task], timeout=UPGRADE_LIMIT_S)

    async def cancel_upgrade(self) -> None:
        """End an upgrade in progress, with its TCP connection."""
        if self._upgrade_task is not None:
            await cancel_all([self._upgrade_task])

    async def _probe(self, url: str, engineio_path: str) -> Any:
        """Return a websocket on which the server answered the probe, None if it did not."""
        address = f"{self._get_engineio_url(url, engineio_path, 'websocket')}&sid={self.sid}{self._get_url_timestamp()}"
        timeout = aiohttp.ClientWSTimeout(ws_close=self.request_timeout)
        ws = None
        try:
            async with asyncio.timeout(self.request_timeout):
                ws = await self.http.ws_connect(address, timeout=timeout, **self.websocket_extra_options)
                await ws.send_str(engineio.packet.Packet(engineio.packet.PING, data="probe").encode())
                answer = await ws.receive()
        except (aiohttp.ClientError, OSError, TimeoutError, RuntimeError):  # RuntimeError: the session was closed
            answer = None
        if answer is not None and answer.data == "3probe" and self.state == "connected":
            return ws
        if ws is not None:
            await ws.close()
        return None

    async def _read_loop_polling(self) -> None:
        """Poll until the connection ends or the upgrade takes over.

        The CONNECT packet is sent first, on the TCP connection of the handshake. The first poll is sent before CONNECT
        is answered, and therefore on another TCP connection.
        """
        await self._writing.wait()
        packets: list[Any] | None = []
        while packets is not None and self.state == "connected" and self._held_packets is None:
            packets = await self._poll()
            for packet in packets or ():
                await self._receive_packet(packet)
        self._polling_ended.set()
        if packets is not None and self._held_packets is not None:
            return
        if packets is None:
            await self.queue.put(None)
        if self.write_loop_task:
            await self.write_loop_task
        if self.state == "connected":
            await self._end_with_error()

    async def _poll(self) -> list[Any] | None:
        """Return the packets of one poll, None if it failed."""
        address = self.base_url + self._get_url_timestamp()
        response = await self._send_request("GET", address, timeout=max(self.ping_interval, self.ping_timeout) + 5)
        if not isinstance(response, aiohttp.ClientResponse) or not response.ok:
            return None
        try:
            return list(engineio.payload.Payload(encoded_payload=(await response.read()).decode("utf-8")).packets)
        except ValueError:
            return None

    async def _end_with_error(self) -> None:
        """Report the end of the transport, as the library does at the end of its loops."""
        await self._trigger_event("disconnect", self.reason.TRANSPORT_ERROR, run_async=False)
        if self in engineio.base_client.connected_clients:
            engineio.base_client.connected_clients.remove(self)
        await self._reset()

    async def disconnect(self, abort: bool = False, reason: str | None = None) -> None:
        """Wait until an upgrade in progress has ended, then disconnect."""
        task = self._upgrade_task
        if task is not None and not task.done() and task is not asyncio.current_task():
            if not abort:
                await self.wait_for_upgrade()
            await self.cancel_upgrade()
        await super().disconnect(abort, reason)

    async def _connect_websocket(self, url: str, headers: Any, engineio_path: str) -> bool:
        connected = bool(await super()._connect_websocket(url, headers, engineio_path))
        if connected:
            # The read loop is scheduled but has not run yet, so it will read from the wrapper.
            self.ws = _InstrumentedWebSocket(self.ws, self.listener)
        return connected

    async def _send_request(self, method: str, *arguments: Any, **options: Any) -> Any:
        if method == "POST":
            self._writing.set()
        response = await super()._send_request(method, *arguments, **options)
        if method == "GET":
            response = await _checked_response(response, self.listener)
        if self.state == "connected" and await _is_unknown_session(response):
            self.listener.on_unknown_session()
        return response

    async def _receive_packet(self, pkt: Any) -> None:
        if pkt.packet_type > engineio.packet.NOOP:
            self.listener.on_malformed(f"an Engine.IO packet of type {pkt.packet_type}")
        if pkt.packet_type == engineio.packet.PING:
            self.listener.on_ping()
        await super()._receive_packet(pkt)

    async def _send_packet(self, pkt: Any) -> None:
        if not self.answers_pings and pkt.packet_type == engineio.packet.PONG:
            return
        if self._held_packets is not None and self.state == "connected":
            self._held_packets.append(pkt)
        else:
            await super()._send_packet(pkt)

    async def _write_loop(self) -> None:
        await super()._write_loop()
        self._writing.set()
        if self.state == "disconnecting" and self.current_transport == "polling":
            # DISCONNECT has been sent. A server may leave the open poll unanswered until its next ping is due.
            await self.http.close()

    def stop_answering_pings(self) -> None:
        self.answers_pings = False
        # Otherwise this client would close the connection when the server, which waits for a pong, sends nothing.
        self.ping_timeout = 86_400.0


class InstrumentedClient(socketio.AsyncClient):  # type: ignore[misc]
    """A Socket.IO client that reports every packet to its listener."""

    def __init__(self, listener: PacketListener, **options: Any) -> None:
        self._listener = listener
        self._recoverable = False
        super().__init__(**options)
        self.eio.listener = listener

    def _engineio_client_class(self) -> type:
        return _InstrumentedEngine

    async def _handle_eio_message(self, data: Any) -> None:
        if self._binary_packet and isinstance(data, str):
            self._listener.on_malformed("text instead of an attachment")
        try:
            await super()._handle_eio_message(data)
        except asyncio.CancelledError:
            raise
        except Exception:
            # The library runs this in a task that nothing awaits, where the error would be lost.
            self._listener.on_malformed("a packet that is not Socket.IO")

    async def _handle_connect(self, namespace: str | None, data: Any) -> None:
        await super()._handle_connect(namespace, data)
        self._recoverable = offers_recovery(data)
        self._listener.on_acknowledged(data)

    async def _handle_disconnect(self, namespace: str | None) -> None:
        self._listener.on_ended(IO_SERVER_DISCONNECT)
        self.connected = True  # the library ignores a DISCONNECT that arrives before connect() returned
        await super()._handle_disconnect(namespace)

    async def _handle_error(self, namespace: str | None, data: Any) -> None:
        self._listener.on_rejected(data)
        await super()._handle_error(namespace, data)

    async def _handle_event(self, namespace: str | None, id: Any, data: Any) -> None:
        if not (isinstance(data, list) and data and isinstance(data[0], str)):
            raise ValueError("an event without a name")
        self._listener.on_event(without_recovery_offset(data, id, time.time()) if self._recoverable else data)
        await super()._handle_event(namespace, id, data)

    async def _handle_eio_disconnect(self, reason: str) -> None:
        self._listener.on_ended(TRANSPORT_CLOSE)
        await super()._handle_eio_disconnect(reason)


class RequestWithExactCookies(aiohttp.ClientRequest):
    """A request with its given Cookie header unchanged, followed by the cookies that the server has set.

    aiohttp would parse the given cookies and put some of their values in quotes.
    """

    def update_cookies(self, cookies: Any) -> None:
        given = self.headers.get("Cookie")
        super().update_cookies(cookies)
        if given is None or not cookies:
            return
        stored = [f"{name}={getattr(each, 'coded_value', each)}" for name, each in dict(cookies).items()]
        self.headers["Cookie"] = "; ".join([given, *stored])


async def _checked_response(response: Any, listener: PacketListener) -> Any:
    """Return a polling response whose body was read and checked, or the problem as text.

    python-engineio also represents a failed request as text.
    """
    if not isinstance(response, aiohttp.ClientResponse):
        return response
    try:
        body = await _read_body(response)
    except (aiohttp.ClientError, TimeoutError) as error:
        return failure_reason(error, "the answer broke off")
    problem = TOO_LARGE if body is None else _body_problem(body) if response.ok else None
    if problem is not None:
        response.close()
        listener.on_malformed(problem)
        return problem
    response._body = body  # what `response.read()` returns from now on
    return response


def _body_problem(body: bytes) -> str | None:
    """Return what is wrong with the body of a polling response, or None.

    Some servers end a poll with an empty body.
    """
    packets = body.split(_RECORD_SEPARATOR) if body else []
    if len(packets) > MAX_PACKETS_PER_RESPONSE:
        return _TOO_MANY_PACKETS
    return None if all(packet[:1].isdigit() or packet[:1] == b"b" for packet in packets) else _NOT_A_PACKET


async def _is_unknown_session(response: Any) -> bool:
    """Return True if the process that answered does not know the session of the request."""
    if not isinstance(response, aiohttp.ClientResponse) or response.status != 400:
        return False
    try:
        body = response._body if response._body is not None else await response.content.read(MAX_MESSAGE_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return False
    return _UNKNOWN_SESSION.search(body) is not None


async def _read_body(response: aiohttp.ClientResponse) -> bytes | None:
    """Return the body, or None if it is larger than `MAX_MESSAGE_BYTES`."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_MESSAGE_BYTES:
            return None
    return bytes(body)


def http_refusal(error: BaseException) -> str | None:
    """Return "HTTP 4xx" if HTTP refused the handshake with such a status, else None.

    A proxy or the server's `allowRequest` may refuse a handshake before it reaches Socket.IO. For such a refusal, the
    library raises the same exception as for an unreachable server.
    """
    current: BaseException | None = error
    while current is not None:
        match = _STATUS_IN_ERROR.search(str(current))
        status = (
            current.status if isinstance(current, aiohttp.WSServerHandshakeError) else int(match[1]) if match else 0
        )
        if 400 <= status < 500:
            return f"HTTP {status}"
        current = current.__cause__ or current.__context__
    return None
