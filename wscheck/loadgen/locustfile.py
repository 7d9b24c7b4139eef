"""Locustfile of the installed package. The profile comes from WSCHECK_LOAD_PROFILE."""

import os

from wscheck.config.load_profiles import LOAD_PROFILES
from wscheck.loadgen.locust_user import SocketUser

_PROFILE = os.environ.get("WSCHECK_LOAD_PROFILE", "unified")
if _PROFILE not in LOAD_PROFILES:
    raise SystemExit(f"WSCHECK_LOAD_PROFILE={_PROFILE}: no such profile. Use one of: {', '.join(LOAD_PROFILES)}.")


class Page(SocketUser):
    """A user with the profile that WSCHECK_LOAD_PROFILE names."""

    profile = _PROFILE
