"""GitHub Actions: findings as annotations on the changed files, and the run as Markdown in the step summary."""

from collections.abc import Iterable, Sequence

from wscheck.model.comparison import CompareReport
from wscheck.model.events import AnyEvent
from wscheck.model.findings import Severity, Verdict
from wscheck.model.load_report import LoadReport
from wscheck.model.report import Report, ScenarioResult, VerifyReport
from wscheck.report import load_figures, story
from wscheck.report.formatting import escape_markdown, format_duration, one_line, plural
from wscheck.report.locations import Spot, grouped, in_tree
from wscheck.report.markdown_tables import tables

ANNOTATIONS = 10
"""GitHub shows about this many annotations of one kind for each step and drops the rest without a word."""

SUMMARY_BYTES = 1_000_000
"""GitHub refuses a step summary of more than 1 MiB."""

_COMMAND = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_MARK = {Verdict.PASSED: "✅", Verdict.FAILED: "❌", Verdict.INCONCLUSIVE: "❔", Verdict.SKIPPED: "⏭️"}


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """Workflow commands, one a line, the worst first, at most ten of a kind; the last says how many were left out."""
    openings = story.Openings(events)
    groups = [(spot, story.strand(group)) for spot, group in grouped(report.findings, openings, in_tree)]
    lines = []
    for severity in reversed(Severity):
        found = [_annotation(spot, each, openings) for spot, each in groups if each.finding.severity is severity]
        if severity is Severity.ERROR:
            found += _beyond(report)
        if severity is Severity.WARNING:
            found += [_not_judged(what, why) for what, why in _unjudged(report)]
        lines += _bounded(found, _COMMAND[severity])
    return "".join(f"{line}\n" for line in lines)


def step_summary(report: Report, events: Sequence[AnyEvent]) -> str:
    """The run as Markdown, findings first, cut at a whole finding when it would grow past GitHub's limit."""
    openings = story.Openings(events)
    head = [
        f"## {_MARK[report.verdict]} wscheck: {report.verdict}",
        escape_markdown(story.headline(report)),
        _facts(report),
    ]
    scenarios = report.scenarios if isinstance(report, VerifyReport) else []
    tail = "\n\n".join([*tables(report), *([_table(scenarios)] if scenarios else [])])
    parts, size = head, sum(len(part.encode()) for part in [*head, tail])
    for number, chapter in enumerate(chapters := story.chapters(report.findings)):
        told = _section(chapter, openings)
        size += len(told.encode()) + 2
        if size > SUMMARY_BYTES:
            parts.append(f"_{plural(len(chapters) - number, 'more finding')} not shown: GitHub's limit is 1 MiB._")
            break
        parts.append(told)
    return "\n\n".join([*parts, tail]).strip() + "\n"


def _annotation(spot: Spot | None, strand: story.Strand, openings: story.Openings) -> str:
    finding = strand.finding
    opened = openings.of(finding)
    properties = {"title": f"wscheck: {finding.rule}"}
    if spot is not None:
        properties = {"file": spot.place.file, "line": str(max(spot.place.line, 1)), **properties}
    told = "\n".join(map(one_line, story.lines(strand, opened)))
    return _command(_COMMAND[finding.severity], told, properties)


def _unjudged(report: Report) -> list[tuple[str, str]]:
    """(what, why) for everything that was tried and could not be judged."""
    scenarios = report.scenarios if isinstance(report, VerifyReport) else []
    found = [(s.id, s.reason) for s in scenarios if s.verdict is Verdict.INCONCLUSIVE]
    if not found and report.verdict is Verdict.INCONCLUSIVE:
        found = [(report.target, report.reason)]
    return found


def _not_judged(what: str, why: str) -> str:
    reason = one_line(why) or story.NOTHING_SAID[Verdict.INCONCLUSIVE]
    return _command("warning", f"{one_line(what)}: {reason}", {"title": "wscheck: inconclusive"})


def _beyond(report: Report) -> list[str]:
    """What fails a run without being a finding: a threshold, or something that got worse."""
    crossed = [limit for limit in report.thresholds if limit.crossed] if isinstance(report, LoadReport) else []
    if isinstance(report, CompareReport) and report.verdict is Verdict.FAILED:
        return [_command("error", one_line(report.reason), {"title": "wscheck: compare"})]
    return [
        _command("error", load_figures.format_threshold(limit), {"title": f"wscheck: {limit.id}"}) for limit in crossed
    ]


def _bounded(commands: list[str], kind: str) -> list[str]:
    if len(commands) <= ANNOTATIONS:
        return commands
    rest = len(commands) - (ANNOTATIONS - 1)
    more = _command(
        kind, f"{plural(rest, f'more {kind}')}: see the step summary or another report.", {"title": "wscheck"}
    )
    return [*commands[: ANNOTATIONS - 1], more]


def _command(kind: str, message: str, properties: dict[str, str]) -> str:
    said = ",".join(f"{key}={_property(one_line(value))}" for key, value in properties.items())
    return f"::{kind} {said}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _facts(report: Report) -> str:
    driven = f" · {one_line(ran)}" if (ran := story.run_description(report)) else ""
    partial = " · **interrupted: this is partial**" if report.interrupted else ""
    return f"{_code(report.target)}{driven} · {format_duration(report.duration_s)}{partial}"


def _section(chapter: Sequence[story.Strand], openings: story.Openings) -> str:
    """One thing to mend: the rules that tell of it, what they say, and once for all of them why and the fix."""
    finding = chapter[0].finding
    rules = ", ".join(strand.finding.rule for strand in chapter)
    said = [line for strand in chapter for line in story.told(strand)]
    messages = "\n".join(
        f"- {escape_markdown(message)}" + (f" ({escape_markdown(where)})" if where else "") for message, where in said
    )
    rows = "\n".join(
        f"- **{label}**: {escape_markdown(told)}" for label, told in story.rows(finding, openings.of(finding))
    )
    return f"### {finding.severity}: {escape_markdown(rules)}\n\n{messages}\n\n{rows}"


def _table(scenarios: Iterable[ScenarioResult]) -> str:
    head = "| | scenario | must hold | opened | peak | replaced | reason |\n|---|---|---|--:|--:|--:|---|"
    return "\n".join([head, *(_table_row(scenario) for scenario in scenarios)])


def _table_row(s: ScenarioResult) -> str:
    cells = [_MARK[s.verdict], _code(s.id), escape_markdown(one_line(s.must_hold)), str(s.connections_opened)]
    cells += [str(s.connections_peak), str(s.replacements), escape_markdown(one_line(s.reason))]
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return "`" + one_line(text).replace("`", "'").replace("|", "\\|") + "`"
