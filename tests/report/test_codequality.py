"""Code quality report of GitLab: required fields, unique fingerprints, locations in the repository."""

import json
from typing import Any

import msgspec

from tests.report import runs
from wscheck.model.events import AnyEvent
from wscheck.model.findings import Severity
from wscheck.model.report import Report
from wscheck.report.codequality import render


def entries(report: Report, events: list[AnyEvent]) -> list[dict[str, Any]]:
    found = json.loads(render(report, events))
    for each in found:
        assert set(each) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert not each["location"]["path"].startswith(("/", "..")) and each["location"]["lines"]["begin"] >= 1
    return list(found)


def test_a_finding_is_on_the_line_that_opened_the_connection() -> None:
    first = entries(*runs.failing())[0]
    assert first["check_name"] == "multiple-connections" and first["severity"] == "major"
    assert first["location"] == {"path": "src/app/(dashboard)/dashboard/page.tsx", "lines": {"begin": 42}}
    assert "fix: Open the connection in one module or provider" in first["description"]


def test_a_finding_without_a_file_is_on_the_configuration() -> None:
    report, _ = runs.failing()
    report.findings = [msgspec.structs.replace(report.findings[0], evidence=[])]
    assert entries(report, [])[0]["location"]["path"] == "wscheck.toml"


def test_no_two_entries_have_one_fingerprint() -> None:
    report, events = runs.failing()
    first = report.findings[0]
    report.findings = [first, msgspec.structs.replace(first, severity=Severity.NOTE)]
    fingerprints = [each["fingerprint"] for each in entries(report, events)]
    assert len(set(fingerprints)) == 2
    assert fingerprints == [each["fingerprint"] for each in entries(report, events)]


def test_a_run_without_findings_is_an_empty_list() -> None:
    assert entries(*runs.passing()) == []
