"""Ended in whatever way and started again from the checkpoint: every event once, every incident once."""

import json
import random
import signal
import time
from pathlib import Path

from tests.run.tail.kills import Killing
from tests.run.tail.running import Server, Tail, finished, lines, until

OPTIONS = ("app.log", "--checkpoint", "tail.checkpoint", "--format", "ndjson=told.ndjson", "--from-start")


def told(directory: Path) -> list[dict[str, object]]:
    path = directory / "told.ndjson"
    return lines(path.read_bytes()) if path.exists() else []


def sids(directory: Path) -> list[object]:
    return [line["sid"] for line in told(directory) if line.get("type") == "connected"]


def test_kill_9_loses_nothing_and_brings_nothing_twice(tmp_path: Path) -> None:
    killing = Killing(tmp_path, random.Random(7))
    kills = 0
    while kills < 5 or (not killing.killed_while_busy and kills < 30):
        killing.once()
        kills += 1
    assert killing.end() == killing.server.sids
    assert killing.killed_while_busy > 0, "no kill came while it read: the test shows nothing"


def test_what_was_written_and_rotated_while_nobody_looked(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.connects(10)
    for code in (0, 0, 0):
        ran = finished("--no-follow", *OPTIONS, directory=tmp_path)
        assert ran.returncode == code, ran.stderr
        assert sids(tmp_path) == server.sids
        server.connects(10)
        server.rotate()
        server.reopen()
        server.connects(10)
    assert told(tmp_path)[0]["schema"] == "wscheck.events/1"
    assert sum("schema" in line for line in told(tmp_path)) == 1


def test_an_open_incident_is_not_told_again_and_resolves(tmp_path: Path) -> None:
    server, options = Server(tmp_path / "app.log"), (*OPTIONS, "--quiet-after", "300ms")
    first = server.connect("ada")
    server.connect("ada")
    with Tail(*options, directory=tmp_path) as tail:
        until(lambda: [line for line in told(tmp_path) if line.get("state") == "opened"])
        tail.send(signal.SIGKILL)
        tail.wait()
    with Tail(*options, directory=tmp_path) as tail:
        time.sleep(0.5)
        server.disconnect(first)
        until(lambda: [line for line in told(tmp_path) if line.get("state") == "resolved"])
        tail.end()
    incidents = [line for line in told(tmp_path) if line.get("type") == "finding"]
    assert [(i["state"], i["rule"], i["user"], i["count"]) for i in incidents] == [
        ("opened", "multiple-connections", "ada", 1),
        ("resolved", "multiple-connections", "ada", 1),
    ]


def test_who_held_what_is_known_after_a_restart(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.connect("ada", at=1000.0)
    finished("--no-follow", *OPTIONS, directory=tmp_path)
    server.connect("ada", at=1010.0)
    server.connect("bob", at=1020.0)
    ran = finished("--no-follow", *OPTIONS, "--format", "json", directory=tmp_path)
    [finding] = json.loads(ran.stdout)["findings"]
    assert (finding["rule"], finding["user"], ran.returncode) == ("multiple-connections", "ada", 1)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.connect()
    (tmp_path / "tail.checkpoint").write_text("{}")
    (tmp_path / "notes.txt").write_text("dear diary")
    ran = finished("app.log", "--checkpoint", "notes.txt", directory=tmp_path)
    assert (ran.returncode, "is not a checkpoint" in ran.stderr) == (3, True)
    assert (tmp_path / "notes.txt").read_text() == "dear diary"
