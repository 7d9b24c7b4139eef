"""A finished log ends with its last line, not with its last event: what is held then was held until then."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli import wscheck
from tests.run.tail.running import finished, judged, lines, record

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
def test_what_is_held_while_the_log_goes_on_is_found(rest: str, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST[rest]()}\n")
    told = judged("app.log", directory=tmp_path)
    (finding,) = told["findings"]
    assert (told["code"], finding["rule"], finding["first_at"]) == (1, "multiple-connections", BEGAN.timestamp())
    assert told["events"] == {"connected": 2, "replaced": 0, "disconnected": 0}


NO_TIME = {
    "nothing": "",
    "no time": "request completed\n",
    "a time that somebody speaks of": "request completed by a user who says that it is over at 2026-01-15T09:31:00Z\n",
    "a time within the grace": f"{late(0.2).isoformat(timespec='milliseconds')} request completed\n",
}


@pytest.mark.parametrize("rest", NO_TIME)
def test_without_a_later_time_it_is_too_early_to_tell(rest: str, tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(OVERLAP + NO_TIME[rest])
    told = judged("app.log", directory=tmp_path)
    assert (told["code"], told["findings"]) == (3, [])
    assert told["reason"].startswith("the evidence ends while ann holds 2 connections, too early to tell")


def test_the_log_of_another_node_goes_on_for_both(tmp_path: Path) -> None:
    (tmp_path / "one.log").write_text(OVERLAP)
    (tmp_path / "two.log").write_text(f"{REST['plain']()}\n")
    assert judged("one.log", "two.log", directory=tmp_path)["code"] == 1


def test_nothing_after_the_time_that_was_asked_for_counts(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    until = f"{late(0.1).isoformat(timespec='milliseconds')}"
    assert judged("app.log", "--until", until, directory=tmp_path)["code"] == 3


def test_a_connection_that_is_open_for_too_long_by_then_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    told = judged("app.log", "--stale-after", "30s", directory=tmp_path)
    assert told["users"]["ann"]["open"] == []


def test_a_recording_of_it_comes_to_the_same(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    told = finished("--no-follow", "--format", "ndjson", "app.log", directory=tmp_path).stdout
    types = [line.get("type") for line in lines(told.encode())]
    assert types == [None, "connected", "connected", "ended", "finding"]
    (tmp_path / "run.ndjson").write_text(told)
    assert wscheck("verify", "--from", str(tmp_path / "run.ndjson")).code == 1


def test_a_pipe_that_ended_is_a_finished_log_too(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text(f"{OVERLAP}{REST['plain']()}\n")
    with (tmp_path / "app.log").open("rb") as log:
        assert finished("-", directory=tmp_path, stdin=log).returncode == 1
