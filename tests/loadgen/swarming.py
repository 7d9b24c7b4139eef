"""A swarm inside the test's own process, on real sockets; the test's greenlet waits, and the hub works meanwhile."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import gevent

from wscheck.config.target import Credentials, ServerTarget
from wscheck.loadgen.endpoint import Endpoint
from wscheck.loadgen.page_component import Component, Habits
from wscheck.loadgen.swarm import Swarm
from wscheck.loadgen.user_connections import Holding
from wscheck.model.secrets import Secret

PATIENCE_S = 15.0
STAYS_DOWN = Habits(backoff_s=None)


def until(holds: Callable[[], Any]) -> None:
    """Lets the hub work until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline
        gevent.sleep(0.005)


@contextmanager
def swarming(url: str, *, target: dict[str, Any] | None = None, **options: Any) -> Iterator[Swarm]:
    """A swarm at `url`, closed in the end."""
    swarm = Swarm(Endpoint(ServerTarget(url=url, **({"timeout_s": 5.0} | (target or {}))), **options))
    swarm.tally.roll(time.time())
    try:
        yield swarm
    finally:
        if not swarm.is_closing:
            swarm.close(3.0)
        swarm.reactor.close()


def join(swarm: Swarm, user: str = "ada", *habits: Habits, token: str | None = None) -> list[Component]:
    """One user with a component for each of the habits, all opening."""
    credentials = Credentials(user, Secret(token or f"token-of-{user}"))
    holding = Holding(swarm, user, swarm.endpoint.presented(credentials))
    components = [Component(swarm, holding, each) for each in habits or (STAYS_DOWN,)]
    swarm.join(holding, components)
    return components


def refused(swarm: Swarm) -> dict[str, int]:
    """What one user's refusal was counted as."""
    join(swarm)
    until(lambda: swarm.tally.now.refused)
    return dict(swarm.tally.now.refused)


def is_open(component: Component) -> bool:
    return component.connection is not None and component.connection.sid is not None


@contextmanager
def in_a_thread(serving: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """Runs an asyncio server beside the hub; its URL."""
    told: list[str] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    async def serve() -> None:
        async with serving() as url:
            told.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield told[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
