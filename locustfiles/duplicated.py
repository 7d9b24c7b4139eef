"""locust -f locustfiles/duplicated.py --host http://localhost:8000

Dashboard and wizard each open one connection and reconnect after a kick: the documented fault.
"""

from wscheck.locust import SocketUser


class Duplicated(SocketUser):
    """Duplicated."""

    profile = "duplicated"
