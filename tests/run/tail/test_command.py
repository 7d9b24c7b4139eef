"""`--exec`: a program for each change of an incident, which is on its standard input."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.run.tail.process import LoggingServer, TailProcess, lines, run_to_end, wait_until
from tests.run.tail.test_incident_text import INCIDENT
from wscheck.model.secrets import Redactor
from wscheck.notify.delivery import CommandTarget, DeliveryFailed, DeliveryQueue


def script(directory: Path, body: str) -> str:
    path = directory / "program.py"
    path.write_text(f"import sys, time\n{body}\n")
    return f"{sys.executable} {path}"


def test_the_program_gets_the_incident_and_its_output_goes_to_stderr(tmp_path: Path) -> None:
    command = script(tmp_path, "open('incident', 'a').write(sys.stdin.read()); print('hello')")
    server = LoggingServer(tmp_path / "app.log")
    with TailProcess("app.log", "--format", "ndjson", "--exec", command, directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        wait_until(lambda: "hello" in tail.err)
        tail.end()
        assert "hello" not in tail.out
    [output] = lines((tmp_path / "incident").read_bytes())
    assert (output["schema"], output["state"], output["user"]) == ("wscheck.incident/1", "opened", "ada")


def test_a_failed_program_is_reported_and_not_run_again(tmp_path: Path) -> None:
    command = script(tmp_path, "open('ran', 'a').write('x'); sys.exit(3)")
    server = LoggingServer(tmp_path / "app.log")
    with TailProcess("app.log", "--exec", command, directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        wait_until(lambda: "the program exited with 3" in tail.err)
        assert tail.end() == 1
    assert (tmp_path / "ran").read_text() == "x"


def test_a_slow_program_does_not_delay_reading(tmp_path: Path) -> None:
    command = script(tmp_path, "open('ran', 'a').write('x'); time.sleep(60)")
    server = LoggingServer(tmp_path / "app.log")
    with TailProcess("app.log", "--format", "ndjson", "--exec", command, directory=tmp_path) as tail:
        server.replace("ada", server.connect("ada"))
        wait_until((tmp_path / "ran").exists)
        server.connects(100)
        wait_until(lambda: len(tail.connected) == len(server.sids), 30.0)


def test_a_missing_program_is_refused_before_reading(tmp_path: Path) -> None:
    ran = run_to_end("app.log", "--exec", "no-such-program --now", directory=tmp_path)
    assert (ran.returncode, "--exec names no program" in ran.stderr) == (2, True)


def test_a_program_that_hangs_at_the_end_is_killed_with_its_children(tmp_path: Path) -> None:
    started, notes = tmp_path / "begun", list[str]()
    delivery = DeliveryQueue(
        CommandTarget(f"sh -c 'sleep 60 & echo $! > {started}.new; mv {started}.new {started}; wait'"),
        notes.append,
        Redactor(),
    )
    delivery.on_incident(INCIDENT)
    delivery.on_incident(INCIDENT)
    child = int(wait_until(lambda: started.exists() and started.read_text()))
    delivery.close(0.1)
    assert notes == ["command sh: 2 messages were not delivered in time."]
    wait_until(lambda: not is_running(child), 10.0)  # long before the time limit of the program


def test_dropped_messages_are_reported_now_and_then() -> None:
    target: Any = SimpleNamespace(name="nowhere", compose=lambda incident: b"", abort=lambda: None)
    target.deliver = failing
    notes = list[str]()
    delivery = DeliveryQueue(target, notes.append, Redactor())
    for _ in range(250):
        delivery.on_incident(INCIDENT)
    delivery.close()
    assert [note.rpartition("; ")[2] for note in notes] == [
        "1 dropped so far.",
        "100 dropped so far.",
        "200 dropped so far.",
    ]
    assert (delivery.delivered, delivery.dropped) == (0, 250)


def failing(message: bytes) -> None:
    raise DeliveryFailed("it is not there", retry=False)


def is_running(pid: int) -> bool:
    """Return whether the process runs; a zombie does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
