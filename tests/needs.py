"""What a test needs from outside Python: without it the test is skipped with the reason, or fails on request."""

import os
import shutil

import pytest


def needs(*programs: str) -> None:
    """Skips the calling test unless every program is on PATH; with `WSCHECK_REQUIRE=all` its absence is a failure."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        refuse(f"needs {', '.join(missing)} on PATH")


def refuse(reason: str) -> None:
    """Ends the calling test: skipped with `reason`, or failed with it when `WSCHECK_REQUIRE=all`."""
    if os.environ.get("WSCHECK_REQUIRE") == "all":
        pytest.fail(reason)
    pytest.skip(reason)
