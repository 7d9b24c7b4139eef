"""The command line as a user runs it: its own process, an empty home, and nothing of the developer's environment."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "wscheck")


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
    """Run `wscheck ARGUMENTS` in `cwd` (an empty directory unless given) and wait for its end."""
    with tempfile.TemporaryDirectory(prefix="wscheck-") as empty:
        done = subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd or empty,
            env=environment(Path(empty), **environ),
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
    return Ran(done.returncode, done.stdout, done.stderr)
