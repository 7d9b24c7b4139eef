"""JUnit XML: valid under Jenkins' schema, with the result of each scenario."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from tests.report import runs
from wscheck.model.findings import Verdict
from wscheck.model.report import Report, ScenarioResult
from wscheck.report.junit import render

XSD = Path(__file__).parents[1] / "data" / "junit-10.xsd"


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(XSD))


def element(xml: bytes, tag: str) -> etree._Element:
    """Return the first element of that name."""
    return next(etree.fromstring(xml).iter(tag))


@pytest.mark.parametrize("run", [runs.passing, runs.failing, runs.looping])
def test_it_validates(run: object, schema: etree.XMLSchema) -> None:
    schema.assertValid(etree.fromstring(render(*run())))  # type: ignore[operator]


def test_the_schema_rejects_an_invalid_document(schema: etree.XMLSchema) -> None:
    spoiled = render(*runs.passing()).replace(b"<testsuites ", b'<testsuites skipped="0" ')
    assert not schema.validate(etree.fromstring(spoiled))


def test_each_verdict_becomes_its_element() -> None:
    suite = etree.fromstring(render(*runs.failing()))[0]
    cases = {case.get("classname"): case for case in suite}
    assert {name: [child.tag for child in case] for name, case in cases.items()} == {
        "wscheck.single-connection": ["failure"],
        "wscheck.race": ["failure"],
        "wscheck.zombie": ["error"],
        "wscheck.isolation": ["skipped"],
    }
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
        "skipped": "1",
    }


def test_a_failure_contains_every_fact_of_its_findings() -> None:
    failure = element(render(*runs.failing()), "failure")
    assert failure.get("type") == "multiple-connections"
    for words in (
        "Requirement: One user holds exactly one connection",
        "connection-replaced (error, high confidence): the server replaced one of the connections of BotCreationWizard",
        "multiple-connections (error",
        "who        user_123",
        "opened by  BotCreationWizard at src/components/dashboard/bot-creation-wizard.tsx:118:5 (Qm8ZtR4vYc1e)",
        "cause      two components each open a connection",
        "fix        Open the connection in one module or provider",
    ):
        assert words in (failure.text or "")


def test_an_inconclusive_scenario_has_its_reason() -> None:
    error = element(render(*runs.failing()), "error")
    assert error.get("message") == "The server did not say how long it waits for a pong."


def test_a_warning_in_a_passed_scenario_does_not_fail_it() -> None:
    report, events = runs.passing()
    failed, _ = runs.failing()
    report.scenarios[0].findings = failed.findings[:1]
    case = etree.fromstring(render(report, events))[0][0]
    assert [child.tag for child in case] == ["system-out"]


def test_a_run_without_scenarios_is_one_case(schema: etree.XMLSchema) -> None:
    report = Report(schema="wscheck.logs/1", target="app.log", verdict=Verdict.INCONCLUSIVE, reason="No evidence.")
    root = etree.fromstring(render(report, []))
    schema.assertValid(root)
    (case,) = root[0]
    assert (case.get("classname"), case.get("name"), case[0].tag) == ("wscheck.logs", "logs", "error")


@given(st.text(), st.floats(0, 1e6))
def test_any_text_and_any_duration_make_a_valid_file(text: str, duration_s: float) -> None:
    result = ScenarioResult(id=text, verdict=Verdict.SKIPPED, must_hold=text, reason=text, duration_s=duration_s)
    root = etree.fromstring(render(runs.report(result, target=text), []))
    etree.XMLSchema(etree.parse(XSD)).assertValid(root)
