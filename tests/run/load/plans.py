"""Plans and courses to judge, without a run."""

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
from wscheck.run.load.plan import Plan
from wscheck.run.load.progress_stream import Course
from wscheck.run.load.report import Ending

START = 1_795_000_000


def planned(**changes: Any) -> Plan:
    """Ten users of the documented fault, for five seconds, at a server on this machine."""
    fields: dict[str, Any] = {
        "target": ServerTarget(url="http://127.0.0.1:1"),
        "embedded": False,
        "profile": "duplicated",
        "users": 10,
        "spawn_rate": 10.0,
        "run_time_s": 5.0,
    }
    return Plan(**(fields | changes))


def took(*milliseconds: float) -> Histogram:
    """A histogram of these."""
    histogram = Histogram()
    for each in milliseconds:
        histogram.add(each)
    return histogram


def healthy(**changes: Any) -> LoadStatistics:
    """Ten users, one connection each, for ten seconds."""
    fields: dict[str, Any] = {
        "users": 10,
        "held": 10,
        "attempts": 10,
        "connects": 10,
        "disconnects": {"io client disconnect": 10},
        "received": 100,
        "acks": 100,
        "user_s": 100.0,
        "lifetime": took(*[10_000.0] * 10),
        "connect": took(*[5.0] * 10),
        "lag": took(0.2, 0.3),
    }
    return LoadStatistics(**(fields | changes))


def looping(**changes: Any) -> LoadStatistics:
    """The documented fault: ten users whose two components replaced each other for ten seconds."""
    fields: dict[str, Any] = {
        "users_multiple": 10,
        "held": 20,
        "attempts": 310,
        "connects": 310,
        "disconnects": {"io server disconnect": 300, "io client disconnect": 10},
        "replaced": 300,
        "first_replaced_at": float(START),
        "last_replaced_at": START + 10.0,
        "lifetime": took(*[300.0] * 300),
    }
    return healthy(**(fields | changes))


def ran(
    statistics: LoadStatistics, *, ended: bool = True, lost: int = 0, workers: int = 0, open_at_end: int = 10
) -> Course:
    """A whole course with these statistics at its end, told as its stream tells it."""
    course, at = Course(), float(START)
    begun = RunStarted("duplicated", "http://127.0.0.1:1", 10, workers, at, {"tabs": 3, "reconnect_delay": 0.3})
    lines: list[Any] = [begun]
    levels = [(10, 10), (10, open_at_end), (0, 0)]
    seconds = (SecondCounts(START + n, users=u, open=o, attempts=int(n == 0)) for n, (u, o) in enumerate(levels))
    lines += [SecondCompleted(second) for second in seconds]
    lines += [WorkerLost(f"w{n}", n, at, at, 5, 5, LoadStatistics()) for n in range(lost)]
    lines.append(RunTotals(at, "running", 10, 10, 10, workers, lost, statistics))
    lines += [RunEnded(at + 10, 10.0, workers, lost, 0, 10, 0, statistics)] if ended else []
    for line in lines:
        course.take(encode_record(line))
    assert not course.unread
    return course


def ending(**changes: Any) -> Ending:
    """An end in order."""
    fields: dict[str, Any] = {"started_at": float(START), "duration_s": 10.0}
    return Ending(**(fields | changes))
