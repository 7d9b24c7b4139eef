"""Text of grouped findings."""

from wscheck.model.findings import Confidence, Finding, Severity
from wscheck.report.finding_text import group_findings, group_messages


def replaced(user: str | None, count: int) -> Finding:
    return Finding(
        rule="connection-replaced",
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        user=user,
        message="replaced",
        count=count,
    )


def test_a_count_that_includes_unnamed_users_says_so() -> None:
    group = group_findings([replaced("ada", 1), replaced(None, 3)])
    assert group_messages(group) == [("replaced", "4 times, for ada and users without a name")]


def test_a_count_of_named_users_names_them() -> None:
    group = group_findings([replaced("ada", 1), replaced("ben", 3)])
    assert group_messages(group) == [("replaced", "4 times, for ben, ada")]
