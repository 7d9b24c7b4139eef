"""Where a launched browser keeps its profile: fresh, in memory where there is room, and gone afterwards.

Whoever is killed cannot clean up; the next run does. A profile is held by a lock for as long as its run lives.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

PREFIX, LOCK = "wscheck-browser-", "wscheck.lock"

SHARED_MEMORY, ROOM = "/dev/shm", 1 << 29
"""A fresh profile is some megabytes in 150 files, half a second of a busy disk. Containers often have only 64 MB."""


@contextmanager
def fresh(folder: str | None = None) -> Iterator[str]:
    """A profile in `folder` (by itself: in memory, else with the temporary files), which goes with the block."""
    folder = folder or _in_memory() or tempfile.gettempdir()
    sweep(folder)
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=folder, ignore_cleanup_errors=True) as profile,
        Path(profile, f"{LOCK}.new").open("w") as lock,
    ):
        _hold(lock)
        Path(lock.name).rename(Path(profile, LOCK))  # only now, for another run must not find it free
        yield profile


def sweep(folder: str) -> None:
    """Remove the profiles that runs of ours left in `folder` when they were killed. One without a lock is left alone:
    its run may be about to take it."""
    with suppress(OSError):
        for left in Path(folder).glob(f"{PREFIX}*/{LOCK}"):
            with suppress(OSError), left.open("r+") as lock:
                if _hold(lock) and _is_ours(left.parent):
                    shutil.rmtree(left.parent, ignore_errors=True)


def _is_ours(profile: Path) -> bool:
    return not profile.is_symlink() and profile.stat().st_uid == os.geteuid()


def _hold(lock: IO[str]) -> bool:
    """Whether the lock is ours now: it is released when its holder ends, however it ends."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _in_memory() -> str | None:
    """Where a profile that lives for seconds need not touch a disk, None where there is too little room for it."""
    try:
        roomy = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= ROOM
    except OSError:
        return None
    return SHARED_MEMORY if roomy else None
