"""SARIF 2.1.0: findings on the lines that cause them, as GitHub's code scanning and editors show them.

One result for each rule, cause and place. What points into no file is a notification of the run, since GitHub refuses
a result without a place; so is what could not be judged. Source: OASIS SARIF 2.1.0; GitHub's "SARIF support".
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

import msgspec

from wscheck import __version__
from wscheck.detect.causes import causes_of_rule
from wscheck.detect.rules import REGISTRY, Rule
from wscheck.model.events import AnyEvent, CodeLocation
from wscheck.model.findings import Finding, Verdict
from wscheck.model.report import Report
from wscheck.report import story
from wscheck.report.formatting import escape_control, one_line
from wscheck.report.locations import Spot, grouped, is_file, spots

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
RELATED = 20
"""Further places told of one result."""

Json = dict[str, Any]


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """One run of one tool, indented, ending in a line feed."""
    openings = story.Openings(events)
    groups = grouped(report.findings, openings, is_file)
    names = list(dict.fromkeys(finding.rule for finding in report.findings))
    told = [_result(spot, group, names, openings) for spot, group in groups if spot is not None]
    notices = [_notification(group, openings) for spot, group in groups if spot is None]
    run = {
        "tool": {"driver": {**_DRIVER, "rules": [_descriptor(name) for name in names]}},
        "invocations": [_invocation(report, notices)],
        "columnKind": "utf16CodeUnits",
        "results": told,
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(log), indent=2) + b"\n"


_DRIVER = {"name": "wscheck", "version": __version__, "semanticVersion": __version__}


def _result(spot: Spot, group: Sequence[Finding], names: Sequence[str], openings: story.Openings) -> Json:
    finding = group[0]
    found = spots(finding, openings.of(finding))
    result: Json = {
        "ruleId": finding.rule,
        "ruleIndex": names.index(finding.rule),
        "level": finding.severity.value,
        "message": {"text": _text(group, openings)},
        "locations": [_location(spot)],
        "partialFingerprints": {"primaryLocationLineHash": _fingerprint(finding, spot.place)},
        "occurrenceCount": sum(each.count for each in group),
        "properties": _properties(group),
    }
    if related := [other for other in found if other != spot][:RELATED]:
        result["relatedLocations"] = [_location(other, number) for number, other in enumerate(related, 1)]
    if (flow := _flow(finding)) is not None:
        result["codeFlows"] = [flow]
    return result


def _text(group: Sequence[Finding], openings: story.Openings) -> str:
    strand = story.Strand(group[0], tuple(group[1:]))
    return "\n".join(map(one_line, story.lines(strand, openings.of(group[0]))))


def _location(spot: Spot, number: int | None = None) -> Json:
    place = spot.place
    region = {"startLine": max(place.line, 1)} | ({"startColumn": place.column} if place.line and place.column else {})
    location: Json = {"physicalLocation": {"artifactLocation": _artifact(place.file), "region": region}}
    if place.function:
        location["logicalLocations"] = [{"name": escape_control(place.function), "kind": "function"}]
    if number is not None:
        location |= {"id": number, "message": {"text": spot.said}}
    return location


def _artifact(file: str) -> Json:
    path = PurePosixPath(file.replace("\\", "/"))
    if path.is_absolute():
        return {"uri": f"file://{quote(str(path))}"}
    return {"uri": quote(str(path)), "uriBaseId": "%SRCROOT%"}


def _fingerprint(finding: Finding, place: CodeLocation) -> str:
    """The same for the same fault in a later run, also after lines have moved where the function is known."""
    where = place.function or str(place.line)
    told = "|".join((finding.rule, finding.cause.id if finding.cause else "", place.file, where))
    return f"{hashlib.sha256(told.encode(errors='replace')).hexdigest()[:16]}:1"


def _properties(group: Sequence[Finding]) -> Json:
    finding = group[0]
    users = list(dict.fromkeys(escape_control(each.user) for each in group if each.user))
    told = {"confidence": finding.confidence.value, "cause": finding.cause and finding.cause.id, "rate": finding.rate}
    return {**{key: value for key, value in told.items() if value is not None}, "users": users[:RELATED]}


def _flow(finding: Finding) -> Json | None:
    """The chain of events, where they were logged: a story that a viewer can step through."""
    logged = [event for event in finding.evidence if event.path and event.path != "-" and event.line]
    if len(logged) < 2:
        return None
    steps = [
        Spot(
            CodeLocation(event.path or "", event.line or 0),
            one_line(f"{event.__struct_config__.tag} {event.user or ''}"),
        )
        for event in logged
    ]
    locations = [{"location": {**_location(step), "message": {"text": step.said}}} for step in steps]
    return {"threadFlows": [{"locations": locations}]}


def _descriptor(name: str) -> Json:
    rule = REGISTRY.get(name)
    if rule is None:
        return {"id": name, "shortDescription": {"text": name}, "help": {"text": f"wscheck explain {name}"}}
    return {
        "id": name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.meaning},
        "help": {"text": _help(rule, "{}: {}"), "markdown": _help(rule, "**{}**: {}")},
        "defaultConfiguration": {"level": rule.severity.value},
        "properties": {"tags": ["socket.io", "websocket"], "precision": "high"},
    }


def _help(rule: type[Rule], row: str) -> str:
    rows = [("Means", rule.meaning), ("Fix", rule.fix), ("Comes from", rule.source)]
    rows += [(f"If {doc.id} ({doc.name})", doc.fix) for doc in causes_of_rule(rule.id)]
    return "\n\n".join(row.format(label, said) for label, said in rows)


def _invocation(report: Report, notices: list[Json]) -> Json:
    could_not = report.verdict is Verdict.INCONCLUSIVE or report.interrupted
    if could_not:
        reason = "the run was interrupted: this is partial" if report.interrupted else one_line(report.reason)
        notices = [*notices, {"level": "warning", "message": {"text": f"{one_line(report.target)}: {reason}"}}]
    told: Json = {"executionSuccessful": not could_not, "toolExecutionNotifications": notices}
    if report.started_at is not None:
        ended = report.started_at + report.duration_s
        told |= {"startTimeUtc": _utc(report.started_at), "endTimeUtc": _utc(ended)}
    return told


def _notification(group: Sequence[Finding], openings: story.Openings) -> Json:
    finding = group[0]
    text = f"{finding.rule}: {_text(group, openings)}"
    return {"level": finding.severity.value, "message": {"text": text}, "associatedRule": {"id": finding.rule}}


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
