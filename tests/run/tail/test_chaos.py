"""Everything goes wrong at once for twenty seconds: each record on the disk counts once (bench chaos: five minutes)."""

from pathlib import Path

import pytest

from tests.run.tail.chaos import Chaos, blocked_receiver, small_disk

SECONDS = 20.0


@pytest.mark.timeout(240)
def test_every_record_on_the_disk_is_counted_once(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with blocked_receiver() as webhook, small_disk(logs) as limited:
        chaos = Chaos(logs, tmp_path, webhook, 7, limited_disk=limited)
        try:
            chaos.run(SECONDS)
        finally:
            chaos.tail.process.kill()
            chaos.tail.process.wait()
        assert chaos.compare() == (0, 0)
        assert len(chaos.faults) > 8 and len(chaos.server.sids) > 300
