"""python-socketio's AsyncClient, with a callback for every packet.

The library's client has four limits that a check of connections cannot accept:

- It ignores a DISCONNECT that arrives before its own `connect()` returned.
- It cannot stop answering pings.
- It closes the connection if one polling response carries more than 16 packets.
- It reports malformed and oversized messages only as a transport error.

This module therefore overrides private methods of python-socketio 5.x and python-engineio 4.x.
"""

import asyncio
import logging
import re
from typing import Any, Protocol

import aiohttp
import engineio
import socketio

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_CLOSE

# More than any event of a usual application needs, and less than what exhausts the memory of a CI machine.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
MAX_PACKETS_PER_RESPONSE = 20_000

_TOO_LARGE = f"a message larger than {MAX_MESSAGE_BYTES >> 20} MiB"
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
    on_event            an event arrived; `data` is its name, then its arguments
    on_ended            the connection ended; `reason` is "io server disconnect" or "transport close"
    on_unknown_session  a request of the session reached a process that does not know the session
    on_malformed        the server sent something that is not a packet; `problem` completes "the server sent ..."
    """

    def on_acknowledged(self, data: object) -> None: ...
    def on_rejected(self, data: object) -> None: ...
    def on_event(self, data: list[Any]) -> None: ...
    def on_ended(self, reason: str) -> None: ...
    def on_unknown_session(self) -> None: ...
    def on_malformed(self, problem: str) -> None: ...


class _InstrumentedWebSocket:
    """A WebSocket that reports malformed and oversized frames before the library turns them into a transport error."""

    def __init__(self, ws: Any, listener: PacketListener) -> None:
        self._ws, self._listener = ws, listener

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)

    async def receive(self) -> Any:
        message = await self._ws.receive()
        if message.type is aiohttp.WSMsgType.ERROR:
            self._listener.on_malformed(_frame_problem(message.data))
        elif message.type is aiohttp.WSMsgType.TEXT and not message.data[:1].isdigit():
            self._listener.on_malformed(_NOT_A_PACKET)
        return message


def _frame_problem(error: object) -> str:
    if getattr(error, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
        return _TOO_LARGE
    return f"a broken websocket frame ({error})"


class _InstrumentedEngine(engineio.AsyncClient):  # type: ignore[misc]
    """An Engine.IO client that can stop answering pings and reports what it receives."""

    answers_pings = True
    listener: PacketListener
    ws: Any

    async def _connect_websocket(self, url: str, headers: Any, engineio_path: str) -> bool:
        connected = bool(await super()._connect_websocket(url, headers, engineio_path))
        if connected:
            # The read loop is scheduled but has not run yet, so it will read from the wrapper.
            self.ws = _InstrumentedWebSocket(self.ws, self.listener)
        return connected

    async def _send_request(self, method: str, *arguments: Any, **options: Any) -> Any:
        response = await super()._send_request(method, *arguments, **options)
        if method == "GET":
            response = await _checked_response(response, self.listener)
        if self.state == "connected" and await _is_unknown_session(response):
            self.listener.on_unknown_session()
        return response

    async def _receive_packet(self, pkt: Any) -> None:
        if pkt.packet_type > engineio.packet.NOOP:
            self.listener.on_malformed(f"an Engine.IO packet of type {pkt.packet_type}")
        await super()._receive_packet(pkt)

    async def _send_packet(self, pkt: Any) -> None:
        if self.answers_pings or pkt.packet_type != engineio.packet.PONG:
            await super()._send_packet(pkt)

    async def _write_loop(self) -> None:
        await super()._write_loop()
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
        super().__init__(**options)
        self.eio.listener = listener

    def _engineio_client_class(self) -> type:
        return _InstrumentedEngine

    async def _handle_eio_message(self, data: Any) -> None:
        try:
            await super()._handle_eio_message(data)
        except asyncio.CancelledError:
            raise
        except Exception:
            # The library runs this in a task that nothing awaits, where the error would be lost.
            self._listener.on_malformed("a packet that is not Socket.IO")

    async def _handle_connect(self, namespace: str | None, data: Any) -> None:
        await super()._handle_connect(namespace, data)
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
        self._listener.on_event(data)
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
        return str(error) or "the answer broke off"
    problem = _TOO_LARGE if body is None else _body_problem(body) if response.ok else None
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
