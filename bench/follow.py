"""The time from a write to the output, and the idle CPU time, of `wscheck tail-logs` and `tail -F`.

Each follows its own file, and each write is timed until the line appears on the pipe. `tail` only copies
lines; wscheck reads and evaluates them, and writes a finding.
"""

import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.run.tail.process import LoggingServer, environment, record

WRITES = 300
PAUSE_S = 0.02
IDLE_S = 30.0


class TimedFollower:
    """A process that follows the log of `server` and writes to a pipe."""

    def __init__(self, server: LoggingServer, command: list[str], marker: bytes) -> None:
        """`marker`: text in the line about a replacement, in addition to the user."""
        self.server, self.latencies, self._marker = server, list[float](), marker
        self.process = subprocess.Popen(
            [*command, server.path.name], cwd=server.path.parent, env=environment(), stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self._out = self.process.stdout.fileno()
        self._read = b""

    def time_one(self, number: int) -> None:
        """Measure the time from the write of a replacement record to the line about it."""
        user = f"user {number} of {self.process.pid}"
        ids = {"userId": user, "oldSocketId": f"a{number}", "newSocketId": f"b{number}"}
        line = record("Replacing existing socket for user", **ids)
        self._drain()
        started_at = time.perf_counter()
        self.server.line(line)
        self.wait_for(self._marker, user.encode())
        self.latencies.append(time.perf_counter() - started_at)

    def wait_for(self, *texts: bytes) -> None:
        """Wait for an output line that contains all `texts`."""
        deadline = time.monotonic() + 20
        while not any(all(text in line for text in texts) for line in self._read.splitlines()):
            if not select.select([self._out], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise RuntimeError(f"{self.process.args} wrote nothing within 20 s")
            self._read += os.read(self._out, 1 << 16)

    def _drain(self) -> None:
        self._read = b""
        while select.select([self._out], [], [], 0)[0] and os.read(self._out, 1 << 16):
            pass

    @property
    def cpu_s(self) -> float:
        """CPU seconds so far, in nanosecond resolution: half an idle minute is only two or three clock ticks."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def run() -> None:
    """Print latencies and idle CPU time. The two processes are measured alternately."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
        ours = [sys.executable, "-m", "wscheck", "tail-logs", "--format", "ndjson"]
        followers = {
            "wscheck tail-logs": TimedFollower(LoggingServer(Path(folder, "ours.log")), ours, b'"finding"'),
            "tail -F": TimedFollower(LoggingServer(Path(folder, "peer.log")), ["tail", "-n", "0", "-F"], b"Replacing"),
        }
        try:
            followers["wscheck tail-logs"].wait_for(b'"schema"')  # the header: from here on the log is followed
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


def _print(followers: dict[str, TimedFollower]) -> None:
    time.sleep(2.0)
    before = {name: follower.cpu_s for name, follower in followers.items()}
    time.sleep(IDLE_S)
    print(f"{'':<20} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8} {'idle CPU':>9}")
    for name, follower in followers.items():
        cuts = statistics.quantiles(follower.latencies, n=100)
        idle = (follower.cpu_s - before[name]) / IDLE_S
        p50, p95, most = (1000 * value for value in (cuts[49], cuts[94], max(follower.latencies)))
        print(f"{name:<20} {p50:>8.2f} {p95:>8.2f} {most:>8.2f} {idle:>9.3%}")
    print("(target: p95 under 5 ms, idle CPU under 0.1 %)")
