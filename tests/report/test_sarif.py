"""SARIF: valid under OASIS' schema, with a location per result and the help of rules."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests.report import runs
from wscheck.detect.rules import REGISTRY
from wscheck.model.code_facts import Patch, Replacement
from wscheck.model.events import CodeLocation, Connected, HandlersRegistered, Replaced, Subscribed
from wscheck.model.findings import Confidence, Finding, Severity, Verdict
from wscheck.model.report import Report
from wscheck.report.sarif import render

DATA = Path(__file__).parents[1] / "data"


@cache
def validator() -> Any:
    schema = json.loads((DATA / "sarif-schema-2.1.0.json").read_bytes())
    return jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())


def run_of(report: Report, events: Any = ()) -> dict[str, Any]:
    """Validate the log and return its run."""
    log = json.loads(render(report, events))
    validator().validate(log)
    run: dict[str, Any]
    (run,) = log["runs"]
    return run


def report_of(*findings: Finding) -> Report:
    return Report(schema="wscheck.logs/1", target="app.log", verdict=Verdict.FAILED, findings=list(findings))


def finding(*evidence: Any, user: str = "user_1", rule: str = "multiple-connections") -> Finding:
    return Finding(
        rule=rule,
        severity=Severity.ERROR,
        confidence=Confidence.HIGH,
        user=user,
        message=f"{user} holds 2 connections",
        evidence=list(evidence),
    )


def places(result: dict[str, Any]) -> list[tuple[str, int]]:
    found = [location["physicalLocation"] for location in result["locations"]]
    return [(place["artifactLocation"]["uri"], place["region"]["startLine"]) for place in found]


@pytest.mark.parametrize("run", [runs.passing, runs.failing, runs.looping])
def test_every_run_is_valid_sarif(run: Any) -> None:
    assert run_of(*run())["tool"]["driver"]["name"] == "wscheck"


def test_the_invocation_has_start_and_end() -> None:
    report, events = runs.passing()
    report.started_at, report.duration_s = 1_795_000_000.0, 90.0
    (output,) = run_of(report, events)["invocations"]
    assert (output["startTimeUtc"], output["endTimeUtc"]) == ("2026-11-18T11:06:40.000Z", "2026-11-18T11:08:10.000Z")


def test_the_schema_rejects_an_invalid_document() -> None:
    log = json.loads(render(*runs.failing()))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not validator().is_valid(log)


def test_a_result_is_on_the_line_that_opened_the_connection_and_names_the_other() -> None:
    results = run_of(*runs.failing())["results"]
    assert {result["ruleId"] for result in results} == {"multiple-connections", "connection-replaced"}
    for result in results:
        assert places(result) == [("src/app/%28dashboard%29/dashboard/page.tsx", 42)]
        (other,) = result["relatedLocations"]
        assert other["physicalLocation"]["artifactLocation"]["uri"].endswith("bot-creation-wizard.tsx")
        assert other["physicalLocation"]["region"] == {"startLine": 118, "startColumn": 5}
        assert "BotCreationWizard opens a connection here" in other["message"]["text"]
        assert "fix: Open the connection in one module or provider" in result["message"]["text"]


def test_every_rule_has_its_help_and_the_fixes_of_its_causes() -> None:
    rules = {rule["id"]: rule for rule in run_of(*runs.failing())["tool"]["driver"]["rules"]}
    for name, rule in rules.items():
        assert rule["shortDescription"]["text"] == REGISTRY[name].title
        assert REGISTRY[name].fix in rule["help"]["text"]
        assert rule["helpUri"] == f"https://wscheck.github.io/wscheck/rules/#{name}"
        assert (
            "If the cause is two-openers (two components each open a connection): Open the connection in one"
            in rule["help"]["text"]
        )


def test_a_finding_without_opener_is_on_the_log_line() -> None:
    output = [
        Connected(at=1.0, user="user_1", sid="a", path="logs/a pp.log", line=7),
        Replaced(at=2.0, user="user_1", old_sid="a", new_sid="b", path="logs/a pp.log", line=9),
    ]
    (result,) = run_of(report_of(finding(*output)))["results"]
    assert places(result) == [("logs/a%20pp.log", 7)]
    (flow,) = result["codeFlows"]
    steps = [
        step["location"]["physicalLocation"]["region"]["startLine"] for step in flow["threadFlows"][0]["locations"]
    ]
    assert steps == [7, 9]


def test_an_absolute_log_is_a_file_uri_and_stdin_is_no_file() -> None:
    (result,) = run_of(report_of(finding(Connected(user="user_1", sid="a", path="/var/log/app.log", line=3))))[
        "results"
    ]
    assert places(result) == [("file:///var/log/app.log", 3)]
    (result,) = run_of(report_of(finding(Connected(user="user_1", sid="a", path="-", line=3))))["results"]
    assert places(result) == [("wscheck.toml", 1)]


def test_handlers_registered_twice_are_locations() -> None:
    handlers = (CodeLocation("src/hooks/useBot.ts", 12, 3), CodeLocation("src/hooks/useBot.ts", 12, 3))
    opened = Connected(user="user_1", sid="a", page="p", opener=CodeLocation("src/services/socket.ts", 4, 10))
    for registered in (HandlersRegistered(sid="a", handlers=handlers), HandlersRegistered(sid="a", lost=handlers)):
        (result,) = run_of(report_of(finding(opened, registered)))["results"]
        assert places(result) == [("src/hooks/useBot.ts", 12)], "and not where the connection was opened"


def test_a_subscription_is_located_where_the_code_subscribes() -> None:
    site, opener = CodeLocation("src/Orders.tsx", 9, 5), CodeLocation("src/services/socket.ts", 4, 10)
    opened = Connected(user="user_1", sid="a", page="p", opener=opener)
    (result,) = run_of(report_of(finding(opened, Subscribed(sid="a", subscriber=site, opener=opener))))["results"]
    assert places(result) == [("src/Orders.tsx", 9)]


@pytest.mark.parametrize("file", ["http://localhost:3000/app.js", "<anonymous>", "blob:http://localhost/1"])
def test_a_finding_without_file_is_on_the_configuration(file: str) -> None:
    opened = Connected(user="user_1", sid="a", page="p", opener=CodeLocation(file, 1, 9000))
    (result,) = run_of(report_of(finding(opened)))["results"]
    assert places(result) == [("wscheck.toml", 1)] and result["level"] == "error"
    assert "user_1 holds 2 connections" in result["message"]["text"]


def test_the_log_of_the_embedded_backend_is_no_file() -> None:
    logged = [
        Connected(at=1.0, user="user_1", sid="a", path="embedded backend", line=7),
        Replaced(at=2.0, user="user_1", old_sid="a", new_sid="b", path="embedded backend", line=9),
    ]
    (result,) = run_of(report_of(finding(*logged)))["results"]
    assert places(result) == [("wscheck.toml", 1)]
    assert "codeFlows" not in result and "relatedLocations" not in result


def test_equal_findings_are_one_result_with_all_users() -> None:
    opened = Connected(sid="a", opener=CodeLocation("src/a.ts", 5))
    run = run_of(report_of(*(finding(opened, user=f"user_{n}") for n in range(30))))
    (result,) = run["results"]
    assert result["occurrenceCount"] == 30
    assert len(result["properties"]["users"]) == 20


def test_a_fault_keeps_its_fingerprint_when_its_line_moves() -> None:
    prints = []
    for place in (
        CodeLocation("src/a.ts", 5, 1, "useBot"),
        CodeLocation("src/a.ts", 9, 1, "useBot"),
        CodeLocation("src/a.ts", 9, 1, "other"),
    ):
        (result,) = run_of(report_of(finding(Connected(sid="a", opener=place))))["results"]
        prints.append(result["partialFingerprints"]["primaryLocationLineHash"])
    assert prints[0] == prints[1] != prints[2]


def test_an_inconclusive_run_is_not_successful() -> None:
    report = Report(schema="wscheck.logs/1", target="app.log", verdict=Verdict.INCONCLUSIVE, reason="No evidence.")
    (invocation,) = run_of(report)["invocations"]
    assert invocation["executionSuccessful"] is False
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "app.log: No evidence."
    (invocation,) = run_of(*runs.passing())["invocations"]
    assert invocation["executionSuccessful"] is True


def test_hostile_text_is_escaped() -> None:
    hostile = "a\x1b[31m\u202eb\ud800"
    report, events = runs.failing()
    report.findings = [msgspec.structs.replace(each, user=hostile.replace("\ud800", "")) for each in report.findings]
    output = render(report, events).decode()
    assert "\x1b" not in output and "\u202e" not in output and r"\\x1b" in output


def test_an_unknown_rule_of_another_command_is_still_described() -> None:
    opened = Connected(sid="a", opener=CodeLocation("src/a.ts", 5))
    (rule,) = run_of(report_of(finding(opened, rule="threshold-crossed")))["tool"]["driver"]["rules"]
    assert rule["id"] == "threshold-crossed"


def test_callers_of_a_shared_opener_are_related_locations() -> None:
    shared, callers = (
        CodeLocation("src/services/socket.ts", 7, 10),
        (CodeLocation("src/a.ts", 10, 2), CodeLocation("src/b.ts", 18, 2)),
    )
    opened = [Connected(sid=caller.file, opener=shared, stack=(shared, caller)) for caller in callers]
    (result,) = run_of(report_of(finding(*opened)))["results"]
    assert places(result) == [("src/services/socket.ts", 7)]
    related = [each["physicalLocation"] for each in result["relatedLocations"]]
    assert [each["artifactLocation"]["uri"] for each in related] == ["src/a.ts", "src/b.ts"]
    assert [each["region"]["startLine"] for each in related] == [10, 18]


def test_a_patch_is_a_fix_of_its_result() -> None:
    shown = finding()
    shown.locations = [CodeLocation("src/a b.tsx", 4, 3, "Chat")]
    inserted = Replacement(line=4, column=9, end_line=5, end_column=1, start=60, end=70, text="return;\r\n")
    shown.patch = Patch(file="src/a b.tsx", replacements=[inserted], diff="")
    (result,) = run_of(report_of(shown))["results"]
    (fix,) = result["fixes"]
    assert fix["artifactChanges"] == [
        {
            "artifactLocation": {"uri": "src/a%20b.tsx", "uriBaseId": "%SRCROOT%"},
            "replacements": [
                {
                    "deletedRegion": {"startLine": 4, "startColumn": 9, "endLine": 5, "endColumn": 1},
                    "insertedContent": {"text": "return;\r\n"},
                }
            ],
        }
    ]
