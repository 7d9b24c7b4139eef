"""Report as Markdown, for a pull request, a wiki or GitHub's step summary."""

import re
from collections.abc import Iterable, Sequence

from wscheck.model.comparison import CompareReport, MeasureChange
from wscheck.model.events import AnyEvent
from wscheck.model.findings import Verdict
from wscheck.model.load_report import LoadReport
from wscheck.model.report import BrowserReport, LogsReport, Report, ScanReport, ScenarioResult, VerifyReport
from wscheck.report import finding_text, links, load_figures, log_figures, loop_figures, scan_figures, summary
from wscheck.report.allowed_text import allow_note_lines, allowed_lines
from wscheck.report.finding_text import FindingGroup, OpenerIndex
from wscheck.report.formatting import escape_markdown, format_duration, one_line, plural

MAX_BYTES = 1_000_000
"""GitHub rejects a step summary of more than 1 MiB."""

_MARK = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.INCONCLUSIVE: "❔", Verdict.SKIPPED: "⏭️"}
_CHANGE_MARK = {
    MeasureChange.BETTER: "✅",
    MeasureChange.WORSE: "❌",
    MeasureChange.SAME: "",
    MeasureChange.UNKNOWN: "",
}


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """Return the findings, followed by the figures and the scenarios.

    If the text would exceed `MAX_BYTES`, some findings are replaced by their number.
    """
    openers = OpenerIndex(events)
    title = f"## {_MARK[report.verdict]} wscheck: {report.verdict}"
    parts = [title, escape_markdown(summary.headline(report)), _run_facts(report)]
    scenarios = report.scenarios if isinstance(report, VerifyReport) else []
    tables = "\n\n".join([*_figures(report), *([_scenario_table(scenarios)] if scenarios else [])])
    size = sum(len(part.encode()) for part in [*parts, tables])
    problems = finding_text.group_by_problem(report.findings)
    for number, problem in enumerate(problems):
        section = _problem_section(problem, openers)
        size += len(section.encode()) + 2
        if size > MAX_BYTES:
            parts.append(f"_{plural(len(problems) - number, 'more problem')} not shown: GitHub's limit is 1 MiB._")
            break
        parts.append(section)
    scope = escape_markdown(summary.scope_sentence(report))
    return "\n\n".join(filter(None, [*parts, *_allowed(report), tables, _gaps(report), scope])).strip() + "\n"


def _gaps(report: Report) -> str:
    """Return a Markdown list, with a heading, of the gaps that keep the run from passing; "" if there are none."""
    shown = summary.blocking_gaps(report)
    lines = [f"- {_linked(gap.id, links.gap_address(gap))}: {escape_markdown(gap.reason)}" for gap in shown]
    return "\n".join(["### Missing evidence", "", *lines]) if lines else ""


def _allowed(report: Report) -> list[str]:
    lines = [*allowed_lines(report), *allow_note_lines(report)]
    return ["\n".join(["### Policy", "", *(f"- {escape_markdown(line)}" for line in lines)])] if lines else []


def _run_facts(report: Report) -> str:
    description = f" · {escape_markdown(text)}" if (text := summary.run_description(report)) else ""
    partial = " · **interrupted: this report is partial**" if report.interrupted else ""
    return f"{_code(report.target)}{description} · {format_duration(report.duration_s)}{partial}"


def _problem_section(problem: Sequence[FindingGroup], openers: OpenerIndex) -> str:
    """Return one problem: its rules, their messages, and the cause and fix that they share."""
    finding = problem[0].finding
    rules = ", ".join(_linked(group.finding.rule, links.rule_address(group.finding.rule)) for group in problem)
    pairs = [pair for group in problem for pair in finding_text.group_messages(group)]
    messages = "\n".join(
        f"- {escape_markdown(message)}" + (f" ({escape_markdown(scope)})" if scope else "") for message, scope in pairs
    )
    facts = "\n".join(
        f"- **{label}**: {escape_markdown(text)}"
        for label, text in finding_text.labelled_facts(finding, openers.openers_for(finding))
    )
    diffs, _ = finding_text.patch_texts(problem)
    patches = "".join(f"\n\n{_code_block(diff, 'diff')}" for diff in diffs)
    return f"### {finding.severity}: {rules}\n\n{messages}\n\n{facts}{patches}"


def _linked(text: str, address: str | None) -> str:
    return f"[{escape_markdown(text)}]({address})" if address else escape_markdown(text)


def _code_block(text: str, language: str) -> str:
    """Return a fenced block whose fence is longer than each run of backticks in the text."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}{language}\n{text}\n{fence}"


def _scenario_table(scenarios: Iterable[ScenarioResult]) -> str:
    head = "| | scenario | requirement | opened | peak | replaced | reason |\n|---|---|---|--:|--:|--:|---|"
    return "\n".join([head, *(_scenario_row(scenario) for scenario in scenarios)])


def _scenario_row(scenario: ScenarioResult) -> str:
    cells = [
        _MARK[scenario.verdict],
        _code(scenario.id),
        escape_markdown(scenario.must_hold),
        str(scenario.connections_opened),
        str(scenario.connections_peak),
        str(scenario.replacements),
        escape_markdown(scenario.reason),
    ]
    return _row(cells)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return "`" + one_line(text).replace("`", "'").replace("|", "\\|") + "`"


def _figures(report: Report) -> list[str]:
    """Return the tables of `report` as Markdown blocks, an empty list for a run that ended before it had results."""
    if not report.has_results:
        return []
    if isinstance(report, LoadReport):
        parts = (_load_table(report), _thresholds(report), _server_counts(report), *_notes(report.notes))
        return [part for part in parts if part]
    if isinstance(report, CompareReport):
        return [_measure_table(report), *_notes(report.notes)]
    if isinstance(report, LogsReport):
        facts = "\n".join(f"- {escape_markdown(fact)}" for fact in log_figures.log_facts(report))
        return [facts, *_user_table(report)]
    if isinstance(report, ScanReport):
        return [
            *_opening_call_table(report),
            "\n".join(f"- {escape_markdown(fact)}" for fact in scan_figures.scan_facts(report)),
        ]
    return _loop_tables(report) if isinstance(report, BrowserReport) else []


def _loop_tables(report: BrowserReport) -> list[str]:
    return [
        *_table(loop_figures.ROUND_COLUMNS, loop_figures.round_rows(report)),
        *_table(loop_figures.ACTION_COLUMNS, loop_figures.action_rows(report)),
    ]


def _opening_call_table(report: ScanReport) -> list[str]:
    return _table(scan_figures.PLACE_COLUMNS, scan_figures.opening_call_rows(report)[: scan_figures.PLACES_SHOWN])


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    head = [columns, ("---",) * len(columns)]
    return ["\n".join(map(_row, [*head, *(map(escape_markdown, row) for row in rows)]))] if rows else []


def _user_table(report: LogsReport) -> list[str]:
    rows = log_figures.user_rows(report)[: log_figures.USERS_SHOWN]
    head = [log_figures.USER_COLUMNS, ("---", "--:", "--:", "--:", "---")]
    return ["\n".join(map(_row, [*head, *(map(escape_markdown, row) for row in rows)]))] if rows else []


def _notes(notes: Iterable[str]) -> list[str]:
    return [f"> {escape_markdown(note)}" for note in notes]


def _load_table(report: LoadReport) -> str:
    figures = load_figures.load_figure_rows(report)
    rows = [_row((figure.name, figure.value, escape_markdown(figure.details))) for figure in figures]
    return "\n".join(["| | | |", "|---|--:|---|", *rows])


def _thresholds(report: LoadReport) -> str:
    return "\n".join(
        f"- {'❌' if threshold.crossed else '✅'} {_code(load_figures.format_threshold(threshold))}"
        for threshold in report.thresholds
    )


def _server_counts(report: LoadReport) -> str:
    counts = load_figures.server_counts_sentence(report)
    return f"The server counted {escape_markdown(counts)}." if counts else ""


def _measure_table(report: CompareReport) -> str:
    before, after = (
        f"{escape_markdown(run.label)} ({escape_markdown(run.variant)})" for run in (report.before, report.after)
    )
    rows = [_row(("", before, after, "")), "|---|--:|--:|---|"]
    for benefit, measures in load_figures.measures_by_benefit(report):
        rows.append(f"| **{escape_markdown(benefit)}** | | | |")
        for measure in measures:
            old, new = (load_figures.format_amount(value, measure.unit) for value in (measure.before, measure.after))
            change = f"{_CHANGE_MARK[measure.change]} {load_figures.format_change(measure)}".strip()
            rows.append(_row((escape_markdown(measure.name), old, new, change)))
    return "\n".join(rows)
