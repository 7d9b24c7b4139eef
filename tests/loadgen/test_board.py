"""Seconds: none missing after a stall, none written before every worker has told it, none waited for too long."""

from pathlib import Path

from wscheck.loadgen.aggregator import LATE_S, Board, packed, unpacked
from wscheck.loadgen.counters import Tally
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


def begun(workers: int) -> RunStarted:
    return RunStarted("duplicated", "http://127.0.0.1", 4, workers, 100.0)


def report(at: int, connects: int = 1, **levels: int) -> WorkerReport:
    return WorkerReport(LoadStatistics(connects=connects), [SecondCounts(at, connects=connects, **levels)])


def told(path: Path) -> list[object]:
    return [decode_record(line) for line in path.read_bytes().splitlines()]


def seconds(path: Path) -> list[SecondCounts]:
    return [line.bucket for line in told(path) if isinstance(line, SecondCompleted)]


def test_a_stall_leaves_no_hole_and_what_came_of_it_counts_once() -> None:
    tally = Tally()
    tally.roll(100.2)
    tally.opened()
    tally.users = 1
    tally.now.connects += 1
    tally.roll(103.5)
    tally.now.received += 2
    tally.finish(103.9)
    told = tally.take()
    assert [(each.at, each.open, each.connects, each.received) for each in told.seconds] == [
        (100, 1, 0, 0),
        (101, 1, 0, 0),
        (102, 1, 1, 0),
        (103, 1, 0, 2),
    ]
    assert (told.statistics.connects, told.statistics.received) == (1, 2)
    assert abs(told.statistics.user_s - 3.7) < 1e-6
    assert tally.take().statistics == LoadStatistics()


def test_a_clock_that_was_set_takes_no_time_from_anybody_and_makes_no_hours() -> None:
    tally = Tally()
    tally.users = 1
    for at in (100.2, 99.0, 100.9):
        tally.roll(at)
    tally.finish(101.0)
    assert abs(tally.take().statistics.user_s - 2.0) < 1e-6
    tally.roll(9000.0)
    assert len(tally.take().seconds) == 60


def test_who_was_there_when_a_second_began_is_part_of_its_peak() -> None:
    tally = Tally()
    tally.roll(100.2)
    tally.opened()
    tally.roll(101.0)
    tally.roll(102.0)
    assert [each.peak for each in tally.take().seconds] == [1, 1]


def test_a_second_waits_for_every_worker(tmp_path: Path) -> None:
    board = Board(str(tmp_path / "stream"))
    board.begin(begun(2))
    board.expect("a", 0)
    board.expect("b", 1)
    board.take("a", unpacked(packed(report(101, open=2, peak=3))), 102.0)
    board.tick(102.0)
    assert seconds(tmp_path / "stream") == []
    board.take("b", report(101, connects=4, open=1, peak=1), 102.1)
    board.tick(103.0)
    assert seconds(tmp_path / "stream") == [SecondCounts(101, open=3, peak=4, connects=5)]
    assert board.peak == 4


def test_a_worker_that_says_nothing_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    board = Board(str(tmp_path / "stream"))
    board.begin(begun(2))
    board.expect("a", 0)
    board.expect("b", 1)
    board.take("a", report(101), 102.0)
    board.tick(101.0 + LATE_S)
    assert [each.at for each in seconds(tmp_path / "stream")] == [101]
    board.take("b", report(101, connects=7), 110.0)
    board.end(111.0)
    assert [each.at for each in seconds(tmp_path / "stream")] == [101]
    assert board.statistics.connects == 8


def test_a_lost_worker_is_told_once_and_its_connections_are_nobodys(tmp_path: Path) -> None:
    board = Board(str(tmp_path / "stream"))
    board.begin(begun(2))
    board.take("a", report(101, connects=3, open=3), 102.0)
    board.take("b", report(101, connects=2, open=2), 102.0)
    board.lose("a", 105.0)
    board.lose("a", 106.0)
    board.closed("b")
    board.lose("b", 107.0)
    board.end(108.0)
    lines = told(tmp_path / "stream")
    (lost,) = [line for line in lines if isinstance(line, WorkerLost)]
    assert (lost.worker, lost.open, lost.last_report_at, lost.statistics.connects) == ("a", 3, 102.0, 3)
    ended = lines[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.workers_lost, ended.lost_open, ended.connections_open) == (1, 3, 2)


def test_a_second_run_begins_anew(tmp_path: Path) -> None:
    board = Board(str(tmp_path / "stream"))
    for _ in range(2):
        board.begin(begun(0))
        board.take("local", report(101), 102.0)
        board.end(103.0)
        board.end(104.0)
    totals = [line.statistics.connects for line in told(tmp_path / "stream") if isinstance(line, RunTotals)]
    assert totals == [1, 1]


def test_a_worker_that_was_only_late_is_lost_no_more(tmp_path: Path) -> None:
    board = Board(str(tmp_path / "stream"))
    board.begin(begun(1))
    board.expect("a", 0)
    board.lose("a", 104.0)
    board.take("a", report(104, open=1), 105.0)
    board.end(106.0)
    ended = told(tmp_path / "stream")[-1]
    assert isinstance(ended, RunEnded) and (ended.workers_lost, ended.lost_open) == (0, 0)
