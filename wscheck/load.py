"""Deprecated alias of `wscheck.locust`. The next version removes it.

`wscheck.load.user` is an alias too.
"""

import sys
import warnings

from wscheck.locust import SocketUser

__all__ = ["SocketUser"]

warnings.warn(
    "wscheck.load is deprecated. Use: from wscheck.locust import SocketUser", DeprecationWarning, stacklevel=2
)
sys.modules[f"{__name__}.user"] = sys.modules[__name__]
