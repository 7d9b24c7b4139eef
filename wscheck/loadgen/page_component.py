"""One component of a page that opens a connection, and the policy by which it reconnects."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from wscheck.loadgen.connection import AckCallback, Connection, ReceivedEvent
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT

if TYPE_CHECKING:
    from wscheck.loadgen.generator import LoadGenerator
    from wscheck.loadgen.user_connections import UserConnections

MAX_BACKOFF_S = 5.0
"""Longest backoff in seconds, unless the first backoff is longer (socket.io-client: reconnectionDelayMax)."""

_MAX_FAILURES = 30
"""Largest number of failures that is counted. 2 to this power does not overflow a float."""


class ReconnectPolicy(msgspec.Struct, frozen=True):
    """Delays, in seconds, after which a component reconnects.

    after_server_disconnect_s  delay after the server ended the connection ("io server disconnect"); None: never
                               reconnect then, as in socket.io-client
    backoff_s                  first delay after a broken or refused connection, then doubled; None: never
    jitter                     random part of the backoff: 0 for none, 0.5 as in socket.io-client, 1 for the whole
                               backoff
    remount_after_s            drop the first connection after this time and open another, as React's StrictMode does;
                               None: never
    """

    after_server_disconnect_s: float | None = None
    backoff_s: float | None = 1.0
    jitter: float = 0.5
    remount_after_s: float | None = None


class PageComponent:
    """Component that has at most one connection at a time and observes that connection.

    on_open   called when a connection has opened, with the component
    on_event  called for each event, with its name and its arguments

    Both are called in the gevent hub and must not block.
    """

    __slots__ = (
        "_cancel_timer",
        "_failures",
        "_generator",
        "_will_remount",
        "connection",
        "is_stopped",
        "on_event",
        "on_open",
        "reconnect_policy",
        "user_connections",
    )

    def __init__(
        self, generator: "LoadGenerator", user_connections: "UserConnections", reconnect_policy: ReconnectPolicy
    ) -> None:
        self._generator = generator
        self.user_connections = user_connections
        self.reconnect_policy = reconnect_policy
        self.connection: Connection | None = None
        self.on_event: Callable[[str, list[Any]], None] | None = None
        self.on_open: Callable[[PageComponent], None] | None = None
        self.is_stopped = False
        self._failures = 0
        self._cancel_timer: Callable[[], None] | None = None
        self._will_remount = reconnect_policy.remount_after_s is not None

    def open(self) -> None:
        """Open a connection, unless the component or the run has stopped."""
        self._cancel_timer = None
        if self.is_stopped or self._generator.is_closing:
            return
        self._generator.counters.current.attempts += 1
        self.connection = self._generator.connection_class(self._generator, self.user_connections.identity, self)
        if self._will_remount:
            self._will_remount = False
            delay_s = self.reconnect_policy.remount_after_s or 0.0
            self._cancel_timer = self._generator.reactor.call_later(delay_s, self._remount)
        self.connection.open()

    def emit(self, name: str, *arguments: object, ack: bool = False, on_ack: AckCallback | None = None) -> bool:
        """Send an event. Return False, without sending, if there is no open connection.

        With `ack` or `on_ack` the server is asked for an acknowledgement.
        """
        return self.connection is not None and self.connection.emit(name, *arguments, ack=ack, on_ack=on_ack)

    def stop(self) -> None:
        """Close the connection and do not reconnect."""
        self.is_stopped = True
        if self._cancel_timer is not None:
            self._cancel_timer()
            self._cancel_timer = None
        if self.connection is not None:
            self.connection.close()

    def _remount(self) -> None:
        dropped, self.connection = self.connection, None
        if dropped is not None:
            dropped.close()
        self.open()

    def _reconnect_after(self, delay_s: float | None) -> None:
        if delay_s is not None and not self.is_stopped and self._cancel_timer is None:
            self._cancel_timer = self._generator.reactor.call_later(delay_s, self.open)

    def next_backoff(self) -> float | None:
        """Count a failure. Return the seconds until the next attempt, or None if the component does not reconnect."""
        first_s = self.reconnect_policy.backoff_s
        if first_s is None:
            return None
        delay_s: float = min(first_s * 2**self._failures, max(first_s, MAX_BACKOFF_S))
        self._failures = min(self._failures + 1, _MAX_FAILURES)
        return delay_s * (1 + self.reconnect_policy.jitter * (random.random() * 2 - 1))

    # --- observer of the connection (ConnectionObserver) ----------------------------------------------------------

    def connect_sent(self, connection: Connection) -> None:
        self.user_connections.connect_sent(connection)

    def opened(self, connection: Connection) -> None:
        self._failures = 0
        self.user_connections.opened(connection)
        self._generator.on_connect((connection.opened_at - connection.started_at) * 1000, None)
        if self.on_open is not None:
            self.on_open(self)

    def refused(self, connection: Connection, kind: str) -> None:
        self.user_connections.refused(connection, kind)
        self._generator.on_connect(0.0, kind)
        if self.connection is connection:
            self.connection = None
            self._reconnect_after(self.next_backoff())

    def ended(self, connection: Connection, reason: str) -> None:
        self.user_connections.ended(connection, reason)
        if self.connection is connection:
            self.connection = None
            if reason == IO_SERVER_DISCONNECT:
                self._reconnect_after(self.reconnect_policy.after_server_disconnect_s)
            elif reason != IO_CLIENT_DISCONNECT:
                self._reconnect_after(self.next_backoff())

    def abandoned(self, connection: Connection) -> None:
        self.user_connections.abandoned(connection)
        if self.connection is connection:
            self.connection = None

    def event_received(self, connection: Connection, event: ReceivedEvent, text: str) -> None:
        self.user_connections.event_received(connection, text)
        if self.on_event is not None:
            name, *arguments = event.data
            self.on_event(name, arguments)

    def reads_events(self) -> bool:
        return self.on_event is not None or self.user_connections.compares_events

    def unread_events_received(self, connection: Connection, count: int) -> None:
        self.user_connections.events_received(connection, count)
