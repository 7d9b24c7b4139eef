"""Deprecated alias of `wscheck.locust`, kept for one version."""

from wscheck.locust import SocketUser

__all__ = ["SocketUser"]
