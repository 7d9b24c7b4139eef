"""The run as JUnit XML: what CI servers show as tests.

The dialect is the one that Jenkins' `junit-10.xsd` accepts, the strictest in use: no `skipped` on `<testsuites>`,
times with three decimals, no file, line or properties on `<testcase>`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from wscheck.model.events import AnyEvent
from wscheck.model.findings import Finding, Verdict
from wscheck.model.load_report import LoadReport, Threshold
from wscheck.model.report import Report, ScenarioResult, VerifyReport
from wscheck.report import load_figures, story
from wscheck.report.formatting import escape_control, one_line


@dataclass(frozen=True)
class _Case:
    """What becomes one `<testcase>`: a scenario, or a whole run that has none."""

    name: str
    verdict: Verdict
    reason: str
    duration_s: float
    findings: list[Finding] = field(default_factory=list)
    claim: str = ""


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """One suite, one test case for each scenario: findings are failures, what could not be checked is an error."""
    cases = _cases(report)
    openings = story.Openings(events)
    count = {verdict: sum(case.verdict is verdict for case in cases) for verdict in Verdict}
    counts = {
        "tests": str(len(cases)),
        "failures": str(count[Verdict.FAILED]),
        "errors": str(count[Verdict.INCONCLUSIVE]),
        "time": _time(report.duration_s),
    }
    suites = ET.Element("testsuites", {"name": "wscheck", **counts})
    skipped = str(count[Verdict.SKIPPED])
    suite = ET.SubElement(suites, "testsuite", {"name": _suite(report), **counts, "skipped": skipped})
    if report.started_at is not None:
        suite.set("timestamp", f"{datetime.fromtimestamp(report.started_at, UTC):%Y-%m-%dT%H:%M:%S}")
    for case in cases:
        suite.append(_testcase(case, openings))
    ET.indent(suites)
    xml: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _cases(report: Report) -> list[_Case]:
    if isinstance(report, VerifyReport) and report.scenarios:
        return [_scenario(scenario) for scenario in report.scenarios]
    limits = [_threshold(told) for told in report.thresholds] if isinstance(report, LoadReport) else []
    kind = report.schema.split(".")[-1].partition("/")[0]
    return [_Case(kind, report.verdict, report.reason, report.duration_s, report.findings), *limits]


def _threshold(told: Threshold) -> _Case:
    verdict = Verdict.FAILED if told.crossed else Verdict.PASSED
    return _Case(told.id, verdict, load_figures.format_threshold(told) if told.crossed else "", 0.0)


def _scenario(scenario: ScenarioResult) -> _Case:
    return _Case(
        scenario.id, scenario.verdict, scenario.reason, scenario.duration_s, scenario.findings, scenario.must_hold
    )


def _testcase(case: _Case, openings: story.Openings) -> ET.Element:
    attributes = {"classname": f"wscheck.{case.name}", "name": case.name, "time": _time(case.duration_s)}
    element = ET.Element("testcase", {key: one_line(value) for key, value in attributes.items()})
    findings = story.by_severity(case.findings)
    body = _body(case, findings, openings)
    message = one_line(case.reason or (findings[0].message if findings else "") or story.NOTHING_SAID[case.verdict])
    if case.verdict is Verdict.FAILED:
        kind = findings[0].rule if findings else "failed"
        ET.SubElement(element, "failure", {"message": message, "type": kind}).text = body or message
    elif case.verdict is Verdict.INCONCLUSIVE:
        ET.SubElement(element, "error", {"message": message, "type": "inconclusive"}).text = body or message
    elif case.verdict is Verdict.SKIPPED:
        ET.SubElement(element, "skipped", {"message": message})
    elif body:
        ET.SubElement(element, "system-out").text = body
    return element


def _body(case: _Case, findings: Iterable[Finding], openings: story.Openings) -> str:
    """What must hold, then every finding's whole story; empty without findings."""
    told = [escape_control(story.text(finding, openings.of(finding))) for finding in findings]
    claim = [f"Must hold: {one_line(case.claim)}"] if case.claim and told else []
    return "\n\n".join([*claim, *told])


def _suite(report: Report) -> str:
    client = getattr(report, "client", "")
    return one_line(" ".join(part for part in (report.target, client and f"({client} client)") if part))


def _time(duration_s: float) -> str:
    return f"{duration_s:.3f}"
