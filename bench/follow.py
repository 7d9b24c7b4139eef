"""From a write to the finding on NDJSON, and what waiting costs: `wscheck tail-logs` beside `tail -F`.

Both follow a file of their own, and each write is timed to the line that comes out of the pipe. `tail` only copies
lines; wscheck reads, judges and tells a finding.
"""

import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.run.tail.running import Server, environment, record

WRITES = 300
PAUSE_S = 0.02
IDLE_S = 30.0


class Follower:
    """A process that follows `server`'s log and writes to a pipe."""

    def __init__(self, server: Server, command: list[str], tells: bytes) -> None:
        """`tells`: what its line about a replacement holds beside the user."""
        self.server, self.latencies, self._tells = server, list[float](), tells
        self.process = subprocess.Popen(
            [*command, server.path.name], cwd=server.path.parent, env=environment(), stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        self._read = b""

    def time_one(self, number: int) -> None:
        """One more replacement: from the write of its record to the line that tells of it."""
        user = f"user {number} of {self.process.pid}"
        ids = {"userId": user, "oldSocketId": f"a{number}", "newSocketId": f"b{number}"}
        line = record("Replacing existing socket for user", **ids)
        self._drain()
        began = time.perf_counter()
        self.server.line(line)
        self._wait_for(self._tells, user.encode())
        self.latencies.append(time.perf_counter() - began)

    def _wait_for(self, *words: bytes) -> None:
        deadline = time.monotonic() + 20
        while not any(all(word in line for word in words) for line in self._read.splitlines()):
            if not select.select([self._out], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise RuntimeError(f"{self.process.args} did not tell within 20 s")
            self._read += os.read(self._out, 1 << 16)

    def _drain(self) -> None:
        self._read = b""
        while select.select([self._out], [], [], 0)[0] and os.read(self._out, 1 << 16):
            pass

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time so far, to the nanosecond: in ticks an idle half-minute is two or three."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def run() -> None:
    """Print latencies and idle cost; the two are asked in turn."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
        ours = [sys.executable, "-m", "wscheck", "tail-logs", "--format", "ndjson"]
        followers = {
            "wscheck tail-logs": Follower(Server(Path(folder, "ours.log")), ours, b'"finding"'),
            "tail -F": Follower(Server(Path(folder, "peer.log")), ["tail", "-n", "0", "-F"], b"Replacing"),
        }
        try:
            time.sleep(2.0)
            for number in range(WRITES):
                for follower in followers.values():
                    follower.time_one(number)
                    time.sleep(PAUSE_S)
            _print(followers)
        finally:
            for follower in followers.values():
                follower.process.kill()
                follower.process.wait()


def _print(followers: dict[str, Follower]) -> None:
    time.sleep(2.0)
    before = {name: follower.cpu_s for name, follower in followers.items()}
    time.sleep(IDLE_S)
    print(f"{'':<20} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8} {'idle CPU':>9}")
    for name, follower in followers.items():
        cuts = statistics.quantiles(follower.latencies, n=100)
        idle = (follower.cpu_s - before[name]) / IDLE_S
        p50, p95, most = (1000 * value for value in (cuts[49], cuts[94], max(follower.latencies)))
        print(f"{name:<20} {p50:>8.2f} {p95:>8.2f} {most:>8.2f} {idle:>9.3%}")
    print("(p95 under 5 ms and idle under 0.1 % are wanted)")
