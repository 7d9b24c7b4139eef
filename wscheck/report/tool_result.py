"""Results of the tools that `wscheck mcp` offers, for coding agents (docs/mcp.md).

Every text of a result is data: as in the other reports, control characters are escaped, and secrets are replaced.
Findings with the same rule and cause are one entry, so that a thousand users do not fill an agent's context.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from wscheck.model.events import AnyEvent, CodeLocation
from wscheck.model.findings import Cause, Finding
from wscheck.model.gaps import Gap
from wscheck.model.report import BrowserReport, LogsReport, Report, ScanReport, Scope
from wscheck.report import finding_text, log_figures, scan_figures, summary
from wscheck.report.finding_text import FindingGroup, OpenerIndex
from wscheck.report.formatting import escape_control, one_line
from wscheck.report.links import cause_address, rule_address
from wscheck.report.locations import finding_locations

CHECK_SCHEMA, EXPLANATION_SCHEMA = "wscheck.check/1", "wscheck.explanation/1"

MAX_FINDINGS, MAX_PLACES, MAX_USERS, MAX_GAPS, MAX_NOTES = 20, 10, 10, 20, 20
MAX_OPENINGS = 30
MAX_DIFFS = 5
"""Largest number of diffs of one entry."""


class CheckedPlace(msgspec.Struct, kw_only=True):
    """Line of a file that shows a problem. `what` describes the code or the event in this line."""

    file: str
    line: int
    column: int
    what: str = ""


class CheckedOpening(CheckedPlace, kw_only=True):
    """Place in the code that opens connections, even if nothing is wrong with it.

    what   the part of the program that runs the call, or the component
    url    URL of the connection; the text of the expression, if only the source code was read
    count  number of connections that a page opened here, 0 if only the source code was read
    """

    url: str
    count: int = 0


class CheckedFinding(msgspec.Struct, kw_only=True):
    """Findings with the same rule and cause.

    messages    the problem, in sentences, with its frequency
    users       the first users of the findings
    user_count  number of users
    count       number of occurrences
    fix         what to change
    places      places in the code, or in the log, the most useful first
    diffs       changes of the source code that remove the problem, as unified diffs
    help        address of the explanation
    """

    rule: str
    severity: str
    confidence: str
    messages: list[str]
    users: list[str]
    user_count: int
    count: int
    cause: Cause | None
    other_causes: list[Cause]
    fix: str
    places: list[CheckedPlace]
    diffs: list[str]
    help: str


class CheckResult(msgspec.Struct, kw_only=True):
    """Result of a check.

    summary            the verdict, and one sentence about it
    findings           the problems, the most severe first
    findings_left_out  number of problems that are not in `findings`
    openings           places that open connections, with or without a problem; only for pages and source code
    openings_left_out  number of places that are not in `openings`
    allowed            number of findings that the allow-list or the baseline permits
    gaps               missing evidence
    notes              amount and limits of the evidence, in sentences
    scope              what was checked and what was not, None if nothing was
    next_command       the command to run next, "" if nothing is left to do
    """

    schema: str = CHECK_SCHEMA
    summary: list[str]
    verdict: str
    target: str
    findings: list[CheckedFinding]
    findings_left_out: int
    openings: list[CheckedOpening]
    openings_left_out: int
    allowed: int
    gaps: list[Gap]
    notes: list[str]
    scope: Scope | None
    next_command: str
    interrupted: bool
    duration_s: float


class ExplainedFact(msgspec.Struct, kw_only=True):
    """Paragraph of an explanation. `label` is "" if the paragraph has no label."""

    label: str
    text: str


class ExplainedId(msgspec.Struct, kw_only=True):
    """Explanation of an id. `kind`: "rule", "cause", "scenario", "gap" or "error"."""

    id: str
    kind: str
    title: str
    facts: list[ExplainedFact]


class ExplanationResult(msgspec.Struct, kw_only=True):
    """Explanation of the requested rule, cause or other id, or the titles of all ids if none was requested."""

    schema: str = EXPLANATION_SCHEMA
    explanations: list[ExplainedId]


def check_result(report: Report, events: Sequence[AnyEvent]) -> CheckResult:
    """Return the result for a finished report, from which all secrets were removed."""
    index = OpenerIndex(events)
    groups = [group for problem in finding_text.group_by_problem(report.findings) for group in problem]
    openings = _openings(report)
    notes = [*_notes(report), *(note.text for note in report.allow_notes)]
    result = CheckResult(
        summary=summary.opening_lines(report),
        verdict=report.verdict,
        target=one_line(report.target),
        findings=[_finding(group, index) for group in groups[:MAX_FINDINGS]],
        findings_left_out=max(len(groups) - MAX_FINDINGS, 0),
        openings=openings[:MAX_OPENINGS],
        openings_left_out=max(len(openings) - MAX_OPENINGS, 0),
        allowed=len(report.allowed),
        gaps=list(dict.fromkeys(report.gaps))[:MAX_GAPS],
        notes=list(dict.fromkeys(notes))[:MAX_NOTES],
        scope=report.scope,
        next_command=summary.next_command(report) or "",
        interrupted=report.interrupted,
        duration_s=report.duration_s,
    )
    return msgspec.convert(_escaped(msgspec.to_builtins(result)), CheckResult)


def _finding(group: FindingGroup, index: OpenerIndex) -> CheckedFinding:
    finding, everyone = group.finding, (group.finding, *group.others)
    users = list(dict.fromkeys(each.user for each in everyone if each.user is not None))
    diffs = dict.fromkeys(each.patch.diff for each in everyone if each.patch is not None)
    address = cause_address(finding.cause.id) if finding.cause is not None else rule_address(finding.rule)
    return CheckedFinding(
        rule=finding.rule,
        severity=finding.severity,
        confidence=finding.confidence,
        messages=[
            f"{message} ({scope})" if scope else message for message, scope in finding_text.group_messages(group)
        ],
        users=users[:MAX_USERS],
        user_count=len(users),
        count=sum(each.count for each in everyone),
        cause=finding.cause,
        other_causes=finding.other_causes,
        fix=finding_text.fix_text(finding),
        places=_places(everyone, index),
        diffs=list(diffs)[:MAX_DIFFS],
        help=address or "",
    )


def _notes(report: Report) -> Sequence[str]:
    """Return sentences about the amount and the limits of the evidence that was read."""
    if isinstance(report, BrowserReport):
        return report.notes
    if isinstance(report, LogsReport):
        return log_figures.log_facts(report)
    return scan_figures.scan_facts(report) if isinstance(report, ScanReport) else ()


def _openings(report: Report) -> list[CheckedOpening]:
    """Return the places that open connections, each once."""
    found: dict[tuple[str, int, int], CheckedOpening] = {}
    if isinstance(report, ScanReport):
        for call in report.openings:
            _add_opening(found, call.location, f"{call.api} in {call.context}", call.url)
    if isinstance(report, BrowserReport):
        for connection in report.connections:
            if (place := connection.diverges_at or connection.opener) is not None:
                _add_opening(found, place, place.function, connection.endpoint, count=1)
    return list(found.values())


def _add_opening(
    found: dict[tuple[str, int, int], CheckedOpening], place: CodeLocation, what: str, url: str, *, count: int = 0
) -> None:
    new = CheckedOpening(file=place.file, line=place.line, column=place.column, what=what, url=url)
    found.setdefault((place.file, place.line, place.column), new).count += count


def _places(findings: Iterable[Finding], index: OpenerIndex) -> list[CheckedPlace]:
    """Return the places of the findings. The file of a place is the URL of the script if it has no source map."""
    found: dict[tuple[str, int], CheckedPlace] = {}
    for finding in findings:
        openers = index.openers_for(finding)
        for each in finding_locations(finding, openers):
            _add(found, each.location, each.description)
        for opener in openers:
            if opener.call_site is not None and opener.call_site.line:
                _add(found, opener.call_site, "a connection is opened here")
        if len(found) >= MAX_PLACES:
            break
    return list(found.values())[:MAX_PLACES]


def _add(found: dict[tuple[str, int], CheckedPlace], location: CodeLocation, what: str) -> None:
    place = CheckedPlace(file=location.file, line=location.line, column=location.column, what=what)
    found.setdefault((location.file, location.line), place)


def _escaped(value: Any, field: str = "") -> Any:
    """Return `value` with its control characters as escapes. Only diffs keep their line ends and tabs."""
    if isinstance(value, str):
        if field == "summary":  # two spaces separate its parts, as on a terminal
            return escape_control(value)
        if field == "diffs":
            return "\n".join("\t".join(map(escape_control, line.split("\t"))) for line in value.split("\n"))
        return one_line(value)
    if isinstance(value, dict):
        return {key: _escaped(each, key) for key, each in value.items()}
    return [_escaped(each, field) for each in value] if isinstance(value, list) else value
