"""`wscheck compare` as a user runs it: reports on disk, every format, and every way two files cannot be compared."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.cli import wscheck
from tests.report import runs
from tests.report.load_runs import duplicated, unified
from wscheck.model.findings import Verdict
from wscheck.model.report import Report
from wscheck.report import json as json_reporter

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "wscheck.compare-1.json"


def stored(directory: Path, name: str, report: Report) -> Path:
    path = directory / name
    path.write_bytes(json_reporter.render(report, []))
    return path


def test_load_reports_in_every_format(tmp_path: Path) -> None:
    before, after = stored(tmp_path, "b.json", duplicated()), stored(tmp_path, "a.json", unified())
    asked = [f"--format={name}={tmp_path / name}" for name in ("json", "markdown", "html", "junit")]
    ran = wscheck("compare", before, after, "--format", "terminal", *asked)
    assert ran.code == 0 and ran.err.startswith("wrote "), ran.said
    assert "connections replaced" in ran.out and "none left" in ran.out
    told = json.loads((tmp_path / "json").read_bytes())
    jsonschema.validate(told, json.loads(SCHEMA.read_bytes()))
    replaced = next(m for m in told["measures"] if m["id"] == "replaced")
    assert (replaced["before"], replaced["after"], replaced["change"]) == (2940, 0, "better")
    assert "| connections replaced | 2,940 | 0 |" in (tmp_path / "markdown").read_text()
    assert (tmp_path / "html").read_text().count('class="course"') >= 8


def test_verify_reports_and_a_worse_run_ends_in_1(tmp_path: Path) -> None:
    broken, mended = (stored(tmp_path, n, r()[0]) for n, r in (("b", runs.failing), ("m", runs.passing)))
    assert wscheck("compare", broken, mended).code == 0
    ran = wscheck("compare", mended, broken)
    assert ran.code == 1 and "Worse than before: connections of one user" in ran.out


def test_a_run_without_results_ends_with_3(tmp_path: Path) -> None:
    nothing = stored(tmp_path, "n", unified(verdict=Verdict.INCONCLUSIVE, connects=0))
    ran = wscheck("compare", stored(tmp_path, "b", duplicated()), nothing)
    assert ran.code == 3 and "showed nothing" in ran.out


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (None, 3, "cannot be read: No such file"),
        (b"", 3, "is not a wscheck report"),
        (b'{"schema": "wscheck.load/1", "conn', 3, "is not a wscheck report"),
        (b"[1, 2]", 3, "is not a wscheck report"),
        (b'{"schema": "wscheck.load/1"}', 3, "does not match its schema"),
        (b'{"schema": "wscheck.load/9"}', 3, "which this version of wscheck cannot read"),
        (b'{"schema": "wscheck.logs/1"}', 2, "cannot be compared"),
        (b"\xff\xfe\x00", 3, "is not a wscheck report"),
    ],
)
def test_an_unreadable_report_is_named(tmp_path: Path, content: bytes | None, code: int, said: str) -> None:
    good, bad = stored(tmp_path, "good.json", unified()), tmp_path / "bad.json"
    if content is not None:
        bad.write_bytes(content)
    ran = wscheck("compare", good, bad)
    assert ran.code == code
    assert f"{bad} " in ran.err and said in ran.err and "next: " in ran.err
    assert ran.out == "" and "Traceback" not in ran.err


def test_reports_of_two_kinds_are_rejected(tmp_path: Path) -> None:
    ran = wscheck("compare", stored(tmp_path, "l", unified()), stored(tmp_path, "v", runs.passing()[0]))
    assert ran.code == 2 and "they have no measure in common" in ran.err


def test_a_format_that_does_not_apply_is_rejected(tmp_path: Path) -> None:
    ran = wscheck("compare", tmp_path / "a", tmp_path / "b", "--format", "ndjson")
    assert ran.code == 2 and "This command does not support the format `ndjson`" in ran.err
