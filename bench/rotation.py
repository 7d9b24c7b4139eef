"""Lines that `wscheck tail-logs` and `tail -F` lose and repeat when a log is rotated, truncated and replaced."""

import json
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.run.tail.process import LoggingServer, PausedProcess, TailProcess, wait_until
from tests.run.tail.test_rotation import SCENARIOS, wait_until_caught_up

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
    print(f"{'':<36} {'written':>8} {'wscheck lost':>13} {'repeated':>9} {'tail -F lost':>13} {'repeated':>9}")
    if shutil.which("tail") is None:
        raise RuntimeError("tail is not on PATH")
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
            server = LoggingServer(Path(folder, "app.log"))
            server.connects(50)
            with TailPair(Path(folder)) as pair:
                wait_until_caught_up(pair, server)
                wait_until(lambda pair=pair, server=server: len(pair.read_by_peer) >= len(server.sids))
                scenario(server, pair)
                wait_until_caught_up(pair, server)
                time.sleep(SETTLE_S)
                figures = [*_compared(server.sids, pair.connected), *_compared(server.sids, pair.read_by_peer)]
        name = scenario.__name__.replace("_", " ")
        print(f"{name:<36} {len(server.sids):>8} {figures[0]:>13} {figures[1]:>9} {figures[2]:>13} {figures[3]:>9}")


def _compared(written: list[str], printed: list[str]) -> tuple[int, int]:
    """Return the numbers of (lost, repeated) sids."""
    times = Counter(printed)
    return sum(sid not in times for sid in written), sum(count - 1 for count in times.values())
