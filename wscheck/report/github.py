"""Findings as GitHub Actions annotations (workflow commands) on the files of the pull request.

Source: GitHub documentation, "Workflow commands for GitHub Actions".
"""

from collections.abc import Sequence

from wscheck.model.events import AnyEvent
from wscheck.model.findings import Severity, Verdict
from wscheck.model.report import Report, VerifyReport
from wscheck.report.allowed_text import allowed_lines
from wscheck.report.failures_without_finding import failures_without_finding
from wscheck.report.finding_text import FindingGroup, OpenerIndex, group_findings, group_lines
from wscheck.report.formatting import one_line, plural
from wscheck.report.locations import FindingLocation, group_by_location, is_in_checkout
from wscheck.report.summary import DEFAULT_REASONS, scope_sentence

ANNOTATIONS = 10
"""Largest number of annotations of one kind per step. GitHub drops further annotations silently."""

_COMMAND = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """Return the findings as workflow commands, one per line, the most severe first.

    There are at most ten errors, ten warnings and ten notices. If there were more, the tenth line contains the number
    of those left out. The scope of the run follows as plain text.
    """
    openers = OpenerIndex(events)
    groups = [
        (location, group_findings(findings))
        for location, findings in group_by_location(report.findings, openers, is_in_checkout)
    ]
    lines = []
    for severity in reversed(Severity):
        commands = [
            _annotation(location, group, openers) for location, group in groups if group.finding.severity is severity
        ]
        if severity is Severity.ERROR:
            commands += [
                _command("error", one_line(failure.message), {"title": f"wscheck: {failure.rule}"})
                for failure in failures_without_finding(report)
            ]
        if severity is Severity.WARNING:
            commands += [_inconclusive(name, reason) for name, reason in _inconclusive_checks(report)]
        if severity is Severity.NOTE:
            commands += [_command("notice", line, {"title": "wscheck: allowed"}) for line in allowed_lines(report)]
        commands += [
            _command(_COMMAND[severity], one_line(note.text), {"title": "wscheck: allow-list"})
            for note in report.allow_notes
            if note.severity is severity
        ]
        lines += _limit(commands, _COMMAND[severity])
    lines += [scope] if (scope := scope_sentence(report)) else []  # a line of the job's log, no annotation
    return "".join(f"{line}\n" for line in lines)


def _annotation(location: FindingLocation | None, group: FindingGroup, openers: OpenerIndex) -> str:
    finding = group.finding
    properties = {"title": f"wscheck: {finding.rule}"}
    if location is not None:
        code = location.location
        properties = {"file": code.file, "line": str(max(code.line, 1)), **properties}
    message = "\n".join(map(one_line, group_lines(group, openers.openers_for(finding))))
    return _command(_COMMAND[finding.severity], message, properties)


def _inconclusive_checks(report: Report) -> list[tuple[str, str]]:
    """Return (name, reason) of each inconclusive scenario.

    If only the run as a whole is inconclusive, return one pair: the run's target, and the reason for its verdict.
    """
    scenarios = report.scenarios if isinstance(report, VerifyReport) else []
    checks = [(scenario.id, scenario.reason) for scenario in scenarios if scenario.verdict is Verdict.INCONCLUSIVE]
    if not checks and report.verdict is Verdict.INCONCLUSIVE:
        checks = [(report.target, report.reason)]
    return checks


def _inconclusive(name: str, reason: str) -> str:
    message = one_line(reason) or DEFAULT_REASONS[Verdict.INCONCLUSIVE]
    return _command("warning", f"{one_line(name)}: {message}", {"title": "wscheck: inconclusive"})


def _limit(commands: list[str], kind: str) -> list[str]:
    if len(commands) <= ANNOTATIONS:
        return commands
    omitted = plural(len(commands) - (ANNOTATIONS - 1), f"more {kind}")
    message = f"{omitted}: see the step summary or a report in another format."
    return [*commands[: ANNOTATIONS - 1], _command(kind, message, {"title": "wscheck"})]


def _command(kind: str, message: str, properties: dict[str, str]) -> str:
    pairs = ",".join(f"{key}={_escape_property(one_line(value))}" for key, value in properties.items())
    return f"::{kind} {pairs}::{_escape_data(message)}"


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")
