"""Load generator of one Locust process: its users, their connections, and counters of everything that happens."""

import time
from collections.abc import Callable
from functools import lru_cache

import gevent

from wscheck.config.target import EVENT_STREAM, WEBSOCKET
from wscheck.loadgen.connection import Connection
from wscheck.loadgen.endpoint import Endpoint
from wscheck.loadgen.handshake import EventStreamHandshake, PlainHandshake, PollingHandshake, WebSocketHandshake
from wscheck.loadgen.page_component import PageComponent
from wscheck.loadgen.plain_connection import EventStreamLoadConnection, WebSocketLoadConnection
from wscheck.loadgen.reactor import Reactor
from wscheck.loadgen.user_connections import UserConnections
from wscheck.model.load_statistics import LoadStatistics, SecondCounts, WorkerReport
from wscheck.model.secrets import Redactor, Secret

MAX_REFUSAL_KINDS = 50
"""Largest number of refusal messages that are counted separately. A server may send a new message each time."""

_MAX_REFUSAL_LENGTH = 80
_MAX_STALL_SECONDS = 60

ConnectCallback = Callable[[float, str | None], None]
"""Function that is called for each attempt to connect: its milliseconds, and the kind of the refusal or None."""


_CONNECTION_CLASSES: dict[str, type[Connection]] = {
    WEBSOCKET: WebSocketLoadConnection,
    EVENT_STREAM: EventStreamLoadConnection,
}


class ProcessCounters:
    """Counters of one Locust process. Times are epoch seconds.

    current  counts of the current second, to which the counting code adds directly
    open     number of open connections
    users    number of users that have connected and have not stopped
    """

    def __init__(self) -> None:
        self.current = LoadStatistics()
        self.open = self.users = 0
        self._peak = 0
        self._worst_lag_ms = 0.0
        self._unreported = LoadStatistics()
        self._unreported_seconds: list[SecondCounts] = []
        self._advanced_at: float | None = None

    def connection_opened(self) -> None:
        """Count one more open connection."""
        self.open += 1
        self._peak = max(self._peak, self.open)

    def record_lag(self, ms: float) -> None:
        """Record by how many milliseconds a tick of the reactor was late."""
        self.current.lag.add(ms)
        self._worst_lag_ms = max(self._worst_lag_ms, ms)

    def advance(self, at: float) -> None:
        """Complete the seconds before `at`. What is counted from now on belongs to the second that contains `at`."""
        last, self._advanced_at = self._advanced_at, at
        if last is None:
            return
        # During a stall of this process nothing was counted, but the connections were open.
        users, connections = self.users, self.open
        for second in range(max(int(last), int(at) - _MAX_STALL_SECONDS), int(at) - 1):
            self._unreported_seconds.append(SecondCounts(second, users=users, open=connections, peak=connections))
        self.current.user_s += users * max(0.0, at - last)
        if int(at) > int(last):
            self._complete_second(int(at) - 1)

    def finish(self, at: float) -> None:
        """Complete the seconds before `at` (the end of the run), and the partial second that contains `at`."""
        self.advance(at)
        self._complete_second(int(at))

    def take_report(self) -> WorkerReport:
        """Return what was counted since the last call. Call `advance` first."""
        report = WorkerReport(self._unreported, self._unreported_seconds)
        self._unreported, self._unreported_seconds = LoadStatistics(), []
        return report

    def _complete_second(self, second: int) -> None:
        counts = self.current
        self._unreported_seconds.append(
            SecondCounts(
                second,
                users=self.users,
                open=self.open,
                peak=self._peak,
                attempts=counts.attempts,
                connects=counts.connects,
                refused=sum(counts.refused.values()),
                disconnects=counts.disconnected,
                replaced=counts.replaced,
                received=counts.received,
                duplicated=counts.duplicated,
                sent=counts.sent,
                heartbeat_lag_ms=round(self._worst_lag_ms, 3),
            )
        )
        self._unreported.merge(counts)
        self.current = LoadStatistics()
        self._peak, self._worst_lag_ms = self.open, 0.0


class LoadGenerator:
    """Users of one run in one Locust process. `on_connect` is called for every attempt to connect."""

    def __init__(self, endpoint: Endpoint, on_connect: ConnectCallback = lambda ms, refusal: None) -> None:
        self.endpoint = endpoint
        self.connection_class = _CONNECTION_CLASSES.get(endpoint.target.protocol, Connection)
        self.on_connect = on_connect
        self.counters = ProcessCounters()
        self.reactor = Reactor(self.counters.record_lag)
        self.is_closing = False
        self.users: dict[UserConnections, list[PageComponent]] = {}
        self._refusal_kinds: set[str] = set()
        self._secrets = tuple(endpoint.target.connect.secrets)

    def new_handshake(self, connection: Connection) -> WebSocketHandshake:
        """Return the handshake for a new connection."""
        if isinstance(connection, EventStreamLoadConnection):
            return EventStreamHandshake(connection)
        if isinstance(connection, WebSocketLoadConnection):
            return PlainHandshake(connection)
        return PollingHandshake(connection) if self.endpoint.upgrades else WebSocketHandshake(connection)

    def refusal_kind(self, data: object, token: Secret | None = None) -> str:
        """Return the kind under which a CONNECT_ERROR with this data is counted: `connect_error: MESSAGE`.

        A server may repeat the credentials that it received, so secrets are redacted, including `token`.
        """
        message = self.shown_message(str((data.get("message") if isinstance(data, dict) else data) or ""), token)
        kind = f"connect_error: {message}" if message else "connect_error"
        if kind not in self._refusal_kinds and len(self._refusal_kinds) >= MAX_REFUSAL_KINDS:
            return "connect_error: (others)"
        self._refusal_kinds.add(kind)
        return kind

    def shown_message(self, message: str, token: Secret | None) -> str:
        """Return a message of the server as reports show it: shortened and without secrets."""
        return _redacted(message, (token, *self._secrets))

    def add_user(self, connections: UserConnections, components: list[PageComponent]) -> None:
        """Start a user: open the connection of each component."""
        self.users[connections] = components
        for component in components:
            component.open()

    def remove_user(self, connections: UserConnections) -> None:
        """Stop a user: start to close all connections of the user."""
        for component in self.users.pop(connections, []):
            component.stop()
        connections.user_stopped()

    def close(self, within_s: float) -> int:
        """Close all connections and wait. Return the number of connections aborted after `within_s` seconds."""
        self.is_closing = True
        for components in self.users.values():
            for component in components:
                component.stop()
        deadline = time.monotonic() + within_s
        while len(self.reactor) and time.monotonic() < deadline:
            gevent.sleep(0.01)
        aborted = len(self.reactor)
        self.reactor.abort_all()
        for connections in list(self.users):
            self.remove_user(connections)
        self.counters.finish(time.time())
        return aborted


@lru_cache(maxsize=1024)
def _redacted(message: str, secrets: tuple[Secret | None, ...]) -> str:
    """Return a message of the server, shortened and without secrets.

    Results are cached, because a user that reconnects often receives the same message.
    """
    return Redactor(secrets, distinct=False).redact(message)[:_MAX_REFUSAL_LENGTH]
