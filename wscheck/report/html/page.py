"""Variables of the page template: the parts of the report, the most important first, and a timeline per scenario."""

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
from wscheck.model.report import (
    BrowserReport,
    LogsReport,
    PageSummary,
    Report,
    ScanReport,
    ScenarioResult,
    VerifyReport,
)
from wscheck.report import finding_text, links, load_figures, log_figures, loop_figures, scan_figures, summary
from wscheck.report.allowed_text import allow_note_lines, allowed_lines
from wscheck.report.finding_text import FindingGroup, OpenerIndex
from wscheck.report.formatting import (
    escape_control,
    format_clock_time,
    format_date_time,
    format_duration,
    one_line,
    plural,
)
from wscheck.report.html.charts import report_charts
from wscheck.report.html.lanes import build_lanes
from wscheck.report.html.timeline import Timeline, draw_timeline

EVENTS_SHOWN = 40
"""Largest number of events in the evidence table of a finding."""

SCREENSHOTS = 12
"""Largest number of screenshots in one report. A screenshot has some tens of kilobytes."""

_OWN_COLUMNS = frozenset(
    ["type", "at", "source", "user", "sid", "component", "path", "line", "opener", "stack", "digest", "fingerprint"]
)  # fields that the column "details" omits

_IMAGE_URI = re.compile(r"data:image/(?:png|jpeg|webp);base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)
_QUOTED = re.compile("`([^`]+)`")
_SLASH_IN_PATH = re.compile(r"/(?=[\w(.\[-]{3})")


@dataclass(frozen=True)
class ProblemSection:
    """A problem with its groups of findings and the facts that the groups share."""

    groups: list[FindingGroup]
    facts: list[tuple[str, str]]
    diffs: list[str]


@dataclass(frozen=True)
class ScenarioSection:
    """A scenario with two timelines: of the client under test, and of the control (a run with the known fault)."""

    result: ScenarioResult
    subject: Timeline | None
    control: Timeline | None
    is_open: bool


def render(report: Report, events: Sequence[AnyEvent]) -> str:
    """Return a complete HTML file. It needs no network, no script and no external font."""
    scenarios = report.scenarios if isinstance(report, VerifyReport) else []
    counts = Counter(scenario.verdict for scenario in scenarios)
    template = _environment().get_template("page.html.j2")
    return template.render(
        report=report,
        command=report.schema.removeprefix("wscheck.").partition("/")[0],
        description=summary.run_description(report),
        load=report if isinstance(report, LoadReport) and report.has_results else None,
        comparison=report if isinstance(report, CompareReport) and report.has_results else None,
        charts=report_charts(report),
        loop=report if isinstance(report, BrowserReport) and (report.rounds or report.actions) else None,
        logs=report if isinstance(report, LogsReport) and report.has_results else None,
        scan=report if isinstance(report, ScanReport) else None,
        headline=summary.headline(report),
        fix=summary.first_fix(report),
        verdict_counts=[(verdict, counts[verdict]) for verdict in Verdict if counts[verdict]],
        problems=_problem_sections(report, events),
        scenarios=_scenario_sections(report, scenarios, events),
        timeline=None
        if scenarios
        else draw_timeline(build_lanes(events, _diverging(report)), _involved_connections(report.findings)),
        screenshots=_screenshots(report),
        allowed=[*allowed_lines(report), *allow_note_lines(report)],
        notes=report.notes if isinstance(report, BrowserReport) else [],
        next_command=summary.next_command(report),
        scope=summary.scope_sentence(report),
        gaps=summary.blocking_gaps(report),
        version=__version__,
    )


def _problem_sections(report: Report, events: Sequence[AnyEvent]) -> list[ProblemSection]:
    openers = OpenerIndex(events)
    return [_problem_section(groups, openers) for groups in finding_text.group_by_problem(report.findings)]


def _problem_section(groups: list[FindingGroup], openers: OpenerIndex) -> ProblemSection:
    finding = max((group.finding for group in groups), key=lambda each: len(openers.openers_for(each)))
    facts: list[tuple[str, str]] = []
    for label, text in finding_text.labelled_facts(finding, openers.openers_for(finding)):
        facts.append(("" if label in [known for known, _ in facts] else label, text))
    return ProblemSection(groups, facts, finding_text.patch_texts(groups)[0])


def _scenario_sections(
    report: Report, scenarios: Sequence[ScenarioResult], events: Sequence[AnyEvent]
) -> list[ScenarioSection]:
    phases = _events_by_phase(events)
    passed = report.verdict is Verdict.PASSED
    return [
        ScenarioSection(
            result=scenario,
            subject=draw_timeline(
                build_lanes(phases.get((scenario.id, "subject"), ())), _involved_connections(scenario.findings)
            ),
            control=draw_timeline(build_lanes(phases.get((scenario.id, "control"), ()))),
            is_open=scenario.verdict in (Verdict.FAILED, Verdict.INCONCLUSIVE) or (passed and index == 0),
        )
        for index, scenario in enumerate(scenarios)
    ]


def _events_by_phase(events: Sequence[AnyEvent]) -> dict[tuple[str, str], list[AnyEvent]]:
    """Return a dict of (scenario, phase) to the events between the start and the end of this phase."""
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


def _involved_connections(findings: Sequence[Finding]) -> frozenset[str]:
    return frozenset(sid for finding in findings for sid in finding_text.connection_ids(finding.evidence))


def _diverging(report: Report) -> dict[str, CodeLocation]:
    """Return a dict of Engine.IO session id or socket id to the stack frame that distinguishes the connection.

    It is the first frame at which the connection's call stack differs from those of the user's other connections.
    """
    connections = report.connections if isinstance(report, BrowserReport) else []
    frames = [(connection.eio or connection.sid, connection.diverges_at) for connection in connections]
    return {key: frame for key, frame in frames if key and frame is not None}


# Screenshots


def _screenshots(report: Report) -> Markup | None:
    """Return one HTML figure per page with a screenshot, None if no page has one."""
    pages = report.pages if isinstance(report, BrowserReport) else []
    images = [(page, _image_uri(page)) for page in pages]
    figures = [_figure(page, uri) for page, uri in images if uri][:SCREENSHOTS]
    return Markup("\n").join(figures) if figures else None


def _image_uri(page: PageSummary) -> str:
    """Return `screenshot` if it is a `data:` URI of an image, otherwise "".

    A browser loads whatever the attribute `src` contains, so other values must not get there.
    """
    uri = page.screenshot or ""
    return uri if _IMAGE_URI.fullmatch(uri) else ""


def _figure(page: PageSummary, uri: str) -> Markup:
    caption = one_line(" · ".join(part for part in (page.title, page.url) if part))
    return Markup('<figure class="screen"><img src="{}" alt="{}"><figcaption>{}</figcaption></figure>').format(
        uri, f"Screenshot of {caption}", caption
    )


# Template functions and filters


def _evidence_rows(finding: Finding) -> list[tuple[str, str, str, str, str]]:
    """Return a row (time, event type, connection, details, source) for each event in the evidence of `finding`."""
    return [_evidence_row(event) for event in finding.evidence[:EVENTS_SHOWN]]


def _evidence_row(event: AnyEvent) -> tuple[str, str, str, str, str]:
    fields: dict[str, Any] = msgspec.to_builtins(event)
    opener: CodeLocation | None = getattr(event, "opener", None)
    details = [f"{key}: {value}" for key, value in fields.items() if key not in _OWN_COLUMNS]
    details += [str(opener)] if opener else []
    connection = " ".join(str(fields[key]) for key in ("sid", "component") if key in fields)
    log_line = ":".join(str(fields[key]) for key in ("path", "line") if key in fields)
    source = " ".join(part for part in (fields.get("source", ""), log_line) if part)
    time = format_clock_time(event.at) if event.at is not None else ""
    return time, fields["type"], connection, ", ".join(details), source


def _format_option(name: str, value: object) -> tuple[str, str]:
    """Return the readable name and value of an option: `grace_s: 0.25` becomes `grace`, `0.25 s`."""
    if isinstance(value, bool):
        return name.replace("_", " "), "yes" if value else "no"
    if name.endswith("_s") and isinstance(value, int | float):
        return name.removesuffix("_s").replace("_", " "), f"{value:g} s"
    return name.replace("_", " "), one_line(str(value))


def _breakable(text: str) -> Markup:
    """Return `text` as HTML that may break after slashes, for narrow screens. Back-quoted parts become code."""
    escaped = _SLASH_IN_PATH.sub("/<wbr>", str(escape(escape_control(text))))
    return Markup(_QUOTED.sub(r"<code>\1</code>", escaped))


def _finalize(value: Any) -> Any:
    """Escape control characters. Jinja calls this for every value of a template, before it escapes HTML."""
    return escape_control(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("wscheck.report.html"),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "breakable": _breakable,
        "plural": plural,
        "duration": format_duration,
        "date_time": format_date_time,
    }
    environment.globals |= {
        "evidence_rows": _evidence_rows,
        "format_option": _format_option,
        "finding_text": finding_text,
        "links": links,
        "load_figures": load_figures,
        "log_figures": log_figures,
        "loop_figures": loop_figures,
        "scan_figures": scan_figures,
    }
    return environment
