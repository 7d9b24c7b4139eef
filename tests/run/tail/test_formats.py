"""What tail-logs writes is what the contracts promise, in every format, and what is told of the logs is in each."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from lxml import etree

from tests.cli import wscheck
from tests.node_backend import node_backend
from tests.report.html.test_page import parsed
from tests.run.tail.running import Server, Tail, finished, lines, until
from wscheck.observe.recording import load_recording
from wscheck.report import REPORTERS
from wscheck.report.schemas import file_name

ROOT = Path(__file__).parents[3]
T = 1_795_000_000.0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with a file for each format, of a log in which ada is in a loop and bob is not."""
    directory = tmp_path_factory.mktemp("formats")
    server = Server(directory / "app.log")
    server.connect("bob", T)
    sid = server.connect("ada", T)
    for n in range(1, 13):
        sid = server.replace("ada", sid, T + n * 0.3)
    server.record("WebSocket client connected", T + 9, userId="kim")
    formats = [part for name in REPORTERS for part in ("--format", f"{name}=report.{name}")]
    ran = finished("--no-follow", "app.log", *formats, directory=directory)
    assert ran.returncode == 1, ran.stderr
    assert {f"wrote report.{name}" for name in REPORTERS} <= set(ran.stderr.splitlines())
    yield directory


def test_the_recording_judged_again_comes_to_the_same(written: Path) -> None:
    report = json.loads((written / "report.json").read_text())
    again = wscheck("verify", "--from", written / "report.ndjson", "--format", "json")
    assert again.code == 1, again.said
    told = json.loads(again.out)
    assert told["findings"] == report["findings"] != []
    assert (told["verdict"], told["reason"]) == (report["verdict"], report["reason"])


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "docs" / "schemas" / file_name(name)).read_bytes())
    return jsonschema.Draft202012Validator(schema)


def test_json_is_as_its_schema_says(written: Path) -> None:
    report = json.loads((written / "report.json").read_bytes())
    validator("wscheck.logs/1").validate(report)
    assert (report["users_seen"], report["most_open"]) == (3, 2)
    assert report["levels"] == {"full": 38, "user": 1}


def test_every_line_of_the_recording_is_as_its_schema_says_and_reads_back(written: Path) -> None:
    told = lines((written / "report.ndjson").read_bytes())
    for line in told:
        validator("wscheck.events/1").validate(line)
    header, events = load_recording(written / "report.ndjson")
    assert header.target == "app.log"
    assert len(events) == sum("state" not in line for line in told) - 1 == 39
    assert {line["line"] for line in told if line.get("type") == "connected"} >= {1, 2}


def test_an_event_comes_before_what_was_concluded_from_it(written: Path) -> None:
    told = lines((written / "report.ndjson").read_bytes())
    first = next(n for n, line in enumerate(told) if line.get("type") == "finding")
    assert told[first - 1]["type"] == "replaced"


def test_junit_and_html_are_well_formed(written: Path) -> None:
    etree.XMLSchema(etree.parse(ROOT / "tests" / "data" / "junit-10.xsd")).assertValid(
        etree.parse(written / "report.junit")
    )
    parsed((written / "report.html").read_text())


@pytest.mark.parametrize("name", ["terminal", "html"])
def test_what_was_read_and_who_was_replaced_is_told(written: Path, name: str) -> None:
    told = " ".join((written / f"report.{name}").read_text().split())
    assert "39 lines" in told
    assert "15 connected, 12 replaced, 12 disconnected" in told
    assert "1 record names a user but no socket id" in told
    assert "ada" in told and "whenever the server replaces it" in told


def test_the_step_summary_has_the_table_too(written: Path) -> None:
    summary = written / "summary.md"
    ran = wscheck(
        "tail-logs", "--no-follow", "app.log", "--format", "github", cwd=written, GITHUB_STEP_SUMMARY=str(summary)
    )
    assert ran.out.startswith("::error ")
    assert "| ada | 13 | 12 | 2 | 1 |" in summary.read_text()


def test_a_pass_says_what_it_stands_on(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    for n in range(3):
        server.disconnect(server.connect(f"user {n}", T + n), T + n + 0.5)
    ran = finished("--no-follow", "app.log", "--users", "1", directory=tmp_path)
    assert ran.returncode == 0
    assert "✓ PASSED  3 users, 3 connections, at most one per user at a time" in ran.stdout


def test_the_real_backend_under_the_documented_fault(tmp_path: Path) -> None:
    with node_backend() as backend, Tail(backend.log, "--format", "ndjson", directory=tmp_path) as tail:
        fault = ("--client", "per-component", "--reconnect-on-kick", "100ms", "--scenario", "single-connection")
        assert wscheck("verify", backend.url, *fault, WSCHECK_TOKEN="token-of-user_123").code == 1
        until(lambda: len(tail.incidents("opened")) >= 2)
        until(lambda: len([e for e in tail.told if e.get("type") == "connected"]) == backend.counters()["connects"])
        tail.end()
        open_session = {(i["rule"], i["user"]) for i in tail.incidents("opened")}
    assert open_session >= {("connection-replaced", "user_123"), ("excessive-attempts", "user_123")}


def test_a_loop_of_many_is_told_before_somebodys_single_one_though_that_came_first(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.replace("bea", server.connect("bea"))
    for _ in range(3):
        server.replace("ada", server.connect("ada"))
    ran = finished("--no-follow", "app.log", "--format", "json", "--format=terminal=told", directory=tmp_path)
    report = json.loads(ran.stdout)
    replaced = [each for each in report["findings"] if each["rule"] == "connection-replaced"]
    assert [(each["user"], each["count"]) for each in replaced] == [("ada", 3), ("bea", 1)]
    assert report["reason"].startswith("ada: ")
    assert "ada: the server replaced the user's connection by a newer one, 3 times" in (tmp_path / "told").read_text()


@pytest.mark.parametrize("options", [("--no-follow",), ("--from-start", "--for", "1s")])
def test_the_first_lines_that_cannot_be_read_are_shown_with_their_place_and_the_reason(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "app.log").write_text("WebSocket client connected socketId=abc userId=[x\n" * 7)
    ran = finished(*options, "app.log", "--format", "json", directory=tmp_path)
    assert (ran.returncode, json.loads(ran.stdout)["unreadable"]) == (3, 7)
    told = [line.removeprefix("wscheck: ") for line in ran.stderr.splitlines() if "app.log:" in line]
    assert [line.partition(" looks like an event and cannot be read: ")[0] for line in told] == [
        f"app.log:{n}" for n in range(1, 6)
    ]
    assert all("where an id begins or ends" in line for line in told)
    assert told[-1].endswith("; further ones are only counted")
