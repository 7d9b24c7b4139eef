"""Tests of Ctrl-C during a run: partial reports that are marked as interrupted."""

import json
import signal
import subprocess
import time
from pathlib import Path

from tests.cli import COMMAND, environment, wscheck


def test_ctrl_c_writes_partial_reports_and_exits_130(tmp_path: Path) -> None:
    report, recording, page = tmp_path / "r.json", tmp_path / "r.ndjson", tmp_path / "r.html"
    running = subprocess.Popen(
        [
            *COMMAND,
            *("verify", "--window", "60s", "--narrate", "--scenario", "single-connection"),
            *("--format", f"json={report}", "--format", f"ndjson={recording}", "--format", f"html={page}"),
        ],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    deadline = time.monotonic() + 30
    while "connected successfully" not in running.stderr.readline():
        assert time.monotonic() < deadline and running.poll() is None
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130, out + err
    assert "Traceback" not in out + err
    told = json.loads(report.read_bytes())
    assert told["interrupted"] is True and told["verdict"] == "inconclusive"
    assert "interrupted" in page.read_text()
    again = wscheck("verify", "--from", recording, "--format", "json")
    assert again.code == 130 and json.loads(again.out)["interrupted"] is True
