"""The run in one sentence: the worst finding, and how often the same was found, wherever that was."""

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


def test_what_was_found_in_several_scenarios_is_counted_as_a_whole() -> None:
    assert headline(finding(scenario="race"), finding(scenario="second-tab", count=3)) == (
        "ada: holds 2 connections, 5 times"
    )


@pytest.mark.parametrize("other", [finding(user="ben"), finding(user=None), finding("holds 3 connections")])
def test_what_others_did_or_what_else_was_found_is_not_counted_with_it(other: Finding) -> None:
    assert headline(finding(count=3), other) == "ada: holds 2 connections, 3 times"


def test_what_was_found_once_of_nobody_says_neither() -> None:
    assert headline(finding(user=None, count=1)) == "holds 2 connections"
