"""The locustfile of an installed wscheck: the profile comes from WSCHECK_LOAD_PROFILE."""

import os

from wscheck.config.load_profiles import LOAD_PROFILES
from wscheck.loadgen.user import SocketUser

_PROFILE = os.environ.get("WSCHECK_LOAD_PROFILE", "unified")
if _PROFILE not in LOAD_PROFILES:
    raise SystemExit(f"WSCHECK_LOAD_PROFILE={_PROFILE} is no profile. Use one of: {', '.join(LOAD_PROFILES)}.")


class Page(SocketUser):
    """A user of the chosen profile."""

    profile = _PROFILE
