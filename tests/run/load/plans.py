"""Plans, statistics and progress of runs that did not take place."""

from typing import Any

from wscheck.config.target import ServerTarget
from wscheck.model.load_statistics import (
    Histogram,
    LoadStatistics,
    RunEnded,
    RunStarted,
    RunTotals,
    SecondCompleted,
    SecondCounts,
    WorkerLost,
    encode_record,
)
from wscheck.model.policy import ConnectionPolicy
from wscheck.run.load.plan import LoadPlan
from wscheck.run.load.progress_stream import RunProgress
from wscheck.run.load.report import Ending

START = 1_795_000_000


def load_plan(**changes: Any) -> LoadPlan:
    """Return a plan of ten users of the documented fault, for five seconds, on a server of this machine."""
    fields: dict[str, Any] = {
        "target": ServerTarget(url="http://127.0.0.1:1"),
        "embedded": False,
        "profile": "duplicated",
        "users": 10,
        "spawn_rate": 10.0,
        "run_time_s": 5.0,
        "policy": ConnectionPolicy("per-user"),
    }
    return LoadPlan(**(fields | changes))


def histogram(*milliseconds: float) -> Histogram:
    """Return a histogram of these durations."""
    result = Histogram()
    for each in milliseconds:
        result.add(each)
    return result


def healthy_statistics(**changes: Any) -> LoadStatistics:
    """Return the statistics of ten users with one connection each, for ten seconds."""
    fields: dict[str, Any] = {
        "users": 10,
        "sum_of_user_peaks": 10,
        "attempts": 10,
        "connects": 10,
        "disconnects": {"io client disconnect": 10},
        "received": 100,
        "acks": 100,
        "user_s": 100.0,
        "lifetime": histogram(*[10_000.0] * 10),
        "connect": histogram(*[5.0] * 10),
        "lag": histogram(0.2, 0.3),
    }
    return LoadStatistics(**(fields | changes))


def loop_statistics(**changes: Any) -> LoadStatistics:
    """Return the statistics of ten users whose two components replaced each other for ten seconds."""
    fields: dict[str, Any] = {
        "users_multiple": 10,
        "sum_of_user_peaks": 20,
        "attempts": 310,
        "connects": 310,
        "disconnects": {"io server disconnect": 300, "io client disconnect": 10},
        "replaced": 300,
        "first_replaced_at": float(START),
        "last_replaced_at": START + 10.0,
        "lifetime": histogram(*[300.0] * 300),
    }
    return healthy_statistics(**(fields | changes))


def run_progress(
    statistics: LoadStatistics, *, ended: bool = True, lost: int = 0, workers: int = 0, open_at_end: int = 10
) -> RunProgress:
    """Return the progress of a run with these statistics, as its stream contains it."""
    progress, at = RunProgress(), float(START)
    begun = RunStarted("duplicated", "http://127.0.0.1:1", 10, workers, at, {"tabs": 3, "reconnect_delay": 0.3})
    lines: list[Any] = [begun]
    levels = [(10, 10), (10, open_at_end), (0, 0)]
    seconds = (SecondCounts(START + n, users=u, open=o, attempts=int(n == 0)) for n, (u, o) in enumerate(levels))
    lines += [SecondCompleted(second) for second in seconds]
    lines += [WorkerLost(f"w{n}", n, at, at, 5, 5, LoadStatistics()) for n in range(lost)]
    lines.append(RunTotals(at, "running", 10, 10, 10, workers, lost, statistics))
    lines += [RunEnded(at + 10, 10.0, workers, lost, 0, 10, 0, statistics)] if ended else []
    for line in lines:
        progress.add_line(encode_record(line))
    assert not progress.unreadable_lines
    return progress


def run_ending(**changes: Any) -> Ending:
    """Return the ending of a run that ended in order."""
    fields: dict[str, Any] = {"started_at": float(START), "duration_s": 10.0}
    return Ending(**(fields | changes))
