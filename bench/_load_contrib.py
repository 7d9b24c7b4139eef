"""Locustfile of the load bench with Locust's contrib user and WebSocket only: the same conversation."""

import os

import _load_gate  # noqa: F401
from locust import task
from locust.contrib.socketio import SocketIOUser

ECHOES = int(os.environ["BENCH_ECHOES"])
PAYLOAD = "a message of ordinary length, about as long as this line is here"


class Contrib(SocketIOUser):
    """User with one connection."""

    options = {"ssl_verify": False}  # noqa: RUF012

    def on_start(self) -> None:
        self.sio.connect(self.host, transports=["websocket"], wait_timeout=60)

    @task
    def talk(self) -> None:
        self.sio.call("gate", 0, timeout=600)
        for _ in range(ECHOES):
            self.sio.call("echo", PAYLOAD, timeout=600)
        self.sio.call("gate", 0, timeout=600)
