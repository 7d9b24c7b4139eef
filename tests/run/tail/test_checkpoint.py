"""Runs ended in any way and continued from the checkpoint: every event once, every incident once."""

import json
import random
import signal
import time
from pathlib import Path

from tests.run.tail.kills import KillCycle
from tests.run.tail.process import LoggingServer, TailProcess, lines, run_to_end, wait_until
from wscheck.observe.tailing.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

OPTIONS = ("app.log", "--checkpoint", "tail.checkpoint", "--format", "ndjson=recording.ndjson", "--from-start")


def recorded_lines(directory: Path) -> list[dict[str, object]]:
    path = directory / "recording.ndjson"
    return lines(path.read_bytes()) if path.exists() else []


def sids(directory: Path) -> list[object]:
    return [line["sid"] for line in recorded_lines(directory) if line.get("type") == "connected"]


def test_kill_9_loses_and_repeats_nothing(tmp_path: Path) -> None:
    killing = KillCycle(tmp_path, random.Random(7))
    kills = 0
    while kills < 5 or (not killing.kills_while_busy and kills < 30):
        killing.once()
        kills += 1
    assert killing.end() == killing.server.sids
    assert killing.kills_while_busy > 0, "no kill happened during reading, so the test proves nothing"


def test_lines_written_and_rotated_between_runs_are_read(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(10)
    for code in (0, 0, 0):
        ran = run_to_end("--no-follow", *OPTIONS, directory=tmp_path)
        assert ran.returncode == code, ran.stderr
        assert sids(tmp_path) == server.sids
        server.connects(10)
        server.rotate()
        server.reopen()
        server.connects(10)
    assert recorded_lines(tmp_path)[0]["schema"] == "wscheck.events/1"
    assert sum("schema" in line for line in recorded_lines(tmp_path)) == 1


def test_an_open_incident_is_not_reported_again_and_resolves(tmp_path: Path) -> None:
    server, options = LoggingServer(tmp_path / "app.log"), (*OPTIONS, "--quiet-after", "300ms")
    first = server.connect("ada")
    server.connect("ada")
    with TailProcess(*options, directory=tmp_path) as tail:
        wait_until(lambda: [line for line in recorded_lines(tmp_path) if line.get("state") == "opened"])
        tail.send(signal.SIGKILL)
        tail.wait()
    with TailProcess(*options, directory=tmp_path) as tail:
        time.sleep(0.5)
        server.disconnect(first)
        wait_until(lambda: [line for line in recorded_lines(tmp_path) if line.get("state") == "resolved"])
        tail.end()
    incidents = [line for line in recorded_lines(tmp_path) if line.get("type") == "finding"]
    assert [(i["state"], i["rule"], i["user"], i["count"]) for i in incidents] == [
        ("opened", "multiple-connections", "ada", 1),
        ("resolved", "multiple-connections", "ada", 1),
    ]


def test_open_connections_are_known_after_a_restart(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connect("ada", at=1000.0)
    run_to_end("--no-follow", *OPTIONS, directory=tmp_path)
    server.connect("ada", at=1010.0)
    server.connect("bob", at=1020.0)
    ran = run_to_end("--no-follow", *OPTIONS, "--format", "json", directory=tmp_path)
    [finding] = json.loads(ran.stdout)["findings"]
    assert (finding["rule"], finding["user"], ran.returncode) == ("multiple-connections", "ada", 1)


def test_only_the_owner_can_read_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "tail.checkpoint"
    path.with_name("tail.checkpoint.partial").touch(0o644)  # left by a killed run
    save_checkpoint(path, Checkpoint())
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_checkpoint(path) == Checkpoint()


def test_a_file_that_is_not_a_checkpoint_is_refused(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connect()
    (tmp_path / "tail.checkpoint").write_text("{}")
    (tmp_path / "notes.txt").write_text("dear diary")
    ran = run_to_end("app.log", "--checkpoint", "notes.txt", directory=tmp_path)
    assert (ran.returncode, "is not a checkpoint" in ran.stderr) == (3, True)
    assert (tmp_path / "notes.txt").read_text() == "dear diary"
