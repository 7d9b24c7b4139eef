"""What the swarm says it did is what the real Node server says it saw, exactly, however many workers there are."""

from pathlib import Path
from typing import Any

import pytest

from tests.loadgen.locusting import adds_up, agrees, locust
from tests.node_backend import node_backend
from wscheck.model.load_statistics import RunStarted, WorkerLost

QUIET = ("--fault", "log-nothing")

# What is cut at the end because a busy machine answered no close in three seconds is counted otherwise on either side.
UNHURRIED: dict[str, Any] = {"close_timeout": 20}


@pytest.mark.parametrize("more", [(), ("--processes", "2")], ids=["one process", "master and 2 workers"])
def test_the_documented_fault_agrees_with_the_server_exactly(tmp_path: Path, more: tuple[str, ...]) -> None:
    with (
        node_backend(*QUIET) as server,
        locust(
            "duplicated", server.url, tmp_path, *more, users=12, reconnect_delay=0.05, emit_every=0.2, **UNHURRIED
        ) as run,
    ):
        output = run.until_counted(lambda counted: counted.replaced > 50 and counted.sent > 20)
        agrees(run.statistics, server.counters())
    assert run.process.returncode == 0, output
    adds_up(run)
    assert run.of(RunStarted)[0].workers == (2 if more else 0)
    assert run.statistics.replaced > 50
    assert run.statistics.connections_per_user == 2.0
    assert (run.statistics.users, run.statistics.users_multiple) == (12, 12)
    assert run.statistics.sent > 20
    assert not run.of(WorkerLost)


def test_one_shared_connection_is_never_replaced(tmp_path: Path) -> None:
    with node_backend(*QUIET) as server, locust("unified", server.url, tmp_path, emit_every=0.1, **UNHURRIED) as run:
        run.until_counted(lambda counted: counted.acks > 20)
        agrees(run.statistics, counters := server.counters())
    adds_up(run)
    assert run.statistics.connections_per_user == 1.0
    assert (run.statistics.connects, run.statistics.replaced, run.statistics.duplicated) == (6, 0, 0)
    assert run.ended.connections_peak == counters["peak"] == 6
    assert run.statistics.acks + run.statistics.unanswered == run.statistics.sent > 20


def test_several_tabs_that_a_server_allows_receive_everything_several_times(tmp_path: Path) -> None:
    with (
        node_backend(*QUIET, "--policy", "allow") as server,
        locust("tabs", server.url, tmp_path, "--tabs", "3", emit_every=0.1, **UNHURRIED) as run,
    ):
        run.until_counted(lambda counted: counted.duplicated > 20)
        agrees(run.statistics, counters := server.counters())
    assert run.statistics.connections_per_user == 3.0
    assert run.ended.connections_peak == counters["peak"] == 18
    # The first events may come before the last tab is open; each copy after an event's first is a duplicate.
    assert run.statistics.duplicated == run.statistics.received - run.statistics.sent > 20
