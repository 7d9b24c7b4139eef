"""The run for a person at a terminal: a pass is short and calm, a fail puts what is wrong first."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from wscheck.model.comparison import CompareReport, MeasureChange
from wscheck.model.events import AnyEvent
from wscheck.model.findings import Finding, Severity, Verdict
from wscheck.model.report import LogsReport, Report, ScenarioResult, VerifyReport
from wscheck.report import load_figures, log_figures, story
from wscheck.report.formatting import format_duration, one_line, plural
from wscheck.report.tables import body

PLAIN_WIDTH = 100
"""Columns of a report that goes to a file or a pipe, where there is no terminal to ask."""

_STYLE = {Verdict.PASSED: "green", Verdict.FAILED: "red", Verdict.INCONCLUSIVE: "yellow", Verdict.SKIPPED: "dim"}
_HUE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}
_MARK = {Verdict.PASSED: "✓", Verdict.FAILED: "✗", Verdict.INCONCLUSIVE: "?", Verdict.SKIPPED: "-"}


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """Plain text, 100 columns: what goes to a file."""
    return _plain(report, events, PLAIN_WIDTH)


def show(report: Report, events: Sequence[AnyEvent], stdout: TextIO, environ: Mapping[str, str]) -> None:
    """To `stdout`, as wide as the terminal is; plain text when it is none. NO_COLOR and FORCE_COLOR are obeyed."""
    console = Console(file=stdout, highlight=False, _environ=environ)
    if console.is_terminal:
        tell(report, events, console)
    else:
        stdout.write(_plain(report, events, console.width if "COLUMNS" in environ else PLAIN_WIDTH))


def _plain(report: Report, events: Sequence[AnyEvent], width: int) -> str:
    """Without escapes and without the blanks that fill a terminal's lines."""
    console = Console(file=StringIO(), width=width, color_system=None, highlight=False, _environ={})
    with console.capture() as captured:
        tell(report, events, console)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def tell(report: Report, events: Sequence[AnyEvent], console: Console) -> None:
    """Print to `console`, which decides width and colour. What failed comes first, what to do next comes last."""
    openings = story.Openings(events)
    chapters = story.chapters(report.findings)
    grave = [chapter for chapter in chapters if _is_grave(chapter[0].finding, report)]
    minor = [strand for chapter in chapters if chapter not in grave for strand in chapter]
    console.print(_title(report), "", sep="\n")
    for chapter in grave:
        console.print(*(_strand(strand) for strand in chapter), _facts(chapter, openings), "", sep="\n")
    if isinstance(report, VerifyReport) and report.scenarios:
        console.print(_scenarios(report.scenarios, brief=report.verdict is Verdict.FAILED))
        console.print()
    for shown in body(report):
        console.print(shown, "", sep="\n")
    if minor:
        console.print(*(_remark(strand) for strand in minor), "", sep="\n")
    console.print(_verdict(report))
    if (command := story.next_command(report)) is not None:
        # Whole, however narrow the screen: what is copied from it must be the command.
        console.print(Text.assemble(("  next  ", "dim"), (command, "bold")), soft_wrap=True)


def _is_grave(finding: Finding, report: Report) -> bool:
    """Whether `finding` is among the worst of a failed run: told first and in full."""
    return report.verdict is Verdict.FAILED and finding.severity is story.by_severity(report.findings)[0].severity


def _title(report: Report) -> Text:
    return Text.assemble(
        ("wscheck", "bold"), f"  {one_line(report.target)}", (f"  {one_line(story.run_description(report))}", "dim")
    )


def _strand(strand: story.Strand) -> RenderableType:
    """One rule's head: what happened, how often, where."""
    finding = strand.finding
    sure = f"  {finding.severity}, {finding.confidence} confidence"
    head = Text.assemble((f"{_MARK[Verdict.FAILED]} {finding.rule}", f"bold {_HUE[finding.severity]}"), (sure, "dim"))
    lines = story.told(strand)
    told = Text("\n").join(Text.assemble((said, "bold"), (f"  {one_line(where)}", "dim")) for said, where in lines)
    return Group(head, Padding(told, (0, 0, 1, 2), expand=False))


def _facts(chapter: Sequence[story.Strand], openings: story.Openings) -> RenderableType:
    """Who, opened by, cause, fix: told once for all strands of a chapter."""
    finding = max((strand.finding for strand in chapter), key=lambda f: len(openings.of(f)))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    previous = ""
    for label, said in story.rows(finding, openings.of(finding)):
        table.add_row("" if label == previous else label, Text(said, "bold green" if label == "fix" else ""))
        previous = label
    return Padding(table, (0, 0, 0, 2), expand=False)


def _scenarios(scenarios: Sequence[ScenarioResult], brief: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for scenario in scenarios:
        style = _STYLE[scenario.verdict]
        mark = Text(f"{_MARK[scenario.verdict]} {scenario.id}", style)
        table.add_row(mark, Group(*_scenario(scenario, style, brief)))
    return table


def _scenario(scenario: ScenarioResult, style: str, brief: bool) -> Iterator[Text]:
    """What must hold, why it does not, and in one dim line what was seen of the client and of the control.

    `brief`: of what passed only the claim, so that what failed stays on the screen.
    """
    yield Text(one_line(scenario.must_hold))
    if brief and scenario.verdict is Verdict.PASSED:
        return
    if scenario.verdict is not Verdict.PASSED:
        yield Text(_why(scenario), style)
    seen = [_numbers(scenario)] if _was_tried(scenario) else []
    seen += [f"control: {one_line(scenario.control.did)}"] if scenario.control is not None else []
    if seen:
        yield Text(" · ".join(seen), "dim")
    if scenario.control is not None and scenario.control.verdict is Verdict.PASSED:
        yield Text("The control passed too: this check is blind here.", "yellow")


def _was_tried(scenario: ScenarioResult) -> bool:
    """Whether its numbers say something: none were seen of what was left out, nor of a server that was gone."""
    return scenario.verdict in (Verdict.PASSED, Verdict.FAILED) or scenario.connections_opened > 0


def _numbers(scenario: ScenarioResult) -> str:
    replaced = f", {scenario.replacements} replaced" if scenario.replacements else ""
    return f"{scenario.connections_opened} opened, peak {scenario.connections_peak}{replaced}"


def _why(scenario: ScenarioResult) -> str:
    """The rules that failed it, whose stories are told above; the reason where it is not they that decided."""
    rules = ", ".join(dict.fromkeys(finding.rule for finding in scenario.findings))
    return rules if rules and scenario.verdict is Verdict.FAILED else one_line(scenario.reason) or rules


def _remark(strand: story.Strand) -> RenderableType:
    """A finding that does not fail the run, in one breath."""
    finding = strand.finding
    said = "; ".join(message for message, _ in story.told(strand))
    fix = f" Fix: {told}" if (told := story.fix_text(finding)) else ""
    head = Text(f"! {finding.severity}: {finding.rule}", _HUE[finding.severity])
    return Group(head, Padding(Text(one_line(f"{said}.{fix}")), (0, 0, 0, 2), expand=False))


def _verdict(report: Report) -> RenderableType:
    """The last lines, which stay on the screen: verdict, the worst in a sentence or what stood in the way, its fix."""
    style = _STYLE[report.verdict]
    head = Text.assemble((f"{_MARK[report.verdict]} {report.verdict.upper()}", f"bold {style}"))
    tally = _tally(report)
    head.append(
        f"  {tally} in {format_duration(report.duration_s)}"
        if tally
        else f"  after {format_duration(report.duration_s)}"
    )
    told = _in_the_way(report) or [story.headline(report)]
    lines = [Text(one_line(said)) for said in told] if report.verdict is not Verdict.PASSED else []
    lines += [Text(fix, "green")] if (fix := story.first_fix(report)) else []
    lines += [Text("Interrupted: what is said above is partial.", "yellow")] if report.interrupted else []
    return Group(head, *(Padding(line, (0, 0, 0, 2), expand=False) for line in lines))


def _in_the_way(report: Report) -> list[str]:
    """Each reason why scenarios proved nothing, once, with those that it held up; empty where something was proven."""
    if report.verdict is not Verdict.INCONCLUSIVE or not isinstance(report, VerifyReport):
        return []
    held_up: dict[str, list[ScenarioResult]] = {}
    for scenario in report.scenarios:
        if scenario.verdict is Verdict.INCONCLUSIVE:
            held_up.setdefault(scenario.reason, []).append(scenario)
    return [f"{', '.join(each.id for each in alike)}: {alike[0].reason}" for alike in held_up.values()]


def _tally(report: Report) -> str:
    """What there is in numbers; empty where nothing was shown, which "0 findings" would make sound good."""
    if isinstance(report, LogsReport) and report.verdict is Verdict.PASSED:
        return log_figures.held(report)
    if isinstance(report, CompareReport):
        changes = Counter(measure.change for _, shown in load_figures.measures_by_benefit(report) for measure in shown)
        return ", ".join(f"{changes[change]} {change}" for change in MeasureChange if changes[change])
    if not isinstance(report, VerifyReport) or not report.scenarios:
        shown = report.findings or report.verdict is not Verdict.INCONCLUSIVE
        return plural(len(report.findings), "finding") if shown else ""
    count = Counter(scenario.verdict for scenario in report.scenarios)
    return ", ".join(f"{count[verdict]} {verdict}" for verdict in Verdict if count[verdict])
