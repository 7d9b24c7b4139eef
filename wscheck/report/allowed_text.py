"""Text about allowed findings and the policy, for every report format."""

from wscheck.model.findings import Finding
from wscheck.model.policy import UNDECIDED
from wscheck.model.report import Report
from wscheck.report.finding_text import total_frequency
from wscheck.report.formatting import one_line, plural


def allowed_lines(report: Report) -> list[str]:
    """Return one line per rule, message and reason of the allowed findings."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in report.allowed:
        key = finding.rule, one_line(finding.message), one_line(finding.allowed or "")
        groups.setdefault(key, []).append(finding)
    return [
        f"{rule}: {message}, {total_frequency(group)}: allowed, {reason}"
        for (rule, message, reason), group in groups.items()
    ]


def allow_note_lines(report: Report) -> list[str]:
    """Return one line per remark about the allow-list, and one if the policy is not set: `severity: remark`."""
    lines = [f"{note.severity}: {one_line(note.text)}" for note in report.allow_notes]
    if UNDECIDED in report.gaps:
        lines.append(f"note: {UNDECIDED.reason}: write {UNDECIDED.closes_with}")
    return lines


def allowed_count(report: Report) -> str:
    """Return for example "2 allowed findings", "" without any."""
    return plural(len(report.allowed), "allowed finding") if report.allowed else ""
