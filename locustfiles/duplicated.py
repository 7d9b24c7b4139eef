"""Locustfile of the profile "duplicated".

locust -f locustfiles/duplicated.py --host http://localhost:8000
"""

from wscheck.locust import SocketUser


class Duplicated(SocketUser):
    """User whose page opens two connections, which reconnect after a server disconnect: the documented fault."""

    profile = "duplicated"
