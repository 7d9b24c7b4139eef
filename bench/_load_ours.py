"""Locustfile of the load bench with wscheck: connect, wait at the gate, echo ECHOES times, wait at the gate."""

import os
from typing import Any

import _load_gate  # noqa: F401

from wscheck.locust import PageComponent, SocketUser

ECHOES = int(os.environ["BENCH_ECHOES"])
PAYLOAD = "a message of ordinary length, about as long as this line is here"


class Ours(SocketUser):
    """User with WSCHECK_LOAD_TABS connections."""

    profile = "tabs"

    def on_start(self) -> None:
        super().on_start()
        for component in self.components:
            component.on_open = self._wait_at_gate

    def _wait_at_gate(self, component: PageComponent) -> None:
        left = ECHOES

        def on_ack(answer: list[Any] | None, ms: float) -> None:
            nonlocal left
            if answer is None:
                raise RuntimeError("an acknowledgement did not come")
            if left:
                left -= 1
                component.emit("echo", PAYLOAD, on_ack=on_ack)
            else:
                component.emit("gate", 0, on_ack=lambda answer, ms: None)

        component.emit("gate", 0, on_ack=on_ack)
