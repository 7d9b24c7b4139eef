"""A failed run without a finding has a result in every format that lists findings."""

import json

import jsonschema
import pytest

from tests.report import runs
from tests.report.test_sarif import DATA
from wscheck.model.findings import Severity, Verdict
from wscheck.model.report import Report, ScanReport
from wscheck.report import codequality, github, sarif
from wscheck.report.failures_without_finding import failures_without_finding

WHY = "no call that opens a connection was found in 3 source files"


def strict_scan() -> ScanReport:
    options = {"fail_on": "error", "strict": True}
    return ScanReport(schema="wscheck.scan/1", target="src", verdict=Verdict.FAILED, reason=WHY, options=options)


def test_annotations_sarif_and_code_quality_have_the_reason() -> None:
    report = strict_scan()
    assert f"::error title=wscheck%3A not-checked::{WHY}\n" in github.render(report, [])
    document = json.loads(sarif.render(report, []))
    jsonschema.Draft7Validator(json.loads((DATA / "sarif-schema-2.1.0.json").read_bytes())).validate(document)
    (result,) = document["runs"][0]["results"]
    assert result["ruleId"] == "not-checked" and WHY in result["message"]["text"]
    (rule,) = document["runs"][0]["tool"]["driver"]["rules"]
    assert "--strict" in rule["help"]["text"]
    (entry,) = json.loads(codequality.render(report, []))
    assert entry["location"]["path"] == "wscheck.toml" and WHY in entry["description"]


def test_a_warning_does_not_explain_the_failure_of_missing_evidence() -> None:
    report = strict_scan()
    report.findings = [runs.failing()[0].findings[0]]
    report.findings[0].severity = Severity.WARNING
    assert [each.message for each in failures_without_finding(report)] == [WHY]
    report.options["fail_on"] = "warning"
    assert failures_without_finding(report) == []


def test_each_scenario_that_failed_without_a_finding_is_named() -> None:
    report = runs.failing()[0]
    assert failures_without_finding(report) == []
    first = report.scenarios[0]
    first.verdict, first.reason, first.findings = Verdict.FAILED, "the server sent no event", []
    assert [each.message for each in failures_without_finding(report)] == [f"{first.id}: the server sent no event"]


@pytest.mark.parametrize("report", [runs.passing()[0], strict_scan()])
def test_a_run_that_did_not_fail_has_none(report: Report) -> None:
    report.verdict = Verdict.INCONCLUSIVE
    assert failures_without_finding(report) == []
