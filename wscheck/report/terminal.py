"""Report for a terminal: short for a passed run. For a failed run, it begins with the problems.

`print_changes` prints only the differences from the run before, for a run that is repeated (`--watch`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from typing import TextIO

import msgspec
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wscheck.detect.allowed_findings import finding_key
from wscheck.model.allow_list import FindingKey
from wscheck.model.comparison import CompareReport, MeasureChange
from wscheck.model.events import AnyEvent
from wscheck.model.findings import Finding, Severity, Verdict
from wscheck.model.load_report import LoadReport, Threshold
from wscheck.model.report import (
    BrowserReport,
    ConnectionSummary,
    LogsReport,
    Report,
    ScanReport,
    ScenarioResult,
    VerifyReport,
)
from wscheck.report import finding_text, load_figures, log_figures, loop_figures, scan_figures, summary
from wscheck.report.allowed_text import allow_note_lines, allowed_lines
from wscheck.report.console import new_console
from wscheck.report.finding_text import FindingGroup, OpenerIndex
from wscheck.report.formatting import escape_ci_commands, format_duration, one_line, plural

PLAIN_WIDTH = 100
"""Width of a report in a file or a pipe, in columns."""

OPENERS_SHOWN = 12
SPARKLINE_CHARACTERS = " ▁▂▃▄▅▆▇█"
SPARKLINE_COLUMNS = 60

_STYLE = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.INCONCLUSIVE: "yellow", Verdict.SKIPPED: "dim"}
_SEVERITY_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}
_CHANGE_STYLE = {
    MeasureChange.BETTER: "green",
    MeasureChange.WORSE: "bold red",
    MeasureChange.SAME: "dim",
    MeasureChange.UNKNOWN: "dim",
}


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """Return the report as plain text, 100 columns wide."""
    return _render_plain(report, events, PLAIN_WIDTH)


def print_report(report: Report, events: Sequence[AnyEvent], stdout: TextIO, environ: Mapping[str, str]) -> None:
    """Print to `stdout`, in the width and colours of the terminal, or as plain text if `stdout` is not a terminal.

    The environment variables NO_COLOR and FORCE_COLOR are respected.
    """
    console = new_console(stdout, environ=environ)
    if console.is_terminal:
        stdout.write(_render(report, events, console))
    else:
        stdout.write(_render_plain(report, events, console.width if "COLUMNS" in environ else PLAIN_WIDTH))


def _render_plain(report: Report, events: Sequence[AnyEvent], width: int) -> str:
    """Return the report without escape sequences and without trailing spaces."""
    console = new_console(StringIO(), width=width, coloured=False, environ={})
    return "".join(f"{line.rstrip()}\n" for line in _render(report, events, console).splitlines())


def _render(report: Report, events: Sequence[AnyEvent], console: Console) -> str:
    """Return the report in the width and colours of the console.

    Text that CI systems read as a command at the start of a line is escaped, because wrapping can move it there.
    """
    with console.capture() as captured:
        _print_to_console(report, events, console)
    return escape_ci_commands(captured.get())


def _print_to_console(report: Report, events: Sequence[AnyEvent], console: Console) -> None:
    """Print the report. Findings that fail the run come first, the next command comes last."""
    openers = OpenerIndex(events)
    problems = finding_text.group_by_problem(report.findings)
    failing = [problem for problem in problems if _is_most_severe(problem[0].finding, report)]
    minor = [group for problem in problems if problem not in failing for group in problem]
    console.print(_title(report), "", sep="\n")
    for problem in failing:
        console.print(*(_finding_group(group) for group in problem), _facts(problem, openers), "", sep="\n")
    if isinstance(report, VerifyReport) and report.scenarios:
        console.print(_scenario_table(report.scenarios, brief=report.verdict is Verdict.FAILED))
        console.print()
    for part in _figures(report):
        console.print(part, "", sep="\n")
    if minor:
        console.print(*(_minor_finding(group) for group in minor), "", sep="\n")
    if allowed := [*allowed_lines(report), *allow_note_lines(report)]:
        console.print(*(Text(f"! {line}", "dim") for line in allowed), "", sep="\n")
    console.print(_verdict(report))
    if (command := summary.next_command(report)) is not None:
        # The command is never wrapped, so that it can be copied from a narrow terminal.
        console.print(Text.assemble(("  next  ", "dim"), (command, "bold")), soft_wrap=True)


def _is_most_severe(finding: Finding, report: Report) -> bool:
    worst = finding_text.by_severity(report.findings)[0].severity
    return report.verdict is Verdict.FAILED and finding.severity is worst


def _title(report: Report) -> Text:
    description = one_line(summary.run_description(report))
    return Text.assemble(("wscheck", "bold"), f"  {one_line(report.target)}", (f"  {description}", "dim"))


# Findings


def _finding_group(group: FindingGroup) -> RenderableType:
    """Return the text about the findings of one rule and cause: rule, severity, confidence, messages and frequency."""
    finding = group.finding
    head = Text.assemble(
        (f"{summary.MARKS[Verdict.FAILED]} {finding.rule}", f"bold {_SEVERITY_STYLE[finding.severity]}"),
        (f"  {finding.severity}, {finding.confidence} confidence", "dim"),
    )
    messages = Text("\n").join(
        Text.assemble((message, "bold"), (f"  {one_line(scope)}", "dim"))
        for message, scope in finding_text.group_messages(group)
    )
    return Group(head, Padding(messages, (0, 0, 1, 2), expand=False))


def _facts(problem: Sequence[FindingGroup], openers: OpenerIndex) -> RenderableType:
    """Return a table with the facts of the finding that has the most openers, then the diffs that fix the problem."""
    finding = max((group.finding for group in problem), key=lambda each: len(openers.openers_for(each)))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    previous = ""
    for label, text in finding_text.labelled_facts(finding, openers.openers_for(finding)):
        table.add_row("" if label == previous else label, Text(text, "bold green" if label == "fix" else ""))
        previous = label
    return Padding(Group(table, *_patches(problem)), (0, 0, 0, 2), expand=False)


def _patches(problem: Sequence[FindingGroup]) -> Iterator[RenderableType]:
    """Yield the diffs that remove the findings of a problem."""
    diffs, more = finding_text.patch_texts(problem)
    for diff in diffs:
        lines = (Text(line, _DIFF_STYLE.get(line[:1], "dim")) for line in diff.split("\n"))
        yield Padding(Text("\n").join(lines), (1, 0, 0, 0), expand=False)
    if diffs:
        others = f"and {plural(more, 'more change')}; " if more else ""
        yield Text(f"{others}`wscheck scan --fix` writes {'them' if more or len(diffs) > 1 else 'it'}", "dim")


_DIFF_STYLE = {"+": "green", "-": "red"}


def _minor_finding(group: FindingGroup) -> RenderableType:
    """Return one paragraph about a finding that does not fail the run: its users, messages, cause and fix."""
    finding = group.finding
    messages = "; ".join(message for message, _ in finding_text.group_messages(group))
    names = list(dict.fromkeys(each.user for each in (finding, *group.others) if each.user is not None))
    users = f"{names[0] if len(names) == 1 else plural(len(names), 'user')}: " if names else ""
    cause = f" ({finding.cause.because})" if finding.cause is not None and finding.cause.because else ""
    messages = f"{users}{messages}{cause}"
    fix = f" Fix: {text}" if (text := finding_text.fix_text(finding)) else ""
    head = Text(f"! {finding.severity}: {finding.rule}", _SEVERITY_STYLE[finding.severity])
    return Group(head, Padding(Text(one_line(f"{messages}.{fix}")), (0, 0, 0, 2), expand=False))


# Scenarios


def _scenario_table(scenarios: Sequence[ScenarioResult], brief: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for scenario in scenarios:
        style = _STYLE[scenario.verdict]
        mark = Text(f"{summary.MARKS[scenario.verdict]} {one_line(scenario.id)}", style)
        table.add_row(mark, Group(*_scenario_lines(scenario, style, brief)))
    return table


def _scenario_lines(scenario: ScenarioResult, style: str, brief: bool) -> Iterator[Text]:
    """Yield the requirement, the reason of the verdict, and one dim line about the connections and the control run.

    With `brief`, only the requirement of a passed scenario is shown, so that failed scenarios stay on the screen.
    """
    yield Text(one_line(scenario.must_hold))
    if brief and scenario.verdict is Verdict.PASSED:
        return
    if scenario.verdict is not Verdict.PASSED:
        yield Text(_scenario_reason(scenario), style)
    details = [_connection_counts(scenario)] if _has_counts(scenario) else []
    details += [f"control: {one_line(scenario.control.did)}"] if scenario.control is not None else []
    if details:
        yield Text(" · ".join(details), "dim")
    if scenario.control is not None and scenario.control.verdict is Verdict.PASSED:
        yield Text("The control passed, but must fail: this scenario cannot detect the fault here.", "yellow")


def _has_counts(scenario: ScenarioResult) -> bool:
    """Return whether to show counts: the scenario passed or failed, or it opened a connection."""
    return scenario.verdict in (Verdict.PASSED, Verdict.FAILED) or scenario.connections_opened > 0


def _connection_counts(scenario: ScenarioResult) -> str:
    opened = plural(scenario.connections_opened, "connection")
    replaced = f", {scenario.replacements} replaced" if scenario.replacements else ""
    return f"{opened} opened, peak {scenario.connections_peak}{replaced}"


def _scenario_reason(scenario: ScenarioResult) -> str:
    """Return the reason why a scenario did not pass.

    If rules failed, return only their ids, because their findings are printed above.
    """
    rules = ", ".join(dict.fromkeys(finding.rule for finding in scenario.findings))
    return rules if rules and scenario.verdict is Verdict.FAILED else one_line(scenario.reason) or rules


# Figures of load runs, comparisons, logs and browser runs


def _figures(report: Report) -> Iterator[RenderableType]:
    """Yield the tables of `report`, none for a run that ended before it had results."""
    if not report.has_results:
        return
    if isinstance(report, LoadReport):
        yield from _load_figures(report)
    elif isinstance(report, CompareReport):
        yield from _comparison_figures(report)
    elif isinstance(report, LogsReport):
        yield from _log_figures(report)
    elif isinstance(report, BrowserReport):
        yield from _connection_lines(report)
        yield from _loop_tables(report)
    elif isinstance(report, ScanReport):
        yield from _scan_figures(report)


def _load_figures(report: LoadReport) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for figure in load_figures.load_figure_rows(report):
        table.add_row(figure.name, Text(figure.value, "bold red" if figure.is_bad else "bold"), figure.details)
    yield table
    yield from _sparklines(report)
    if counts := load_figures.server_counts_sentence(report):
        yield Text.assemble(("the server counted ", "dim"), counts)
    if report.thresholds:
        yield Text("\n").join(_threshold(threshold) for threshold in report.thresholds)
    if report.notes:
        yield _notes(report.notes)


def _notes(notes: Sequence[str]) -> Text:
    return Text("\n").join(Text(f"! {one_line(note)}", "yellow") for note in notes)


def _threshold(threshold: Threshold) -> Text:
    mark, style = ("✗", "bold red") if threshold.crossed else ("✓", "green")
    return Text(f"{mark} {load_figures.format_threshold(threshold)}", style)


def _sparklines(report: LoadReport) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    for name in ("open", "connects", "replaced"):
        values = [getattr(second, name) for second in report.series]
        if any(values):
            label = name if name == "open" else f"{name}/s"
            table.add_row(label, Text.assemble((sparkline(values), "cyan"), (f" max {max(values):,}", "dim")))
    if table.row_count:
        yield table


def sparkline(values: Sequence[int], columns: int = SPARKLINE_COLUMNS) -> str:
    """Return a line of bars, one character per value, with at most `columns` characters.

    If there are more values, each character shows the largest of several values.
    """
    step = max(-(-len(values) // columns), 1)
    heights = [max(values[start : start + step]) for start in range(0, len(values), step)]
    top = max(heights, default=0)
    return "".join(
        SPARKLINE_CHARACTERS[-(-height * 8 // top)] if top else SPARKLINE_CHARACTERS[1] for height in heights
    )


def _comparison_figures(report: CompareReport) -> Iterator[RenderableType]:
    runs = (report.before, report.after)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for run in runs:
        table.add_column(one_line(run.label), justify="right", header_style="dim", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_row("", *(Text(one_line(run.variant), "dim") for run in runs), "")
    for benefit, measures in load_figures.measures_by_benefit(report):
        table.add_row(Text(one_line(benefit), "bold"), "", "", "")
        for measure in measures:
            before, after = (
                load_figures.format_amount(value, measure.unit) for value in (measure.before, measure.after)
            )
            change = Text(load_figures.format_change(measure), _CHANGE_STYLE[measure.change])
            table.add_row(f"  {one_line(measure.name)}", before, Text(after, "bold"), change)
    yield table
    if report.notes:
        yield _notes(report.notes)
    durations = f"{format_duration(report.before.duration_s)} and {format_duration(report.after.duration_s)}"
    yield Text(f"Compared: {one_line(report.before.target)}, runs of {durations}.", "dim")


def _log_figures(report: LogsReport) -> Iterator[RenderableType]:
    yield Text("\n").join(
        Text(fact, "dim" if number == 0 else "yellow") for number, fact in enumerate(log_figures.log_facts(report))
    )
    rows = log_figures.user_rows(report)
    if not rows:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in log_figures.USER_COLUMNS:
        is_number = name in ("connects", "replaced", "most at once")
        table.add_column(name, justify="right" if is_number else "left", header_style="dim", overflow="fold")
    for row in rows[: log_figures.USERS_SHOWN]:
        table.add_row(*row)
    yield table
    if len(rows) > log_figures.USERS_SHOWN:
        yield Text(f"and {plural(len(rows) - log_figures.USERS_SHOWN, 'more user')}", "dim")


def _scan_figures(report: ScanReport) -> Iterator[RenderableType]:
    rows = scan_figures.opening_call_rows(report)
    if rows:
        yield _table(scan_figures.PLACE_COLUMNS, rows[: scan_figures.PLACES_SHOWN])
    if len(rows) > scan_figures.PLACES_SHOWN:
        yield Text(f"and {plural(len(rows) - scan_figures.PLACES_SHOWN, 'more place')}", "dim")
    yield Text("\n").join(Text(one_line(fact), "dim") for fact in scan_figures.scan_facts(report))


def _connection_lines(report: BrowserReport) -> Iterator[RenderableType]:
    """Yield one line for each group of connections with the same tab, user and call site.

    Then yield the notes about the limits of the observation.
    """
    groups: dict[tuple[str | None, str | None, str], list[ConnectionSummary]] = {}
    for connection in report.connections:
        groups.setdefault((connection.page, connection.user, _opener(connection)), []).append(connection)
    lines = [_connection_line(group, opener) for (_, _, opener), group in list(groups.items())[:OPENERS_SHOWN]]
    if len(groups) > OPENERS_SHOWN:
        lines.append(Text(f"and {plural(len(groups) - OPENERS_SHOWN, 'more opener')}", "dim"))
    lines += [Text(f"! {one_line(note)}", "yellow") for note in report.notes]
    if lines:
        yield Group(*lines)


def _loop_tables(report: BrowserReport) -> Iterator[RenderableType]:
    """Yield tables of the connections after each round of a loop, and before and after each action."""
    if rows := loop_figures.round_rows(report):
        yield _table(loop_figures.ROUND_COLUMNS, rows)
    if actions := loop_figures.action_rows(report):
        yield _table(loop_figures.ACTION_COLUMNS, actions)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, header_style="dim", overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    return table


def _connection_line(group: Sequence[ConnectionSummary], opener: str) -> Text:
    first = group[0]
    page = first.page if first.target.type in ("page", "iframe") else f"{first.page} ({first.target.type})"
    owner = f"{one_line(page or 'a page')}, {one_line(first.user or 'unknown user')}: "
    return Text.assemble((owner, "dim"), _lifetimes(group), (f", {opener}", "dim"))


def _opener(connection: ConnectionSummary) -> str:
    if connection.opener is None:
        return "opener unknown: no stack, or opened before the page was observed"
    if connection.diverges_at is None or connection.diverges_at == connection.opener:
        return one_line(f"opened at {connection.opener}")
    return one_line(f"opened at {connection.diverges_at} through {connection.opener}")


def _lifetimes(group: Sequence[ConnectionSummary]) -> str:
    """Describe connections and their median lifetime: `9 connections, 8 of them closed after 0.3 s (io ...)`."""
    closed = [connection for connection in group if connection.closed_at is not None]
    count = plural(len(group), "connection")
    if not closed:
        return f"{count}, open"
    lifetimes = sorted((connection.closed_at or 0.0) - (connection.opened_at or 0.0) for connection in closed)
    median = lifetimes[len(closed) // 2]
    share = f"{len(closed)} of them closed" if len(group) > len(closed) else "closed"
    reason = one_line(closed[-1].reason or "no reason recorded")
    return f"{count}, {share} after {format_duration(median)} ({reason})"


# Verdict


def _verdict(report: Report) -> RenderableType:
    """Return the last lines: the verdict, why the run did not pass, the first fix, and the scope of the run."""
    style = _STYLE[report.verdict]
    mark, details = summary.verdict_line(report)
    head = Text.assemble((mark, f"bold {style}"), f"  {details}")
    reasons = _inconclusive_reasons(report) or [summary.headline(report)]
    lines = [Text(one_line(reason)) for reason in reasons] if report.verdict is not Verdict.PASSED else []
    lines += [Text(fix, "green")] if (fix := summary.first_fix(report)) else []
    lines += [Text(scope, "dim")] if (scope := summary.scope_sentence(report)) else []
    lines += [Text("Interrupted: this report is partial.", "yellow")] if report.interrupted else []
    return Group(head, *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines))


def _inconclusive_reasons(report: Report) -> list[str]:
    """Return each reason of an inconclusive run once, with the scenarios to which it applies."""
    if report.verdict is not Verdict.INCONCLUSIVE or not isinstance(report, VerifyReport):
        return []
    by_reason: dict[str, list[ScenarioResult]] = {}
    for scenario in report.scenarios:
        if scenario.verdict is Verdict.INCONCLUSIVE:
            by_reason.setdefault(scenario.reason, []).append(scenario)
    return [f"{', '.join(each.id for each in group)}: {group[0].reason}" for group in by_reason.values()]


# Differences between two runs of the same command


def print_changes(before: Report, after: Report, stdout: TextIO, environ: Mapping[str, str]) -> None:
    """Print what changed between two runs: new and missing findings, scenarios, and the verdict."""
    console = new_console(stdout, environ=environ)
    for line in change_lines(before, after):
        line.plain = escape_ci_commands(line.plain)
        console.print(line, soft_wrap=True)
    stdout.flush()


def change_lines(before: Report, after: Report) -> list[Text]:
    """Return one line per difference, then the verdict.

    A finding that only the first run contains is shown as "gone". If the second run neither
    passed nor failed, such a finding is shown as "not seen", because that run may not have looked for it.
    """
    old, new = _by_key(before), _by_key(after)
    proven = after.verdict in (Verdict.PASSED, Verdict.FAILED)
    lines = [line for key, finding in new.items() if key not in old for line in _new_lines(finding)]
    for key, finding in old.items():
        if key not in new:
            label = Text("✓ gone", "green") if proven else Text("? not seen", "yellow")
            lines.append(label.append(f"  {finding.rule}  {one_line(finding.message)}", ""))
    lines += _scenario_changes(before, after)
    if not lines and before.verdict is after.verdict:
        remaining = f", still {plural(len(new), 'finding')}" if new else ""
        lines.append(Text(f"nothing changed{remaining}", "dim"))
    return [*lines, _verdict_line(before, after)]


def _by_key(report: Report) -> dict[FindingKey, Finding]:
    """Return a dict of key to finding, the most severe first.

    The key ignores the scenario, because several scenarios can show the same fault.
    """
    found: dict[FindingKey, Finding] = {}
    for finding in finding_text.by_severity(report.findings):
        found.setdefault(finding_key(msgspec.structs.replace(finding, scenario=None)), finding)
    return found


def _new_lines(finding: Finding) -> list[Text]:
    head = Text("✗ new", "red").append(f"  {finding.rule}  {one_line(finding.message)}", "bold")
    return [head, *([Text(f"       fix  {one_line(fix)}", "green")] if (fix := finding_text.fix_text(finding)) else [])]


def _scenario_changes(before: Report, after: Report) -> list[Text]:
    if not isinstance(before, VerifyReport) or not isinstance(after, VerifyReport):
        return []
    old = {scenario.id: scenario.verdict for scenario in before.scenarios}
    return [
        Text(f"  {one_line(scenario.id)}: {old.get(scenario.id, 'not run')}, now {scenario.verdict}")
        for scenario in after.scenarios
        if old.get(scenario.id) is not scenario.verdict
    ]


def _verdict_line(before: Report, after: Report) -> Text:
    line = Text(after.verdict.upper(), f"bold {_STYLE[after.verdict]}")
    was = f" (before: {before.verdict})" if before.verdict is not after.verdict else ""
    return line.append(f"{was}  in {format_duration(after.duration_s)}: {one_line(summary.headline(after))}", "")
