"""locust -f locustfiles/tabs.py --host http://localhost:8000

Each user opens the page in several tabs, one connection each, and reconnects after a kick.
"""

from wscheck.load.user import SocketUser


class Tabs(SocketUser):
    """Tabs."""

    profile = "tabs"
