"""Tests with a server of several processes behind one URL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TextIO

import pytest

from tests.balancer import balanced
from tests.run.verify.runs import describe_outcome, results_from_recording, run
from wscheck.backend.log_writer import LogFormat, ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.model.errors import Unreachable
from wscheck.model.events import Connecting
from wscheck.model.findings import Verdict


def write_to(file: TextIO) -> Callable[[str], None]:
    def write(text: str) -> None:
        file.write(text)

    return write


@asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Run two servers that do not share state behind one URL, and yield it with the paths of their logs."""
    logs = [folder / "a.log", folder / "b.log"]
    async with AsyncExitStack() as stack:
        urls = list[str]()
        for log in logs:
            file = stack.enter_context(log.open("w", buffering=1))
            log_writer = ServerLogWriter(write_to(file), LogFormat.JSON)
            urls.append(await stack.enter_async_context(serve_backend(ReferenceBackend(log_writer))))
        yield await stack.enter_async_context(balanced(*urls)), [str(log) for log in logs]


async def test_a_race_with_one_connection_per_process_fails(tmp_path: Path) -> None:
    """In the control each process gets one connection, like a server that allows several per user."""
    async with two_processes(tmp_path) as (url, logs):
        outcome = await run("race", url=url, target__transports="websocket", verify__server_log=logs)
    (race,) = outcome.report.scenarios
    assert race.verdict is Verdict.FAILED, describe_outcome(outcome)
    assert race.control is not None and "kept them all" in race.control.did
    found = next(f for f in race.findings if f.rule == "multiple-connections")
    assert found.message.startswith("holds 2 connections at once")
    assert found.cause is not None and found.cause.id == "map-per-process"
    assert all(log in found.cause.because for log in logs)
    assert results_from_recording(outcome) == outcome.report.scenarios


async def test_missing_sticky_sessions_are_reported_at_once_with_the_fix(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (url, _), asyncio.timeout(10):  # an unknown session is reported at once
        with pytest.raises(Unreachable) as refused:
            await run("single-connection", url=url, target__transports="polling")
    assert "several processes" in refused.value.problem and "Session ID unknown" in refused.value.problem
    assert "sticky sessions" in refused.value.next_step and "`target.transports=websocket`" in refused.value.next_step


async def test_polling_upgrade_is_skipped_for_a_websocket_only_application(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (url, _), asyncio.timeout(10):
        outcome = await run("polling-upgrade", url=url, target__transports="websocket")
    (skipped,) = outcome.report.scenarios
    assert skipped.verdict is Verdict.SKIPPED
    assert not any(isinstance(event, Connecting) for event in outcome.events)
