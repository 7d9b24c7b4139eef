"""Failures of a run that no finding explains.

They are crossed thresholds, comparisons in which a measured value became worse, and missing evidence with `--strict`.
"""

from collections.abc import Sequence

from wscheck.model.comparison import CompareReport
from wscheck.model.findings import Bar, Confidence, Finding, Severity, Verdict
from wscheck.model.load_report import LoadReport
from wscheck.model.report import Report, VerifyReport
from wscheck.report.load_figures import format_threshold
from wscheck.report.summary import DEFAULT_REASONS

NOT_CHECKED = "not-checked"
"""Rule of a failure because of missing evidence, for formats in which every result has a rule."""

NOT_CHECKED_HELP = "Evidence was missing, and `--strict` lets that fail the run. The message names what was missing."


def failures_without_finding(report: Report) -> list[Finding]:
    """Return a finding for each failure that the findings of the report do not explain.

    Formats that list findings would be empty otherwise, although the run failed.
    """
    if isinstance(report, LoadReport):
        crossed = [limit for limit in report.thresholds if limit.crossed]
        if crossed:
            return [_failure(limit.id, format_threshold(limit)) for limit in crossed]
    if report.verdict is not Verdict.FAILED:
        return []
    if isinstance(report, CompareReport):
        return [_failure("compare", report.reason)]
    if isinstance(report, VerifyReport):
        parts = [each for each in report.scenarios if each.verdict is Verdict.FAILED]
        unexplained = [each for each in parts if not _fails(each.findings, report)]
        if parts:
            return [_failure(NOT_CHECKED, f"{each.id}: {each.reason}") for each in unexplained]
    return [] if _fails(report.findings, report) else [_failure(NOT_CHECKED, report.reason)]


def _fails(findings: Sequence[Finding], report: Report) -> bool:
    """Return whether one of `findings` is severe enough to fail the run (option `--fail-on` of the report)."""
    return bool(Bar(fail_on=Severity(report.options.get("fail_on", Severity.ERROR))).failing(findings))


def _failure(rule: str, message: str) -> Finding:
    message = message or DEFAULT_REASONS[Verdict.FAILED]
    return Finding(rule=rule, severity=Severity.ERROR, confidence=Confidence.HIGH, user=None, message=message)
