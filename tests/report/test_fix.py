"""Fix of a finding with and without a known cause."""

import html

import pytest

from tests.report import runs
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Confidence, Finding, Severity, Verdict
from wscheck.model.report import ScenarioResult, VerifyReport
from wscheck.report import REPORTERS
from wscheck.report.summary import first_fix

FIX = "replace the old one rather than refuse it."
TELLS = [name for name in REPORTERS if name not in ("json", "ndjson")]


def held(severity: Severity = Severity.ERROR) -> Finding:
    return Finding(
        rule="zombie-held", severity=severity, confidence=Confidence.HIGH, user="user_123", message="still held"
    )


def run_with(finding: Finding, verdict: Verdict = Verdict.FAILED) -> VerifyReport:
    return runs.report(ScenarioResult(id="zombie", verdict=verdict, findings=[finding]))


@pytest.mark.parametrize("name", TELLS)
def test_a_finding_without_cause_has_the_fix_of_its_rule(name: str) -> None:
    output = REPORTERS[name]()(run_with(held()), [])
    text = html.unescape(output.decode() if isinstance(output, bytes) else output)
    assert FIX in " ".join(text.split()), text


def test_a_warning_has_the_fix_of_its_rule() -> None:
    output = REPORTERS["terminal"]()(run_with(held(Severity.WARNING), Verdict.PASSED), [])
    assert "Fix: Ping, and end the connection" in str(output)


def test_the_first_fix_without_cause_is_that_of_the_rule() -> None:
    assert first_fix(run_with(held())) == REGISTRY["zombie-held"].fix
