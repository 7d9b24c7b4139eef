"""What a log may hold and how fast it may grow: memory stays bounded, and nothing is lost."""

import os
import signal
from pathlib import Path

from tests.observe.tailing.logs import APPEND
from tests.run.tail.running import Server, Tail, until

MB = 1 << 20


def peak(pid: int) -> int:
    """The most resident memory so far, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) * 1024


def test_a_line_of_100_mb_nuls_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.connect()
    with Tail("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        until(lambda: len(tail.connected) == 1)
        before = peak(tail.process.pid)
        fd = os.open(server.path, APPEND)
        for _ in range(100):
            os.write(fd, b"\xff" * (MB - 10) + b"\0" * 10)
        os.write(fd, b"\n")
        os.close(fd)
        server.connects(3)
        until(lambda: tail.connected == server.sids)
        assert peak(tail.process.pid) - before < 24 * MB


def test_a_reader_slower_than_the_writer(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.connect()
    with Tail("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        until(lambda: len(tail.connected) == 1)
        before = peak(tail.process.pid)
        noise = (b"x" * 999 + b"\n") * 1000
        with tail.stopped():
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
        until(lambda: len(tail.connected) >= len(server.sids))
        assert tail.connected == server.sids
        assert peak(tail.process.pid) - before < 24 * MB
