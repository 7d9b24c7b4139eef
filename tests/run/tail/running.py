"""`wscheck tail-logs` as a process of its own, and a server's log to point it at."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.cli import wscheck
from tests.observe.tailing.logs import Log

PATIENCE_S = 45.0
"""Only a defect takes so long; a machine that has other things to do may take a while."""


def until(what: Callable[[], Any], seconds: float = PATIENCE_S) -> Any:
    """What `what` returns as soon as it is true; fails when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.003)
    return found


class Server(Log):
    """A server that logs its connections, as JSON lines with a time or as the documented blocks without one."""

    def __init__(self, path: Path, *, blocks: bool = False, node: str = "s") -> None:
        super().__init__(path)
        self.sids: list[str] = []
        self._blocks, self._node = blocks, node

    def connect(self, user: str | None = None, at: float | None = None, sid: str | None = None) -> str:
        """One more connection, of a user of its own unless named; returns its sid."""
        sid = sid or f"{self._node}{len(self.sids)}"
        self.sids.append(sid)
        self.record("WebSocket client connected", at, socketId=sid, userId=user or f"user of {sid}")
        return sid

    def connects(self, count: int) -> None:
        for _ in range(count):
            self.connect()

    def replace(self, user: str, old: str, at: float | None = None) -> str:
        """A second connection, which replaces the first as the documented server does it."""
        new = self.connect(user, at)
        self.record("Replacing existing socket for user", at, userId=user, oldSocketId=old, newSocketId=new)
        self.disconnect(old, at, "server namespace disconnect")
        return new

    def disconnect(self, sid: str, at: float | None = None, reason: str = "transport close") -> None:
        self.record("WebSocket client disconnected", at, socketId=sid, reason=reason)

    def record(self, msg: str, at: float | None = None, **fields: str) -> None:
        self.line(record(msg, at, blocks=self._blocks, **fields))


def record(msg: str, at: float | None = None, *, blocks: bool = False, **fields: str) -> bytes:
    """One record without its last line end. JSON lines carry the time `at`, now unless given."""
    if blocks:
        return "\n".join([msg, *(f"• {name}: {value}" for name, value in fields.items())]).encode()
    return json.dumps({"level": 30, "time": round(1000 * (at or time.time())), "msg": msg, **fields}).encode()


class Tail:
    """A running `wscheck tail-logs`. Its standard output and error go to files that can be read at any time."""

    def __init__(self, *options: str | Path, directory: Path, ready: bool = True, **more: Any) -> None:
        self.directory = directory
        number = len(list(directory.glob("*.stdout")))
        self._out, self._err = directory / f"{number}.stdout", directory / f"{number}.stderr"
        command = [sys.executable, "-m", "wscheck", "tail-logs", *map(str, options)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command, stdout=more.pop("stdout", out), stderr=err, cwd=directory, env=environment(), **more
            )
        if ready:
            until(lambda: self.process.poll() is not None or self._waits())

    def _waits(self) -> bool:
        """Whether it follows: by then the logs are open and SIGTERM is caught."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
        return bool(caught & (1 << (signal.SIGTERM - 1)))

    @property
    def out(self) -> str:
        return self._out.read_text(errors="surrogateescape")

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def told(self) -> list[dict[str, Any]]:
        """The whole lines of an NDJSON output so far."""
        return lines(self._out.read_bytes())

    @property
    def connected(self) -> list[str]:
        """The sids of the connections it told of, in that order."""
        return [line["sid"] for line in self.told if line.get("type") == "connected"]

    def until_connected(self, count: int) -> None:
        """Wait until it told of `count` connections."""
        until(lambda: len(self.connected) == count)

    def incidents(self, state: str) -> list[dict[str, Any]]:
        return [line for line in self.told if line.get("type") == "finding" and line["state"] == state]

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def stopped(self) -> "Stopped":
        """While the block runs, the process does not: whatever happens meanwhile happens between two looks."""
        return Stopped(self)

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it; returns its exit code."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, once it ended by itself."""
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()


class Stopped:
    """SIGSTOP on the way in, SIGCONT on the way out."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail

    def __enter__(self) -> None:
        self._tail.send(signal.SIGSTOP)
        until(lambda: "T (stopped)" in Path(f"/proc/{self._tail.process.pid}/status").read_text())

    def __exit__(self, *_: object) -> None:
        self._tail.send(signal.SIGCONT)


def lines(raw: bytes) -> list[dict[str, Any]]:
    """The whole lines of an NDJSON text."""
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def finished(*options: str | Path, directory: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """A run that ends by itself. `more`: what its streams are, where that is what matters."""
    if not more:
        ran = wscheck("tail-logs", *options, cwd=directory, within=PATIENCE_S, COLUMNS="100")
        return subprocess.CompletedProcess(options, ran.code, ran.out, ran.err)
    command = [sys.executable, "-m", "wscheck", "tail-logs", *map(str, options)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(
        command, cwd=directory, env=environment(), text=True, timeout=PATIENCE_S, check=False, **streams
    )


def judged(*options: str | Path, directory: Path, **more: Any) -> dict[str, Any]:
    """The JSON report of a run that stops at the end of the logs, with its exit code as `code`."""
    ran = finished("--no-follow", "--format", "json", *options, directory=directory, **more)
    assert ran.stdout, ran.stderr
    return {**json.loads(ran.stdout), "code": ran.returncode}


def environment() -> dict[str, str]:
    """Ours, without what would configure wscheck, and with this checkout first."""
    root = str(Path(__file__).parents[3])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WSCHECK_")}
    return {**kept, "PYTHONPATH": root, "COLUMNS": "100"}
