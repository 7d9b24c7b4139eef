"""HOW A CONNECTION LIVES AND ENDS: its states, its deadlines, and the one end that is told.

CONNECTING -> ASKED -> OPEN -> LEAVING -> OVER -> GONE
              CONNECT sent     41 sent    ended, the server's close awaited
"""

import time
from typing import TYPE_CHECKING, Any

from wscheck.loadgen.acks import Answers
from wscheck.loadgen.callbacks import Observer, State
from wscheck.loadgen.frames import CLOSE, PING, TEXT, masked
from wscheck.loadgen.handshake import Opening
from wscheck.loadgen.socket_io import Wire
from wscheck.loadgen.transport import LinkError
from wscheck.model.disconnect_reasons import (
    IO_CLIENT_DISCONNECT,
    IO_SERVER_DISCONNECT,
    PING_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
)
from wscheck.protocols.socket_io import SocketPacket, SocketPacketType, encode_socket_packet

if TYPE_CHECKING:
    from wscheck.loadgen.swarm import Swarm

_LINGER_S = 2.0
_GOODBYE = masked(CLOSE, (1000).to_bytes(2))


class Lifecycle(Wire):
    """Whatever the server does ends in exactly one of: `refused`, `ended`, `given_up`. Times are monotonic seconds."""

    __slots__ = (
        "_answers",
        "_has_closed",
        "_is_leaving",
        "_observer",
        "_opening",
        "_patience_s",
        "_ping_timeout_s",
        "_silent_at",
        "begun_at",
        "state",
    )

    def __init__(self, swarm: "Swarm", observer: Observer) -> None:
        super().__init__(swarm)
        self._observer: Any = observer  # it is told of the heir
        self.state = State.CONNECTING
        self.begun_at = 0.0
        self._opening: Opening | None = None
        self._answers: Answers | None = None
        self._is_leaving = self._has_closed = False
        self._patience_s = self._ping_timeout_s = self._silent_at = 0.0

    @property
    def is_over(self) -> bool:
        return self.state >= State.OVER

    @property
    def is_leaving(self) -> bool:
        """Whether the page has dropped it, and only its end is still to come."""
        return self._is_leaving or self.state is State.LEAVING

    # --- what the page does ---------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Close politely: what the server sent before it heard of it still counts."""
        if self.state is State.CONNECTING:
            self._finish(abort=True)
            self._observer.given_up(self)
        elif self.state is State.ASKED or self._opening is not None:
            self._is_leaving = True
        elif self.state is State.OPEN:
            self._goodbye()

    def cut(self) -> None:
        """Be gone now, whatever the server still has to say."""
        if self.state < State.OPEN:
            self._finish(abort=True)
            self._observer.given_up(self)
        elif self.state < State.OVER:
            self._end(IO_CLIENT_DISCONNECT, abort=True)
        else:
            self._finish(abort=True)

    def _goodbye(self) -> None:
        self.state = State.LEAVING
        self.swarm.reactor.look_after(self, time.monotonic() + self.swarm.endpoint.close_timeout_s)
        try:
            where = self.swarm.endpoint.namespace
            bye = encode_socket_packet(SocketPacket(SocketPacketType.DISCONNECT, where))
            self.send(masked(TEXT, f"4{bye}".encode()) + masked(PING, b""))
        except LinkError:
            self._end(IO_CLIENT_DISCONNECT)

    def _heard_goodbye(self) -> None:
        """It answered the ping after our 41: a kick that crossed it has been read, which a close would have cut off."""
        if self.state is State.LEAVING:
            self._close()

    def _close(self) -> None:
        """The websocket's close, once."""
        if not self._has_closed:
            self._has_closed = True
            self.deliver(_GOODBYE)

    # --- deadlines ------------------------------------------------------------------------------------------------

    def overdue(self, now: float) -> None:
        """The connect timed out, the server fell silent, an answer did not come, or a close was not answered."""
        if self.state < State.OPEN:
            self._refuse("timeout")
        elif self.state is State.OPEN:
            if self._answers is not None:
                self._answers.give_up(now - self.swarm.endpoint.ack_timeout_s, self.swarm.tally.now)
            if self._opening is not None and now > self.begun_at + self.swarm.endpoint.target.timeout_s:
                self._end(TRANSPORT_ERROR, abort=True)
            elif now >= self._silent_at:
                self._blame()
                self._end(PING_TIMEOUT, abort=True)
            else:
                self._look_ahead()
        elif self.state is State.LEAVING:
            self._end(IO_CLIENT_DISCONNECT, abort=True)
        else:
            self._finish(abort=True)

    def _look_ahead(self) -> None:
        """Be called when the server will have been silent for too long, or the oldest answer is late."""
        at = self._silent_at
        if self._answers:
            at = min(at, self._answers.oldest_at + self.swarm.endpoint.ack_timeout_s)
        self.swarm.reactor.look_after(self, at)

    def _blame(self) -> None:
        """Was it we who were too late to answer a ping, or to read one?"""
        if self.swarm.reactor.worst_lag(self._patience_s) >= self._ping_timeout_s * 1000:
            self.swarm.tally.now.stalled += 1

    # --- how it ends ----------------------------------------------------------------------------------------------

    def _kicked(self) -> None:
        if self.state < State.OPEN:
            self._refuse("disconnected at once")
        else:
            self._end(IO_SERVER_DISCONNECT)

    def hung_up(self) -> None:
        """The connection beneath the websocket has ended."""
        if self._opening is not None and self._opening.hung_up():
            return
        self.closed(gone=True)

    def closed(self, *, gone: bool = False) -> None:
        """The server closed; `gone` when nothing more will come, so that there is nothing to wait for."""
        if self.state < State.OPEN:
            self._refuse("closed by the server")
        elif self.state is State.OPEN:
            self._blame()
            self._end(TRANSPORT_CLOSE, gone=gone)
        elif self.state is State.LEAVING:
            self._end(IO_CLIENT_DISCONNECT, gone=gone)
        elif gone:
            self._finish()

    def lost(self, kind: str) -> None:
        if self.state < State.OPEN:
            self._refuse(kind)
        elif self.state < State.OVER:
            self._end(TRANSPORT_ERROR if self.state is State.OPEN else IO_CLIENT_DISCONNECT, abort=True)
        else:
            self._finish()

    def crashed(self) -> None:
        if self.state < State.OPEN:
            self._refuse("internal error")
        elif self.state < State.OVER:
            self._end(TRANSPORT_ERROR, abort=True)
        else:
            self._finish(abort=True)

    def _refuse(self, kind: str) -> None:
        if self.state < State.OPEN:
            self._finish(abort=True)
            self._observer.refused(self, kind)

    def _end(self, reason: str, *, abort: bool = False, gone: bool = False) -> None:
        """It was open. The server may close the link first, so that our port is free at once."""
        if self.state not in (State.OPEN, State.LEAVING):
            return
        self.state = State.OVER
        self.swarm.tally.now.unanswered += len(self._answers or ())
        if abort or gone or self._opening is not None:
            self._finish(abort=abort)
        else:
            self._close()
            self.swarm.reactor.look_after(self, time.monotonic() + _LINGER_S)
        self._observer.ended(self, reason)

    def _finish(self, *, abort: bool = False) -> None:
        self.state = State.GONE
        self._opening = None
        self.swarm.reactor.leave(self)
        self._drop_link(abort=abort)
