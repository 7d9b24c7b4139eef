"""Summary of a run for every report format: one sentence, the first fix and the next command."""

from collections import Counter

from wscheck.model.comparison import CompareReport, MeasureChange
from wscheck.model.findings import Severity, Verdict
from wscheck.model.gaps import Gap
from wscheck.model.load_report import LoadReport
from wscheck.model.report import BrowserReport, LogsReport, Report, ScanReport, VerifyReport
from wscheck.report import log_figures
from wscheck.report.allowed_text import allowed_count
from wscheck.report.finding_text import fix_text, group_by_problem, total_frequency
from wscheck.report.formatting import escape_control, format_duration, one_line, plural
from wscheck.report.load_figures import format_amount, measures_by_benefit

DEFAULT_REASONS = {
    Verdict.PASSED: "No problem was found.",
    Verdict.FAILED: "The check failed.",
    Verdict.INCONCLUSIVE: "The run proved nothing.",
    Verdict.SKIPPED: "Nothing was checked.",
}
"""Verdict to the sentence for a report without a reason."""

MARKS = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.INCONCLUSIVE: "?", Verdict.SKIPPED: "-"}
"""Verdict to the sign in front of it."""

HEADLINE_MEASURES = ("connections_per_user", "connections_peak", "replaced")
"""Measures of a comparison that its headline may contain."""


def run_description(report: Report) -> str:
    """Return a description of the run for titles, "" if the name of the target is sufficient.

    Examples: `unified client and the page http://...`, `duplicated profile, 100 users on 2 workers`.
    """
    if isinstance(report, VerifyReport) and report.client:
        page = report.options.get("page")
        return f"{report.client} client" + (f" and the page {page}" if page else "")
    if not report.has_results:
        return ""
    if isinstance(report, LoadReport):
        workers = f" on {plural(report.workers, 'worker')}" if report.workers > 1 else ""
        return f"{report.profile} profile, {plural(report.users, 'user')}{workers}"
    if isinstance(report, CompareReport):
        return f"{report.before.variant} and {report.after.variant}"
    return ""


def headline(report: Report) -> str:
    """Return one sentence about the result of the run."""
    if isinstance(report, CompareReport) and report.has_results:
        return _comparison_headline(report)
    if report.verdict is Verdict.PASSED and (totals := _totals(report)):
        return f"{totals}{_finding_counts(report)}."
    if isinstance(report, BrowserReport) and report.reason:
        return escape_control(report.reason)
    if report.verdict is Verdict.FAILED and report.findings:
        return _worst_finding(report)
    return escape_control(report.reason) or DEFAULT_REASONS[report.verdict]


def verdict_line(report: Report) -> tuple[str, str]:
    """Return the verdict with its symbol (`✗ FAILED`), and the counts with the duration (`2 findings in 3.1 s`)."""
    counts = ", ".join(filter(None, [_counts(report), allowed_count(report)]))
    duration = format_duration(report.duration_s)
    details = f"{counts} in {duration}" if counts else f"after {duration}"
    return f"{MARKS[report.verdict]} {report.verdict.upper()}", details


def opening_lines(report: Report) -> list[str]:
    """Return two lines: the verdict with counts and duration, then one sentence about the result of the run."""
    return ["  ".join(verdict_line(report)), one_line(headline(report))]


def _counts(report: Report) -> str:
    """Return how many scenarios or findings there are, for example `3 passed, 1 failed`, to show with the verdict.

    Return "" if nothing was checked, because "0 findings" would mislead then.
    """
    if isinstance(report, LogsReport) and report.verdict is Verdict.PASSED:
        return log_figures.totals(report)
    if isinstance(report, CompareReport):
        changes = Counter(measure.change for _, measures in measures_by_benefit(report) for measure in measures)
        return ", ".join(f"{changes[change]} {change}" for change in MeasureChange if changes[change])
    if not isinstance(report, VerifyReport) or not report.scenarios:
        has_counts = report.findings or report.verdict is not Verdict.INCONCLUSIVE
        return plural(len(report.findings), "finding") if has_counts else ""
    count = Counter(scenario.verdict for scenario in report.scenarios)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in Verdict if count[verdict])


def _worst_finding(report: Report) -> str:
    group = group_by_problem(report.findings)[0][0]
    worst = group.finding
    same = [other for other in group.others if (other.user, other.message) == (worst.user, worst.message)]
    user = f"{one_line(worst.user)}: " if worst.user else ""
    frequency = total_frequency([worst, *same])
    return f"{user}{one_line(worst.message)}" + (f", {frequency}" if frequency != "once" else "")


def _totals(report: Report) -> str:
    """Return the totals of a run that passed (such as connections and events), "" if there are none."""
    if isinstance(report, LoadReport):
        users = plural(report.users, "user")
        return f"{users} had {report.connections_per_user:.2f} connections each, {report.replaced:,} replaced"
    if isinstance(report, LogsReport):
        return log_figures.totals(report)
    if isinstance(report, BrowserReport):
        users = plural(len({connection.user for connection in report.connections}), "user")
        return f"{users} had {plural(len(report.connections), 'connection')}"
    if isinstance(report, ScanReport):
        return f"{plural(len(report.openings), 'call')} to open a connection in {plural(report.files, 'source file')}"
    if not isinstance(report, VerifyReport) or not report.scenarios:
        return ""
    counts = Counter(scenario.verdict for scenario in report.scenarios)
    skipped = f", {counts[Verdict.SKIPPED]} skipped" if counts[Verdict.SKIPPED] else ""
    return f"{counts[Verdict.PASSED]} of {plural(len(report.scenarios), 'scenario')} passed{skipped}"


def _comparison_headline(report: CompareReport) -> str:
    known = [
        measure
        for measure in report.measures
        if measure.id in HEADLINE_MEASURES and measure.before is not None and measure.after is not None
    ]
    measures = [
        f"{measure.name}: {format_amount(measure.before, measure.unit)} before, "
        f"{format_amount(measure.after, measure.unit)} after"
        for measure in known[:2]
    ]
    reason = f"{escape_control(report.reason)}. " if report.reason else ""
    sentence = reason + "; ".join(measures) + ("." if measures else "")
    return sentence[:1].upper() + sentence[1:]


def _finding_counts(report: Report) -> str:
    """Return the number of findings of each severity, such as `, with 1 warning and 2 notes`; "" if there are none."""
    counts = Counter(finding.severity for finding in report.findings)
    parts = [plural(counts[severity], severity) for severity in reversed(Severity) if counts[severity]]
    parts += [text] if (text := allowed_count(report)) else []
    return f", with {' and '.join(parts)}" if parts else ""


def scope_sentence(report: Report) -> str:
    """Return what was checked, what was not, and the command that checks the rest. "" if nothing was checked."""
    if (scope := report.scope) is None:
        return ""
    command = f"; run `{one_line(scope.closes_with)}`" if scope.closes_with else ""
    return f"Checked: {one_line(scope.checked)}. Not checked: {one_line(scope.not_checked)}{command}."


def first_fix(report: Report) -> str:
    """Return the fix of the most severe problem of a failed run, "" otherwise."""
    if report.verdict is not Verdict.FAILED or not report.findings:
        return ""
    return fix_text(group_by_problem(report.findings)[0][0].finding)


def next_command(report: Report) -> str | None:
    """Return the command to run next, None if nothing is left to do."""
    if isinstance(report, LogsReport) and (command := log_figures.command_with_markers(report)):
        return command
    if report.verdict is Verdict.FAILED and report.findings:
        worst = group_by_problem(report.findings)[0][0].finding
        return f"wscheck explain {worst.cause.id if worst.cause else worst.rule}"
    gaps = blocking_gaps(report)
    return f"wscheck explain {gaps[0].id}" if gaps else None


def blocking_gaps(report: Report) -> list[Gap]:
    """Return the gaps that keep the run from passing, each reason once."""
    if report.verdict is Verdict.PASSED or report.verdict is Verdict.SKIPPED:
        return []
    return list({(gap.id, gap.reason): gap for gap in report.gaps if gap.blocks}.values())
