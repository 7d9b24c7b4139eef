"""Report as JUnit XML, which CI servers show as tests.

The dialect is Jenkins' `junit-10.xsd`, the strictest one in use: no `skipped` on `<testsuites>`, times with three
decimals, no file, line or properties on `<testcase>`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from wscheck.model.events import AnyEvent
from wscheck.model.findings import Finding, Verdict
from wscheck.model.load_report import LoadReport, Threshold
from wscheck.model.report import Report, ScenarioResult, VerifyReport
from wscheck.report import load_figures
from wscheck.report.allowed_text import allowed_lines
from wscheck.report.finding_text import OpenerIndex, by_severity, full_text
from wscheck.report.formatting import escape_control, one_line
from wscheck.report.summary import DEFAULT_REASONS


@dataclass(frozen=True)
class _TestCase:
    """Data of one `<testcase>`: a scenario, a threshold, or a run without scenarios."""

    name: str
    verdict: Verdict
    reason: str
    duration_s: float
    findings: list[Finding] = field(default_factory=list)
    requirement: str = ""


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """Return a suite with one test case per scenario. A finding becomes a failure, an inconclusive check an error."""
    cases = _test_cases(report)
    openers = OpenerIndex(events)
    count = {verdict: sum(case.verdict is verdict for case in cases) for verdict in Verdict}
    counts = {
        "tests": str(len(cases)),
        "failures": str(count[Verdict.FAILED]),
        "errors": str(count[Verdict.INCONCLUSIVE]),
        "time": _seconds(report.duration_s),
    }
    suites = ET.Element("testsuites", {"name": "wscheck", **counts})
    skipped = str(count[Verdict.SKIPPED])
    suite = ET.SubElement(suites, "testsuite", {"name": _suite_name(report), **counts, "skipped": skipped})
    if report.started_at is not None:
        suite.set("timestamp", f"{datetime.fromtimestamp(report.started_at, UTC):%Y-%m-%dT%H:%M:%S}")
    for case in cases:
        suite.append(_testcase_element(case, openers))
    ET.indent(suites)
    xml: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return xml + b"\n"


def _test_cases(report: Report) -> list[_TestCase]:
    """Return the test cases of the checks (scenarios, thresholds or the run), then those of the allowed findings.

    Allowed findings with the same rule, message and reason are one test case, which is marked as skipped.
    """
    allowed = [
        _TestCase(f"allowed finding {number}", Verdict.SKIPPED, line, 0.0)
        for number, line in enumerate(allowed_lines(report), 1)
    ]
    return [*_checks(report), *allowed]


def _checks(report: Report) -> list[_TestCase]:
    if isinstance(report, VerifyReport) and report.scenarios:
        return [_scenario_case(scenario) for scenario in report.scenarios]
    thresholds = [_threshold_case(each) for each in report.thresholds] if isinstance(report, LoadReport) else []
    command = report.schema.split(".")[-1].partition("/")[0]
    return [_TestCase(command, report.verdict, report.reason, report.duration_s, report.findings), *thresholds]


def _threshold_case(threshold: Threshold) -> _TestCase:
    verdict = Verdict.FAILED if threshold.crossed else Verdict.PASSED
    return _TestCase(threshold.id, verdict, load_figures.format_threshold(threshold) if threshold.crossed else "", 0.0)


def _scenario_case(scenario: ScenarioResult) -> _TestCase:
    return _TestCase(
        scenario.id, scenario.verdict, scenario.reason, scenario.duration_s, scenario.findings, scenario.must_hold
    )


def _testcase_element(case: _TestCase, openers: OpenerIndex) -> ET.Element:
    attributes = {"classname": f"wscheck.{case.name}", "name": case.name, "time": _seconds(case.duration_s)}
    element = ET.Element("testcase", {key: one_line(value) for key, value in attributes.items()})
    findings = by_severity(case.findings)
    body = _body(case, findings, openers)
    first_message = findings[0].message if findings else ""
    message = one_line(case.reason or first_message or DEFAULT_REASONS[case.verdict])
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


def _body(case: _TestCase, findings: Iterable[Finding], openers: OpenerIndex) -> str:
    """Return the full text of every finding, after the requirement that the scenario checks, if there is one.

    Return "" without findings.
    """
    texts = [escape_control(full_text(finding, openers.openers_for(finding))) for finding in findings]
    requirement = [f"Requirement: {one_line(case.requirement)}"] if case.requirement and texts else []
    return "\n\n".join([*requirement, *texts])


def _suite_name(report: Report) -> str:
    client = getattr(report, "client", "")
    return one_line(" ".join(part for part in (report.target, client and f"({client} client)") if part))


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.3f}"
