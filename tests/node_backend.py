"""The real Node backend as a context manager, for every test that wants a Socket.IO server that is not ours."""

import fcntl
import json
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.needs import needs, refuse

EXAMPLE = Path(__file__).parent.parent / "examples" / "bot-dashboard"
START_S = 20.0


@dataclass(frozen=True)
class Backend:
    """A running backend. `log` is the file its standard output goes to, `pid` its process."""

    url: str
    log: Path
    pid: int

    def counters(self) -> dict[str, Any]:
        """What the server says it did (docs/reference-backend.md)."""
        with urllib.request.urlopen(f"{self.url}/counters", timeout=5) as answer:
            counted: dict[str, Any] = json.load(answer)
        return counted


@contextmanager
def node_backend(*options: str) -> Iterator[Backend]:
    """Starts the backend on a free loopback port with `options`, and kills it at the end."""
    install()
    with started("node", str(EXAMPLE / "backend" / "server.mjs"), "--port", "0", *options) as backend:
        yield backend


@contextmanager
def started(*command: str) -> Iterator[Backend]:
    """Runs a backend until the block ends. It says on stderr where it listens, and logs to stdout."""
    with tempfile.TemporaryDirectory(prefix="wscheck-backend-") as folder:
        log, errors = Path(folder, "server.log"), Path(folder, "server.err")
        with log.open("wb") as out, errors.open("wb") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, cwd=EXAMPLE)
        try:
            yield Backend(listening(process.poll, errors), log, process.pid)
        finally:
            process.kill()
            process.wait()


def install() -> None:
    """Has npm install what the lock file says, once, however many test workers ask."""
    needs("node", "npm")
    with (EXAMPLE / ".npm-ci.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (EXAMPLE / "node_modules" / "socket.io").is_dir():
            return
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        done = subprocess.run(command, check=False, cwd=EXAMPLE, capture_output=True, text=True, timeout=110)
    if done.returncode:
        refuse(f"npm ci failed in {EXAMPLE.name}: {done.stderr.strip()[-300:]}")


def listening(exit_code: Callable[[], int | None], errors: Path) -> str:
    """Wait until a backend says in `errors` where it listens, and return that; `exit_code` is None while it runs."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        said = errors.read_text()
        if "listening on " in said and said.endswith("\n"):
            return said.rpartition("listening on ")[2].strip()
        if (code := exit_code()) is not None:
            raise RuntimeError(f"the backend ended with {code}: {said}")
        time.sleep(0.01)
    raise RuntimeError(f"the backend did not listen within {START_S:.0f} s: {errors.read_text()}")
