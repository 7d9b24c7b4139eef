"""What an embedded backend counted over its lives: a storm restarts it, and its users come twice."""

from wscheck.model.load_report import ServerSide
from wscheck.run.load.backend import _added


def test_lives_add_up_and_their_peaks_do_not() -> None:
    first = ServerSide(connects=6, replaced=1, refused=2, peak=6, emitted=30, cpu_s=0.5, rss_mb=40.0)
    second = ServerSide(connects=7, replaced=0, refused=1, peak=5, emitted=20, cpu_s=None, rss_mb=42.0)
    both = ServerSide(connects=13, replaced=1, refused=3, peak=6, emitted=50, cpu_s=0.5, rss_mb=42.0)
    assert _added([first, second]) == both
