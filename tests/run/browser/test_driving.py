"""A program that drives the browser: it is watched until it ends, and whoever ends the watch ends it too."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.needs import needs
from wscheck.model.findings import Verdict
from wscheck.run.browser import run
from wscheck.run.browser.run import BrowserPlan, run_browser

STUBBORN = """
import os, pathlib, signal, sys, time
for each in (signal.SIGINT, signal.SIGTERM):
    signal.signal(each, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(60)
"""


async def test_one_that_does_not_want_to_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("chromium")
    monkeypatch.setattr(run, "TERMINATE_TIMEOUT_S", 0.2)
    told = tmp_path / "pid"
    watching = asyncio.create_task(run_browser(BrowserPlan(command=(sys.executable, "-c", STUBBORN, str(told)))))
    async with asyncio.timeout(30):
        while not told.exists() or not told.read_text():
            await asyncio.sleep(0.02)
        watching.cancel()
        report = (await watching).report
    assert report.interrupted and report.verdict is Verdict.INCONCLUSIVE
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)
