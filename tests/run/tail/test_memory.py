"""Memory stays bounded for long lines and fast logs, and nothing is lost."""

import os
import signal
from pathlib import Path

from tests.observe.tailing.log_writer import APPEND
from tests.run.tail.process import LoggingServer, TailProcess, wait_until

MB = 1 << 20


def peak_memory(pid: int) -> int:
    """Return the peak resident memory of the process in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def test_a_line_of_100_mb_needs_little_memory(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connect()
    with TailProcess("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        wait_until(lambda: len(tail.connected) == 1)
        before = peak_memory(tail.process.pid)
        fd = os.open(server.path, APPEND)
        for _ in range(100):
            os.write(fd, b"\xff" * (MB - 10) + b"\0" * 10)
        os.write(fd, b"\n")
        os.close(fd)
        server.connects(3)
        wait_until(lambda: tail.connected == server.sids)
        assert peak_memory(tail.process.pid) - before < 24 * MB


def test_a_slow_reader_loses_nothing_and_needs_little_memory(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connect()
    with TailProcess("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        wait_until(lambda: len(tail.connected) == 1)
        before = peak_memory(tail.process.pid)
        noise = (b"x" * 999 + b"\n") * 1000
        with tail.paused():
            for _ in range(60):
                server.raw(noise)
                server.connect()
        for n in range(20):
            server.raw(noise)
            server.connect()
            if n % 5 == 0:
                tail.send(signal.SIGSTOP)
                server.connects(5)
                tail.send(signal.SIGCONT)
        wait_until(lambda: len(tail.connected) >= len(server.sids))
        assert tail.connected == server.sids
        assert peak_memory(tail.process.pid) - before < 24 * MB
