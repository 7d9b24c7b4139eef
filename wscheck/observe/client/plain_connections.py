"""Connections of the simulated client without Socket.IO: raw WebSockets, and streams of server-sent events."""

import asyncio
import contextlib
import itertools
import math
import re
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import msgspec

from wscheck.config.event_contract import Contract
from wscheck.config.target import HandshakeCredentials, ServerTarget, build_handshake_credentials
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.model.errors import UsageError, failure_reason
from wscheck.observe.client.cancellation import cancel_all, is_current_task_cancelled
from wscheck.observe.client.connection import ClientConnection, StepFailed
from wscheck.observe.client.instrumented_client import (
    MAX_MESSAGE_BYTES,
    MESSAGES_PER_TURN,
    TOO_LARGE,
    RequestWithExactCookies,
)
from wscheck.observe.host_limit import http_session
from wscheck.protocols.event_stream import MEDIA_TYPE, EventStream, EventStreamSession
from wscheck.protocols.protocol import Direction, Malformed, Received
from wscheck.protocols.websocket import MESSAGE, PlainWebSocket, decode_json, encode_message, message_name

ALLOWED_MISSED_PINGS = 4
"""Pings without an answer after which a server must close a WebSocket. The usual servers close it after one or two."""

PING_MARGIN_S = 1.0

GOODBYE_LIMIT_S = 2.0
"""Seconds for the closing handshake of a WebSocket."""

LATE_REFUSAL_S = 0.5
"""Seconds within which a server closes a connection that it accepted before it checked and refused the credentials."""

REQUEST = re.compile(r"^(GET|POST|PUT|PATCH|DELETE) (/\S*)$")
"""Pattern of `emit` for a stream: an HTTP request to the same server, because a client sends nothing on a stream."""

_HTTP_SCHEMES = {"ws": "http", "wss": "https"}

_connection_numbers = itertools.count(1)


def check_stream_requests(contract: Contract) -> None:
    """Check that every `emit` of the contract is an HTTP request, because a client sends nothing on a stream.

    Raises:
        UsageError: An `emit` is not an HTTP request.
    """
    for event in contract.events:
        if event.emit is not None and not REQUEST.match(event.emit):
            raise UsageError(
                f"[[event]] {event.name}: a client sends nothing on a stream, so `emit` must be an HTTP request.",
                'Write the request that causes the event: emit = "POST /messages".',
            )


def http_url(target: ServerTarget, placed: HandshakeCredentials) -> str:
    """Return the target's URL with the scheme http or https, and with the query parameters of the credentials."""
    parts = urlsplit(target.url)
    query = "&".join(filter(None, [parts.query, placed.query]))
    return urlunsplit((_HTTP_SCHEMES.get(parts.scheme, parts.scheme), parts.netloc, parts.path or "/", query, ""))


def new_http_session(target: ServerTarget, placed: HandshakeCredentials) -> aiohttp.ClientSession:
    """Return a session whose requests have the headers and cookies of the credentials."""
    return http_session(
        connector=aiohttp.TCPConnector(ssl=not target.insecure),
        headers=placed.headers,
        cookie_jar=aiohttp.CookieJar(unsafe=True),
        request_class=RequestWithExactCookies,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=target.timeout_s),
    )


class PlainConnection(ClientConnection):
    """A connection without Socket.IO: it carries only application messages. `sid` is its number within the run."""

    def _prepare(self) -> None:
        self._placed = HandshakeCredentials({}, "", {})
        self._http: aiohttp.ClientSession | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answered = asyncio.Event()
        self._end_reason = ""

    async def open(self) -> bool:
        """Connect and perform the steps. Return True if the server accepted the connection and every step succeeded.

        A problem of the server does not raise an exception: it is reported to the listener's `refused`.
        """
        self._listener.connecting(self)
        self._placed = build_handshake_credentials(self.target, self.credentials)
        self._http = new_http_session(self.target, self._placed)
        try:
            async with asyncio.timeout(self.target.timeout_s):
                self.rejection = await self._connect(self._http)
                if self.rejection is None:
                    self._reader = asyncio.ensure_future(self._read_until_end())
                    self.rejection = await self._steps.run() or await self._late_refusal()
            if self.rejection is None and not self._closed_by_us:
                self.sid = str(next(_connection_numbers))
                self._report_connected()
                if self._reader is not None and self._reader.done():
                    self._report_end()
            elif self.rejection is not None:
                await self._fail("refused", self.rejection)
        except TimeoutError:
            await self._fail("timeout", f"no answer within {self.target.timeout_s:g} s")
        except asyncio.CancelledError:
            # aiohttp cancels the look-up of a host name when its session closes, and with it the task that awaits it.
            if not self._closed_by_us or is_current_task_cancelled():
                raise
        except (aiohttp.ClientConnectionError, OSError) as error:
            await self._fail("unreachable", failure_reason(error, "the connection ended before the server answered"))
        except (aiohttp.ClientError, ValueError) as error:
            await self._fail("protocol", failure_reason(error, "the client cannot read an answer"))
        return self.is_connected

    async def _late_refusal(self) -> str | None:
        """Return why the server refused invalid credentials after it had accepted the connection, None if it did not.

        A browser shows no HTTP status of a WebSocket, so servers often accept the connection and close it with a code.
        For the user's own credentials, return None without waiting.
        """
        if self.credentials.kind == "own" or self._reader is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LATE_REFUSAL_S):
                await self._answered.wait()
        is_refused = self._end_reason == IO_SERVER_DISCONNECT and not self._early_events
        return self.end_text if is_refused else None

    @abstractmethod
    async def _connect(self, http: aiohttp.ClientSession) -> str | None:
        """Connect. Return the message with which the server refused the connection, None if it accepted it."""

    def on_event(self, data: list[Any]) -> None:
        self._answered.set()
        super().on_event(data)

    @abstractmethod
    async def _read(self) -> str:
        """Report what arrives until the connection ends, and return the disconnect reason."""

    async def _read_until_end(self) -> None:
        try:
            self._end_reason = await self._read()
        except (aiohttp.ClientError, OSError, ValueError):
            self._end_reason = TRANSPORT_CLOSE
        self._answered.set()
        self._steps.ended(self.end_text)
        if self.sid is not None:
            self._report_end()

    @property
    def end_text(self) -> str:
        """Reason why the server ended the connection, as a phrase for a message."""
        return "it completed its answer" if self._end_reason == IO_SERVER_DISCONNECT else self._end_reason

    def _report_end(self) -> None:
        self._pinged.set()
        if not self._ended.is_set():
            self._ended.set()
            self._listener.disconnected(self, IO_CLIENT_DISCONNECT if self._closed_by_us else self._end_reason)

    async def close(self) -> None:
        """Close the connection normally, like a page that no longer needs it."""
        self._closed_by_us = True
        if self.is_connected:
            self._report_end()
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                # aiohttp's own limit starts again with each message that a server sends in place of its answer.
                async with asyncio.timeout(GOODBYE_LIMIT_S):
                    await self._say_goodbye()
        await self._release()

    @property
    def two_pings_s(self) -> float:
        return math.inf

    async def _say_goodbye(self) -> None:
        """Tell the server that the client closes the connection, if the protocol has a message for it."""

    async def drop_network(self) -> None:
        """Close the TCP connection without notice to the server, and wait until the client notices."""
        if self._http is not None and self._http.connector is not None:
            await self._http.connector.close()
        await self.wait_until_ended()

    async def _release(self) -> None:
        self._ended.set()
        self._pinged.set()
        if self._reader is not None and self._reader is not asyncio.current_task():
            await cancel_all([self._reader])
        if self._http is not None:
            await self._http.close()


class WebSocketConnection(PlainConnection):
    """A raw WebSocket. `emit` sends JSON that contains the name of the event, as `encode_message` describes."""

    protocol = PlainWebSocket.id
    unanswered_pings = 2
    _socket: aiohttp.ClientWebSocketResponse | None = None
    _is_silent, _close_reason = False, ""

    def _prepare(self) -> None:
        super()._prepare()
        self._ping_times: list[float] = []

    @property
    def transport(self) -> str | None:
        return "websocket"

    async def _connect(self, http: aiohttp.ClientSession) -> str | None:
        headers = {**self._placed.headers}
        offered = next((headers[name] for name in headers if name.lower() == "sec-websocket-protocol"), "")
        try:
            self._socket = await http.ws_connect(
                http_url(self.target, self._placed),
                protocols=[each.strip() for each in offered.split(",") if each.strip()],
                autoping=False,
                max_msg_size=MAX_MESSAGE_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE_LIMIT_S),
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 101:
                raise
            return f"HTTP {error.status}"
        return None

    async def _read(self) -> str:
        assert self._socket is not None
        for number in itertools.count(1):
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.PING:
                self.on_ping()
                self._ping_times.append(time.monotonic())
                if not self._is_silent:
                    await self._socket.pong(message.data)
            elif message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                payload = decode_json(message.data)
                self.on_event([message_name(payload) or MESSAGE, payload])
            elif message.type is aiohttp.WSMsgType.ERROR:
                is_too_large = getattr(message.data, "code", None) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
                self.on_malformed(TOO_LARGE if is_too_large else "a frame that breaks the WebSocket protocol")
                return TRANSPORT_CLOSE
            elif message.type is aiohttp.WSMsgType.CLOSE:
                self._close_reason = message.extra or ""
                return IO_SERVER_DISCONNECT
            elif message.type is not aiohttp.WSMsgType.PONG:
                return TRANSPORT_CLOSE
            if number % MESSAGES_PER_TURN == 0:
                await asyncio.sleep(0)
        return TRANSPORT_CLOSE

    @property
    def end_text(self) -> str:
        """The close code and the reason that the server sent with it."""
        code = self._socket.close_code if self._socket is not None else None
        if not code or code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE:
            return self._end_reason
        return f"close code {code} ({self._close_reason})" if self._close_reason else f"close code {code}"

    async def silence_limit_s(self) -> float | str:
        """Return the seconds in which the server sends `ALLOWED_MISSED_PINGS` pings, plus a margin.

        A WebSocket does not announce how long its server waits for answers. The first two pings show the interval.
        If the server sends fewer than two pings within the target's timeout, return a text that says so.
        """
        timeout_s = self.target.timeout_s
        await self.wait_for_pings(max(0, 2 - self.ping_count), timeout_s)
        if self.ping_count < 2:
            sent = "no ping" if not self.ping_count else "one ping only"
            return f"the server sent {sent} within {timeout_s:g} s: pass a longer --timeout if it pings less often"
        first, second = self._ping_times[:2]
        return ALLOWED_MISSED_PINGS * (second - first) + PING_MARGIN_S

    def stop_answering_pings(self) -> None:
        self._is_silent = True

    async def send(self, name: str, payload: object, on_answer: Callable[..., None] | None = None) -> None:
        if self._socket is None or self._socket.closed:
            raise StepFailed
        try:
            await self._socket.send_str(encode_message(name, payload))
        except (aiohttp.ClientError, OSError):
            raise StepFailed from None

    async def _say_goodbye(self) -> None:
        if self._socket is not None:
            await self._socket.close()


class EventStreamConnection(PlainConnection):
    """A stream of server-sent events, as `EventSource` reads it. `emit` sends an HTTP request: "POST /messages"."""

    protocol = EventStream.id
    _response: aiohttp.ClientResponse | None = None

    def _prepare(self) -> None:
        super()._prepare()
        self._requests: set[asyncio.Task[None]] = set()

    @property
    def transport(self) -> str | None:
        return "event-stream"

    async def _connect(self, http: aiohttp.ClientSession) -> str | None:
        headers = {"Accept": MEDIA_TYPE, "Cache-Control": "no-cache"}
        self._response = await http.get(http_url(self.target, self._placed), headers=headers)
        if self._response.status != 200:
            return f"HTTP {self._response.status}"
        if self._response.content_type != MEDIA_TYPE:
            return f"HTTP 200 with the media type {self._response.content_type}, not {MEDIA_TYPE}"
        return None

    async def _read(self) -> str:
        assert self._response is not None
        session = EventStreamSession()
        async for data in self._response.content.iter_any():
            for event in session.receive(Direction.RECEIVED, data, time.time()):
                if isinstance(event, Received):
                    self.on_event([event.name, event.payload])
                elif isinstance(event, Malformed):
                    self.on_malformed("a server-sent event longer than 1 MiB")
            await asyncio.sleep(0)
        return IO_SERVER_DISCONNECT  # the server completed its response

    async def silence_limit_s(self) -> float | str:
        return "the client of a stream answers nothing, so the server cannot notice that it fell silent"

    def stop_answering_pings(self) -> None:
        """Do nothing: a stream has no pings."""

    async def send(self, name: str, payload: object, on_answer: Callable[..., None] | None = None) -> None:
        match = REQUEST.match(name)
        if self._http is None or self._http.closed or match is None:
            raise StepFailed
        parts = urlsplit(http_url(self.target, self._placed))
        path, _, query = match[2].partition("?")
        query = "&".join(filter(None, [query, self._placed.query]))
        url = urlunsplit((parts.scheme, parts.netloc, path, query, ""))
        body = None if payload is None else msgspec.json.encode(payload)
        headers = {} if payload is None else {"Content-Type": "application/json"}
        # The event may arrive before the answer to the request, so nothing waits for the answer.
        request = asyncio.ensure_future(_complete(self._http.request(match[1], url, headers=headers, data=body)))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)

    async def _release(self) -> None:
        await cancel_all(self._requests.copy())
        await super()._release()
        if self._response is not None:
            self._response.close()  # a stream that broke off is not released by itself

    async def drop_network(self) -> None:
        """Close the TCP connection without notice to the server, and wait until the client notices."""
        connection = self._response.connection if self._response is not None else None
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        await self.wait_until_ended()

    async def _say_goodbye(self) -> None:
        if self._response is not None:
            self._response.close()


async def _complete(request: Any) -> None:
    """Send an HTTP request and discard the response.

    A failure is ignored here: the event that the request should cause does not arrive.
    """
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with request as response:
            response.release()
