"""locust -f locustfiles/strict-mode.py --host http://localhost:8000

Each page opens, drops and opens again at once, as React's StrictMode does.
"""

from wscheck.locust import SocketUser


class StrictMode(SocketUser):
    """StrictMode."""

    profile = "strict-mode"
