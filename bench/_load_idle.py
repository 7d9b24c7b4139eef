"""The idle bench's locustfile: tabs that do nothing."""

import _load_gate  # noqa: F401

from wscheck.locust import SocketUser


class Idle(SocketUser):
    """As many connections per user as WSCHECK_LOAD_TABS says."""

    profile = "tabs"
