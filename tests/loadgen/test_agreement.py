"""Counts of plain Locust agree exactly with those of the Node server, with and without workers."""

from pathlib import Path
from typing import Any

import pytest

from tests.loadgen.locust_runs import assert_adds_up, assert_agrees, locust
from tests.node_backend import node_backend
from wscheck.model.load_statistics import RunStarted, WorkerLost

QUIET = ("--fault", "log-nothing")

# A busy machine may not answer a close in three seconds. The two sides count an aborted connection differently.
LONG_CLOSE_TIMEOUT: dict[str, Any] = {"close_timeout": 20}


@pytest.mark.parametrize("arguments", [(), ("--processes", "2")], ids=["one process", "master and 2 workers"])
def test_the_documented_fault_agrees_with_the_server_exactly(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with (
        node_backend(*QUIET) as server,
        locust(
            "duplicated",
            server.url,
            tmp_path,
            *arguments,
            users=12,
            reconnect_delay=0.05,
            emit_every=0.2,
            **LONG_CLOSE_TIMEOUT,
        ) as run,
    ):
        output = run.stop_when(lambda counted: counted.replaced > 50 and counted.sent > 20)
        assert_agrees(run.statistics, server.counters())
    assert run.process.returncode == 0, output
    assert_adds_up(run)
    assert run.records_of(RunStarted)[0].workers == (2 if arguments else 0)
    assert run.statistics.replaced > 50
    assert run.statistics.connections_per_user == 2.0
    assert (run.statistics.users, run.statistics.users_multiple) == (12, 12)
    assert run.statistics.sent > 20
    assert not run.records_of(WorkerLost)


def test_one_shared_connection_is_never_replaced(tmp_path: Path) -> None:
    with (
        node_backend(*QUIET) as server,
        locust("unified", server.url, tmp_path, emit_every=0.1, **LONG_CLOSE_TIMEOUT) as run,
    ):
        run.stop_when(lambda counted: counted.acks > 20)
        assert_agrees(run.statistics, counters := server.counters())
    assert_adds_up(run)
    assert run.statistics.connections_per_user == 1.0
    assert (run.statistics.connects, run.statistics.replaced, run.statistics.duplicated) == (6, 0, 0)
    assert run.ended.connections_peak == counters["peak"] == 6
    assert run.statistics.acks + run.statistics.unanswered == run.statistics.sent > 20


def test_each_of_several_permitted_tabs_receives_every_event(tmp_path: Path) -> None:
    with (
        node_backend(*QUIET, "--policy", "allow") as server,
        locust("tabs", server.url, tmp_path, "--tabs", "3", emit_every=0.1, **LONG_CLOSE_TIMEOUT) as run,
    ):
        run.stop_when(lambda counted: counted.duplicated > 20)
        assert_agrees(run.statistics, counters := server.counters())
    assert run.statistics.connections_per_user == 3.0
    assert run.ended.connections_peak == counters["peak"] == 18
    # The first events may arrive before the last tab is open. Each copy after the first is a duplicate.
    assert run.statistics.duplicated == run.statistics.received - run.statistics.sent > 20
