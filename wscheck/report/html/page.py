"""What the page is given: the report in the order a tired person reads it, each scenario with its own timeline."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup, escape

from wscheck import __version__
from wscheck.model.comparison import CompareReport
from wscheck.model.events import AnyEvent, CodeLocation, PhaseEnded, PhaseStarted
from wscheck.model.findings import Finding, Verdict
from wscheck.model.load_report import LoadReport
from wscheck.model.report import BrowserReport, LogsReport, Report, ScenarioResult, VerifyReport
from wscheck.report import load_figures, log_figures, story
from wscheck.report.formatting import escape_control, format_clock_time, format_date_time, format_duration, plural
from wscheck.report.html.captions import setting
from wscheck.report.html.load_chart import courses
from wscheck.report.html.screenshots import screens
from wscheck.report.html.timeline import Timeline, timeline

FIGURES = (
    "format_amount",
    "format_change",
    "format_threshold",
    "load_figure_rows",
    "measures_by_benefit",
    "server_counts_sentence",
)
"""Of `wscheck.report.load_figures`, what the templates call by its name."""

EVIDENCE = 40
"""Events shown beneath one finding."""

_SHOWN = {
    "type",
    "at",
    "source",
    "user",
    "sid",
    "component",
    "path",
    "line",
    "opener",
    "stack",
    "digest",
    "fingerprint",
}


_QUOTED = re.compile("`([^`]+)`")
_IN_PATH = re.compile(r"/(?=[\w(.\[-]{3})")


@dataclass(frozen=True)
class Told:
    """A chapter of findings with its shared facts."""

    strands: list[story.Strand]
    rows: list[tuple[str, str]]
    grave: bool


@dataclass(frozen=True)
class Shown:
    """A scenario with its drawings."""

    result: ScenarioResult
    subject: Timeline | None
    control: Timeline | None
    open: bool


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """One file that needs nothing else: no network, no script, no font."""
    scenarios = report.scenarios if isinstance(report, VerifyReport) else []
    counts = Counter(scenario.verdict for scenario in scenarios)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            kind=report.schema.removeprefix("wscheck.").partition("/")[0],
            ran=story.run_description(report),
            load=report if isinstance(report, LoadReport) and report.has_results else None,
            comparison=report if isinstance(report, CompareReport) and report.has_results else None,
            plots=courses(report),
            read=report if isinstance(report, LogsReport) and report.has_results else None,
            headline=story.headline(report),
            fix=story.first_fix(report),
            tally=[(verdict, counts[verdict]) for verdict in Verdict if counts[verdict]],
            chapters=_chapters(report, events),
            scenarios=_scenarios(report, scenarios, events),
            timeline=None if scenarios else timeline(events, _involved(report.findings), _diverging(report)),
            screens=screens(report),
            unseen=report.notes if isinstance(report, BrowserReport) else [],
            next_step=story.next_command(report),
            version=__version__,
        )
    )


def _chapters(report: Report, events: Sequence[AnyEvent]) -> list[Told]:
    openings = story.Openings(events)
    return [_chapter(strands, openings, report.verdict) for strands in story.chapters(report.findings)]


def _chapter(strands: list[story.Strand], openings: story.Openings, verdict: Verdict) -> Told:
    fullest = max((strand.finding for strand in strands), key=lambda finding: len(openings.of(finding)))
    rows: list[tuple[str, str]] = []
    for label, said in story.rows(fullest, openings.of(fullest)):
        rows.append(("" if rows and label in [known for known, _ in rows] else label, said))
    return Told(strands, rows, grave=verdict is Verdict.FAILED)


def _scenarios(report: Report, scenarios: Sequence[ScenarioResult], events: Sequence[AnyEvent]) -> list[Shown]:
    phases = _phases(events)
    calm = report.verdict is Verdict.PASSED
    return [
        Shown(
            result=scenario,
            subject=timeline(phases.get((scenario.id, "subject"), ()), _involved(scenario.findings)),
            control=timeline(phases.get((scenario.id, "control"), ())),
            open=scenario.verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE) or (calm and index == 0),
        )
        for index, scenario in enumerate(scenarios)
    ]


def _phases(events: Sequence[AnyEvent]) -> dict[tuple[str, str], list[AnyEvent]]:
    """The events of each scenario's phases: those between its beginning and its end."""
    phases: dict[tuple[str, str], list[AnyEvent]] = {}
    current: list[AnyEvent] | None = None
    for event in events:
        if isinstance(event, PhaseStarted):
            current = phases.setdefault((event.scenario, event.phase), [])
        if current is not None:
            current.append(event)
        if isinstance(event, PhaseEnded):
            current = None
    return phases


def _involved(findings: Sequence[Finding]) -> frozenset[str]:
    return frozenset(sid for finding in findings for sid in story.connection_ids(finding.evidence))


def _diverging(report: Report) -> dict[str, CodeLocation]:
    """By session or sid, where the report's connections say that their stacks part."""
    told = [(each.eio or each.sid, each.diverges_at) for each in getattr(report, "connections", ())]
    return {key: place for key, place in told if key and place is not None}


def _evidence(finding: Finding) -> list[tuple[str, str, str, str, str]]:
    """(time, what, connection, details, seen by) of the events behind `finding`."""
    return [_event_row(event) for event in finding.evidence[:EVIDENCE]]


def _event_row(event: AnyEvent) -> tuple[str, str, str, str, str]:
    fields: dict[str, Any] = msgspec.to_builtins(event)
    place: CodeLocation | None = getattr(event, "opener", None)
    details = [f"{key}: {value}" for key, value in fields.items() if key not in _SHOWN]
    who = " ".join(str(fields[key]) for key in ("sid", "component") if key in fields)
    details += [str(place)] if place else []
    where = ":".join(str(fields[key]) for key in ("path", "line") if key in fields)
    seen_by = " ".join(part for part in (fields.get("source", ""), where) if part)
    return format_clock_time(event.at) if event.at is not None else "", fields["type"], who, ", ".join(details), seen_by


def _breakable(text: str) -> Markup:
    """`text`, which may break after a slash (paths outgrow a telephone); what stands in back quotes is code."""
    escaped = _IN_PATH.sub("/<wbr>", str(escape(escape_control(text))))
    return Markup(_QUOTED.sub(r"<code>\1</code>", escaped))


def _finalized(value: Any) -> Any:
    """Everything printed by a template passes here: control characters are spelled out before escaping."""
    return escape_control(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wscheck.report.html"),
        autoescape=True,
        finalize=_finalized,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": _breakable,
        "plural": plural,
        "seconds": format_duration,
        "moment": format_date_time,
    }
    environment.globals |= {"evidence": _evidence, "seen": story.seen, "told": story.told, "logs": log_figures}
    environment.globals["setting"] = setting
    environment.globals |= {name: getattr(load_figures, name) for name in FIGURES}
    return environment
