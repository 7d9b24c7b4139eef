"""locust -f locustfiles/storm.py --host http://localhost:8000

One connection per user; after a server restart everybody comes back, with or without jitter.
"""

from wscheck.locust import SocketUser


class Storm(SocketUser):
    """Storm."""

    profile = "storm"
