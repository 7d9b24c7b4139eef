"""locust -f locustfiles/tabs.py --host http://localhost:8000

Each user opens the page in several tabs, one connection each, and reconnects after a kick.
"""

from wscheck.locust import SocketUser


class Tabs(SocketUser):
    """Tabs."""

    profile = "tabs"
