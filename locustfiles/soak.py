"""Locustfile of the profile "soak".

locust -f locustfiles/soak.py --host http://localhost:8000
"""

from wscheck.locust import SocketUser


class Soak(SocketUser):
    """User with one connection, open for a long time, with few events."""

    profile = "soak"
