"""HTTP part of a connection: the WebSocket handshake, or HTTP long-polling and then the upgrade."""

import base64
import hashlib
import os
from typing import TYPE_CHECKING, cast

import msgspec

from wscheck.loadgen.websocket_frames import CLOSE, TEXT, FrameReader, encode_masked_frame
from wscheck.protocols.engine_io import RECORD_SEPARATOR, Handshake, PacketError, decode_payload, encode_engine_packet
from wscheck.protocols.event_stream import MEDIA_TYPE

if TYPE_CHECKING:
    from wscheck.loadgen.connection import Connection
    from wscheck.loadgen.plain_connection import EventStreamLoadConnection

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 16 * 1024 * 1024
_MAX_CHUNK_LINE_BYTES = 1024
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_POLL, _POST, _UPGRADE, _PROBE = range(4)


class HttpError(ValueError):
    """Error: the bytes are not an HTTP response, or the response is too large."""


class HttpResponse:
    """Incremental parser of one HTTP/1.1 response (RFC 9112), as far as a handshake and a poll need it.

    Header names are lower case. `rest` contains the bytes after the response. A response with status 101 is complete
    after its header section; the bytes after it belong to the new protocol.
    """

    __slots__ = ("_body_left", "_data", "body", "headers", "is_complete", "status")

    def __init__(self) -> None:
        self._data = bytearray()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_complete = False
        self._body_left: int | None = None

    @property
    def rest(self) -> bytes:
        return bytes(self._data)

    @property
    def keeps_alive(self) -> bool:
        """True if another request can be sent on the same connection."""
        has_length = self._body_left is not None or self._is_chunked
        return self.headers.get("connection", "").lower() != "close" and has_length

    @property
    def _is_chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()

    def feed(self, data: bytes) -> bool:
        """Parse more bytes. Return True once the response is complete.

        Raises:
            HttpError: The bytes are not a response, or the response is too large.
        """
        self._data += data
        if not self.status and not self._parse_head():
            return False
        if not self.is_complete:
            self._parse_body()
        if len(self.body) > _MAX_BODY_BYTES:
            raise HttpError("response body too large")
        return self.is_complete

    def data_ended(self) -> bool:
        """Handle the end of the data, which completes a response without a length.

        Return True if the response is complete.
        """
        if self.status and not self.is_complete and self._body_left is None and not self._is_chunked:
            self.is_complete = True
        return self.is_complete

    def _parse_head(self) -> bool:
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            if len(self._data) > _MAX_HEAD_BYTES or not b"HTTP/1.".startswith(self._data[:7]):
                raise HttpError("not an HTTP response")
            return False
        lines = self._data[:end].decode("latin-1").split("\r\n")
        del self._data[: end + 4]
        self.status = _parse_status(lines[0])
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon:
                raise HttpError("header without a colon")
            self.headers[name.strip().lower()] = value.strip()
        self._find_body_length()
        return True

    def _find_body_length(self) -> None:
        if self.status == 101 or self.status in (204, 304):
            self.is_complete = True
        elif not self._is_chunked and "content-length" in self.headers:
            self._body_left = _parse_length(self.headers["content-length"], 10)
            if self._body_left > _MAX_BODY_BYTES:
                raise HttpError("response body too large")

    def _parse_body(self) -> None:
        if self._is_chunked:
            while self._parse_chunk():
                pass
            return
        part = self._data if self._body_left is None else self._data[: self._body_left]
        self.body += part
        del self._data[: len(part)]
        if self._body_left is not None:
            self._body_left -= len(part)
            self.is_complete = not self._body_left

    def _parse_chunk(self) -> bool:
        """Move the next chunk from the received data to the body, and return True.

        Return False if the chunk is not complete yet, or if it is the empty chunk that ends the response.
        """
        line_end = self._data.find(b"\r\n")
        if line_end < 0:
            if len(self._data) > _MAX_CHUNK_LINE_BYTES:
                raise HttpError("chunk without a size")
            return False
        size = _parse_length(self._data[:line_end].decode("latin-1").partition(";")[0], 16)
        if size > _MAX_BODY_BYTES:
            raise HttpError("response body too large")
        end = line_end + 2 + size
        if len(self._data) < end + 2:
            return False
        if self._data[end : end + 2] != b"\r\n":
            raise HttpError("chunk longer than its size")
        self.body += self._data[line_end + 2 : end]
        del self._data[: end + 2]
        self.is_complete = not size
        return bool(size)


def _parse_status(line: str) -> int:
    version, _, rest = line.partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise HttpError("not an HTTP response")
    return int(rest[:3])


def _parse_length(text: str, base: int) -> int:
    text = text.strip()
    if not text.isalnum() or not text.isascii():
        raise HttpError("length is not a number")
    try:
        return int(text, base)
    except ValueError:
        raise HttpError("length is not a number") from None


_ENGINE_ERRORS = {
    0: "unknown transport",
    1: "unknown session id",
    2: "bad handshake method",
    3: "bad request",
    4: "forbidden",
    5: "unsupported protocol version",
}
"""Meaning of an Engine.IO server's error codes (engine.io, lib/server.ts)."""


class _EngineError(msgspec.Struct):
    code: int


def http_refusal_kind(response: HttpResponse) -> str:
    """Return the kind under which a refused handshake is counted: `http-400 unknown session id`, `http-502`."""
    try:
        meaning = _ENGINE_ERRORS.get(msgspec.json.decode(bytes(response.body), type=_EngineError).code)
    except (msgspec.DecodeError, UnicodeError):
        meaning = None
    return f"http-{response.status} {meaning}" if meaning else f"http-{response.status}"


class UpgradeRefused(Exception):
    """Failure of a WebSocket handshake. The text is the kind of the failure, under which it is counted."""


def new_websocket_key() -> bytes:
    """Return a new Sec-WebSocket-Key (RFC 6455, section 4.1)."""
    return base64.b64encode(os.urandom(16))


def check_upgrade(response: HttpResponse, key: bytes) -> None:
    """Check that `response` accepts the WebSocket that was requested with `key` (RFC 6455, section 4.1).

    Raises:
        UpgradeRefused: `response` does not accept it.
    """
    if response.status != 101:
        raise UpgradeRefused(http_refusal_kind(response))
    accept = base64.b64encode(hashlib.sha1(key + _WEBSOCKET_GUID, usedforsecurity=False).digest()).decode()
    if response.headers.get("sec-websocket-accept") != accept:
        raise UpgradeRefused("protocol")


class WebSocketHandshake:
    """Handshake without long-polling: one request for a WebSocket, answered with 101."""

    __slots__ = ("_connection", "_key", "_response")

    transport_name = "websocket"
    """End of the request's path: the name of Engine.IO's transport."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._response = HttpResponse()
        self._key = b""

    def start(self) -> None:
        """Send the first request.

        Raises:
            TransportError: There is no socket or no local port for the transport.
        """
        self._connection.open_new_transport()
        self._request_upgrade()

    def received(self, data: bytes) -> None:
        """Handle the server's answer, or a part of the answer."""
        try:
            if self._response.feed(data):
                check_upgrade(self._response, self._key)
                self._upgrade_accepted(self._response.rest)
        except HttpError:
            self._protocol_error()
        except UpgradeRefused as refusal:
            self._connection.handshake_failed(str(refusal))

    def hung_up(self) -> bool:
        """Handle the end of the data: the server closed its side of the transport.

        Return True if the close completed a response (one without a length), which is then processed. Return False if
        the connection has failed.
        """
        if self._response.data_ended():
            self.received(b"")
            return True
        return False

    def session_opened(self, handshake: Handshake) -> None:
        """Do nothing: the session's id is needed only for further requests, and this handshake sends none."""

    def send_packet(self, text: str) -> None:
        """Send an Engine.IO packet.

        Raises:
            TransportError: The transport is lost.
        """
        self._connection.send(encode_masked_frame(TEXT, text.encode()))

    def _request_upgrade(self, session_query: str = "") -> None:
        self._response = HttpResponse()
        self._key = new_websocket_key()
        identity = self._connection.identity
        self._connection.send(
            (
                f"GET {identity.path_prefix}{self.transport_name}{session_query} HTTP/1.1\r\n{identity.header_lines}"
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Key: {self._key.decode()}\r\n\r\n"
            ).encode()
        )

    def _upgrade_accepted(self, rest: bytes) -> None:
        self._connection.handshake_done(rest)

    def _protocol_error(self) -> None:
        self._connection.generator.counters.current.protocol_errors += 1
        self._connection.handshake_failed("protocol")


class PlainHandshake(WebSocketHandshake):
    """Handshake of a raw WebSocket. `UserIdentity.path_prefix` is the whole path and query of its request."""

    __slots__ = ()
    transport_name = ""


class StreamBody:
    """Incremental decoder of an endless response body, with or without chunked coding (RFC 9112, section 7.1)."""

    __slots__ = ("_is_chunked", "_left", "_line", "is_complete")

    def __init__(self, *, is_chunked: bool) -> None:
        self._is_chunked, self.is_complete = is_chunked, False
        self._left = 0
        self._line = b""

    def feed(self, data: bytes) -> bytes:
        """Return the content that `data` contains.

        Raises:
            HttpError: A chunk has no size.
        """
        if not self._is_chunked:
            return data
        parts: list[bytes] = []
        while data and not self.is_complete:
            if self._left > 2:
                content = data[: self._left - 2]
                parts.append(content)
                data, self._left = data[len(content) :], self._left - len(content)
            elif self._left:
                ending = data[: self._left]  # the line break after the content
                data, self._left = data[len(ending) :], self._left - len(ending)
            else:
                data = self._start_chunk(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _start_chunk(self, data: bytes) -> bytes:
        """Read the size of the next chunk, and return the rest of `data`."""
        line, found, rest = (self._line + data).partition(b"\r\n")
        if not found:
            if len(line) > _MAX_CHUNK_LINE_BYTES:
                raise HttpError("chunk without a size")
            self._line = line
            return b""
        self._line = b""
        size = _parse_length(line.decode("latin-1").partition(";")[0], 16)
        self.is_complete = not size
        self._left = size + 2
        return rest


class EventStreamHandshake(WebSocketHandshake):
    """Request of a stream of server-sent events."""

    __slots__ = ("_head",)

    def __init__(self, connection: "EventStreamLoadConnection") -> None:
        super().__init__(connection)
        self._head = b""

    def start(self) -> None:
        """Send the request.

        Raises:
            TransportError: There is no socket or no local port for the transport.
        """
        self._connection.open_new_transport()
        identity = self._connection.identity
        request = f"GET {identity.path_prefix} HTTP/1.1\r\n{identity.header_lines}Accept: {MEDIA_TYPE}\r\n"
        self._connection.send(f"{request}Cache-Control: no-cache\r\n\r\n".encode())

    def received(self, data: bytes) -> None:
        """Handle bytes of the response. Once its headers are complete, use the stream or report the refusal."""
        self._head += data
        end = self._head.find(b"\r\n\r\n") + 4
        try:
            if end < 4:
                if len(self._head) > _MAX_HEAD_BYTES or not b"HTTP/1.".startswith(self._head[:7]):
                    raise HttpError("not an HTTP response")
                return
            self._response.feed(self._head[:end])
        except HttpError:
            self._protocol_error()
            return
        headers = self._response.headers
        if self._response.status != 200:
            self._connection.handshake_failed(f"http-{self._response.status}")
        elif headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
            self._connection.handshake_failed("not an event stream")
        else:
            is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
            connection = cast("EventStreamLoadConnection", self._connection)
            connection.stream_opened(StreamBody(is_chunked=is_chunked), self._head[end:])

    def hung_up(self) -> bool:
        """Return False: the server closed before the response headers were complete, so the connection has failed."""
        return False


class PollingHandshake(WebSocketHandshake):
    """Handshake by HTTP long-polling and the upgrade to WebSocket, the default of socket.io-client.

        GET (handshake), POST 40, GET 40, WebSocket with the session id: 2probe, 3probe, 5

    The connection is open once the server acknowledged CONNECT. The handshake continues until the WebSocket is in use;
    packets of the application wait until then (Engine.IO protocol, "Upgrade").
    """

    __slots__ = ("_frames", "_outbox", "_sid", "_stage")

    def __init__(self, connection: "Connection") -> None:
        super().__init__(connection)
        self._frames = FrameReader()
        self._outbox: list[str] = []
        self._sid = ""
        self._stage = _POLL

    def start(self) -> None:
        """Send the first poll.

        Raises:
            TransportError: There is no socket or no local port for the transport.
        """
        self._connection.open_new_transport()
        self._poll()

    def session_opened(self, handshake: Handshake) -> None:
        """Store the session's id for the next requests."""
        self._sid = handshake.sid

    def send_packet(self, text: str) -> None:
        """Send an Engine.IO packet with the next POST, or after the upgrade."""
        self._outbox.append(text)

    def received(self, data: bytes) -> None:
        """Handle bytes from the server: an HTTP response or, on the new WebSocket, the answer to the probe."""
        if self._stage == _PROBE:
            self._probe_received(data)
        elif self._stage == _UPGRADE:
            super().received(data)
        else:
            self._response_received(data)

    def hung_up(self) -> bool:
        """Handle the end of the data: the server closed its side of the transport.

        Return True if the close completed a response, which is then processed. Return False if the connection failed.
        """
        if self._stage in (_POLL, _POST) and self._response.data_ended():
            try:
                self._response_complete()
            except ValueError:
                self._protocol_error()
            return True
        return super().hung_up() if self._stage == _UPGRADE else False

    def _request(self, method: str, body: str = "") -> None:
        self._response = HttpResponse()
        identity = self._connection.identity
        session_query = f"&sid={self._sid}" if self._sid else ""
        data = body.encode()
        length = f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {len(data)}\r\n" if data else ""
        path = f"{identity.path_prefix}polling{session_query}"
        self._connection.send(f"{method} {path} HTTP/1.1\r\n{identity.header_lines}{length}\r\n".encode() + data)

    def _poll(self) -> None:
        self._stage = _POLL
        self._request("GET")

    def _response_received(self, data: bytes) -> None:
        try:
            if self._response.feed(data):
                self._response_complete()
        except ValueError as problem:
            raise PacketError("not a response to a poll") from problem

    def _response_complete(self) -> None:
        response, stage = self._response, self._stage
        if response.status != 200:
            self._connection.handshake_failed(http_refusal_kind(response))
            return
        if not response.keeps_alive:
            self._connection.open_new_transport()
        if stage == _POLL:
            for packet in decode_payload(response.body.decode()):
                text = encode_engine_packet(packet)
                if isinstance(text, str) and not self._connection.has_ended:
                    self._connection.packet_received(text)
        self._send_next_request()

    def _send_next_request(self) -> None:
        """Upgrade if the connection is open, else post the packets that wait, else poll."""
        connection = self._connection
        if connection.has_ended:
            return
        if connection.sid is not None:
            connection.open_new_transport()
            self._stage = _UPGRADE
            self._request_upgrade(f"&sid={self._sid}")
        elif self._outbox:
            packets, self._outbox = self._outbox, []
            self._stage = _POST
            self._request("POST", RECORD_SEPARATOR.join(packets))
        else:
            self._poll()

    def _upgrade_accepted(self, rest: bytes) -> None:
        self._stage = _PROBE
        self._connection.send(encode_masked_frame(TEXT, b"2probe"))
        if rest:
            self._probe_received(rest)

    def _probe_received(self, data: bytes) -> None:
        messages = self._frames.feed(data)
        if self._frames.error:
            raise PacketError(self._frames.error)
        for opcode, text in messages:
            if opcode == CLOSE:
                self._connection.handshake_failed("upgrade")
                return
            if text == "3probe":
                self._finish_upgrade()
                return

    def _finish_upgrade(self) -> None:
        """Send the upgrade packet and the waiting packets.

        The server sends nothing before it has read the upgrade packet.
        """
        connection = self._connection
        packets = ("5", *self._outbox)
        connection.send(b"".join(encode_masked_frame(TEXT, text.encode()) for text in packets))
        connection.handshake_done(b"")
