"""A COMPONENT of a page that holds a socket: dashboard, wizard or tab, and what it does when it loses it."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from wscheck.loadgen.acks import Answered
from wscheck.loadgen.connection import Connection
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT
from wscheck.protocols.socket_io import SocketPacket

if TYPE_CHECKING:
    from wscheck.loadgen.swarm import Swarm
    from wscheck.loadgen.user_connections import Holding

LONGEST_BACKOFF_S = 5.0
"""As socket.io-client's reconnectionDelayMax."""


class Habits(msgspec.Struct, frozen=True):
    """What a component does.

    kick_delay_s   reconnect this long after a kick; None: stay down, as a stock client does
    backoff_s      before the first reconnect after a lost or refused connection, doubling; None: stay down
    jitter         the part of the backoff that is random: 0 none, 0.5 as socket.io-client, 1 all
    drops_first_s  leave this many seconds after the first open and open again, as StrictMode does; None: do not
    """

    kick_delay_s: float | None = None
    backoff_s: float | None = 1.0
    jitter: float = 0.5
    drops_first_s: float | None = None


class Component:
    """Holds one connection at a time and, if its habits say so, gets itself another.

    on_open, on_event   called in the hub for every connection that opened, for every event's name and arguments
    """

    __slots__ = (
        "_cancel",
        "_drops",
        "_failures",
        "_swarm",
        "connection",
        "habits",
        "holding",
        "is_stopped",
        "on_event",
        "on_open",
    )

    def __init__(self, swarm: "Swarm", holding: "Holding", habits: Habits) -> None:
        self._swarm, self.holding, self.habits = swarm, holding, habits
        self.connection: Connection | None = None
        self.on_event: Callable[[str, list[Any]], None] | None = None
        self.on_open: Callable[[Component], None] | None = None
        self.is_stopped = False
        self._failures = 0
        self._cancel: Callable[[], None] | None = None
        self._drops = habits.drops_first_s is not None

    def open(self) -> None:
        """Open the connection, unless the run is at its end."""
        self._cancel = None
        if self.is_stopped or self._swarm.is_closing:
            return
        self._swarm.tally.now.attempts += 1
        self.connection = Connection(self._swarm, self.holding.presence, self)
        if self._drops:
            self._drops = False
            self._cancel = self._swarm.reactor.after(self.habits.drops_first_s or 0.0, self._remount)
        self.connection.open()

    def emit(self, name: str, *arguments: Any, ack: bool = False, answered: Answered | None = None) -> bool:
        """Send an event; False, and nothing is sent, while there is no connection."""
        return self.connection is not None and self.connection.emit(name, *arguments, ack=ack, answered=answered)

    def stop(self) -> None:
        """Leave, and do not come back."""
        self.is_stopped = True
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        if self.connection is not None:
            self.connection.leave()

    def _remount(self) -> None:
        dropped, self.connection = self.connection, None
        if dropped is not None:
            dropped.leave()
        self.open()

    def _again(self, delay: float | None) -> None:
        if delay is not None and not self.is_stopped and self._cancel is None:
            self._cancel = self._swarm.reactor.after(delay, self.open)

    def _backoff(self) -> float | None:
        base = self.habits.backoff_s
        if base is None:
            return None
        delay: float = min(base * 2**self._failures, max(base, LONGEST_BACKOFF_S))
        self._failures = min(self._failures + 1, 30)
        return delay * (1 + self.habits.jitter * (random.random() * 2 - 1))

    # --- told by the connection ---------------------------------------------------------------------------------

    def asked(self, connection: Connection) -> None:
        self.holding.asked(connection)

    def opened(self, connection: Connection) -> None:
        self._failures = 0
        self.holding.opened(connection)
        self._swarm.tell_connect((connection.opened_at - connection.begun_at) * 1000, None)
        if self.on_open is not None:
            self.on_open(self)

    def refused(self, connection: Connection, kind: str) -> None:
        self.holding.refused(connection, kind)
        self._swarm.tell_connect(0.0, kind)
        if self.connection is connection:
            self.connection = None
            self._again(self._backoff())

    def ended(self, connection: Connection, reason: str) -> None:
        self.holding.ended(connection, reason)
        if self.connection is connection:
            self.connection = None
            if reason != IO_CLIENT_DISCONNECT:
                self._again(self.habits.kick_delay_s if reason == IO_SERVER_DISCONNECT else self._backoff())

    def given_up(self, connection: Connection) -> None:
        self.holding.given_up(connection)
        if self.connection is connection:
            self.connection = None

    def event(self, connection: Connection, packet: SocketPacket, text: str) -> None:
        self.holding.event(connection, text)
        if self.on_event is not None:
            self.on_event(packet.data[0], packet.data[1:])
