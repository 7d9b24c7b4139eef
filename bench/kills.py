"""`wscheck tail-logs --checkpoint` killed with -9 a hundred times while a server logs and rotates: lost and twice."""

import random
import tempfile
from collections import Counter
from pathlib import Path

from tests.run.tail.kills import Killing

KILLS = 100


def run() -> None:
    """Print what became of every event."""
    with tempfile.TemporaryDirectory(prefix="wscheck-bench-") as folder:
        killing = Killing(Path(folder), random.Random(2026))
        try:
            for _ in range(KILLS):
                killing.once()
        finally:
            told = Counter(killing.end())
        written = killing.server.sids
        rotations = len(list(Path(folder).glob("app.log.*")))
    lost, twice = sum(sid not in told for sid in written), sum(count - 1 for count in told.values())
    busy = killing.killed_while_busy
    print(f"{KILLS} kills ({busy} while something was unread), {rotations} rotations, {len(written):,} events written")
    print(f"lost {lost}, told twice {twice}")
