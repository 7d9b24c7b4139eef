"""Allowed findings in every report format: counted, shown, and without effect on the verdict."""

import json
from collections.abc import Callable

import msgspec
import pytest

from tests.report import runs
from wscheck.model.events import AnyEvent
from wscheck.model.findings import AllowNote, Severity, Verdict
from wscheck.model.policy import UNDECIDED
from wscheck.model.report import VerifyReport
from wscheck.report import REPORTERS

REASON = "replaced in January (until 2027-01-31)"


def allowed_run() -> tuple[VerifyReport, list[AnyEvent]]:
    report, events = runs.failing()
    assert isinstance(report, VerifyReport)
    allowed = [msgspec.structs.replace(finding, allowed=REASON) for finding in report.findings]
    scenarios = [
        msgspec.structs.replace(each, findings=[], verdict=Verdict.PASSED, reason="") for each in report.scenarios
    ]
    notes = [AllowNote(severity=Severity.WARNING, text="the allow-list entry for event-leaked expired on 2026-01-01")]
    passed = msgspec.structs.replace(
        report,
        verdict=Verdict.PASSED,
        reason="",
        findings=[],
        allowed=allowed,
        allow_notes=notes,
        scenarios=scenarios,
    )
    return passed, list(events)


@pytest.mark.parametrize("name", ["terminal", "json", "junit", "github", "sarif", "html", "markdown"])
def test_every_format_shows_allowed_findings_with_their_reason(name: str) -> None:
    report, events = allowed_run()
    rendered = REPORTERS[name]()(report, events)
    text = " ".join((rendered.decode() if isinstance(rendered, bytes) else rendered).split())
    assert REASON in text and report.allowed[0].rule in text
    if name != "junit":
        assert "event-leaked expired on 2026-01-01" in text


def test_sarif_suppresses_allowed_results() -> None:
    render: Callable[..., str | bytes] = REPORTERS["sarif"]()
    results = json.loads(render(*allowed_run()))["runs"][0]["results"]
    assert results
    assert all(each["suppressions"] == [{"kind": "external", "justification": REASON}] for each in results)


def test_the_terminal_counts_allowed_findings_with_the_verdict() -> None:
    report, events = allowed_run()
    assert f"{len(report.allowed)} allowed findings in" in str(REPORTERS["terminal"]()(report, events))


@pytest.mark.parametrize("name", ["terminal", "json", "html", "markdown"])
def test_a_report_prints_the_line_for_the_configuration_if_no_policy_is_set(name: str) -> None:
    report, events = runs.failing()
    report = msgspec.structs.replace(report, gaps=[UNDECIDED])
    rendered = REPORTERS[name]()(report, events)
    text = " ".join((rendered.decode() if isinstance(rendered, bytes) else rendered).split())
    assert "under [policy] in wscheck.toml" in text.replace("\\[", "[").replace("\\]", "]")
