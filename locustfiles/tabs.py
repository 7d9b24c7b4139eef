"""Locustfile of the profile "tabs".

locust -f locustfiles/tabs.py --host http://localhost:8000
"""

from wscheck.locust import SocketUser


class Tabs(SocketUser):
    """User with several tabs, each with a connection that reconnects after a server disconnect."""

    profile = "tabs"
