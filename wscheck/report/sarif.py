"""Findings as SARIF 2.1.0 on the lines that cause them, for GitHub's code scanning and editors.

There is one result per rule, cause and location. GitHub rejects a result without a location, so a finding without a
file is on the first line of wscheck.toml. The reason of an inconclusive run is a notification of the invocation.

Source: OASIS SARIF 2.1.0; GitHub documentation, "SARIF support for code scanning".
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from wscheck import __version__
from wscheck.detect.causes import causes_for_rule
from wscheck.detect.rules import RULE_DOCS, RuleDoc
from wscheck.model.code_facts import Patch
from wscheck.model.events import AnyEvent, CodeLocation
from wscheck.model.findings import Finding, Verdict
from wscheck.model.report import Report
from wscheck.report import json_text, links
from wscheck.report.failures_without_finding import NOT_CHECKED, NOT_CHECKED_HELP, failures_without_finding
from wscheck.report.finding_text import FindingGroup, OpenerIndex, group_lines
from wscheck.report.formatting import escape_control, one_line
from wscheck.report.locations import (
    CONFIGURATION,
    FindingLocation,
    finding_locations,
    fingerprint,
    group_by_location,
    is_file_location,
)

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

RELATED_LOCATIONS = 20
"""Largest number of related locations per result."""

_LINK_START = re.compile(r"\[(?=[^\[\]]*\]\()")

USERS = 20
"""Largest number of users that a result names."""

Json = dict[str, Any]

_NO_FILE = FindingLocation(CONFIGURATION, "the configuration of this run")

_DRIVER = {"name": "wscheck", "version": __version__, "semanticVersion": __version__}


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """Return the findings as one SARIF document, as indented JSON."""
    openers = OpenerIndex(events)
    findings = [*report.findings, *failures_without_finding(report)]
    groups = group_by_location(findings, openers, is_file_location)
    allowed = [
        (location, group)
        for location, same in group_by_location(report.allowed, openers, is_file_location)
        for group in _by_reason(same)
    ]
    rules = list(dict.fromkeys(finding.rule for finding in (*findings, *report.allowed)))
    results = [_result(location or _NO_FILE, group, rules, openers) for location, group in (*groups, *allowed)]
    notifications: list[Json] = [
        {"level": note.severity.value, "message": {"text": _plain_text(note.text)}} for note in report.allow_notes
    ]
    run = {
        "tool": {"driver": {**_DRIVER, "rules": [_rule_descriptor(rule) for rule in rules]}},
        "invocations": [_invocation(report, notifications)],
        "columnKind": "utf16CodeUnits",
        "results": results,
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json_text.encode_document(log)


def _result(location: FindingLocation, group: Sequence[Finding], rules: Sequence[str], openers: OpenerIndex) -> Json:
    finding = group[0]
    result: Json = {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": finding.severity.value,
        "message": {"text": _message(group, openers)},
        "locations": [_location(location)],
        "partialFingerprints": {"primaryLocationLineHash": f"{fingerprint(finding, location.location)}:1"},
        "occurrenceCount": sum(each.count for each in group),
        "properties": _properties(group),
    }
    if finding.allowed is not None:
        result["suppressions"] = [{"kind": "external", "justification": one_line(finding.allowed)}]
    others = [each for each in finding_locations(finding, openers.openers_for(finding)) if each != location]
    if others:
        result["relatedLocations"] = [
            _location(other, number) for number, other in enumerate(others[:RELATED_LOCATIONS], 1)
        ]
    patches = [finding.patch for finding in group if finding.patch is not None]
    if fixes := [_fix(patch) for number, patch in enumerate(patches) if patch not in patches[:number]]:
        result["fixes"] = fixes
    if (flow := _code_flow(finding)) is not None:
        result["codeFlows"] = [flow]
    return result


def _fix(patch: Patch) -> Json:
    replacements = [
        {
            "deletedRegion": {
                "startLine": each.line,
                "startColumn": each.column,
                "endLine": each.end_line,
                "endColumn": each.end_column,
            },
            "insertedContent": {"text": each.text},
        }
        for each in patch.replacements
    ]
    change = {"artifactLocation": _artifact(patch.file), "replacements": replacements}
    return {"description": {"text": "Add the missing cleanup"}, "artifactChanges": [change]}


def _by_reason(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Group allowed findings by the reason why they are allowed."""
    groups: dict[str | None, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.allowed, []).append(finding)
    return list(groups.values())


def _message(group: Sequence[Finding], openers: OpenerIndex) -> str:
    lines = group_lines(FindingGroup(group[0], tuple(group[1:])), openers.openers_for(group[0]))
    return "\n".join(map(_plain_text, lines))


def _plain_text(text: str) -> str:
    """Return `text` as one line, escaped so that no viewer shows a link in it (SARIF 2.1.0, section 3.11.6)."""
    return _LINK_START.sub(r"\\[", one_line(text))


def _location(described: FindingLocation, number: int | None = None) -> Json:
    code = described.location
    region = {"startLine": max(code.line, 1)} | ({"startColumn": code.column} if code.line and code.column else {})
    location: Json = {"physicalLocation": {"artifactLocation": _artifact(code.file), "region": region}}
    if code.function:
        location["logicalLocations"] = [{"name": escape_control(code.function), "kind": "function"}]
    if number is not None:
        location |= {"id": number, "message": {"text": _plain_text(described.description)}}
    return location


def _artifact(file: str) -> Json:
    path = PurePosixPath(file.replace("\\", "/"))
    if path.is_absolute():
        return {"uri": "file://" + quote(str(path), errors="replace")}
    return {"uri": quote(str(path), errors="replace"), "uriBaseId": "%SRCROOT%"}


def _properties(group: Sequence[Finding]) -> Json:
    finding = group[0]
    users = list(dict.fromkeys(escape_control(each.user) for each in group if each.user))
    known = {"confidence": finding.confidence.value, "cause": finding.cause and finding.cause.id, "rate": finding.rate}
    return {**{key: value for key, value in known.items() if value is not None}, "users": users[:USERS]}


def _code_flow(finding: Finding) -> Json | None:
    """Return the log lines in the evidence as a SARIF code flow, in which a viewer steps from one to the next.

    Return None for fewer than two lines.
    """
    steps = [
        FindingLocation(
            CodeLocation(event.path, event.line), one_line(f"{event.__struct_config__.tag} {event.user or ''}")
        )
        for event in finding.evidence
        if event.path and event.path != "-" and event.line and is_file_location(CodeLocation(event.path, event.line))
    ]
    if len(steps) < 2:
        return None
    locations = [
        {"location": {**_location(step), "message": {"text": _plain_text(step.description)}}} for step in steps
    ]
    return {"threadFlows": [{"locations": locations}]}


def _rule_descriptor(name: str) -> Json:
    rule = RULE_DOCS.get(name)
    if rule is None:
        text = NOT_CHECKED_HELP if name == NOT_CHECKED else f"wscheck explain {name}"
        return {"id": name, "shortDescription": {"text": name}, "help": {"text": text}}
    return {
        "id": name,
        "helpUri": links.rule_address(name),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.meaning},
        "help": {"text": _help(rule, "{}: {}"), "markdown": _help(rule, "**{}**: {}")},
        "defaultConfiguration": {"level": rule.severity.value},
        "properties": {"tags": ["socket.io", "websocket"], "precision": "high"},
    }


def _help(rule: type[RuleDoc], template: str) -> str:
    rows = [("Meaning", rule.meaning), ("Fix", rule.fix), ("Source", rule.source)]
    rows += [(f"If the cause is {cause.id} ({cause.name})", cause.fix) for cause in causes_for_rule(rule.id)]
    return "\n\n".join(template.format(label, text) for label, text in rows)


def _invocation(report: Report, notifications: list[Json]) -> Json:
    has_no_verdict = report.verdict is Verdict.INCONCLUSIVE or report.interrupted
    if has_no_verdict:
        reason = "the run was interrupted: this report is partial" if report.interrupted else one_line(report.reason)
        text = f"{one_line(report.target)}: {reason}"
        notifications = [*notifications, {"level": "warning", "message": {"text": _plain_text(text)}}]
    invocation: Json = {"executionSuccessful": not has_no_verdict, "toolExecutionNotifications": notifications}
    if report.started_at is not None:
        end = report.started_at + report.duration_s
        invocation |= {"startTimeUtc": _format_utc(report.started_at), "endTimeUtc": _format_utc(end)}
    return invocation


def _format_utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
