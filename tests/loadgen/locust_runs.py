"""Locust in a process of its own, as a user runs it, and what its stream contains."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from wscheck.model.disconnect_reasons import (
    CLIENT_NAMESPACE_DISCONNECT,
    IO_CLIENT_DISCONNECT,
    IO_SERVER_DISCONNECT,
    SERVER_NAMESPACE_DISCONNECT,
)
from wscheck.model.load_statistics import (
    LoadStatistics,
    RunEnded,
    RunTotals,
    SecondCompleted,
    SecondCounts,
    StreamRecord,
    decode_record,
)

ROOT = Path(__file__).parents[2]
MAX_WAIT_S = 40.0

Record = TypeVar("Record")


class LocustRun:
    """A Locust process and its stream."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path) -> None:
        self.process, self.path = process, path
        self.output = ""

    @property
    def records(self) -> list[StreamRecord]:
        """Records that are in the stream by now."""
        text = self.path.read_bytes() if self.path.exists() else b""
        return [decode_record(line) for line in text.splitlines(keepends=True) if line.endswith(b"\n")]

    def records_of(self, kind: type[Record]) -> list[Record]:
        """Return the records of one type."""
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def ended(self) -> RunEnded:
        (ended,) = self.records_of(RunEnded)
        return ended

    @property
    def statistics(self) -> LoadStatistics:
        return self.ended.statistics

    @property
    def seconds(self) -> list[SecondCounts]:
        return [record.counts for record in self.records_of(SecondCompleted)]

    def wait_until(self, condition: Callable[["LocustRun"], bool]) -> None:
        """Wait until the condition is true."""
        deadline = time.monotonic() + MAX_WAIT_S
        while not condition(self):
            assert time.monotonic() < deadline, self.records[-1:]
            assert self.process.poll() is None, self.finish()
            time.sleep(0.05)

    def stop_when(self, condition: Callable[[LoadStatistics], bool]) -> str:
        """Wait until the totals meet the condition, stop the run as a user would, and return what was printed."""
        self.wait_until(lambda run: any(condition(record.statistics) for record in run.records_of(RunTotals)))
        self.process.send_signal(signal.SIGTERM)
        return self.finish()

    def finish(self) -> str:
        """Wait for the end. Return what was printed."""
        self.output += self.process.communicate(timeout=MAX_WAIT_S)[0]
        return self.output


@contextmanager
def locust(
    profile: str, host: str, folder: Path, *arguments: str, users: int = 6, run_s: float | None = None, **options: Any
) -> Iterator[LocustRun]:
    """Start `locust -f locustfiles/PROFILE.py`. The options become WSCHECK_LOAD_* variables."""
    stream = folder / "stream.ndjson"
    environ = {f"WSCHECK_LOAD_{name.upper()}": str(value) for name, value in options.items()}
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locustfiles" / f"{profile}.py")]
    command += ["--host", host, "-u", str(users), "-r", "100", *arguments]
    if "--processes" in arguments:
        port = str(free_port())
        command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
    command += [] if "--web-port" in arguments else ["--headless"]
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
        yield LocustRun(process, stream)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


SERVER_REASONS = {
    IO_SERVER_DISCONNECT: SERVER_NAMESPACE_DISCONNECT,
    IO_CLIENT_DISCONNECT: CLIENT_NAMESPACE_DISCONNECT,
}
"""A Node server's name of a client's disconnect reason. The others are alike or depend on which side closed."""


def assert_agrees(statistics: LoadStatistics, counters: dict[str, Any]) -> None:
    """Check that the generator's counts are exactly those of the Node server."""
    disconnects = {SERVER_REASONS.get(reason, reason): count for reason, count in statistics.disconnects.items()}
    ours = {
        "connects": statistics.connects,
        "disconnects": disconnects,
        "replaced": statistics.replaced,
        "refused": sum(statistics.refused.values()),
        "open": statistics.open,
        "emitted": statistics.received,
        "received": statistics.sent,
    }
    if statistics.replaced and counters["received"] < statistics.sent:
        # The server drops what a client sent before it learned of its replacement.
        del ours["received"]
    servers = {key: counters[key] for key in ours}
    assert ours == servers, f"ours {ours}, the server's {servers}"


def assert_adds_up(run: LocustRun) -> None:
    """Check that the seconds sum to the totals, are in order, and occur once each."""
    seconds, statistics = run.seconds, run.statistics
    assert [each.at for each in seconds] == sorted({each.at for each in seconds})
    for name in ("attempts", "connects", "replaced", "received", "duplicated", "sent"):
        assert sum(getattr(each, name) for each in seconds) == getattr(statistics, name), name
    assert sum(each.disconnects for each in seconds) == statistics.disconnected
    assert max(each.peak for each in seconds) == run.ended.connections_peak
