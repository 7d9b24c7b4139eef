"""The locustfile of an installed wscheck: the profile comes from WSCHECK_LOAD_PROFILE."""

import os

from wscheck.load.user import SocketUser
from wscheck.profiles import PROFILES

_PROFILE = os.environ.get("WSCHECK_LOAD_PROFILE", "unified")
if _PROFILE not in PROFILES:
    raise SystemExit(f"WSCHECK_LOAD_PROFILE={_PROFILE} is no profile. Use one of: {', '.join(PROFILES)}.")


class Page(SocketUser):
    """A user of the chosen profile."""

    profile = _PROFILE
