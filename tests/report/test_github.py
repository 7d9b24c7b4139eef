"""GitHub annotations and step summary: limits and escaping."""

import re

import msgspec
import pytest

from tests.report import runs
from wscheck.model.events import AnyEvent, CodeLocation, Connected
from wscheck.model.findings import Cause, Severity, Verdict
from wscheck.model.report import Report, VerifyReport
from wscheck.report.github import ANNOTATIONS, render
from wscheck.report.links import SITE
from wscheck.report.markdown import MAX_BYTES
from wscheck.report.markdown import render as step_summary

COMMAND = re.compile(r"::(error|warning|notice) ([^:]*)::(.*)")


def commands(report: Report, events: list[AnyEvent]) -> list[tuple[str, dict[str, str], str]]:
    """Return the annotations as GitHub's runner parses them."""
    found = []
    for line in render(report, events).splitlines():
        kind, properties, message = COMMAND.fullmatch(line).groups()  # type: ignore[union-attr]
        pairs = dict(pair.split("=", 1) for pair in properties.split(","))
        found.append((kind, {key: unescaped(value) for key, value in pairs.items()}, unescaped(message)))
    return found


def unescaped(text: str) -> str:
    for code, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, char)
    return text


def many(count: int) -> tuple[VerifyReport, list[AnyEvent]]:
    report, events = runs.failing()
    first = report.findings[0]
    report.findings = [msgspec.structs.replace(first, rule=f"rule-{n}", message="m" * 300) for n in range(count)]
    for number, finding in enumerate(report.findings):
        finding.cause = Cause(id=f"cause-{number}", name="c", fix="f")
    return report, events


def test_a_finding_is_an_annotation_on_the_line_that_opened_the_connection() -> None:
    kind, properties, message = commands(*runs.failing())[0]
    assert kind == "error"
    assert properties["file"] == "src/app/(dashboard)/dashboard/page.tsx"
    assert properties["line"] == "42"
    assert properties["title"] == "wscheck: multiple-connections"
    assert "fix: Open the connection in one module or provider" in message


def test_the_most_severe_come_first_and_an_inconclusive_scenario_is_a_warning() -> None:
    report, events = runs.failing()
    for finding in report.findings[1:]:
        finding.severity = Severity.NOTE
    for scenario in report.scenarios:
        if scenario.findings and all(each.severity is Severity.NOTE for each in scenario.findings):
            scenario.verdict = Verdict.PASSED
    kinds = [kind for kind, _, _ in commands(report, events)]
    assert kinds == ["error", "warning", *["notice"] * (len(report.findings) - 1)]
    assert "zombie: The server did not say" in render(report, events)


def test_annotations_beyond_the_limit_are_counted_in_the_last() -> None:
    found = [message for kind, _, message in commands(*many(25)) if kind == "error"]
    assert len(found) == ANNOTATIONS
    assert found[-1].startswith("16 more errors: see the step summary")


def test_equal_findings_of_many_scenarios_are_one_annotation() -> None:
    report, events = runs.failing()
    first = report.findings[0]
    report.findings = [msgspec.structs.replace(first, scenario=f"scenario-{n}") for n in range(12)]
    ((_, _, message),) = [found for found in commands(report, events) if found[0] == "error"]
    assert "12 times, in scenario-0, scenario-1" in message


def test_a_file_outside_the_checkout_is_not_annotated() -> None:
    for file in ("/usr/lib/app.js", "http://localhost:3000/page.js", "../other/page.js"):
        report, events = runs.failing()
        moved = [
            msgspec.structs.replace(e, opener=CodeLocation(file, 3)) if getattr(e, "opener", None) else e
            for e in events
        ]
        for finding in report.findings:
            finding.evidence = []
        assert not [properties for _, properties, _ in commands(report, moved) if "file" in properties]


def test_hostile_text_cannot_start_a_command_of_its_own() -> None:
    report, events = runs.failing(user="a\n::set-output name=x::100%,b:c")
    lines = render(report, events).splitlines()
    assert all(line.startswith(("::error ", "::warning ")) for line in lines)
    assert any("100%25" in line for line in lines)


def test_the_summary_contains_the_verdict_the_findings_and_every_scenario() -> None:
    output = step_summary(*runs.failing())
    assert output.startswith("## ❌ wscheck: failed\n")
    assert f"### error: [multiple-connections]({SITE}rules/#multiple-connections), [connection-replaced](" in output
    assert "- **fix**: Open the connection in one module or provider" in output
    for scenario in ("single-connection", "race", "zombie", "isolation"):
        assert f"| `{scenario}` |" in output


def test_the_summary_escapes_markdown_and_html() -> None:
    report, events = runs.failing(user="<img src=x>|`*_[a](b)")
    output = step_summary(report, events)
    assert "<img" not in output
    assert r"\[a\](b)" in output


@pytest.mark.parametrize("count", [1, 6_000])
def test_the_summary_is_within_the_limit_of_github(count: int) -> None:
    """Test the limit in bytes: a character may need four."""
    report, events = many(count)
    for finding in report.findings:
        finding.message += " \U0001f50c" * 100
    output = step_summary(report, events)
    assert len(output.encode()) <= MAX_BYTES + 200
    assert ("not shown: GitHub's limit" in output) is (count > 1)


def test_a_run_that_could_not_be_checked_is_a_warning() -> None:
    report = Report(schema="wscheck.logs/1", target="app.log", verdict=Verdict.INCONCLUSIVE, reason="No evidence.")
    assert render(report, []) == "::warning title=wscheck%3A inconclusive::app.log: No evidence.\n"


def test_faults_at_different_locations_are_separate_annotations() -> None:
    report, events = runs.failing()
    first = report.findings[0]
    elsewhere = Connected(at=1.0, user="user_9", sid="elsewhere", opener=CodeLocation("src/other.ts", 3))
    report.findings = [first, msgspec.structs.replace(first, user="user_9", evidence=[elsewhere])]
    files = [properties["file"] for kind, properties, _ in commands(report, events) if kind == "error"]
    assert files == ["src/app/(dashboard)/dashboard/page.tsx", "src/other.ts"]
