"""Failures during a load run: each is reported, none is a pass, and no process is left."""

import asyncio
import os
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from types import SimpleNamespace
from typing import Any

import trustme
from aiohttp import web

from tests.bad_servers import serving, talking
from tests.node_backend import node_backend
from tests.run.load.load_command import is_running, run_load, run_load_until, start_load
from tests.run.load.test_agreement import assert_agrees
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend
from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR
from wscheck.run.load.report import Ending
from wscheck.run.load.run import _finish_despite_cancellation


def test_ctrl_c_reports_what_was_counted_and_leaves_no_process(tmp_path: Path) -> None:
    """The counts of both workers agree with the server's to the last record."""
    arguments = (
        "--profile",
        "duplicated",
        "--users",
        "10",
        "--emit-every",
        "200ms",
        "--run-time",
        "60s",
        "--processes",
        "2",
        "--connections",
        "per-user",
    )
    with node_backend() as server, start_load(tmp_path, server.url, *arguments) as run:
        run.wait_for_start().wait_until(
            lambda: run.statistics().users_multiple == 10, "they did not replace each other"
        )
        run.wait_until(lambda: server.counters()["emitted"] > 10, "they emitted nothing")
        children = run.children()
        assert len(children) == 3, "Locust's master and two workers"
        run.process.send_signal(signal.SIGINT)
        code, report = run.finish()
        counted = server.counters()
    assert code == 130, run.stderr
    assert report["interrupted"] is True and report["verdict"] == "failed"
    assert_agrees(report, counted)
    assert "the run was interrupted: the figures are partial" in report["notes"]
    assert not [pid for pid in children if is_running(pid)]


async def test_ctrl_c_after_the_run_loses_no_figures() -> None:
    """Test Ctrl-C while the last reports and the server's counters are read."""
    run: Any = SimpleNamespace(interrupted=False)
    is_waiting, may_answer = asyncio.Event(), asyncio.Event()

    async def end() -> Ending:
        is_waiting.set()
        await may_answer.wait()
        return Ending(started_at=0.0, duration_s=1.0, interrupted=run.interrupted)

    whole = asyncio.ensure_future(_finish_despite_cancellation(run, end()))
    await is_waiting.wait()
    whole.cancel()
    await asyncio.sleep(0)
    may_answer.set()
    assert (await whole).interrupted is True


def test_a_server_that_dies_during_the_run_is_no_pass(tmp_path: Path) -> None:
    with (
        node_backend() as server,
        start_load(tmp_path, server.url, "--users", "5", "--run-time", "120s") as run,
    ):
        run.wait_for_start()
        run.wait_until(lambda: run.statistics().connects == 5, "they did not connect")
        os.kill(server.pid, signal.SIGKILL)
        run.wait_until(lambda: sum(run.statistics().disconnects.values()) >= 5, "they did not notice")
        run.end_locust()
        code, report = run.finish()
    assert code == 3, run.stderr
    assert report["verdict"] == "inconclusive"
    assert report["reason"].startswith(f"the server was lost during the run: Nothing answers at {server.url}")
    assert report["connects"] >= 5 and sum(report["disconnects"].values()) >= 5


def test_refused_credentials_are_no_pass_and_end_the_run_early(tmp_path: Path) -> None:
    with node_backend() as server:
        code, report, output = run_load(
            tmp_path, server.url, "--users", "30", "--run-time", "60s", token="wrong-secret"
        )
        assert server.counters()["refused"] >= 30
    assert code == 3, output
    assert report["verdict"] == "inconclusive" and report["connects"] == 0
    assert report["reason"].startswith("nothing connected: ") and "were refused (" in report["reason"]
    assert report["duration_s"] < 30
    assert "wrong-secret" not in output


def test_a_server_that_never_acknowledges_is_no_pass(tmp_path: Path) -> None:
    async def never(ws: web.WebSocketResponse) -> None:
        return None

    with serve_in_thread(talking(never)) as url:
        code, report, output = run_load_until(
            tmp_path,
            lambda run: run.statistics().refused.get("timeout", 0) >= 3,
            *(url, "--users", "3", "--timeout", "1s"),
        )
    assert code == 3, output
    assert report["connects"] == 0 and report["refused"]["timeout"] >= 3
    assert report["reason"].startswith("nothing connected: ") and "timeout" in report["reason"]


def test_a_killed_worker_is_reported_and_its_reports_are_counted(tmp_path: Path) -> None:
    """The counts of the other worker agree with the server's to the end."""
    arguments = ("--users", "8", "--run-time", "60s", "--processes", "2")
    with node_backend() as server, start_load(tmp_path, server.url, *arguments) as run:
        run.wait_for_start().wait_until(lambda: run.statistics().connects == 8, "the workers did not report")
        os.kill(run.children()[-1], signal.SIGKILL)
        run.wait_until(run.lost_workers, "the loss was not noticed")
        (lost,) = run.lost_workers()
        run.process.send_signal(signal.SIGHUP)  # as at the end of its terminal
        code, report = run.finish()
        counted = server.counters()
    assert code == 130 and report["verdict"] == "inconclusive", run.stderr
    assert (lost.open, lost.statistics.connects) == (4, 4)
    assert (report["workers"], report["workers_lost"]) == (2, 1)
    assert any("died during the run with 4 users and 4 connections" in note for note in report["notes"])
    assert report["connects"] == counted["connects"] == 8
    assert counted["disconnects"] == {"transport close": 4, "client namespace disconnect": 4}
    assert report["disconnects"]["io client disconnect"] == 4 and counted["open"] == 0


def test_a_storm_restarts_the_embedded_backend_and_all_users_reconnect(tmp_path: Path) -> None:
    storm = ("--profile", "storm", "--users", "6", "--run-time", "60s", "--backoff", "200ms", "--jitter", "0")
    with start_load(tmp_path, *storm) as run:
        run.wait_for_start().wait_until(lambda: run.statistics().connects >= 12, "they did not reconnect")
        children = run.children()
        run.process.terminate()
        code, report = run.finish()
    assert code == 130, run.stderr
    assert len(children) == 2 and not [pid for pid in children if is_running(pid)]
    # A server that is killed with unread data resets its connections.
    assert sum(report["disconnects"].get(reason, 0) for reason in (TRANSPORT_CLOSE, TRANSPORT_ERROR)) >= 6
    assert (report["connections_per_user"], report["replaced"]) == (1.0, 0)


def test_tls_with_a_ca_file_and_users_from_a_file(tmp_path: Path) -> None:
    """Without the authority no user connects; with it each user of the file connects with its own token."""
    authority, pem, users = trustme.CA(), tmp_path / "ca.pem", tmp_path / "users.csv"
    authority.cert_pem.write_to_path(str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    users.write_text("".join(f"user-{n},token-of-user-{n}\n" for n in range(4)))
    backend = ReferenceBackend(ServerLogWriter(None), ping_interval_s=1.0)
    arguments = ("--users", "4", "--users-file", str(users))
    with serve_in_thread(backend.app, context) as url:
        code, _, output = run_load(tmp_path, url, *arguments, "--run-time", "1s")
        assert code == 3 and "cannot be trusted" in output and not backend.counters()["connects"]
        trusted = (*arguments, "--ca-file", str(pem))
        code, report, output = run_load_until(
            tmp_path, lambda run: run.open_connections() == 4, url, *trusted, token="unknown-token"
        )
    assert code == 0, output
    assert (report["connects"], report["users"], report["verdict"]) == (4, 4, "passed")
    assert backend.counters()["connects"] == 4 and backend.counters()["refused"] == 0
    assert "token-of-user" not in output + str(report)


def test_a_users_file_with_a_user_twice_is_an_error_of_the_locust_process(tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("user-1,token-of-user-1\nuser-1,again\n")
    code, _, output = run_load(tmp_path, "--users", "2", "--run-time", "1s", "--users-file", str(users))
    assert code == 2 and "names a user twice" in output and "next: " in output, output


@contextmanager
def serve_in_thread(app: web.Application, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve `app` in another thread. Yield its URL."""
    started: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        async with serving(app, tls) as address:
            started.put((address, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    address, loop, stop = started.get(timeout=10)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
