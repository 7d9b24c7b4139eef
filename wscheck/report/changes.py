"""Differences between two runs of the same command, for a run that is repeated (`--watch`)."""

from collections.abc import Mapping
from typing import TextIO

from msgspec.structs import replace
from rich.text import Text

from wscheck.detect.allowed_findings import finding_key
from wscheck.model.allow_list import FindingKey
from wscheck.model.findings import Finding, Verdict
from wscheck.model.report import Report, VerifyReport
from wscheck.report.console import new_console
from wscheck.report.finding_text import by_severity, fix_text
from wscheck.report.formatting import escape_ci_commands, format_duration, one_line, plural
from wscheck.report.summary import headline


def print_changes(before: Report, after: Report, stdout: TextIO, environ: Mapping[str, str]) -> None:
    """Print what changed between two runs: new and missing findings, scenarios, and the verdict."""
    console = new_console(stdout, environ=environ)
    for line in change_lines(before, after):
        line.plain = escape_ci_commands(line.plain)
        console.print(line, soft_wrap=True)
    stdout.flush()


def change_lines(before: Report, after: Report) -> list[Text]:
    """Return one line per difference, then the verdict.

    A finding that only the first run contains is shown as "gone". If the second run has no verdict, it is shown as "not
    seen", because that run may not have looked for it.
    """
    old, new = _by_key(before), _by_key(after)
    proven = after.verdict in (Verdict.PASSED, Verdict.FAILED)
    lines = [line for key, finding in new.items() if key not in old for line in _new_lines(finding)]
    for key, finding in old.items():
        if key not in new:
            label = Text("✓ gone", "green") if proven else Text("? not seen", "yellow")
            lines.append(label.append(f"  {finding.rule}  {one_line(finding.message)}", ""))
    lines += _scenario_lines(before, after)
    if not lines and before.verdict is after.verdict:
        remaining = f", still {plural(len(new), 'finding')}" if new else ""
        lines.append(Text(f"nothing changed{remaining}", "dim"))
    return [*lines, _verdict_line(before, after)]


def _by_key(report: Report) -> dict[FindingKey, Finding]:
    """Return one finding per rule, cause and place, the most severe first. Scenarios show the same fault repeatedly."""
    found: dict[FindingKey, Finding] = {}
    for finding in by_severity(report.findings):
        found.setdefault(finding_key(replace(finding, scenario=None)), finding)
    return found


def _new_lines(finding: Finding) -> list[Text]:
    head = Text("✗ new", "red").append(f"  {finding.rule}  {one_line(finding.message)}", "bold")
    return [head, *([Text(f"       fix  {one_line(fix)}", "green")] if (fix := fix_text(finding)) else [])]


def _scenario_lines(before: Report, after: Report) -> list[Text]:
    if not isinstance(before, VerifyReport) or not isinstance(after, VerifyReport):
        return []
    old = {scenario.id: scenario.verdict for scenario in before.scenarios}
    return [
        Text(f"  {one_line(scenario.id)}: {old.get(scenario.id, 'not run')}, now {scenario.verdict}")
        for scenario in after.scenarios
        if old.get(scenario.id) is not scenario.verdict
    ]


_STYLES = {Verdict.PASSED: "bold green", Verdict.FAILED: "bold red"}


def _verdict_line(before: Report, after: Report) -> Text:
    line = Text(after.verdict.upper(), _STYLES.get(after.verdict, "bold yellow"))
    was = f" (before: {before.verdict})" if before.verdict is not after.verdict else ""
    return line.append(f"{was}  in {format_duration(after.duration_s)}: {one_line(headline(after))}", "")
