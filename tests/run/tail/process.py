"""`wscheck tail-logs` as a separate process, and the log of a server."""

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
from tests.observe.tailing.log_writer import LogWriter

TIME_LIMIT_S = 45.0
"""Time limit of a wait, in seconds: long, because the machine may be busy."""


def wait_until(condition: Callable[[], Any], seconds: float = TIME_LIMIT_S) -> Any:
    """Return the result of `condition` as soon as it is true. Fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.003)
    return found


class LoggingServer(LogWriter):
    """A server that logs its connections, as JSON lines with a time or as the documented blocks without one."""

    def __init__(self, path: Path, *, blocks: bool = False, node: str = "s") -> None:
        super().__init__(path)
        self.sids: list[str] = []
        self._blocks, self._node = blocks, node

    def connect(self, user: str | None = None, at: float | None = None, sid: str | None = None) -> str:
        """Log one more connection, by default of a new user, and return its sid."""
        sid = sid or f"{self._node}{len(self.sids)}"
        self.sids.append(sid)
        self.record("WebSocket client connected", at, socketId=sid, userId=user or f"user of {sid}")
        return sid

    def connects(self, count: int) -> None:
        for _ in range(count):
            self.connect()

    def replace(self, user: str, old: str, at: float | None = None) -> str:
        """Log a second connection that replaces `old`, in the words of the documented server, and return its sid."""
        new = self.connect(user, at)
        self.record("Replacing existing socket for user", at, userId=user, oldSocketId=old, newSocketId=new)
        self.disconnect(old, at, "server namespace disconnect")
        return new

    def disconnect(self, sid: str, at: float | None = None, reason: str = "transport close") -> None:
        self.record("WebSocket client disconnected", at, socketId=sid, reason=reason)

    def record(self, msg: str, at: float | None = None, **fields: str) -> None:
        self.line(record(msg, at, blocks=self._blocks, **fields))


def record(msg: str, at: float | None = None, *, blocks: bool = False, **fields: str) -> bytes:
    """Return one record without its last line end. JSON lines contain the time `at`, by default now."""
    if blocks:
        return "\n".join([msg, *(f"• {name}: {value}" for name, value in fields.items())]).encode()
    return json.dumps({"level": 30, "time": round(1000 * (at or time.time())), "msg": msg, **fields}).encode()


class TailProcess:
    """A running `wscheck tail-logs`. Its standard output and error go to files."""

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
            wait_until(lambda: self.process.poll() is not None or self._waits())

    def _waits(self) -> bool:
        """Return whether it follows: from then on the logs are open and SIGTERM is handled."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
        return bool(caught & (1 << (signal.SIGTERM - 1)))

    @property
    def recording(self) -> Path:
        """The file with its standard output."""
        return self._out

    @property
    def out(self) -> str:
        return self._out.read_text(errors="surrogateescape")

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def records(self) -> list[dict[str, Any]]:
        """The complete lines of the NDJSON output so far."""
        return lines(self._out.read_bytes())

    @property
    def connected(self) -> list[str]:
        """The sids of the recorded connections, in order."""
        return [line["sid"] for line in self.records if line.get("type") == "connected"]

    def until_connected(self, count: int) -> None:
        """Wait until `count` connections are recorded."""
        wait_until(lambda: len(self.connected) == count)

    def catch_up(self, server: LoggingServer) -> None:
        """Wait until every connection of the server's log is recorded."""
        wait_until(lambda: len(self.connected) >= len(server.sids))

    def incidents(self, state: str) -> list[dict[str, Any]]:
        return [line for line in self.records if line.get("type") == "finding" and line["state"] == state]

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def paused(self) -> "PausedProcess":
        """Pause the process within the block, so that everything in it happens between two polls."""
        return PausedProcess(self)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send the signal and return the exit code."""
        self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(TIME_LIMIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()


class PausedProcess:
    """A process that is stopped with SIGSTOP within the block, and continued with SIGCONT after it."""

    def __init__(self, tail: TailProcess) -> None:
        self._tail = tail

    def __enter__(self) -> None:
        self._tail.send(signal.SIGSTOP)
        wait_until(lambda: "T (stopped)" in Path(f"/proc/{self._tail.process.pid}/status").read_text())

    def __exit__(self, *_: object) -> None:
        self._tail.send(signal.SIGCONT)


def lines(raw: bytes) -> list[dict[str, Any]]:
    """Return the complete lines of an NDJSON text."""
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def run_to_end(*options: str | Path, directory: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends by itself. `more`: its standard streams."""
    if not more:
        ran = wscheck("tail-logs", *options, cwd=directory, within=TIME_LIMIT_S, COLUMNS="100")
        return subprocess.CompletedProcess(options, ran.code, ran.out, ran.err)
    command = [sys.executable, "-m", "wscheck", "tail-logs", *map(str, options)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.run(
        command, cwd=directory, env=environment(), text=True, timeout=TIME_LIMIT_S, check=False, **streams
    )


def run_for_report(*options: str | Path, directory: Path, **more: Any) -> dict[str, Any]:
    """Return the JSON report of a run with --no-follow, with the exit code as `code`."""
    ran = run_to_end("--no-follow", "--format", "json", *options, directory=directory, **more)
    assert ran.stdout, ran.stderr
    return {**json.loads(ran.stdout), "code": ran.returncode}


def environment() -> dict[str, str]:
    """Return the environment without settings of wscheck, and with this checkout first on the path."""
    root = str(Path(__file__).parents[3])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WSCHECK_")}
    return {**kept, "PYTHONPATH": root, "COLUMNS": "100"}
