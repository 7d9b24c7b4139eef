"""ONE CONNECTION of the swarm: what it says and hears, as Socket.IO over Engine.IO over a websocket."""

import time
from typing import TYPE_CHECKING, Any

from wscheck.loadgen.acks import Answered, Answers
from wscheck.loadgen.callbacks import Observer, State
from wscheck.loadgen.connection_state import Lifecycle
from wscheck.loadgen.frames import BINARY, CLOSE, PING, PONG, TEXT, Frames, masked
from wscheck.loadgen.transport import LinkError
from wscheck.model.disconnect_reasons import PARSE_ERROR, TRANSPORT_ERROR
from wscheck.protocols.engine_io import PacketError, decode_handshake
from wscheck.protocols.socket_io import SocketPacket, SocketPacketType, decode_socket_packet, encode_frame, event_packet

if TYPE_CHECKING:
    from wscheck.loadgen.endpoint import Presence
    from wscheck.loadgen.swarm import Swarm

_NONSENSE = masked(CLOSE, (1002).to_bytes(2))
_OUR_PONG = masked(TEXT, b"3")
_EVENT, _OVER = SocketPacketType.EVENT, State.OVER  # looked up for every event, and an enum is slow at that


class Connection(Lifecycle):
    """`sid` is the Socket.IO id, None until open. Times are monotonic seconds, 0 until they come."""

    __slots__ = (
        "_attachments",
        "_frames",
        "asked_at",
        "opened_at",
        "presence",
        "sid",
    )

    def __init__(self, swarm: "Swarm", presence: "Presence", observer: Observer) -> None:
        super().__init__(swarm, observer)
        self.presence = presence
        self.sid: str | None = None
        self.asked_at = self.opened_at = 0.0
        self._frames = Frames()
        self._attachments = 0

    # --- what the page does ------------------------------------------------------------------------------------

    def open(self) -> None:
        """Begin. The observer hears of it, perhaps before this returns."""
        self.begun_at = time.monotonic()
        self._opening = self.swarm.opening(self)
        self.swarm.reactor.look_after(self, self.begun_at + self.swarm.endpoint.target.timeout_s)
        try:
            self._opening.begin()
        except LinkError as lost:
            self._refuse(lost.kind)

    def emit(self, name: str, *arguments: Any, answered: Answered | None = None, ack: bool = False) -> bool:
        """Send an event; False when the connection is not open. With `ack` or `answered` it asks for an answer."""
        if self.state is not State.OPEN:
            return False
        number = self._expect(answered) if ack or answered is not None else None
        self.swarm.tally.now.sent += 1
        self.send_text(
            encode_frame(event_packet(name, *arguments, namespace=self.swarm.endpoint.namespace, ack_id=number))
        )
        return True

    # --- called by the opening ---------------------------------------------------------------------------------

    def send_text(self, text: str) -> None:
        """An Engine.IO packet, by whatever transport there is now."""
        if self._opening is not None:
            self._opening.send_packet(text)
        else:
            self.deliver(masked(TEXT, text.encode()))

    def is_up(self, rest: bytes) -> None:
        """The websocket is there, and `rest` came with its handshake."""
        self._opening = None
        if rest:
            self.received(rest)
        if self.state is State.OPEN:
            self._settle()

    def packet(self, text: str) -> None:
        """One Engine.IO packet."""
        kind = text[:1]
        if kind == "4":
            self._socket_packet(text[1:])
        elif kind == "2":
            self._silent_at = time.monotonic() + self._patience_s
            if self._opening is None:
                self.deliver(_OUR_PONG)
            else:
                self._opening.send_packet("3")
        elif kind == "0" and self.state is State.CONNECTING:
            self._handshaken(text[1:])
        elif kind == "1":
            self.closed()
        elif kind not in ("3", "6"):
            raise PacketError("a packet that Engine.IO does not have")

    def fail(self, kind: str) -> None:
        """The opening came to nothing."""
        if self.state < State.OPEN:
            self._refuse(kind)
        else:
            self._end(TRANSPORT_ERROR, abort=True)

    # --- what arrives ------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        try:
            if self._opening is not None:
                self._opening.received(data)
                return
            frames = self._frames
            for opcode, payload in frames.feed(data):
                if opcode == TEXT:
                    self.packet(payload)  # type: ignore[arg-type]
                else:
                    self._other(opcode, payload)  # type: ignore[arg-type]
                if self.state >= _OVER:
                    return
            if frames.broken is not None:
                self._malformed()
        except PacketError:
            self._malformed()

    def _other(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self.deliver(masked(PONG, payload))
        elif opcode == PONG:
            self._heard_goodbye()
        elif opcode == CLOSE:
            self.closed()
        elif opcode == BINARY:
            if not self._attachments:
                raise PacketError("a binary frame that nothing announced")
            self._attachments -= 1

    def _handshaken(self, data: str) -> None:
        handshake = decode_handshake(data)
        self._ping_timeout_s = handshake.ping_timeout / 1000
        self._patience_s = handshake.ping_interval / 1000 + self._ping_timeout_s
        self.state = State.ASKED
        self.asked_at = time.monotonic()
        self._observer.asked(self)
        if self._opening is not None:
            self._opening.handshaken(handshake)
        self.send_text(self.presence.connect)

    def _socket_packet(self, text: str) -> None:
        packet = decode_socket_packet(text)
        kind = packet.type
        self._attachments += packet.attachments
        if packet.namespace != self.swarm.endpoint.namespace:
            return
        if kind is _EVENT or kind is SocketPacketType.BINARY_EVENT:
            self.swarm.tally.now.received += 1
            if packet.ack_id is not None:
                answer = SocketPacket(SocketPacketType.ACK, packet.namespace, [], packet.ack_id)
                self.send_text(encode_frame(answer))
            self._observer.event(self, packet, text)
        elif kind is SocketPacketType.ACK or kind is SocketPacketType.BINARY_ACK:
            if self._answers is not None:
                self._answers.came(packet.ack_id, packet.data, self.swarm.tally.now)
        elif kind is SocketPacketType.CONNECT:
            self._acknowledged(packet.data)
        elif kind is SocketPacketType.DISCONNECT:
            self._kicked()
        else:
            self._refuse(self.swarm.kind_of_refusal(packet.data, self.presence.token))

    def _acknowledged(self, data: Any) -> None:
        if self.state is not State.ASKED:
            raise PacketError("a CONNECT that nobody asked for")
        self.sid = data.get("sid") if isinstance(data, dict) else None
        if not isinstance(self.sid, str):
            raise PacketError("a CONNECT without a sid, as of an older protocol")
        self.state = State.OPEN
        self.opened_at = time.monotonic()
        self._silent_at = self.opened_at + self._patience_s
        self._observer.opened(self)
        if self.state is State.OPEN and self._opening is None:  # the observer may have left already
            self._settle()

    def _settle(self) -> None:
        if self._is_leaving:
            self._goodbye()
        else:
            self._look_ahead()

    def _malformed(self) -> None:
        if self.state >= State.OVER:
            self._finish(abort=True)
            return
        self.swarm.tally.now.protocol_errors += 1
        if self._opening is None:
            self.deliver(_NONSENSE)
        if self.state < State.OPEN:
            self._refuse("protocol")
        elif self.state < State.OVER:
            self._end(PARSE_ERROR, abort=True)

    def _expect(self, answered: Answered | None) -> int:
        if self._answers is None:
            self._answers = Answers()
        number = self._answers.expect(answered)
        if len(self._answers) == 1:
            self._look_ahead()
        return number
