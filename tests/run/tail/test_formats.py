"""The output of tail-logs in every format, compared with the schemas and with the log."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from lxml import etree

from tests.cli import wscheck
from tests.node_backend import node_backend
from tests.report.html.test_page import parsed
from tests.run.tail.process import LoggingServer, TailProcess, lines, run_to_end, wait_until
from wscheck.observe.recording import load_recording
from wscheck.report import REPORTERS
from wscheck.report.schemas import file_name

ROOT = Path(__file__).parents[3]
T = 1_795_000_000.0


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a directory with a report in each format, of a log in which ada is in a loop and bob is not."""
    directory = tmp_path_factory.mktemp("formats")
    server = LoggingServer(directory / "app.log")
    server.connect("bob", T)
    sid = server.connect("ada", T)
    for n in range(1, 13):
        sid = server.replace("ada", sid, T + n * 0.3)
    server.record("WebSocket client connected", T + 9, userId="kim")
    formats = [part for name in REPORTERS for part in ("--format", f"{name}=report.{name}")]
    ran = run_to_end("--no-follow", "app.log", *formats, directory=directory)
    assert ran.returncode == 1, ran.stderr
    assert {f"wrote report.{name}" for name in REPORTERS} <= set(ran.stderr.splitlines())
    yield directory


def test_the_recording_gives_the_same_findings_and_verdict(written: Path) -> None:
    report = json.loads((written / "report.json").read_text())
    again = wscheck("verify", "--from", written / "report.ndjson", "--format", "json")
    assert again.code == 1, again.said
    output = json.loads(again.out)
    assert output["findings"] == report["findings"] != []
    assert (output["verdict"], output["reason"]) == (report["verdict"], report["reason"])


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / "docs" / "schemas" / file_name(name)).read_bytes())
    return jsonschema.Draft202012Validator(schema)


def test_json_matches_its_schema(written: Path) -> None:
    report = json.loads((written / "report.json").read_bytes())
    validator("wscheck.logs/1").validate(report)
    assert (report["users_seen"], report["connections"], report["most_open"]) == (3, 15, 2)
    assert report["levels"] == {"full": 38, "user": 1}


def test_every_line_of_the_recording_matches_its_schema(written: Path) -> None:
    output = lines((written / "report.ndjson").read_bytes())
    for line in output:
        validator("wscheck.events/1").validate(line)
    header, events = load_recording(written / "report.ndjson")
    assert header.target == "app.log"
    assert len(events) == sum("state" not in line for line in output) - 1 == 39
    assert {line["line"] for line in output if line.get("type") == "connected"} >= {1, 2}


def test_an_event_precedes_the_finding_that_it_causes(written: Path) -> None:
    output = lines((written / "report.ndjson").read_bytes())
    first = next(n for n, line in enumerate(output) if line.get("type") == "finding")
    assert output[first - 1]["type"] == "replaced"


def test_junit_and_html_are_valid(written: Path) -> None:
    etree.XMLSchema(etree.parse(ROOT / "tests" / "data" / "junit-10.xsd")).assertValid(
        etree.parse(written / "report.junit")
    )
    parsed((written / "report.html").read_text())


@pytest.mark.parametrize("name", ["terminal", "html"])
def test_the_report_contains_the_counts_and_the_replaced_user(written: Path, name: str) -> None:
    output = " ".join((written / f"report.{name}").read_text().split())
    assert "39 lines" in output
    assert "15 connected, 12 replaced, 12 disconnected" in output
    assert "1 record names a user but no socket id" in output
    assert "ada" in output and "whenever the server replaces it" in output


def test_the_step_summary_contains_the_table_of_users(written: Path) -> None:
    summary = written / "summary.md"
    ran = wscheck(
        "tail-logs", "--no-follow", "app.log", "--format", "github", cwd=written, GITHUB_STEP_SUMMARY=str(summary)
    )
    assert ran.out.startswith("::error ")
    assert "| ada | 13 | 12 | 2 | 1 |" in summary.read_text()


def test_a_pass_contains_the_counts_it_is_based_on(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    for n in range(3):
        server.disconnect(server.connect(f"user {n}", T + n), T + n + 0.5)
    ran = run_to_end("--no-follow", "app.log", "--users", "1", directory=tmp_path)
    assert ran.returncode == 0
    assert "✓ PASSED  3 users, 3 connections, at most one per user at a time" in ran.stdout


def test_the_node_backend_with_the_documented_fault(tmp_path: Path) -> None:
    with node_backend() as backend, TailProcess(backend.log, "--format", "ndjson", directory=tmp_path) as tail:
        fault = ("--client", "per-component", "--reconnect-on-kick", "100ms", "--scenario", "single-connection")
        assert wscheck("verify", backend.url, *fault, WSCHECK_TOKEN="token-of-user_123").code == 1
        wait_until(lambda: len(tail.incidents("opened")) >= 2)
        wait_until(
            lambda: len([e for e in tail.records if e.get("type") == "connected"]) == backend.counters()["connects"]
        )
        tail.end()
        opened = {(i["rule"], i["user"]) for i in tail.incidents("opened")}
    assert opened >= {("connection-replaced", "user_123"), ("excessive-attempts", "user_123")}


def test_a_loop_is_listed_before_an_earlier_single_replacement(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.replace("bea", server.connect("bea"))
    for _ in range(3):
        server.replace("ada", server.connect("ada"))
    ran = run_to_end("--no-follow", "app.log", "--format", "json", "--format=terminal=report", directory=tmp_path)
    report = json.loads(ran.stdout)
    replaced = [each for each in report["findings"] if each["rule"] == "connection-replaced"]
    assert [(each["user"], each["count"]) for each in replaced] == [("ada", 3), ("bea", 1)]
    assert report["reason"].startswith("ada: ")
    assert "ada: the server replaced the user's connection by a newer one, 3 times" in (tmp_path / "report").read_text()


@pytest.mark.parametrize("options", [("--no-follow",), ("--from-start", "--for", "1s")])
def test_the_first_unreadable_lines_are_shown_with_location_and_reason(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "app.log").write_text("WebSocket client connected socketId=abc userId=[x\n" * 7)
    ran = run_to_end(*options, "app.log", "--format", "json", directory=tmp_path)
    assert (ran.returncode, json.loads(ran.stdout)["unreadable"]) == (3, 7)
    output = [line.removeprefix("wscheck: ") for line in ran.stderr.splitlines() if "app.log:" in line]
    assert [line.partition(" looks like an event and cannot be read: ")[0] for line in output] == [
        f"app.log:{n}" for n in range(1, 6)
    ]
    assert all("where an id in this line starts or ends" in line for line in output)
    assert output[-1].endswith("; further such lines are only counted")
