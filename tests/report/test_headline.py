"""Headline: the most severe finding and its frequency over all scenarios."""

import pytest

from wscheck.model.findings import Confidence, Finding, Severity, Verdict
from wscheck.model.report import VerifyReport
from wscheck.report import summary


def finding(
    message: str = "holds 2 connections", user: str | None = "ada", count: int = 2, scenario: str | None = None
) -> Finding:
    return Finding(
        rule="multiple-connections",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        user=user,
        message=message,
        count=count,
        scenario=scenario,
    )


def headline(*findings: Finding) -> str:
    report = VerifyReport(schema="s", target="t", client="unified", verdict=Verdict.FAILED, findings=list(findings))
    return summary.headline(report)


def test_findings_of_several_scenarios_are_counted_together() -> None:
    assert headline(finding(scenario="race"), finding(scenario="second-tab", count=3)) == (
        "ada: holds 2 connections, 5 times"
    )


@pytest.mark.parametrize("other", [finding(user="ben"), finding(user=None), finding("holds 3 connections")])
def test_findings_of_another_user_or_message_are_not_counted_together(other: Finding) -> None:
    assert headline(finding(count=3), other) == "ada: holds 2 connections, 3 times"


def test_a_single_finding_without_user_has_neither_user_nor_count() -> None:
    assert headline(finding(user=None, count=1)) == "holds 2 connections"
