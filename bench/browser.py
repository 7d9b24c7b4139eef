"""From launch to verdict: what `wscheck browser` takes over the time that it watches, as a whole process."""

import statistics
import subprocess
import sys
import time

from tests.pages import served

RUNS, WATCHED_S, TARGET_S = 5, 1.0, 2.5


def run() -> None:
    """Five runs of each page, and the median."""
    print(f"| page | exit | over the {WATCHED_S:g} s watched, median of {RUNS} | fastest | slowest | promised |")
    print("|---|---|---|---|---|---|")
    for variant in ("dev", "prod"):
        with served(variant) as backend:
            for page in ("broken", "fixed"):
                taken = [_one(f"{backend.url}/{page}.html") for _ in range(RUNS)]
                over = sorted(seconds - WATCHED_S for seconds, _ in taken)
                told = f"{statistics.median(over):.2f} s | {over[0]:.2f} s | {over[-1]:.2f} s"
                print(f"| {page}, {variant} | {taken[0][1]} | {told} | {TARGET_S} s |")


def _one(url: str) -> tuple[float, int]:
    command = [sys.executable, "-m", "wscheck", "browser", url, "--for", f"{WATCHED_S}s", "--format", "json"]
    began = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True)
    return time.perf_counter() - began, done.returncode
