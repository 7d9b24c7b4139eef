"""Lines that `wscheck tail-logs` and `tail -F` lose and repeat when a log is rotated, truncated and replaced."""

import json
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.run.tail.process import LoggingServer, PausedProcess, TailProcess, wait_until
from tests.run.tail.rotations import ROTATIONS

SETTLE_S = 1.5
"""Time after which `tail` prints nothing more."""


class TailPair(TailProcess):
    """`wscheck tail-logs` and `tail -F` on the same file, paused and continued together."""

    def __init__(self, directory: Path) -> None:
        self._recording = directory / "tail.out"
        with self._recording.open("wb") as out:
            self.peer = subprocess.Popen(
                ["tail", "-n", "+1", "-F", "app.log"], cwd=directory, stdout=out, stderr=subprocess.DEVNULL
            )
        super().__init__("app.log", "--from-start", "--format", "ndjson", directory=directory)

    def paused(self) -> PausedProcess:
        return PausedProcess(self)

    def send(self, number: int) -> None:
        self.peer.send_signal(number)
        super().send(number)

    @property
    def read_by_peer(self) -> list[str]:
        """The sids of the connections that `tail` printed."""
        found = [_read(line) for line in self._recording.read_bytes().splitlines()]
        return [sid for sid in found if sid]

    def __exit__(self, *error: object) -> None:
        self.peer.kill()
        self.peer.wait()
        super().__exit__(None, None, None)


def _read(line: bytes) -> str:
    """Return the sid of a connection record, empty for anything else."""
    try:
        record = json.loads(line.replace(b"\0", b""))
    except ValueError:
        return ""
    return str(record["socketId"]) if record.get("msg") == "WebSocket client connected" else ""


def run() -> None:
    """Print one row per kind of rotation."""
    if shutil.which("tail") is None:
        raise RuntimeError("tail is not on PATH")
    columns = ("written", "wscheck lost", "repeated", "messages", "tail -F lost", "repeated")
    print(f"{'':<36}" + "".join(f"{column:>14}" for column in columns))
    for rotation in ROTATIONS:
        with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
            directory = Path(folder, "logs")
            directory.mkdir()
            server = LoggingServer(directory / "app.log")
            server.connects(50)
            with TailPair(directory) as pair:
                pair.catch_up(server)
                wait_until(lambda pair=pair, server=server: len(pair.read_by_peer) >= len(server.sids))
                rotation(server, pair)
                pair.catch_up(server)
                time.sleep(SETTLE_S)
                ours = _compared(server.sids, pair.connected)
                figures = (len(server.sids), *ours, len(pair.err.splitlines()))
                figures = (*figures, *_compared(server.sids, pair.read_by_peer))
        print(f"{rotation.__name__.replace('_', ' '):<36}" + "".join(f"{figure:>14}" for figure in figures))


def _compared(written: list[str], printed: list[str]) -> tuple[int, int]:
    """Return the numbers of (lost, repeated) sids."""
    times = Counter(printed)
    return sum(sid not in times for sid in written), sum(count - 1 for count in times.values())
