"""Speed of reading finished logs, compared with grep and mtail: MB of log per second of processor time, and memory.

Each tool alternately reads the whole log and an empty one; the difference is the time of reading. grep only counts
lines with the same two markers. mtail counts records per user, its usual task, and in a separate row only the markers.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench._logs_written import bullets, composed, pino, write

MARKERS = "WebSocket client |Replacing existing socket for user"
ROUNDS = 3

COUNTING = """counter seen by kind
/WebSocket client (?P<kind>connected|disconnected)/ {
  seen[$kind]++
}
/Replacing existing socket for user/ {
  seen["replaced"]++
}
"""
PINO_BY_USER = """counter connects by user
counter disconnects by reason
counter replacements by user
/"userId":"(?P<user>[^"]+)","msg":"WebSocket client connected"/ {
  connects[$user]++
}
/"reason":"(?P<reason>[^"]+)","msg":"WebSocket client disconnected"/ {
  disconnects[$reason]++
}
/"userId":"(?P<user>[^"]+)","oldSocketId":"[^"]+","newSocketId":"[^"]+","msg":"Replacing existing socket for user"/ {
  replacements[$user]++
}
"""
BULLETS_BY_USER = """hidden gauge state
counter connects by user
counter disconnects by reason
counter replacements by user
/^WebSocket client connected$/ {
  state = 1
}
/^Replacing existing socket for user$/ {
  state = 2
}
/^• userId: (?P<user>.*)$/ {
  state == 1 {
    connects[$user]++
  }
  state == 2 {
    replacements[$user]++
  }
}
/^• reason: (?P<reason>.*)$/ {
  disconnects[$reason]++
}
"""
COMPOSED_BY_USER = """counter connects by user
counter disconnects by reason
counter replacements by user
/WebSocket client connected .*userId: '(?P<user>[^']+)'/ {
  connects[$user]++
}
/WebSocket client disconnected .*reason: '(?P<reason>[^']+)'/ {
  disconnects[$reason]++
}
/Replacing existing socket for user .*userId: '(?P<user>[^']+)'/ {
  replacements[$user]++
}
"""


class Cost(NamedTuple):
    """Processor time in seconds, and peak resident memory in MB."""

    cpu: float
    memory: float


class Log(NamedTuple):
    """Log to read, and the mtail program for it."""

    what: str
    path: Path
    by_user: Path


def run() -> None:
    """Write the logs, read each with each tool, and print the tables."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "counting.mtail").write_text(COUNTING)
        size = int(os.environ.get("BENCH_LOG_MB", "600"))
        for log in _logs(directory, size):
            _table(log, directory)
            log.path.unlink()


def _logs(directory: Path, size: int) -> list[Log]:
    made = []
    for what, share, render, program, mb in (
        ("pino, 0.9 % of the lines are records", 0.009, pino, PINO_BY_USER, size),
        ("bullets, 0.9 % of the lines begin a record", 0.009, bullets, BULLETS_BY_USER, size // 3),
        ("dense bullets, 5 % of the lines begin a record", 0.05, bullets, BULLETS_BY_USER, size // 6),
        ("console.log with objects, 5 % of the lines are records", 0.05, composed, COMPOSED_BY_USER, size // 6),
    ):
        path, by_user = directory / f"{len(made)}.log", directory / f"{len(made)}.mtail"
        write(path, mb * 1_000_000, share, render)
        by_user.write_text(program)
        made.append(Log(what, path, by_user))
    return made


def _table(log: Log, directory: Path) -> None:
    empty = directory / "empty.log"
    empty.write_text("nothing\n")
    tools = _tools(log, directory)
    whole: dict[str, list[Cost]] = {name: [] for name in tools}
    start: dict[str, list[Cost]] = {name: [] for name in tools}
    for _ in range(ROUNDS):
        for name, command in tools.items():
            start[name].append(_cost([*command, str(empty)]))
            whole[name].append(_cost([*command, str(log.path)]))
    mb = log.path.stat().st_size / 1e6
    print(f"{log.what} ({mb:.0f} MB)")
    speed = {name: mb / (_median(whole[name]) - _median(start[name])) for name in tools}
    for name in tools:
        ratio, began = speed["wscheck"] / speed[name], _median(start[name])
        peak = max(cost.memory for cost in whole[name])
        print(f"  {name:<24} {speed[name]:>8,.0f} MB/s {ratio:>7.2f} x {began:>6.2f} s to start {peak:>6.0f} MB")
    print("  (x: how many times as fast wscheck is)\n")


def _tools(log: Log, directory: Path) -> dict[str, Sequence[str]]:
    wscheck = [sys.executable, "-m", "wscheck", "tail-logs", "--no-follow", "--users", "20", "--format", "json"]
    tools: dict[str, Sequence[str]] = {"wscheck": wscheck}
    if shutil.which("grep"):
        tools["grep -cE, two markers"] = ["grep", "-cE", MARKERS]
    if shutil.which("mtail"):
        for name, program in (("mtail, by user", log.by_user), ("mtail, only counting", directory / "counting.mtail")):
            tools[name] = ["mtail", "--one_shot", "--progs", str(program), "--logs"]
    else:
        print("  (mtail is not installed)")
    return tools


def _cost(command: Sequence[str]) -> Cost:
    """Run a command to its end. The output goes to a file: grep stops early when the output is /dev/null."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _median(costs: Sequence[Cost]) -> float:
    return sorted(cost.cpu for cost in costs)[len(costs) // 2]
