"""A log that is rotated, truncated and replaced: what `wscheck tail-logs` and `tail -F` bring of the same writes."""

import json
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.run.tail.running import Server, Stopped, Tail, until
from tests.run.tail.test_rotation import SCENARIOS, caught_up

SETTLED_S = 1.5
"""What `tail` has not brought by then it will not bring."""


class Both(Tail):
    """`wscheck tail-logs`, and beside it `tail -F` on the same file; both are stopped together."""

    def __init__(self, directory: Path) -> None:
        self._told = directory / "tail.out"
        with self._told.open("wb") as out:
            self.peer = subprocess.Popen(
                ["tail", "-n", "+1", "-F", "app.log"], cwd=directory, stdout=out, stderr=subprocess.DEVNULL
            )
        super().__init__("app.log", "--from-start", "--format", "ndjson", directory=directory)

    def stopped(self) -> Stopped:
        return Stopped(self)

    def send(self, number: int) -> None:
        self.peer.send_signal(number)
        super().send(number)

    @property
    def told_by_peer(self) -> list[str]:
        """The sids of the connections in what `tail` printed."""
        found = [_read(line) for line in self._told.read_bytes().splitlines()]
        return [sid for sid in found if sid]

    def __exit__(self, *error: object) -> None:
        self.peer.kill()
        self.peer.wait()
        super().__exit__(None, None, None)


def _read(line: bytes) -> str:
    """The sid of a connection record, empty for anything else."""
    try:
        record = json.loads(line.replace(b"\0", b""))
    except ValueError:
        return ""
    return str(record["socketId"]) if record.get("msg") == "WebSocket client connected" else ""


def run() -> None:
    """Print one row for each way of rotating."""
    print(f"{'':<36} {'written':>8} {'wscheck lost':>13} {'twice':>6} {'tail -F lost':>13} {'twice':>6}")
    if shutil.which("tail") is None:
        raise RuntimeError("tail is not on PATH")
    for scenario in SCENARIOS:
        with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
            server = Server(Path(folder, "app.log"))
            server.connects(50)
            with Both(Path(folder)) as both:
                caught_up(both, server)
                until(lambda both=both, server=server: len(both.told_by_peer) >= len(server.sids))
                scenario(server, both)
                caught_up(both, server)
                time.sleep(SETTLED_S)
                figures = [*_compared(server.sids, both.connected), *_compared(server.sids, both.told_by_peer)]
        name = scenario.__name__.replace("_", " ")
        print(f"{name:<36} {len(server.sids):>8} {figures[0]:>13} {figures[1]:>6} {figures[2]:>13} {figures[3]:>6}")


def _compared(written: list[str], told: list[str]) -> tuple[int, int]:
    """(lost, twice)."""
    times = Counter(told)
    return sum(sid not in times for sid in written), sum(count - 1 for count in times.values())
