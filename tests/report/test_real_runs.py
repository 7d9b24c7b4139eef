"""Outputs of real runs of `wscheck verify`: valid, complete and without the token."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest
from lxml import etree

from tests.report.html.test_page import parsed
from wscheck.observe.recording import load_recording
from wscheck.report import REPORTERS
from wscheck.report.schemas import file_name
from wscheck.run.verify.run import evaluate_recording

ROOT = Path(__file__).parents[2]
SCENARIO = ("--scenario", "single-connection", "--window", "1s")
TOKEN = "token-of-user_123"


@dataclass(frozen=True)
class Ran:
    """Finished run: exit code, output, and a file per format."""

    code: int
    printed: str
    files: dict[str, Path]


def run(directory: Path, *options: str) -> Ran:
    files = {name: directory / "deep" / f"report.{name}" for name in REPORTERS}
    summary = directory / "summary.md"
    formats = [part for name, path in files.items() for part in ("--format", f"{name}={path}")]
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "wscheck.cli",
            "verify",
            "--scenario",
            "single-connection",
            "--window",
            "1s",
            *options,
            *formats,
        ],
        cwd=directory,
        env={**os.environ, "GITHUB_STEP_SUMMARY": str(summary), "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout + ended.stderr, {**files, "summary": summary})


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(tmp_path_factory.mktemp("passed"))


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run(tmp_path_factory.mktemp("failed"), "--client", "per-component", "--reconnect-on-kick", "100ms")


def test_the_exit_codes(passed: Ran, failed: Ran) -> None:
    assert (passed.code, failed.code) == (0, 1), passed.printed + failed.printed


def test_every_format_contains_the_verdict(passed: Ran, failed: Ran) -> None:
    for ran, verdict in ((passed, "passed"), (failed, "failed")):
        text = {name: path.read_text() for name, path in ran.files.items()}
        assert json.loads(text["json"])["verdict"] == verdict
        assert f"wscheck: {verdict}" in text["summary"]
        assert verdict.upper() in text["terminal"]
        assert f'<header class="verdict {verdict}">' in text["html"]
        assert ('<testsuites name="wscheck" tests="1" failures="1"' in text["junit"]) is (verdict == "failed")
        assert ("::error " in text["github"]) is (verdict == "failed")


def test_a_failed_run_names_both_components_the_cause_the_fix_and_the_rate(failed: Ran) -> None:
    for name in ("terminal", "html", "junit", "github", "summary", "json"):
        output = failed.files[name].read_text()
        for words in ("multiple-connections", "connection-replaced", "Dashboard", "BotCreationWizard"):
            assert words.replace("-", r"\-") in output or words in output, (name, words)
        assert "two components each open a connection" in output, name
        assert "Open the connection in one module or provider" in output, name
    assert "/s" in failed.files["terminal"].read_text().split("FAILED")[1]
    loops = [f for f in json.loads(failed.files["json"].read_bytes())["findings"] if f["rule"] == "connection-replaced"]
    assert len(loops) == 1 and loops[0]["count"] > 2 and loops[0]["rate"] > 1


def test_json_junit_sarif_and_html_are_well_formed(passed: Ran, failed: Ran) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / file_name("wscheck.verify/1")).read_bytes())
    junit = etree.XMLSchema(etree.parse(ROOT / "tests" / "data" / "junit-10.xsd"))
    sarif = jsonschema.Draft7Validator(json.loads((ROOT / "tests" / "data" / "sarif-schema-2.1.0.json").read_bytes()))
    for ran in (passed, failed):
        jsonschema.validate(json.loads(ran.files["json"].read_bytes()), schema)
        junit.assertValid(etree.parse(ran.files["junit"]))
        sarif.validate(json.loads(ran.files["sarif"].read_bytes()))
        parsed(ran.files["html"].read_text())


def test_the_recording_yields_the_same_verdict_and_findings(passed: Ran, failed: Ran) -> None:
    for ran in (passed, failed):
        output = json.loads(ran.files["json"].read_bytes())
        header, events = load_recording(ran.files["ndjson"])
        report = evaluate_recording(ran.files["ndjson"]).report
        assert header.events == len(events) > 5
        assert report.verdict == output["verdict"]
        assert [(f.rule, f.count) for f in report.findings] == [(f["rule"], f["count"]) for f in output["findings"]]


def test_a_unified_page_is_drawn_as_one_lane_shared_by_both_components(passed: Ran) -> None:
    page = parsed(passed.files["html"].read_text())
    lanes = [
        str(attributes["aria-label"]) for tag, attributes in page.tags if tag == "li" and "aria-label" in attributes
    ]
    assert "opened by Dashboard" in lanes[0] and "shared with BotCreationWizard" in lanes[0]
    assert page.text.count("1 connection, 0 replacements") == 1


def test_no_output_contains_the_token(passed: Ran, failed: Ran) -> None:
    for ran in (passed, failed):
        assert TOKEN not in ran.printed
        for name, path in ran.files.items():
            assert TOKEN not in path.read_text(), name
