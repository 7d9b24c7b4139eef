"""The example's pages, built once for all test workers."""

import fcntl
import subprocess
from pathlib import Path

from tests.needs import refuse
from tests.node_backend import EXAMPLE, install


def built(variant: str = "prod") -> Path:
    """The folder of the built pages: "prod" (minified) or "dev", both with source maps."""
    install()
    with (EXAMPLE / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _outdated():
            command = ["node", "build.mjs"]
            done = subprocess.run(command, check=False, cwd=EXAMPLE, capture_output=True, text=True, timeout=60)
            if done.returncode:
                refuse(f"the example's pages cannot be built: {done.stderr.strip()[-300:]}")
    return EXAMPLE / "dist" / variant


def _outdated() -> bool:
    sources = [EXAMPLE / "build.mjs", *EXAMPLE.joinpath("src").rglob("*.ts*")]
    made = EXAMPLE / "dist" / "prod" / "broken.js"
    return not made.is_file() or made.stat().st_mtime < max(source.stat().st_mtime for source in sources)
