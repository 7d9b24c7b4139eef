"""Whoever reads of a finding reads what to change, whether its cause is known or not."""

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
def test_without_a_cause_it_is_the_fix_of_the_rule(name: str) -> None:
    told = REPORTERS[name]()(run_with(held()), [])
    text = html.unescape(told.decode() if isinstance(told, bytes) else told)
    assert FIX in " ".join(text.split()), text


def test_also_of_what_does_not_fail_the_run() -> None:
    told = REPORTERS["terminal"]()(run_with(held(Severity.WARNING), Verdict.PASSED), [])
    assert "Fix: Leave pingInterval" in str(told)


def test_and_in_the_one_sentence_for_whoever_reads_only_one() -> None:
    assert first_fix(run_with(held())) == REGISTRY["zombie-held"].fix
