"""Start-up time of `wscheck --help` and of `wscheck tail-logs` on a small log, relative to importing typer."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
WSCHECK = str(Path(sys.executable).with_name("wscheck"))
LOG = """\
{"time":1795000000000,"msg":"WebSocket client connected","userId":"ada","socketId":"s1"}
{"time":1795000060000,"msg":"WebSocket client disconnected","userId":"ada","socketId":"s1","reason":"transport close"}
"""
LIMITS = {"wscheck --help": 3.0, "wscheck tail-logs": 2.5}
"""Most times that a command may take, as a multiple of importing typer."""


def run() -> None:
    """Print both tables. The commands alternate, so that other load on the machine affects all of them.

    A first round that does not count writes the compiled modules, as an installation has them.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "app.log")
        log.write_text(LOG)
        commands = {
            "python -c 'import typer'": [sys.executable, "-c", "import typer"],
            "wscheck --help": [WSCHECK, "--help"],
            "wscheck tail-logs": [WSCHECK, "tail-logs", "--no-follow", str(log)],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for command in commands.values():
            _seconds(command)
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(_seconds(command))
    base = statistics.median(times["python -c 'import typer'"])
    print(f"{'start':<28} {'median ms':>10} {'ratio':>8} {'limit':>8}")
    for name, measured in times.items():
        median = statistics.median(measured)
        limit = f"{LIMITS[name]:.1f}" if name in LIMITS else ""
        print(f"{name:<28} {median * 1000:>10.0f} {median / base:>8.2f} {limit:>8}")
    seconds = _seconds([WSCHECK, "verify"])
    print(f"\nwscheck verify, every scenario on the embedded backend: {seconds:.1f} s (limit: 15 s)")


def _seconds(command: list[str]) -> float:
    started = time.perf_counter()
    environment = {**os.environ, "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": ""}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}")
    return time.perf_counter() - started
