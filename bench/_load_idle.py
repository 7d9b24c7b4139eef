"""Locustfile of the idle bench: connections without events."""

import _load_gate  # noqa: F401

from wscheck.locust import SocketUser


class Idle(SocketUser):
    """User with WSCHECK_LOAD_TABS connections."""

    profile = "tabs"
