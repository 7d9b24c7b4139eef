"""Locustfile of the load_ws bench with wscheck: connect, and send ECHOES messages, each after the answer.

The messages start once the file BENCH_TALK exists.
"""

import os
from pathlib import Path
from typing import Any

import _load_gate  # noqa: F401
import gevent
from locust import events

from wscheck.locust import PageComponent, SocketUser

ECHOES, MESSAGE = int(os.environ["BENCH_ECHOES"]), os.environ["BENCH_MESSAGE"]


class Ours(SocketUser):
    """User with WSCHECK_LOAD_TABS connections."""

    profile = "tabs"


def _talk(runner: Any) -> None:
    while not Path(os.environ["BENCH_TALK"]).exists():
        gevent.sleep(0.05)
    users = sorted(
        (greenlet.args[0] for greenlet in runner.user_greenlets), key=lambda user: user.user_connections.user
    )
    for user in users:
        for component in user.components:
            _send_each(component)


def _send_each(component: PageComponent) -> None:
    left = ECHOES

    def send_next(name: str, arguments: list[Any]) -> None:
        nonlocal left
        if left and name == "echo":
            left -= 1
            component.emit("echo", MESSAGE)

    component.on_event = send_next
    send_next("echo", [])


def _on_test_start(environment: Any, **_: Any) -> None:
    gevent.spawn(_talk, environment.runner)


_hooks: Any = events
_hooks.test_start.add_listener(_on_test_start)
