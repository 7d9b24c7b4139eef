"""Text of grouped findings."""

from wscheck.model.findings import Cause, Confidence, Finding, Severity
from wscheck.report.finding_text import group_findings, group_messages, labelled_facts


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


def test_a_second_cause_is_shown_with_its_evidence_and_fix() -> None:
    finding = replaced("ada", 1)
    finding.other_causes = [Cause("x", "a component leaves", "Close it.", Confidence.HIGH, "b.js:3 opened two")]
    also = [text for label, text in labelled_facts(finding, []) if label == "also"]
    assert also == ["a component leaves (high confidence): b.js:3 opened two. Close it."]
