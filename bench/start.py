"""How long one waits: `wscheck --help` against importing its own command-line library, and a whole verify run."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 15
WSCHECK = str(Path(sys.executable).with_name("wscheck"))


def run() -> None:
    """Print both tables. The two starts alternate, so that whatever else the machine does meets both."""
    commands = {
        "python -c 'import typer'": [sys.executable, "-c", "import typer"],
        "wscheck --help": [WSCHECK, "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            times[name].append(_seconds(command))
    base = statistics.median(times["python -c 'import typer'"])
    print(f"{'start':<28} {'median ms':>10} {'times the first':>16}")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:<28} {median * 1000:>10.0f} {median / base:>16.2f}")
    print("(under 3 is wanted)\n")
    took = _seconds([WSCHECK, "verify"])
    print(f"wscheck verify, every scenario on the embedded backend: {took:.1f} s (under 15 is wanted)")


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr}")
    return time.perf_counter() - began
