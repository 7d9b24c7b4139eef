"""A server of several processes behind one URL: one connection per user, whichever of them serves it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.balancer import balanced
from tests.run.verify.runs import replayed, run, told
from wscheck.backend.log_writer import LogFormat, ServerLogWriter
from wscheck.backend.server import ReferenceBackend, serve_backend
from wscheck.model.errors import Unreachable
from wscheck.model.events import Connecting
from wscheck.model.findings import Verdict


@asynccontextmanager
async def two_processes(folder: Path) -> AsyncIterator[tuple[str, list[str]]]:
    """Two servers, of which each knows of its own connections only, behind one URL; and what each logs."""
    logs = [folder / "a.log", folder / "b.log"]
    async with AsyncExitStack() as stack:
        urls = list[str]()
        for log in logs:
            file = stack.enter_context(log.open("w", buffering=1))
            journal = ServerLogWriter(lambda record, file=file: print(record, end="", file=file), LogFormat.JSON)
            urls.append(await stack.enter_async_context(serve_backend(ReferenceBackend(journal))))
        yield await stack.enter_async_context(balanced(*urls)), [str(log) for log in logs]


async def test_five_at_once_that_two_processes_make_two_are_no_policy(tmp_path: Path) -> None:
    """Its control, of which each process got one, looks like a server that lets a user hold several."""
    async with two_processes(tmp_path) as (url, logs):
        outcome = await run("race", url=url, target__transports="websocket", verify__server_log=logs)
    (race,) = outcome.report.scenarios
    assert race.verdict is Verdict.FAILED, told(outcome)
    assert race.control is not None and "kept them all" in race.control.did
    found = next(f for f in race.findings if f.rule == "multiple-connections")
    assert found.message.startswith("holds 2 connections at once")
    assert found.cause is not None and found.cause.id == "map-per-process"
    assert all(log in found.cause.because for log in logs)
    assert replayed(outcome) == outcome.report.scenarios


async def test_what_is_not_sticky_is_said_at_once_and_what_to_do(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (url, _), asyncio.timeout(10):  # a lost session is answered at once
        with pytest.raises(Unreachable) as refused:
            await run("single-connection", url=url, target__transports="polling")
    assert "several processes" in refused.value.problem and "Session ID unknown" in refused.value.problem
    assert "sticky sessions" in refused.value.next_step and "--transports websocket" in refused.value.next_step


async def test_an_application_that_uses_websocket_only_is_not_asked_to_poll(tmp_path: Path) -> None:
    async with two_processes(tmp_path) as (url, _), asyncio.timeout(10):
        outcome = await run("polling-upgrade", url=url, target__transports="websocket")
    (skipped,) = outcome.report.scenarios
    assert skipped.verdict is Verdict.SKIPPED
    assert not any(isinstance(event, Connecting) for event in outcome.events)
