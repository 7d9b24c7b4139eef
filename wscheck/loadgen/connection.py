"""One Socket.IO connection of the load generator: Socket.IO over Engine.IO over a WebSocket.

    CONNECTING -> CONNECT_SENT -> STEPS -> OPEN -> CLOSING -> ENDED -> CLOSED

STEPS are the events that are sent or awaited after connecting, such as a login ([connect] in wscheck.toml). Every
connection reports exactly one end to its observer: `refused`, `ended` or `abandoned`.
"""

import time
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

from wscheck.loadgen.transport import TcpTransport, TransportError, open_transport
from wscheck.loadgen.websocket_frames import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, encode_masked_frame
from wscheck.model.disconnect_reasons import (
    IO_CLIENT_DISCONNECT,
    IO_SERVER_DISCONNECT,
    PARSE_ERROR,
    PING_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
)
from wscheck.model.load_statistics import LoadStatistics
from wscheck.protocols.engine_io import PacketError, decode_handshake
from wscheck.protocols.socket_io import (
    SocketPacket,
    SocketPacketType,
    decode_socket_packet,
    encode_frame,
    event_packet,
    offers_recovery,
    without_recovery_offset,
)

if TYPE_CHECKING:
    from wscheck.config.connect import ConnectStep
    from wscheck.loadgen.endpoint import UserIdentity
    from wscheck.loadgen.generator import LoadGenerator
    from wscheck.loadgen.handshake import WebSocketHandshake

AckCallback = Callable[[list[Any] | None, float], None]
"""Function that is called with the arguments of an acknowledgement and the milliseconds it took.

The arguments are None if no acknowledgement came in time. The function is not called if the connection ends first;
this is counted in `LoadStatistics.unanswered`.
"""

_SERVER_CLOSE_WAIT_S = 2.0
"""Seconds that a server may take to close the transport of a connection that has ended."""

_NORMAL_CLOSE = encode_masked_frame(CLOSE, (1000).to_bytes(2))
_PROTOCOL_ERROR_CLOSE = encode_masked_frame(CLOSE, (1002).to_bytes(2))
_ENGINE_PONG = encode_masked_frame(TEXT, b"3")
_WEBSOCKET_PING = encode_masked_frame(PING, b"")


class ConnectionState(IntEnum):
    """State of a connection. A connection passes through the states in this order and may skip some."""

    CONNECTING = 0
    CONNECT_SENT = 1
    STEPS = 2
    """The server acknowledged CONNECT, and the steps after it are not done, for example a login."""
    OPEN = 3
    CLOSING = 4
    """We sent DISCONNECT and wait until the server has read it."""
    ENDED = 5
    """The end was reported, and the transport is still open: the server should close the transport first."""
    CLOSED = 6


# These states are looked up for every packet, and attribute access on an enum is slow.
_EVENT, _ENDED = SocketPacketType.EVENT, ConnectionState.ENDED


class ReceivedEvent(Protocol):
    """An event that arrived. `data` contains its name, then its arguments."""

    @property
    def data(self) -> list[Any]: ...


class ConnectionObserver(Protocol):
    """Receiver of the events of a connection."""

    def connect_sent(self, connection: "Connection") -> None:
        """Handle the sending of CONNECT. From now on the server may count the connection."""

    def opened(self, connection: "Connection") -> None:
        """Handle the opening: the server acknowledged CONNECT and accepted all steps after connecting."""

    def refused(self, connection: "Connection", kind: str) -> None:
        """Handle a connection that did not open. Failures are counted per `kind`."""

    def ended(self, connection: "Connection", reason: str) -> None:
        """Handle the end of an open connection. `reason` is a Socket.IO disconnect reason."""

    def abandoned(self, connection: "Connection") -> None:
        """Handle a connection that the page closed before it was open."""

    def event_received(self, connection: "Connection", event: ReceivedEvent, text: str) -> None:
        """Handle an event from the server. `text` is the whole Socket.IO packet, or the whole message."""

    def reads_events(self) -> bool:
        """Return whether `event_received` needs the text of the events, or only their number."""

    def unread_events_received(self, connection: "Connection", count: int) -> None:
        """Handle events from the server of which only the number is known, while the connection `is_young`."""


class PendingAcks:
    """Acknowledgements that one connection waits for, oldest first. All have the same timeout."""

    __slots__ = ("_next_id", "_pending")

    def __init__(self) -> None:
        self._next_id = 0
        self._pending: dict[int, tuple[AckCallback | None, float]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def oldest_sent_at(self) -> float:
        """Monotonic time at which the oldest pending event was sent. At least one event must be pending."""
        return next(iter(self._pending.values()))[1]

    def add(self, callback: AckCallback | None) -> int:
        """Add an event that awaits its acknowledgement. Return the acknowledgement id."""
        ack_id = self._next_id
        self._next_id += 1
        self._pending[ack_id] = (callback, time.monotonic())
        return ack_id

    def acknowledge(self, ack_id: int | None, arguments: list[Any], counts: LoadStatistics) -> None:
        """Count the acknowledgement and call its callback. An unknown id is ignored."""
        pending = self._pending.pop(ack_id, None) if ack_id is not None else None
        if pending is None:
            return
        callback, sent_at = pending
        duration_ms = (time.monotonic() - sent_at) * 1000
        counts.acks += 1
        counts.ack.add(duration_ms)
        if callback is not None:
            callback(arguments, duration_ms)

    def expire(self, sent_before: float, counts: LoadStatistics) -> None:
        """Count a timeout for each event sent at `sent_before` or earlier, and call the callbacks of these events."""
        while self._pending and self.oldest_sent_at <= sent_before:
            callback, sent_at = self._pending.pop(next(iter(self._pending)))
            counts.ack_timeouts += 1
            if callback is not None:
                callback(None, (time.monotonic() - sent_at) * 1000)


class Connection:
    """One connection. Times are monotonic seconds, 0 until the event occurs.

    identity  request texts with the user's credentials, which all connections of the user share
    is_young  False once the events of the connection are no greetings any more
    sid       the Socket.IO id, None until the connection is open
    end_during_steps  disconnect reason if the server acknowledged the connection and ended it during the steps after
                      connecting
    """

    __slots__ = (
        "_attachments_expected",
        "_close_requested",
        "_frames",
        "_handshake",
        "_observer",
        "_pending_acks",
        "_ping_timeout_s",
        "_recoverable",
        "_sent_websocket_close",
        "_silence_deadline",
        "_silence_limit_s",
        "_steps",
        "_transport",
        "acknowledged_at",
        "connect_sent_at",
        "deadline_tick",
        "end_during_steps",
        "generator",
        "has_emitted",
        "identity",
        "is_young",
        "opened_at",
        "sid",
        "started_at",
        "state",
    )

    def __init__(self, generator: "LoadGenerator", identity: "UserIdentity", observer: ConnectionObserver) -> None:
        self.generator = generator
        self.identity = identity
        self.state = ConnectionState.CONNECTING
        self.sid: str | None = None
        self.has_emitted = False
        self.is_young = True
        self.started_at = self.connect_sent_at = self.acknowledged_at = self.opened_at = 0.0
        self.end_during_steps = ""
        self.deadline_tick = 0
        self._observer = observer
        self._transport: TcpTransport | None = None
        self._handshake: WebSocketHandshake | None = None
        self._frames = FrameReader()
        self._attachments_expected = 0
        self._pending_acks: PendingAcks | None = None
        self._steps: StepRun | None = None
        self._close_requested = self._sent_websocket_close = self._recoverable = False
        self._silence_limit_s = self._ping_timeout_s = self._silence_deadline = 0.0

    @property
    def has_ended(self) -> bool:
        return self.state >= ConnectionState.ENDED

    @property
    def is_closing(self) -> bool:
        """True if the page closed the connection, and the connection has not ended yet."""
        return self._close_requested or self.state is ConnectionState.CLOSING

    # --- called by the page ---------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start to connect. The observer may already be called before this method returns."""
        self.started_at = time.monotonic()
        self._handshake = self.generator.new_handshake(self)
        self.generator.reactor.set_deadline(self, self.started_at + self.generator.endpoint.target.timeout_s)
        try:
            self._handshake.start()
        except TransportError as error:
            self._refuse(error.kind)

    def emit(self, name: str, *arguments: object, on_ack: AckCallback | None = None, ack: bool = False) -> bool:
        """Send an event. Return False if the connection is not open.

        With `ack` or `on_ack` the server is asked for an acknowledgement.
        """
        if self.state is not ConnectionState.OPEN:
            return False
        ack_id = self._add_pending_ack(on_ack) if ack or on_ack is not None else None
        self.send_event(name, *arguments, ack_id=ack_id)
        return True

    def send_event(self, name: str, *arguments: object, ack_id: int | None) -> None:
        """Send an event and count it, whether or not the connection is open."""
        self.generator.counters.current.sent += 1
        self.has_emitted = self.state is ConnectionState.OPEN
        namespace = self.generator.endpoint.namespace
        self.send_packet(encode_frame(event_packet(name, *arguments, namespace=namespace, ack_id=ack_id)))

    def close(self) -> None:
        """Close the connection with a DISCONNECT.

        Events that the server sends before it reads the DISCONNECT are still counted.
        """
        if self.state is ConnectionState.CONNECTING:
            self._release(abort=True)
            self._observer.abandoned(self)
        elif self.state < ConnectionState.OPEN or self._handshake is not None:
            self._close_requested = True
        elif self.state is ConnectionState.OPEN:
            self._send_disconnect()

    def abort(self) -> None:
        """End the connection now and reset its transport."""
        if self.state < ConnectionState.OPEN:
            self._release(abort=True)
            self._observer.abandoned(self)
        elif self.state < ConnectionState.ENDED:
            self._end(IO_CLIENT_DISCONNECT, abort=True)
        else:
            self._release(abort=True)

    # --- called by the handshake ----------------------------------------------------------------------------------

    def open_new_transport(self) -> None:
        """Close the present transport, if there is one, and start to connect a new one.

        Raises:
            TransportError: There is no socket or no local port for the transport.
        """
        self._close_transport()
        self._transport = open_transport(self.generator.endpoint, self.generator.reactor, self)

    def send(self, data: bytes) -> None:
        """Send bytes on the present transport.

        Raises:
            TransportError: The transport is broken.
        """
        assert self._transport is not None
        self._transport.send(data)

    def handshake_done(self, rest: bytes) -> None:
        """Use the WebSocket, because its handshake is complete.

        `rest` contains the bytes that followed the handshake.
        """
        self._handshake = None
        if rest:
            self.received(rest)
        if self.state is ConnectionState.OPEN:
            self._continue_open()

    def handshake_failed(self, kind: str) -> None:
        """End the connection, because its handshake or its transport upgrade failed."""
        if self.state < ConnectionState.OPEN:
            self._refuse(kind)
        else:
            self._end(TRANSPORT_ERROR, abort=True)

    def packet_received(self, text: str) -> None:
        """Handle one Engine.IO packet.

        Raises:
            PacketError: The packet is malformed, or the protocol does not allow it in this state.
        """
        digit = text[:1]
        if digit == "4":
            self._socket_packet_received(text[1:])
        elif digit == "2":
            self._silence_deadline = time.monotonic() + self._silence_limit_s
            if self._handshake is None:
                self._try_send(_ENGINE_PONG)
            else:
                self._handshake.send_packet("3")
        elif digit == "0" and self.state is ConnectionState.CONNECTING:
            self._engine_opened(text[1:])
        elif digit == "1":
            self.closed_by_server()
        elif digit not in ("3", "6"):
            raise PacketError("unexpected Engine.IO packet")

    # --- called by the transport ----------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        """Handle bytes from the server. Bytes that break the protocol end the connection."""
        try:
            if self._handshake is not None:
                self._handshake.received(data)
                return
            frames = self._frames
            for opcode, payload in frames.feed(data):
                if opcode == TEXT:
                    self.packet_received(payload)  # type: ignore[arg-type]  # the data of TEXT is a str
                else:
                    self._other_frame_received(opcode, payload)  # type: ignore[arg-type]  # bytes
                if self.state >= _ENDED:
                    return
            if frames.error is not None:
                self._protocol_error()
        except PacketError:
            self._protocol_error()

    def hung_up(self) -> None:
        """Handle the end of the data: the server closed its side of the transport.

        This ends the connection, unless the close completed an HTTP response of the handshake.
        """
        if self._handshake is not None and self._handshake.hung_up():
            return
        self.closed_by_server(transport_closed=True)

    def transport_lost(self, kind: str) -> None:
        """Handle the loss of the transport."""
        if self.state < ConnectionState.OPEN:
            self._refuse(kind)
        elif self.state < ConnectionState.ENDED:
            is_open = self.state is ConnectionState.OPEN
            self._end(TRANSPORT_ERROR if is_open else IO_CLIENT_DISCONNECT, abort=True)
        else:
            self._release()

    def closed_by_server(self, *, transport_closed: bool = False) -> None:
        """Handle a close by the server. If `transport_closed`, no more data can arrive."""
        if self.state < ConnectionState.OPEN:
            self._refuse("closed by the server", TRANSPORT_CLOSE)
        elif self.state is ConnectionState.OPEN:
            self._count_own_stall()
            self._end(TRANSPORT_CLOSE, transport_closed=transport_closed)
        elif self.state is ConnectionState.CLOSING:
            self._end(IO_CLIENT_DISCONNECT, transport_closed=transport_closed)
        elif transport_closed:
            self._release()

    # --- called by the reactor ------------------------------------------------------------------------------------

    def deadline_reached(self, now: float) -> None:
        """Handle a connect timeout, a silent server, a missing acknowledgement or an unanswered close."""
        if self.state < ConnectionState.OPEN:
            self._refuse("timeout")
        elif self.state is ConnectionState.OPEN:
            endpoint = self.generator.endpoint
            if self._pending_acks is not None:
                self._pending_acks.expire(now - endpoint.ack_timeout_s, self.generator.counters.current)
            if self._handshake is not None and now > self.started_at + endpoint.target.timeout_s:
                self._end(TRANSPORT_ERROR, abort=True)
            elif now >= self._silence_deadline:
                self._count_own_stall()
                self._end(PING_TIMEOUT, abort=True)
            else:
                self._set_open_deadline()
        elif self.state is ConnectionState.CLOSING:
            self._end(IO_CLIENT_DISCONNECT, abort=True)
        else:
            self._release(abort=True)

    def handler_failed(self) -> None:
        """End the connection after an unexpected exception in one of its handlers."""
        if self.state < ConnectionState.OPEN:
            self._refuse("internal error")
        elif self.state < ConnectionState.ENDED:
            self._end(TRANSPORT_ERROR, abort=True)
        else:
            self._release(abort=True)

    # --- received packets -----------------------------------------------------------------------------------------

    def _other_frame_received(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._try_send(encode_masked_frame(PONG, payload))
        elif opcode == PONG:
            self._disconnect_was_read()
        elif opcode == CLOSE:
            self.closed_by_server()
        elif opcode == BINARY:
            if not self._attachments_expected:
                raise PacketError("binary frame that no packet announced")
            self._attachments_expected -= 1

    def _engine_opened(self, data: str) -> None:
        """Send CONNECT on the new Engine.IO session."""
        handshake = decode_handshake(data)
        self._ping_timeout_s = handshake.ping_timeout / 1000
        self._silence_limit_s = handshake.ping_interval / 1000 + self._ping_timeout_s
        self.state = ConnectionState.CONNECT_SENT
        self.connect_sent_at = time.monotonic()
        self._observer.connect_sent(self)
        if self._handshake is not None:
            self._handshake.session_opened(handshake)
        self.send_packet(self.identity.connect_packet)

    def _socket_packet_received(self, text: str) -> None:
        packet = decode_socket_packet(text)
        packet_type = packet.type
        self._attachments_expected += packet.attachments
        if packet.namespace != self.generator.endpoint.namespace:
            return
        if packet_type is _EVENT or packet_type is SocketPacketType.BINARY_EVENT:
            self.generator.counters.current.received += 1
            if packet.ack_id is not None:
                ack = SocketPacket(SocketPacketType.ACK, packet.namespace, [], packet.ack_id)
                self.send_packet(encode_frame(ack))
            if self._recoverable:
                packet, text = _without_recovery_offset(packet, text)
            self._observer.event_received(self, packet, text)
            if self._steps is not None:
                self._steps.event_received(packet.data)
        elif packet_type is SocketPacketType.ACK or packet_type is SocketPacketType.BINARY_ACK:
            if self._steps is not None:
                self._steps.acknowledged(packet.ack_id, packet.data)
            elif self._pending_acks is not None:
                self._pending_acks.acknowledge(packet.ack_id, packet.data, self.generator.counters.current)
        elif packet_type is SocketPacketType.CONNECT:
            self._connect_acknowledged(packet.data)
        elif packet_type is SocketPacketType.DISCONNECT:
            self._disconnect_received()
        else:
            self._refuse(self.generator.refusal_kind(packet.data, self.identity.token))

    def _connect_acknowledged(self, data: object) -> None:
        if self.state is not ConnectionState.CONNECT_SENT:
            raise PacketError("CONNECT without a request")
        sid = data.get("sid") if isinstance(data, dict) else None
        if not isinstance(sid, str):
            raise PacketError("CONNECT without a sid, as before Socket.IO 3")
        self.sid, self.acknowledged_at = sid, time.monotonic()
        self._recoverable = offers_recovery(data)
        if self.identity.steps:
            self.state = ConnectionState.STEPS
            self._steps = StepRun(self)
            self._steps.start()
        else:
            self.steps_done()

    def steps_done(self) -> None:
        """Open the connection: the server has acknowledged CONNECT and accepted every step after connecting."""
        self._steps = None
        self.state = ConnectionState.OPEN
        self.opened_at = time.monotonic()
        self._silence_deadline = self.opened_at + self._silence_limit_s
        self._observer.opened(self)
        # The observer may have closed the connection.
        if self.state is ConnectionState.OPEN and self._handshake is None:
            self._continue_open()

    def _disconnect_received(self) -> None:
        if self.state < ConnectionState.OPEN:
            self._refuse("disconnected at once", IO_SERVER_DISCONNECT)
        else:
            self._end(IO_SERVER_DISCONNECT)

    def _protocol_error(self) -> None:
        if self.state >= ConnectionState.ENDED:
            self._release(abort=True)
            return
        self.generator.counters.current.protocol_errors += 1
        if self._handshake is None:
            self._try_send(_PROTOCOL_ERROR_CLOSE)
        if self.state < ConnectionState.OPEN:
            self._refuse("protocol")
        elif self.state < ConnectionState.ENDED:
            self._end(PARSE_ERROR, abort=True)

    # --- while the connection is open -----------------------------------------------------------------------------

    def send_packet(self, text: str) -> None:
        """Send an Engine.IO packet on the transport that is in use."""
        if self._handshake is not None:
            self._handshake.send_packet(text)
        else:
            self._try_send(encode_masked_frame(TEXT, text.encode()))

    def _try_send(self, data: bytes) -> None:
        """Send bytes. If the transport is broken, do nothing: the next read reports it."""
        assert self._transport is not None
        try:
            self._transport.send(data)
        except TransportError:
            return

    def _continue_open(self) -> None:
        """Close the connection if the page requested a close while it was opening. Otherwise set its next deadline."""
        if self._close_requested:
            self._send_disconnect()
        else:
            self._set_open_deadline()

    def _set_open_deadline(self) -> None:
        """Set the deadline of an open connection.

        It is the time at which the server has been silent for too long, or the oldest pending acknowledgement times
        out, whichever is earlier.
        """
        at = self._silence_deadline
        if self._pending_acks:
            at = min(at, self._pending_acks.oldest_sent_at + self.generator.endpoint.ack_timeout_s)
        self.generator.reactor.set_deadline(self, at)

    def _add_pending_ack(self, callback: AckCallback | None) -> int:
        if self._pending_acks is None:
            self._pending_acks = PendingAcks()
        ack_id = self._pending_acks.add(callback)
        if len(self._pending_acks) == 1:
            self._set_open_deadline()
        return ack_id

    def _count_own_stall(self) -> None:
        """Count a stall if this process was too late to read from the connection or to answer a ping."""
        if self.generator.reactor.worst_lag(self._silence_limit_s) >= self._ping_timeout_s * 1000:
            self.generator.counters.current.stalled += 1

    # --- end of the connection ------------------------------------------------------------------------------------

    def _send_disconnect(self) -> None:
        """Send DISCONNECT and a WebSocket ping.

        The pong shows that the server has read the DISCONNECT. A DISCONNECT from the server that crossed ours has
        arrived by then; closing the WebSocket at once would discard it.
        """
        self.state = ConnectionState.CLOSING
        endpoint = self.generator.endpoint
        self.generator.reactor.set_deadline(self, time.monotonic() + endpoint.close_timeout_s)
        disconnect = encode_frame(SocketPacket(SocketPacketType.DISCONNECT, endpoint.namespace))
        try:
            self.send(encode_masked_frame(TEXT, disconnect.encode()) + _WEBSOCKET_PING)
        except TransportError:
            self._end(IO_CLIENT_DISCONNECT)

    def _disconnect_was_read(self) -> None:
        if self.state is ConnectionState.CLOSING:
            self._send_websocket_close()

    def _send_websocket_close(self) -> None:
        if not self._sent_websocket_close:
            self._sent_websocket_close = True
            self._try_send(_NORMAL_CLOSE)

    def _refuse(self, kind: str, server_end: str = "") -> None:
        """End a connection that did not open.

        `server_end` is the disconnect reason if the server ended the connection.
        """
        if self.state < ConnectionState.OPEN:
            steps, self._steps = self._steps, None
            self.end_during_steps = server_end if steps is not None else ""
            self._release(abort=True)
            self._observer.refused(self, kind if steps is None else f"{steps.label}: {kind}")

    def step_refused(self, reason: str) -> None:
        """End the connection, because the server refused a step after connecting."""
        self._refuse(self.generator.shown_message(reason, self.identity.token))

    def _end(self, reason: str, *, abort: bool = False, transport_closed: bool = False) -> None:
        """Report the end of an open connection.

        With `abort`, reset the transport. Otherwise give the server time to close the transport first, so that our port
        is free at once (no TIME_WAIT on our side).
        """
        if self.state not in (ConnectionState.OPEN, ConnectionState.CLOSING):
            return
        self.state = ConnectionState.ENDED
        self.generator.counters.current.unanswered += len(self._pending_acks or ())
        if abort or transport_closed or self._handshake is not None:
            self._release(abort=abort)
        else:
            self._send_websocket_close()
            self.generator.reactor.set_deadline(self, time.monotonic() + _SERVER_CLOSE_WAIT_S)
        self._observer.ended(self, reason)

    def _release(self, *, abort: bool = False) -> None:
        """Close the transport, or reset it with `abort`, and remove the deadline."""
        self.state = ConnectionState.CLOSED
        self._handshake = None
        self.generator.reactor.clear_deadline(self)
        self._close_transport(abort=abort)

    def _close_transport(self, *, abort: bool = False) -> None:
        if self._transport is not None:
            self._transport.close(abort=abort)
            self._transport = None


def _without_recovery_offset(packet: SocketPacket, text: str) -> tuple[SocketPacket, str]:
    """Return an event and its text without the offset for connection state recovery.

    A server with connection state recovery appends this offset to the arguments of each event.
    """
    data = without_recovery_offset(packet.data, packet.ack_id, time.time())
    if data is packet.data:
        return packet, text
    return packet._replace(data=data), f"{text[: text.rindex(',')]}]"


class StepRun:
    """Run of the steps after connecting (events that are sent or awaited) on one connection."""

    __slots__ = ("_acknowledgement", "_connection", "_event", "_position", "_unread_events")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._position = 0
        self._unread_events: list[list[Any]] = []
        self._acknowledgement: list[Any] | None = None
        self._event: list[Any] | None = None

    @property
    def label(self) -> str:
        """Name of the current step: "step 1 after connecting, ...". The kind of a refusal begins with it."""
        return f"step {self._position + 1} after connecting, {self._step.label}"

    @property
    def _step(self) -> "ConnectStep":
        return self._connection.identity.steps[self._position][0]

    def start(self) -> None:
        """Perform the current step.

        If the step emits a request, an event that arrived before the request is not accepted as its answer. If the step
        emits nothing, the event that it awaits may have arrived before.
        """
        connection = self._connection
        step, payload = connection.identity.steps[self._position]
        self._acknowledgement = self._event = None
        target = connection.generator.endpoint.target
        deadline = min(time.monotonic() + step.within, connection.started_at + target.timeout_s)
        connection.generator.reactor.set_deadline(connection, deadline)
        if step.emit is not None:
            self._unread_events.clear()
            arguments = () if payload is None else (payload,)
            connection.send_event(step.emit, *arguments, ack_id=self._position if step.ack else None)
        self._advance()

    def event_received(self, data: list[Any]) -> None:
        """Handle an event that arrived before the last step was done: the current step may wait for this event."""
        self._unread_events.append(data)
        self._advance()

    def acknowledged(self, ack_id: int | None, arguments: list[Any]) -> None:
        """Handle an acknowledgement of an event that a step sent."""
        if ack_id == self._position:
            self._acknowledgement = arguments
            self._advance()

    def _advance(self) -> None:
        """Go to the next step if the server has answered the current one."""
        step = self._step
        if self._event is None and step.wait_for is not None:
            self._event = self._take_event(step.wait_for)
        if (step.wait_for is not None and self._event is None) or (step.ack and self._acknowledgement is None):
            return
        answer = self._acknowledgement if step.ack else (self._event or [])[1:]
        if refusal := step.refusal_in(answer[0] if answer else None):
            self._connection.step_refused(refusal)
        elif self._position + 1 == len(self._connection.identity.steps):
            self._connection.steps_done()
        else:
            self._position += 1
            self.start()

    def _take_event(self, name: str) -> list[Any] | None:
        """Return the next unread event with this name, None if there is none.

        Also discard the events that arrived before it, so that no later step can use them.
        """
        for position, event in enumerate(self._unread_events):
            if event[0] == name:
                del self._unread_events[: position + 1]
                return event
        return None
