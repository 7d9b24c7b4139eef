"""THE SWARM of one Locust process: its reactor, its counter, its endpoint and its users."""

import time
from collections.abc import Callable
from typing import Any

import gevent

from wscheck.loadgen.connection import Connection
from wscheck.loadgen.counters import Tally
from wscheck.loadgen.endpoint import Endpoint
from wscheck.loadgen.handshake import Opening
from wscheck.loadgen.page_component import Component
from wscheck.loadgen.polling import PollingOpening
from wscheck.loadgen.reactor import Reactor
from wscheck.loadgen.user_connections import Holding
from wscheck.model.secrets import HIDDEN, SHORTEST_SECRET, Redactor, Secret

KINDS_TOLD_APART = 50
"""Different refusals; a server that says something new each time must not fill the memory."""

Told = Callable[[float, str | None], None]


class Swarm:
    """`tell_connect` is called for every connect with its milliseconds, and what it was refused as."""

    def __init__(self, endpoint: Endpoint, tell_connect: Told = lambda ms, refused: None) -> None:
        self.endpoint = endpoint
        self.tell_connect = tell_connect
        self.tally = Tally()
        self.reactor = Reactor(self.tally.lagged)
        self.is_closing = False
        self.users: dict[Holding, list[Component]] = {}
        self._kinds: set[str] = set()
        self._redactor = Redactor()

    def opening(self, connection: Connection) -> Opening:
        """How a new connection begins."""
        return PollingOpening(connection) if self.endpoint.upgrades else Opening(connection)

    def kind_of_refusal(self, data: Any, token: Secret | None = None) -> str:
        """What a CONNECT_ERROR is counted as: its message, without secrets (servers repeat what they were told, `token`
        among it), and not too many of them."""
        message = data.get("message") if isinstance(data, dict) else data
        said = str(message or "")
        if token is not None and len(token.reveal()) >= SHORTEST_SECRET:
            said = said.replace(token.reveal(), HIDDEN)
        kind = f"connect_error: {self._redactor.redact(said)[:80]}" if said else "connect_error"
        if kind not in self._kinds and len(self._kinds) >= KINDS_TOLD_APART:
            return "connect_error: (others)"
        self._kinds.add(kind)
        return kind

    def join(self, holding: Holding, components: list[Component]) -> None:
        """A user begins."""
        self.users[holding] = components
        for component in components:
            component.open()

    def part(self, holding: Holding) -> None:
        """A user stops: its connections are closed, without waiting for that."""
        for component in self.users.pop(holding, []):
            component.stop()
        holding.stopped()

    def close(self, within: float) -> int:
        """Close everything in order, and wait for it; how many connections had to be cut after `within` seconds."""
        self.is_closing = True
        for components in self.users.values():
            for component in components:
                component.stop()
        deadline = time.monotonic() + within
        while len(self.reactor) and time.monotonic() < deadline:
            gevent.sleep(0.01)
        left = len(self.reactor)
        self.reactor.cut()
        for holding in list(self.users):
            self.part(holding)
        self.tally.finish(time.time())
        return left
