"""A finished log ends with its last line, not with its last event: open connections are open until then."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli import wscheck
from tests.run.tail.process import lines, record, run_for_report, run_to_end
from wscheck.detect.engine import Judge
from wscheck.observe.recording import load_recording

BEGAN = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)

OPENED = (record("WebSocket client connected", BEGAN.timestamp(), socketId=f"s{n}", userId="ann") for n in (1, 2))
OVERLAP = "".join(f"{line.decode()}\n" for line in OPENED)


def late(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


REST = {
    "JSON": lambda: json.dumps({"level": 30, "time": late(60).timestamp() * 1000, "msg": "request completed"}),
    "plain": lambda: f"{late(60):%Y-%m-%dT%H:%M:%S.000Z} INFO request completed",
    "docker": lambda: json.dumps({"log": "request completed\n", "stream": "stdout", "time": late(60).isoformat()}),
    "a stack trace": lambda: f"[{late(60).isoformat()}] Error: boom\n    at handler (/app/server.js:1:2)\n    at next",
}


@pytest.mark.parametrize("rest", REST)
def test_an_overlap_until_the_last_line_is_found(rest: str, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST[rest]()}\n")
    output = run_for_report("app.log", directory=tmp_path)
    (finding,) = output["findings"]
    assert (output["code"], finding["rule"], finding["first_at"]) == (1, "multiple-connections", BEGAN.timestamp())
    assert output["events"] == {"connected": 2, "replaced": 0, "disconnected": 0}


NO_TIME = {
    "nothing": "",
    "no time": "request completed\n",
    "a time that somebody speaks of": "request completed by a user who says that it is over at 2026-01-15T09:31:00Z\n",
    "a time within the grace": f"{late(0.2).isoformat(timespec='milliseconds')} request completed\n",
}


@pytest.mark.parametrize("rest", NO_TIME)
def test_an_overlap_without_a_later_time_is_inconclusive(rest: str, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(OVERLAP + NO_TIME[rest])
    output = run_for_report("app.log", directory=tmp_path)
    assert (output["code"], output["findings"]) == (3, [])
    assert output["reason"].startswith("the evidence ends while ann holds 2 connections, too early to decide")


def test_a_later_line_of_another_node_counts_too(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text(OVERLAP)
    (tmp_path / "two.log").write_text(f"{REST['plain']()}\n")
    assert run_for_report("one.log", "two.log", directory=tmp_path)["code"] == 1


def test_no_line_after_until_counts(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    until = f"{late(0.1).isoformat(timespec='milliseconds')}"
    assert run_for_report("app.log", "--until", until, directory=tmp_path)["code"] == 3


def test_a_stale_connection_expires_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    output = run_for_report("app.log", "--stale-after", "30s", directory=tmp_path)
    assert output["users"]["ann"]["open"] == []


def test_its_recording_gives_the_same_result(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    output = run_to_end("--no-follow", "--format", "ndjson", "app.log", directory=tmp_path).stdout
    types = [line.get("type") for line in lines(output.encode())]
    assert types == [None, "connected", "connected", "ended", "finding"]
    (tmp_path / "run.ndjson").write_text(output)
    assert wscheck("verify", "--from", str(tmp_path / "run.ndjson")).code == 1


def test_an_ended_pipe_is_a_finished_log(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    with (tmp_path / "app.log").open("rb") as log:
        assert run_to_end("-", directory=tmp_path, stdin=log).returncode == 1


def test_a_recording_replays_the_expiry_of_a_stale_connection(tmp_path: Path) -> None:
    log = [
        "2026-11-18T07:00:00Z WebSocket client connected userId=ada socketId=one",
        "2026-11-18T07:10:00Z WebSocket client connected userId=ada socketId=two",
        "2026-11-18T07:10:09Z WebSocket client connected userId=bob socketId=three",
    ]
    (tmp_path / "app.log").write_text("\n".join(log) + "\n")
    run_to_end("app.log", "--no-follow", "--stale-after", "5m", "--format", "ndjson=run.ndjson", directory=tmp_path)
    _, events = load_recording(tmp_path / "run.ndjson")
    judge = Judge()
    for event in events:
        judge.feed(event)
    assert judge.ledger.open_connections("ada") == ("two",)
