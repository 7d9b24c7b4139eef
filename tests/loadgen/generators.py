"""Load generators inside the test's own process. The hub works while the test's greenlet waits."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import cache
from typing import Any

import gevent
import pytest

from wscheck.config.target import Credentials, ServerTarget
from wscheck.loadgen import generator as generator_module
from wscheck.loadgen.endpoint import Endpoint
from wscheck.loadgen.generator import LoadGenerator
from wscheck.loadgen.page_component import PageComponent, ReconnectPolicy
from wscheck.loadgen.reactor import DeadlineHandler, Reactor, SocketHandler
from wscheck.loadgen.user_connections import UserConnections
from wscheck.model.secrets import Secret

MAX_WAIT_S = 15.0
NEVER_RECONNECT = ReconnectPolicy(backoff_s=None)


def wait_until(condition: Callable[[], Any]) -> None:
    """Let the hub work until the condition is true."""
    deadline = time.monotonic() + MAX_WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


@contextmanager
def load_generator(url: str, *, target: dict[str, Any] | None = None, **options: Any) -> Iterator[LoadGenerator]:
    """A generator that connects to `url` and is closed at the end."""
    generator = LoadGenerator(Endpoint(ServerTarget(url=url, **({"timeout_s": 5.0} | (target or {}))), **options))
    generator.counters.advance(time.time())
    try:
        yield generator
    finally:
        if not generator.is_closing:
            generator.close(3.0)
        generator.reactor.close()


class IdleReactor(Reactor):
    """A reactor that calls no handler. `lag_ms` is the lag that it reports."""

    def __init__(self, record_lag: Callable[[float], None]) -> None:
        self.lag_ms = 0.0

    def watch(self, fd: int, handler: SocketHandler, events: int) -> None:
        """Do nothing."""

    def set_events(self, fd: int, events: int) -> None:
        """Do nothing."""

    def unwatch(self, fd: int) -> None:
        """Do nothing."""

    def set_deadline(self, handler: DeadlineHandler, at: float) -> None:
        """Do nothing."""

    def clear_deadline(self, handler: DeadlineHandler) -> None:
        """Do nothing."""

    def worst_lag(self, within_s: float) -> float:
        return self.lag_ms


@cache
def _unused_endpoint(upgrades: bool) -> Endpoint:
    return Endpoint(
        ServerTarget(url="http://127.0.0.1:1", timeout_s=5.0), ack_timeout_s=1.0, close_timeout_s=1.0, upgrades=upgrades
    )


def offline_generator(monkeypatch: pytest.MonkeyPatch, *, upgrades: bool = False) -> LoadGenerator:
    """Return a generator with an `IdleReactor`."""
    monkeypatch.setattr(generator_module, "Reactor", IdleReactor)
    return LoadGenerator(_unused_endpoint(upgrades))


def add_user(
    generator: LoadGenerator, user: str = "ada", *policies: ReconnectPolicy, token: str | None = None
) -> list[PageComponent]:
    """Start a user with one component for each of the policies. Return the components."""
    credentials = Credentials(user, Secret(token or f"token-of-{user}"))
    connections = UserConnections(generator, user, generator.endpoint.identity(credentials))
    components = [PageComponent(generator, connections, each) for each in policies or (NEVER_RECONNECT,)]
    generator.add_user(connections, components)
    return components


def refusal_kinds(generator: LoadGenerator) -> dict[str, int]:
    """Start a user and return the refusals that are counted."""
    add_user(generator)
    wait_until(lambda: generator.counters.current.refused)
    return dict(generator.counters.current.refused)


def is_open(component: PageComponent) -> bool:
    return component.connection is not None and component.connection.sid is not None


@contextmanager
def in_a_thread(serve: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """Run an asyncio server in another thread than the hub. Yield its URL."""
    urls: list[str] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    async def run() -> None:
        async with serve() as url:
            urls.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(MAX_WAIT_S)
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
