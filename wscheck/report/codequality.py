"""Findings as a code quality report of GitLab (the format of Code Climate), on the lines that cause them.

Source: GitLab documentation, "Code Quality", implement a custom tool.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from wscheck.model.events import AnyEvent
from wscheck.model.findings import Severity
from wscheck.model.report import Report
from wscheck.report import json_text
from wscheck.report.failures_without_finding import failures_without_finding
from wscheck.report.finding_text import OpenerIndex, group_findings, group_lines
from wscheck.report.formatting import one_line
from wscheck.report.locations import CONFIGURATION, fingerprint, group_by_location, is_in_checkout

_SEVERITIES = {Severity.ERROR: "major", Severity.WARNING: "minor", Severity.NOTE: "info"}


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """Return the findings as a JSON list, one entry per rule, cause and location, the most severe first.

    GitLab rejects an entry without a file, so a finding without a file is on the first line of wscheck.toml.
    """
    openers, seen, entries = OpenerIndex(events), Counter[str](), []
    all_findings = [*report.findings, *failures_without_finding(report)]
    for place, findings in group_by_location(all_findings, openers, is_in_checkout):
        group = group_findings(findings)
        code = place.location if place is not None else CONFIGURATION
        identity = fingerprint(group.finding, code)
        seen[identity] += 1
        entry: dict[str, Any] = {
            "description": "; ".join(map(one_line, group_lines(group, openers.openers_for(group.finding)))),
            "check_name": group.finding.rule,
            # GitLab shows only one of several entries with the same fingerprint.
            "fingerprint": identity if seen[identity] == 1 else f"{identity}-{seen[identity]}",
            "severity": _SEVERITIES[group.finding.severity],
            "location": {"path": code.file, "lines": {"begin": max(code.line, 1)}},
        }
        entries.append(entry)
    return json_text.encode_document(entries)
