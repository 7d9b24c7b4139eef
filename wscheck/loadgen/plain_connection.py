"""Connections of the load generator without Socket.IO: raw WebSockets, and streams of server-sent events.

The server may count such a connection as soon as the request is sent. The connection is open once the server has
accepted the request and the steps after connecting (events to send or await, such as a login) are done.
"""

import codecs
import itertools
import math
import time
from typing import TYPE_CHECKING, Any

from wscheck.loadgen.connection import AckCallback, Connection, ConnectionState, StepRun
from wscheck.loadgen.handshake import EventStreamHandshake, HttpError, StreamBody
from wscheck.loadgen.reactor import READABLE
from wscheck.loadgen.websocket_frames import BINARY, CLOSE, PING, PONG, encode_masked_frame
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT, TRANSPORT_CLOSE
from wscheck.protocols.event_stream import EventStreamParser
from wscheck.protocols.websocket import MESSAGE, decode_json, encode_message, message_name

if TYPE_CHECKING:
    from wscheck.loadgen.connection import ConnectionObserver
    from wscheck.loadgen.endpoint import UserIdentity
    from wscheck.loadgen.generator import LoadGenerator

_PING_TIMEOUT_S = 5.0
"""Shortest time, in seconds, that common servers allow for the answer to a ping."""

_CLOSE_ANSWERS = (b"", (1000).to_bytes(2), (1005).to_bytes(2))
"""Codes with which a server may answer a client's close frame: none, 1000 or 1005, as bytes."""

_numbers = itertools.count(1)

_OPEN = ConnectionState.OPEN  # attribute access on an enum is slow


class PlainMessage:
    """One received message. Its text is parsed only when `data` is read."""

    __slots__ = ("_name", "_text")

    def __init__(self, text: str, name: str = "") -> None:
        self._text, self._name = text, name

    @property
    def data(self) -> list[Any]:
        """The name and the payload of the message."""
        payload = decode_json(self._text)
        return [self._name or message_name(payload) or MESSAGE, payload]


class PlainLoadConnection(Connection):
    """One connection without Socket.IO: it carries only application messages. `sid` is its number in this process."""

    __slots__ = ()

    def __init__(self, generator: "LoadGenerator", identity: "UserIdentity", observer: "ConnectionObserver") -> None:
        super().__init__(generator, identity, observer)
        self._silence_limit_s, self._ping_timeout_s = math.inf, _PING_TIMEOUT_S

    def open(self) -> None:
        """Start to connect. The observer may already be called before this method returns."""
        self.state = ConnectionState.CONNECT_SENT
        self.connect_sent_at = time.monotonic()
        self._observer.connect_sent(self)
        super().open()

    def emit(self, name: str, *arguments: object, on_ack: AckCallback | None = None, ack: bool = False) -> bool:
        """Send a message. Return False if the connection is not open.

        These protocols have no acknowledgements, so `on_ack` and `ack` have no effect.
        """
        if self.state is not ConnectionState.OPEN:
            return False
        self.send_event(name, *arguments, ack_id=None)
        return True

    def _accepted(self) -> None:
        """Handle the acceptance by the server: start the configured steps, or without steps count as open at once."""
        self._handshake = None
        self.sid, self.acknowledged_at = str(next(_numbers)), time.monotonic()
        if self.identity.steps:
            self.state = ConnectionState.STEPS
            self._steps = StepRun(self)
            self._steps.start()
        else:
            self.steps_done()

    def _message_received(self, text: str, name: str = "") -> None:
        self.generator.counters.current.received += 1
        message = PlainMessage(text, name)
        self._observer.event_received(self, message, text)
        if self._steps is not None:
            self._steps.event_received(message.data)

    def _ended_by_server(self) -> None:
        """Handle the server's notice (a close frame or the end of the stream) that it ends the connection."""
        if self.state is ConnectionState.OPEN:
            self._count_own_stall()
            self._end(IO_SERVER_DISCONNECT)
        elif self.state < ConnectionState.OPEN:
            self._refuse("closed by the server", IO_SERVER_DISCONNECT)
        else:
            self.closed_by_server()

    def _set_open_deadline(self) -> None:
        """Remove the deadline: these protocols announce no time after which a silent server is lost."""
        self.generator.reactor.clear_deadline(self)


class WebSocketLoadConnection(PlainLoadConnection):
    """One raw WebSocket."""

    __slots__ = ()

    def send_event(self, name: str, *arguments: object, ack_id: int | None) -> None:
        """Send a message and count it, whether or not the connection is open."""
        self.generator.counters.current.sent += 1
        self.has_emitted = self.state is ConnectionState.OPEN
        self.send_packet(encode_message(name, arguments[0] if arguments else None))

    def handshake_done(self, rest: bytes) -> None:
        """Use the WebSocket, because its handshake is complete."""
        self._accepted()
        if rest:
            self.received(rest)

    def received(self, data: bytes) -> None:
        """Handle bytes from the server. Messages that no handler needs are counted, but not parsed."""
        if self.state is _OPEN and not self._observer.reads_events() and (count := self._frames.count_texts(data)):
            self.generator.counters.current.received += count
            if self.is_young:
                self._observer.unread_events_received(self, count)
        else:
            super().received(data)

    def packet_received(self, text: str) -> None:
        """Handle one message."""
        self._message_received(text)

    def _other_frame_received(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._try_send(encode_masked_frame(PONG, payload))
        elif opcode == CLOSE:
            if self.state is ConnectionState.CLOSING and payload[:2] not in _CLOSE_ANSWERS:
                self._end(IO_SERVER_DISCONNECT)  # it crossed ours: the server repeats the code that it answers
            else:
                self._ended_by_server()
        elif opcode == BINARY:
            self._message_received(payload.hex())

    def _send_disconnect(self) -> None:
        """Send a close frame. Messages that the server sends before its own close frame are still counted."""
        self.state = ConnectionState.CLOSING
        self.generator.reactor.set_deadline(self, time.monotonic() + self.generator.endpoint.close_timeout_s)
        self._send_websocket_close()


class EventStreamLoadConnection(PlainLoadConnection):
    """One stream of server-sent events."""

    __slots__ = ("_body", "_decode", "_parser", "_unread")

    def __init__(self, generator: "LoadGenerator", identity: "UserIdentity", observer: "ConnectionObserver") -> None:
        super().__init__(generator, identity, observer)
        self._parser = EventStreamParser()
        self._body: StreamBody | None = None
        self._unread = b""
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def send_event(self, name: str, *arguments: object, ack_id: int | None) -> None:
        """Do nothing: a stream carries no messages of the client."""

    def stream_opened(self, body: StreamBody, rest: bytes) -> None:
        """Use the stream, because the server has accepted the request. `rest` is the start of its body."""
        self._body, self._unread = body, rest
        self._accepted()
        self._read_rest()

    def received(self, data: bytes) -> None:
        """Handle bytes from the server. Bytes that break HTTP end the connection."""
        if self._body is None or self._handshake is not None:
            super().received(data)
            return
        try:
            text = self._decode(self._body.feed(data))
        except HttpError:
            self._protocol_error()
            return
        for event in self._parser.feed(text):
            if event is not None and self.state < ConnectionState.ENDED:
                name, payload = event
                self._message_received(payload, "" if name == MESSAGE else name)
        if self._body.is_complete and self.state < ConnectionState.ENDED:
            self._ended_by_server()

    def closed_by_server(self, *, transport_closed: bool = False) -> None:
        """Handle a close of the transport by the server.

        If the close arrived before this client closed the connection, the server ended the connection.
        """
        if self.state is ConnectionState.CLOSING:
            self._end(TRANSPORT_CLOSE, abort=True)
        else:
            super().closed_by_server(transport_closed=transport_closed)

    def _ended_by_server(self) -> None:
        """Handle the end of the stream.

        The server ended it, unless this client had closed the connection before.
        """
        if self.state is ConnectionState.CLOSING:
            self._end(IO_SERVER_DISCONNECT, abort=True)
        else:
            super()._ended_by_server()

    def _read_rest(self) -> None:
        """Handle the bytes of the stream that arrived together with the response headers."""
        unread, self._unread = self._unread, b""
        if unread and self.state < ConnectionState.ENDED:
            self.received(unread)

    def _send_disconnect(self) -> None:
        """Close the transport, as a browser does: a client of a stream sends nothing.

        A stream has no closing handshake, so the bytes that have arrived by now are read first. Events in them
        count. If they contain the end of the stream, the server ended the connection.
        """
        self.state = ConnectionState.CLOSING
        self._read_rest()
        if self.state is ConnectionState.CLOSING and self._transport is not None:
            self._transport.ready(READABLE)
        self._end(IO_CLIENT_DISCONNECT, abort=True)

    def _send_websocket_close(self) -> None:
        """Do nothing: a stream has no closing handshake."""

    def _protocol_error(self) -> None:
        self._handshake = self._handshake or EventStreamHandshake(self)  # nothing is sent on a stream
        super()._protocol_error()
