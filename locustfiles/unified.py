"""Locustfile of the profile "unified".

locust -f locustfiles/unified.py --host http://localhost:8000
"""

from wscheck.locust import SocketUser


class Unified(SocketUser):
    """User with one connection, which does not reconnect after a server disconnect."""

    profile = "unified"
