"""`wscheck mcp`: how it starts and ends."""

import asyncio
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from wscheck.commands.mcp import _serve_streams, mcp
from wscheck.model.errors import ExitCode, MissingExtra, UsageError
from wscheck.run.mcp.access import new_access
from wscheck.run.mcp.server import ToolServer


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server.stdio", None)
    with pytest.raises(MissingExtra) as raised:
        mcp([])
    assert raised.value.exit_code is ExitCode.USAGE
    assert raised.value.problem == "`wscheck mcp` needs the MCP SDK, which is not installed here."
    assert "pip install 'wscheck-cli[mcp]'" in raised.value.next_step


def test_a_closed_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="Standard input is closed"):
        mcp([])


async def test_the_end_of_stdin_ends_the_server_and_its_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcp.client.session import ClientSession
    from mcp.shared.memory import create_client_server_memory_streams

    started, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def endless(plan: object, progress: Any) -> None:
        loop.call_soon_threadsafe(started.set)
        try:
            while True:
                progress("src/a.ts", 0, 1)
                time.sleep(0.002)
        finally:
            ended.set()

    monkeypatch.setattr("wscheck.run.scan.run.run_scan", endless)
    monkeypatch.chdir(tmp_path)
    tools = ToolServer(new_access([], tmp_path, Path("/nonexistent")))
    async with create_client_server_memory_streams() as (client_streams, server_streams):
        serving = asyncio.ensure_future(_serve_streams(tools, *server_streams))
        async with ClientSession(*client_streams) as session:
            await session.initialize()
            call = asyncio.ensure_future(session.call_tool("scan_code", {}))
            async with asyncio.timeout(20):
                await started.wait()
            await client_streams[1].aclose()
            async with asyncio.timeout(20):
                assert await serving is None
            assert ended.is_set()
            await asyncio.gather(call, return_exceptions=True)
