"""Counters of a process and their aggregation: seconds after a stall, late workers, lost workers, a second run."""

from pathlib import Path

from wscheck.loadgen.aggregator import MAX_WAIT_S, RunAggregator, decode_report, encode_report
from wscheck.loadgen.generator import ProcessCounters
from wscheck.model.load_statistics import (
    LoadStatistics,
    RunEnded,
    RunStarted,
    RunTotals,
    SecondCompleted,
    SecondCounts,
    WorkerLost,
    WorkerReport,
    decode_record,
)


def run_started(workers: int) -> RunStarted:
    return RunStarted("duplicated", "http://127.0.0.1", 4, workers, 100.0)


def report(at: int, connects: int = 1, **levels: int) -> WorkerReport:
    return WorkerReport(LoadStatistics(connects=connects), [SecondCounts(at, connects=connects, **levels)])


def records(path: Path) -> list[object]:
    return [decode_record(line) for line in path.read_bytes().splitlines()]


def completed_seconds(path: Path) -> list[SecondCounts]:
    return [line.counts for line in records(path) if isinstance(line, SecondCompleted)]


def test_a_stall_leaves_no_gap_in_the_seconds_and_counts_everything_once() -> None:
    counters = ProcessCounters()
    counters.advance(100.2)
    counters.connection_opened()
    counters.users = 1
    counters.current.connects += 1
    counters.advance(103.5)
    counters.current.received += 2
    counters.finish(103.9)
    report = counters.take_report()
    assert [(each.at, each.open, each.connects, each.received) for each in report.seconds] == [
        (100, 1, 0, 0),
        (101, 1, 0, 0),
        (102, 1, 1, 0),
        (103, 1, 0, 2),
    ]
    assert (report.statistics.connects, report.statistics.received) == (1, 2)
    assert abs(report.statistics.user_s - 3.7) < 1e-6
    assert counters.take_report().statistics == LoadStatistics()


def test_a_clock_change_removes_no_user_time_and_adds_at_most_a_minute() -> None:
    counters = ProcessCounters()
    counters.users = 1
    for at in (100.2, 99.0, 100.9):
        counters.advance(at)
    counters.finish(101.0)
    assert abs(counters.take_report().statistics.user_s - 2.0) < 1e-6
    counters.advance(9000.0)
    assert len(counters.take_report().seconds) == 60


def test_connections_open_at_the_start_of_a_second_count_in_its_peak() -> None:
    counters = ProcessCounters()
    counters.advance(100.2)
    counters.connection_opened()
    counters.advance(101.0)
    counters.advance(102.0)
    assert [each.peak for each in counters.take_report().seconds] == [1, 1]


def test_a_second_waits_for_every_worker(tmp_path: Path) -> None:
    aggregator = RunAggregator(str(tmp_path / "stream"))
    aggregator.start_run(run_started(2))
    aggregator.add_worker("a", 0)
    aggregator.add_worker("b", 1)
    aggregator.add_report("a", decode_report(encode_report(report(101, open=2, peak=3))), 102.0)
    aggregator.tick(102.0)
    assert completed_seconds(tmp_path / "stream") == []
    aggregator.add_report("b", report(101, connects=4, open=1, peak=1), 102.1)
    aggregator.tick(103.0)
    assert completed_seconds(tmp_path / "stream") == [SecondCounts(101, open=3, peak=4, connects=5)]
    assert aggregator.peak == 4


def test_a_second_does_not_wait_forever_for_a_worker_that_does_not_report(tmp_path: Path) -> None:
    aggregator = RunAggregator(str(tmp_path / "stream"))
    aggregator.start_run(run_started(2))
    aggregator.add_worker("a", 0)
    aggregator.add_worker("b", 1)
    aggregator.add_report("a", report(101), 102.0)
    aggregator.tick(101.0 + MAX_WAIT_S)
    assert [each.at for each in completed_seconds(tmp_path / "stream")] == [101]
    aggregator.add_report("b", report(101, connects=7), 110.0)
    aggregator.end_run(111.0)
    assert [each.at for each in completed_seconds(tmp_path / "stream")] == [101]
    assert aggregator.statistics.connects == 8


def test_a_lost_worker_is_written_once_and_its_connections_count_as_lost(tmp_path: Path) -> None:
    aggregator = RunAggregator(str(tmp_path / "stream"))
    aggregator.start_run(run_started(2))
    aggregator.add_report("a", report(101, connects=3, open=3), 102.0)
    aggregator.add_report("b", report(101, connects=2, open=2), 102.0)
    aggregator.worker_lost("a", 105.0)
    aggregator.worker_lost("a", 106.0)
    aggregator.worker_closed("b")
    aggregator.worker_lost("b", 107.0)
    aggregator.end_run(108.0)
    lines = records(tmp_path / "stream")
    (lost,) = [line for line in lines if isinstance(line, WorkerLost)]
    assert (lost.worker, lost.open, lost.last_report_at, lost.statistics.connects) == ("a", 3, 102.0, 3)
    ended = lines[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.workers_lost, ended.lost_open, ended.connections_open) == (1, 3, 2)


def test_a_second_run_starts_with_empty_statistics(tmp_path: Path) -> None:
    aggregator = RunAggregator(str(tmp_path / "stream"))
    for _ in range(2):
        aggregator.start_run(run_started(0))
        aggregator.add_report("local", report(101), 102.0)
        aggregator.end_run(103.0)
        aggregator.end_run(104.0)
    totals = [line.statistics.connects for line in records(tmp_path / "stream") if isinstance(line, RunTotals)]
    assert totals == [1, 1]


def test_a_late_report_makes_a_lost_worker_running_again(tmp_path: Path) -> None:
    aggregator = RunAggregator(str(tmp_path / "stream"))
    aggregator.start_run(run_started(1))
    aggregator.add_worker("a", 0)
    aggregator.worker_lost("a", 104.0)
    aggregator.add_report("a", report(104, open=1), 105.0)
    aggregator.end_run(106.0)
    ended = records(tmp_path / "stream")[-1]
    assert isinstance(ended, RunEnded) and (ended.workers_lost, ended.lost_open) == (0, 0)
