"""Time that `wscheck browser` takes from launch to verdict, in addition to the time that it watches."""

import statistics
import subprocess
import sys
import time

from tests.pages import served

RUNS, WATCHED_S, TARGET_S = 5, 1.0, 2.5


def run() -> None:
    """Run each page five times, and print the median."""
    print(f"| page | exit | over the {WATCHED_S:g} s watched, median of {RUNS} | fastest | slowest | promised |")
    print("|---|---|---|---|---|---|")
    for variant in ("dev", "prod"):
        with served(variant) as backend:
            for page in ("broken", "fixed"):
                runs = [_run_once(f"{backend.url}/{page}.html") for _ in range(RUNS)]
                over = sorted(seconds - WATCHED_S for seconds, _ in runs)
                times = f"{statistics.median(over):.2f} s | {over[0]:.2f} s | {over[-1]:.2f} s"
                print(f"| {page}, {variant} | {runs[0][1]} | {times} | {TARGET_S} s |")


def _run_once(url: str) -> tuple[float, int]:
    """Return the seconds and the exit code of one run."""
    command = [sys.executable, "-m", "wscheck", "browser", url, "--for", f"{WATCHED_S}s", "--format", "json"]
    started = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True)
    return time.perf_counter() - started, done.returncode
