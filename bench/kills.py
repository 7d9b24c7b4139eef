"""Events lost and repeated when `tail-logs --checkpoint` is killed a hundred times while a server logs and rotates."""

import random
import tempfile
from collections import Counter
from pathlib import Path

from tests.run.tail.kills import KillCycle

KILLS = 100


def run() -> None:
    """Print how many events were lost and repeated."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
        cycle = KillCycle(Path(folder), random.Random(2026))
        try:
            for _ in range(KILLS):
                cycle.once()
        finally:
            recorded = Counter(cycle.end())
        written = cycle.server.sids
        rotations = len(list(Path(folder).glob("app.log.*")))
    lost, repeated = sum(sid not in recorded for sid in written), sum(count - 1 for count in recorded.values())
    busy = cycle.kills_while_busy
    print(f"{KILLS} kills ({busy} while something was unread), {rotations} rotations, {len(written):,} events written")
    print(f"lost {lost}, repeated {repeated}")
