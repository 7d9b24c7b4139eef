"""locust -f locustfiles/soak.py --host http://localhost:8000

One connection per user, held for long, with an event now and then.
"""

from wscheck.locust import SocketUser


class Soak(SocketUser):
    """Soak."""

    profile = "soak"
