"""Counts of an embedded backend that was restarted."""

from wscheck.model.load_report import ServerSide
from wscheck.run.load.backend_process import sum_counts


def test_counts_add_up_over_restarts_and_peaks_do_not() -> None:
    first = ServerSide(connects=6, replaced=1, refused=2, peak=6, emitted=30, cpu_s=0.5, rss_mb=40.0)
    second = ServerSide(connects=7, replaced=0, refused=1, peak=5, emitted=20, cpu_s=None, rss_mb=42.0)
    both = ServerSide(connects=13, replaced=1, refused=3, peak=6, emitted=50, cpu_s=0.5, rss_mb=42.0)
    assert sum_counts([first, second]) == both
