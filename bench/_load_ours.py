"""The bench's locustfile on wscheck: connect, wait at the gate, echo so many times, wait again."""

import os
from typing import Any

import _load_gate  # noqa: F401

from wscheck.loadgen.page_component import PageComponent
from wscheck.locust import SocketUser

ECHOES = int(os.environ["BENCH_ECHOES"])
PAYLOAD = "a message of ordinary length, about as long as this line is here"


class Ours(SocketUser):
    """As many connections per user as WSCHECK_LOAD_TABS says."""

    profile = "tabs"

    def on_start(self) -> None:
        super().on_start()
        for component in self.components:
            component.on_open = self._at_the_gate

    def _at_the_gate(self, component: PageComponent) -> None:
        left = ECHOES

        def answered(answer: list[Any] | None, ms: float) -> None:
            nonlocal left
            if answer is None:
                raise RuntimeError("an answer did not come")
            if left:
                left -= 1
                component.emit("echo", PAYLOAD, on_ack=answered)
            else:
                component.emit("gate", 0, on_ack=lambda answer, ms: None)

        component.emit("gate", 0, on_ack=answered)
