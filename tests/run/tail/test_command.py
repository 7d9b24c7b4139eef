"""`--exec`: a program for each change of an incident, with the incident on its standard input."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.run.tail.running import Server, Tail, finished, lines, until
from tests.run.tail.test_telling import INCIDENT
from wscheck.notify.command import CommandTarget
from wscheck.notify.delivery import DeliveryFailed, DeliveryQueue


def script(directory: Path, body: str) -> str:
    path = directory / "told.py"
    path.write_text(f"import sys, time\n{body}\n")
    return f"{sys.executable} {path}"


def test_it_gets_the_incident_and_what_it_prints_goes_to_stderr(tmp_path: Path) -> None:
    command = script(tmp_path, "open('told', 'a').write(sys.stdin.read()); print('hello')")
    server = Server(tmp_path / "app.log")
    with Tail("app.log", "--format", "ndjson", "--exec", command, directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        until(lambda: "hello" in tail.err)
        tail.end()
        assert "hello" not in tail.out
    [told] = lines((tmp_path / "told").read_bytes())
    assert (told["schema"], told["state"], told["user"]) == ("wscheck.incident/1", "opened", "ada")


def test_one_that_fails_is_said_and_not_run_again(tmp_path: Path) -> None:
    command = script(tmp_path, "open('ran', 'a').write('x'); sys.exit(3)")
    server = Server(tmp_path / "app.log")
    with Tail("app.log", "--exec", command, directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        until(lambda: "it exited with 3" in tail.err)
        assert tail.end() == 1
    assert (tmp_path / "ran").read_text() == "x"


def test_a_slow_one_does_not_hold_up_the_reading(tmp_path: Path) -> None:
    command = script(tmp_path, "open('ran', 'a').write('x'); time.sleep(60)")
    server = Server(tmp_path / "app.log")
    with Tail("app.log", "--format", "ndjson", "--exec", command, directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        until((tmp_path / "ran").exists)
        server.connects(100)
        until(lambda: len(tail.connected) == len(server.sids), 30.0)


def test_a_program_that_is_not_there_is_refused_at_once(tmp_path: Path) -> None:
    ran = finished("app.log", "--exec", "no-such-program --now", directory=tmp_path)
    assert (ran.returncode, "--exec names no program" in ran.stderr) == (2, True)


def test_what_hangs_at_the_end_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    begun, notes = tmp_path / "begun", list[str]()
    courier = DeliveryQueue(
        CommandTarget(f"sh -c 'sleep 60 & echo $! > {begun}.new; mv {begun}.new {begun}; wait'"), notes.append
    )
    courier.on_incident(INCIDENT)
    courier.on_incident(INCIDENT)
    child = int(until(lambda: begun.exists() and begun.read_text()))
    courier.close(0.1)
    assert notes == ["command sh: 2 messages were not delivered in time."]
    until(lambda: not is_running(child), 10.0)  # long before the command's own time is up


def test_what_is_dropped_is_said_now_and_then() -> None:
    target: Any = SimpleNamespace(name="nowhere", compose=lambda incident: b"", abort=lambda: None)
    target.deliver = failing
    notes = list[str]()
    courier = DeliveryQueue(target, notes.append)
    for _ in range(250):
        courier.on_incident(INCIDENT)
    courier.close()
    assert [note.rpartition("; ")[2] for note in notes] == ["1 so far.", "100 so far.", "200 so far."]
    assert (courier.delivered, courier.dropped) == (0, 250)


def failing(message: bytes) -> None:
    raise DeliveryFailed("it is not there", retry=False)


def is_running(pid: int) -> bool:
    """Also a zombie that nobody waited for runs no more."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
