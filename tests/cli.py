"""The command line as a user runs it: its own process, an empty home, and nothing of the developer's environment."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.forked import forked

COMMAND = (sys.executable, "-m", "wscheck")

READ_LATE = ("PATH", "COLUMNS", "GITHUB_STEP_SUMMARY")
"""What is looked up when it is needed; anything else an interpreter or a library may read as it starts."""

shared_by_workers: Path | None = None
"""Folder of all workers of this run of the tests, None if there is one process."""

_begun: set[str] = set()


@dataclass(frozen=True)
class Ran:
    """A finished run: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Everything it printed."""
        return self.out + self.err


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a fresh machine has; `more` in addition."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **more}


def wscheck(*arguments: str | Path, cwd: Path | None = None, within: float = 60.0, **environ: str) -> Ran:
    """Run `wscheck ARGUMENTS` in `cwd` (an empty directory unless given) and wait for its end.

    The first run of each command begins as a user's does; the others are forked where everything is imported already,
    which is most of a short run.
    """
    told = [str(argument) for argument in arguments]
    fresh = _is_first(told[0]) or not all(name.startswith("WSCHECK_") or name in READ_LATE for name in environ)
    with tempfile.TemporaryDirectory(prefix="wscheck-") as empty:
        run = started if fresh else forked
        return Ran(*run(told, cwd or Path(empty), environment(Path(empty), **environ), within))


def _is_first(command: str) -> bool:
    """Return whether no test of any worker has run `command` before."""
    if command in _begun:
        return False
    _begun.add(command)
    if shared_by_workers is None:
        return True
    try:
        (shared_by_workers / f"begun {quote(command, safe='')}").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def started(arguments: list[str], cwd: Path, environ: dict[str, str], within: float) -> tuple[int, str, str]:
    """As `forked`, with an interpreter of its own."""
    command = [*COMMAND, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=within, check=False)
    return done.returncode, done.stdout, done.stderr
