"""`tail-logs` while it is killed and stopped, its log rotated, its disk full, its webhook blocked, and the clock wrong.

Five minutes; `--minutes` changes that. Every record on the disk must be counted once.
"""

import os
import tempfile
from pathlib import Path

from tests.run.tail.chaos import Chaos, blocked_receiver, small_disk

MINUTES = 5.0


def run(minutes: float = MINUTES) -> None:
    """Print what happened how often, and what was lost and repeated."""
    seed = int(os.environ.get("BENCH_SEED", "2026"))
    with (
        tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder,
        blocked_receiver() as webhook,
        small_disk(Path(folder, "logs")) as limited,
    ):
        chaos = Chaos(Path(folder, "logs"), Path(folder), webhook, seed, limited_disk=limited)
        try:
            chaos.run(60 * minutes)
        finally:
            chaos.tail.process.kill()
            chaos.tail.process.wait()
        missing, repeated = chaos.compare()
        print(", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(chaos.faults.items())))
        if not limited:
            print("(no small disk could be mounted here: the disk was never full)")
        print(f"{len(chaos.server.sids):,} records on the disk, {chaos.server.cut_lines} cut off by a full disk")
        print(f"lost {missing}, repeated {repeated}")
        if missing or repeated:
            raise SystemExit(f"seed {seed}: {chaos.tail.err[-2000:]}")
