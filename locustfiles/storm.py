"""Locustfile of the profile "storm".

locust -f locustfiles/storm.py --host http://localhost:8000
"""

from wscheck.locust import SocketUser


class Storm(SocketUser):
    """User with one connection. After a server restart all users reconnect, with or without jitter."""

    profile = "storm"
