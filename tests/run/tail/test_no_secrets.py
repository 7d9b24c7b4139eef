"""Test that no output of tail-logs contains a secret that the log contains as an id, a reason or text."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import planted
from tests.cli import wscheck
from tests.run.tail.process import LoggingServer, TailProcess, lines, record, wait_until
from tests.run.tail.receiver import start_receiver
from tests.run.tail.test_metrics import get
from wscheck.report import REPORTERS

Log = Callable[[LoggingServer, str, int], None]


def write_log(server: LoggingServer, texts: list[str]) -> None:
    """Log each text as a user with two connections, one of them replaced, as a sid, a reason, and in an odd line."""
    for number, text in enumerate(texts):
        at = 1_795_000_000.0 + number
        first = server.connect(text, at)
        second = server.replace(text, first, at + 0.1)
        server.connect(text, at + 0.2, sid=f"{text}{number}")
        server.disconnect(second, at + 0.3, text)
        server.line(record("WebSocket client connected", at, note=text)[:-3])
        server.line(f"connected userId={text} and [{text}".encode())


def assert_clean(artefacts: dict[str, str]) -> None:
    leaks = {name: found for name, text in artefacts.items() if (found := planted.found_in(text))}
    assert leaks == {}


def test_no_report_of_finished_logs_contains_a_secret(tmp_path: Path) -> None:
    known = planted.KNOWN[:3]
    texts = [text for text in planted.written() if not planted.found_in(text, planted.KNOWN[3:])]
    write_log(LoggingServer(tmp_path / "app.log"), texts)
    names: dict[str, Any] = dict(
        zip(("WSCHECK_TOKEN", "WSCHECK_SECOND_TOKEN", "WSCHECK_EXPIRED_TOKEN"), known, strict=True)
    )
    formats = [part for name in REPORTERS for part in ("--format", f"{name}=report.{name}")]
    ran = wscheck("tail-logs", "--no-follow", "app.log", *formats, cwd=tmp_path, **names)
    assert ran.code == 1, ran.said
    reports = {path.name: path.read_text() for path in tmp_path.glob("report.*")}
    assert len(reports) == len(REPORTERS)
    assert_clean({**reports, "the screen": ran.said})
    users = json.loads(reports["report.json"])["users"]
    assert all("hidden-" in user for user in users) and {"hidden-1", "hidden-2", "hidden-3"} <= {*users}


@pytest.mark.parametrize("form", ["json", "slack"])
def test_no_output_while_logs_are_followed_contains_a_secret(tmp_path: Path, form: str) -> None:
    texts = [text for text in planted.written() if not planted.found_in(text, planted.KNOWN)]
    server = LoggingServer(tmp_path / "app.log")
    # The program appends what it gets to a file.
    options = ("--metrics", "127.0.0.1:0", "--webhook-format", form, "--exec", "sh -c 'cat >> given'")
    with start_receiver() as received:
        with TailProcess(
            *("app.log", "--webhook", received.url, *options, "--format", "terminal", "--format", "ndjson=run.ndjson"),
            *("--format", "html=run.html", "--quiet-after", "1h", "--max-attempts", "99/1s"),
            directory=tmp_path,
        ) as tail:
            write_log(server, texts)
            wait_until(lambda: len(received.posts) >= len({*texts}))
            url = wait_until(lambda: re.search(r"http://127\.0\.0\.1:\d+", tail.err))[0]
            scraped = get(f"{url}/metrics")
            assert tail.end() == 1
        posts = json.dumps(received.bodies)
    recording = (tmp_path / "run.ndjson").read_bytes()
    artefacts = {path.name: path.read_text() for path in (tmp_path / "run.html", tmp_path / "given")}
    assert_clean({**artefacts, "recording": recording.decode(), "posts": posts, "metrics": scraped})
    assert_clean({"stdout": tail.out, "stderr": tail.err})
    users = {line["user"] for line in lines(recording) if line.get("type") == "connected" and line.get("user")}
    assert len(users) == len({*texts}) and all("hidden-" in user for user in users)
