"""Locustfile of the profile "strict-mode".

locust -f locustfiles/strict-mode.py --host http://localhost:8000
"""

from wscheck.locust import SocketUser


class StrictMode(SocketUser):
    """User whose page opens a connection, drops it and opens another at once, as React's StrictMode does."""

    profile = "strict-mode"
