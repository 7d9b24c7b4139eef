"""Locust users for real-time connections: import `SocketUser` in a locustfile.

    from wscheck.locust import SocketUser

    class Page(SocketUser):
        profile = "unified"

The options, as Locust arguments and environment variables, are documented in docs/load-engine.md.
"""

from wscheck.loadgen.user import SocketUser

__all__ = ["SocketUser"]
