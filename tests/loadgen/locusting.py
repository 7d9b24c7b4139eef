"""Runs Locust as a user would, as a process of its own, and gives back what its stream said."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wscheck.model import load_statistics
from wscheck.model.disconnect_reasons import IO_CLIENT_DISCONNECT, IO_SERVER_DISCONNECT
from wscheck.model.load_statistics import LoadStatistics, RunEnded, SecondCounts, StreamRecord

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0


class Run:
    """A Locust process, and its stream so far."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path) -> None:
        self.process, self.path = process, path
        self.output = ""

    @property
    def lines(self) -> list[StreamRecord]:
        """What the stream says by now."""
        text = self.path.read_bytes() if self.path.exists() else b""
        return [load_statistics.decode_record(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def of(self, kind: type) -> list[Any]:
        """The lines of one kind."""
        return [line for line in self.lines if isinstance(line, kind)]

    @property
    def ended(self) -> RunEnded:
        (ended,) = self.of(RunEnded)
        return ended

    @property
    def statistics(self) -> LoadStatistics:
        return self.ended.statistics

    @property
    def seconds(self) -> list[SecondCounts]:
        return [line.bucket for line in self.of(load_statistics.SecondCompleted)]

    def until(self, holds: Callable[["Run"], bool]) -> None:
        """Waits for something to be so."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self):
            assert time.monotonic() < deadline, self.lines[-1:]
            assert self.process.poll() is None, self.finish()
            time.sleep(0.05)

    def until_counted(self, holds: Callable[[LoadStatistics], bool]) -> str:
        """Waits until the totals are so, stops the run as a user would, and gives what was printed."""
        self.until(lambda run: any(holds(line.statistics) for line in run.of(load_statistics.RunTotals)))
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self) -> str:
        """Waits for the end; what was printed."""
        self.output += self.process.communicate(timeout=PATIENCE_S)[0]
        return self.output


@contextmanager
def locust(
    profile: str, host: str, folder: Path, *more: str, users: int = 6, run_s: float | None = None, **options: Any
) -> Iterator[Run]:
    """Starts `locust -f locustfiles/PROFILE.py`; options become WSCHECK_LOAD_* variables."""
    stream = folder / "stream.ndjson"
    environ = {f"WSCHECK_LOAD_{name.upper()}": str(value) for name, value in options.items()}
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / f"{profile}.py")]
    command += ["--host", host, "-u", str(users), "-r", "100", *more]
    if "--processes" in more:
        port = str(free_port())
        command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    command += [] if "--web-port" in more else ["--headless"]
    command += ["-t", f"{run_s:g}s"] if run_s is not None else []
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environ, "WSCHECK_LOAD_STREAM": str(stream)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Run(process, stream)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


SERVER_SAYS = {IO_SERVER_DISCONNECT: "server namespace disconnect", IO_CLIENT_DISCONNECT: "client namespace disconnect"}
"""How a Node server spells what a client calls by the first name; the others are alike or depend on who closed."""


def agrees(statistics: LoadStatistics, counters: dict[str, Any]) -> None:
    """What the swarm counted is what the Node server counted, exactly."""
    said = {SERVER_SAYS.get(reason, reason): count for reason, count in statistics.disconnects.items()}
    ours = {
        "connects": statistics.connects,
        "disconnects": said,
        "replaced": statistics.replaced,
        "refused": sum(statistics.refused.values()),
        "open": statistics.open,
        "emitted": statistics.received,
        "received": statistics.sent,
    }
    if statistics.replaced and counters["received"] < statistics.sent:
        # The server drops what a socket sent before it heard that it was kicked.
        del ours["received"]
    theirs = {key: counters[key] for key in ours}
    assert ours == theirs, f"ours {ours}, the server's {theirs}"


def adds_up(run: Run) -> None:
    """The seconds sum to the totals, none comes twice, and they come in order."""
    seconds, statistics = run.seconds, run.statistics
    assert [each.at for each in seconds] == sorted({each.at for each in seconds})
    for name in ("attempts", "connects", "replaced", "received", "duplicated", "sent"):
        assert sum(getattr(each, name) for each in seconds) == getattr(statistics, name), name
    assert sum(each.disconnects for each in seconds) == statistics.disconnected
    assert max(each.peak for each in seconds) == run.ended.connections_peak
