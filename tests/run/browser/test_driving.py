"""A command that drives the browser ends with the run."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.needs import needs
from wscheck.model.findings import Verdict
from wscheck.run.browser import run
from wscheck.run.browser.run import BrowserPlan, run_browser

IGNORES_SIGNALS = """
import os, pathlib, signal, sys, time
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


async def test_a_command_that_ignores_signals_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("chromium")
    monkeypatch.setattr(run, "TERMINATE_TIMEOUT_S", 0.2)
    pid_file = tmp_path / "pid"
    run_task = asyncio.create_task(
        run_browser(BrowserPlan(command=(sys.executable, "-c", IGNORES_SIGNALS, str(pid_file))))
    )
    async with asyncio.timeout(30):
        while not pid_file.exists() or not pid_file.read_text():
            await asyncio.sleep(0.02)
        run_task.cancel()
        report = (await run_task).report
    assert report.interrupted and report.verdict is Verdict.INCONCLUSIVE
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
