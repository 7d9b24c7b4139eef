"""locust -f locustfiles/unified.py --host http://localhost:8000

One connection per user, shared by dashboard and wizard; a kick is not answered with a reconnect.
"""

from wscheck.locust import SocketUser


class Unified(SocketUser):
    """Unified."""

    profile = "unified"
