"""Everything that goes wrong while a swarm runs: said, never a pass, and nothing is left running."""

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
from tests.run.load.load_command import alive, load, loading
from tests.run.load.test_agreement import assert_agrees
from wscheck.backend.log_writer import ServerLogWriter
from wscheck.backend.server import ReferenceBackend
from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR
from wscheck.run.load.report import Ending
from wscheck.run.load.run import _undisturbed


def test_ctrl_c_reports_what_there_is_and_leaves_no_process(tmp_path: Path) -> None:
    """What there is agrees with the server to the last record, from both workers."""
    swarm = (
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
    )
    with node_backend() as server, loading(tmp_path, server.url, *swarm) as run:
        run.begun().until(lambda: run.statistics().users_multiple == 10, "they did not replace each other")
        run.until(lambda: server.counters()["emitted"] > 10, "they asked for nothing")
        children = run.children()
        assert len(children) == 3, "Locust's master and two workers"
        run.process.send_signal(signal.SIGINT)
        code, report = run.end()
        counted = server.counters()
    assert code == 130, run.said
    assert report["interrupted"] is True and report["verdict"] == "failed"
    assert_agrees(report, counted)
    assert "the run was interrupted: the figures are partial" in report["notes"]
    assert not [pid for pid in children if alive(pid)]


async def test_ctrl_c_after_the_run_loses_no_figures() -> None:
    """While the workers are collected and the server is asked for its counters."""
    run: Any = SimpleNamespace(interrupted=False)
    asked, answered = asyncio.Event(), asyncio.Event()

    async def ending() -> Ending:
        asked.set()
        await answered.wait()
        return Ending(started_at=0.0, duration_s=1.0, interrupted=run.interrupted)

    whole = asyncio.ensure_future(_undisturbed(run, ending()))
    await asked.wait()
    whole.cancel()
    await asyncio.sleep(0)
    answered.set()
    assert (await whole).interrupted is True


def test_a_server_that_dies_on_the_way_is_no_pass(tmp_path: Path) -> None:
    with (
        node_backend() as server,
        loading(tmp_path, server.url, "--users", "5", "--run-time", "3s") as run,
    ):
        run.begun()
        run.until(lambda: server.counters()["open"] == 5, "they did not connect")
        os.kill(server.pid, signal.SIGKILL)
        code, report = run.end()
    assert code == 3, run.said
    assert report["verdict"] == "inconclusive"
    assert report["reason"].startswith(f"the server was lost on the way: Nothing answers at {server.url}")
    assert report["connects"] >= 5 and sum(report["disconnects"].values()) >= 5


def test_refused_credentials_are_no_pass_and_end_the_run_early(tmp_path: Path) -> None:
    with node_backend() as server:
        code, report, said = load(tmp_path, server.url, "--users", "30", "--run-time", "60s", token="wrong-secret")
        assert server.counters()["refused"] >= 30
    assert code == 3, said
    assert report["verdict"] == "inconclusive" and report["connects"] == 0
    assert report["reason"].startswith("nothing connected: ") and "were refused (" in report["reason"]
    assert report["duration_s"] < 30
    assert "wrong-secret" not in said


def test_a_server_that_never_acknowledges_is_no_pass(tmp_path: Path) -> None:
    async def never(ws: web.WebSocketResponse) -> None:
        return None

    with in_thread(talking(never)) as url:
        code, report, said = load(tmp_path, url, "--users", "3", "--run-time", "3s", "--timeout", "2s")
    assert code == 3, said
    assert report["connects"] == 0 and report["refused"]["timeout"] >= 3
    assert report["reason"].startswith("nothing connected: ") and "timeout" in report["reason"]


def test_a_worker_that_is_killed_is_said_and_what_it_reported_is_counted(tmp_path: Path) -> None:
    """And what the others tell agrees with the server to the end."""
    swarm = ("--users", "8", "--run-time", "60s", "--processes", "2")
    with node_backend() as server, loading(tmp_path, server.url, *swarm) as run:
        run.begun().until(lambda: run.statistics().connects == 8, "the workers did not report")
        os.kill(run.children()[-1], signal.SIGKILL)
        run.until(run.lost, "nobody noticed")
        (lost,) = run.lost()
        run.process.send_signal(signal.SIGHUP)  # as the end of its terminal does
        code, report = run.end()
        counted = server.counters()
    assert code == 130 and report["verdict"] == "inconclusive", run.said
    assert (lost.open, lost.statistics.connects) == (4, 4)
    assert (report["workers"], report["workers_lost"]) == (2, 1)
    assert any("died on the way with 4 users and 4 connections" in note for note in report["notes"])
    assert report["connects"] == counted["connects"] == 8
    assert counted["disconnects"] == {"transport close": 4, "client namespace disconnect": 4}
    assert report["disconnects"]["io client disconnect"] == 4 and counted["open"] == 0


def test_a_storm_restarts_the_embedded_backend_and_everybody_comes_back(tmp_path: Path) -> None:
    storm = ("--profile", "storm", "--users", "6", "--run-time", "60s", "--backoff", "200ms", "--jitter", "0")
    with loading(tmp_path, *storm) as run:
        run.begun().until(lambda: run.statistics().connects >= 12, "they did not come back")
        children = run.children()
        run.process.terminate()
        code, report = run.end()
    assert code == 130, run.said
    assert len(children) == 2 and not [pid for pid in children if alive(pid)]
    # A server that is killed with something unread resets its connections rather than closing them.
    assert sum(report["disconnects"].get(reason, 0) for reason in (TRANSPORT_CLOSE, TRANSPORT_ERROR)) >= 6
    assert (report["connections_per_user"], report["replaced"]) == (1.0, 0)


def test_wss_with_its_own_authority_and_users_from_a_file(tmp_path: Path) -> None:
    """Without the authority nothing is sent; with it the users of the file connect, each with its own token."""
    authority, pem, users = trustme.CA(), tmp_path / "ca.pem", tmp_path / "users.csv"
    authority.cert_pem.write_to_path(str(pem))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    users.write_text("".join(f"user-{n},token-of-user-{n}\n" for n in range(4)))
    backend = ReferenceBackend(ServerLogWriter(None), ping_interval_s=1.0)
    swarm = ("--users", "4", "--run-time", "1s", "--users-file", str(users))
    with in_thread(backend.app, context) as url:
        code, _, said = load(tmp_path, url, *swarm)
        assert code == 3 and "cannot be trusted" in said and not backend.counters()["connects"]
        code, report, said = load(tmp_path, url, *swarm, "--ca-file", str(pem), token="of nobody")
    assert code == 0, said
    assert (report["connects"], report["users"], report["verdict"]) == (4, 4, "passed")
    assert backend.counters()["connects"] == 4 and backend.counters()["refused"] == 0
    assert "token-of-user" not in said + str(report)


def test_a_users_file_that_names_a_user_twice_is_refused_by_the_locust_process(tmp_path: Path) -> None:
    users = tmp_path / "users.csv"
    users.write_text("user-1,token-of-user-1\nuser-1,again\n")
    code, _, said = load(tmp_path, "--users", "2", "--run-time", "1s", "--users-file", str(users))
    assert code == 2 and "names a user twice" in said and "next: " in said, said


@contextmanager
def in_thread(app: web.Application, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serves `app` beside the test."""
    told: Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Queue()

    async def serve() -> None:
        over = asyncio.Event()
        async with serving(app, tls) as address:
            told.put((address, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    address, loop, over = told.get(timeout=10)
    try:
        yield address
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
