"""What changed between two runs: new and missing findings, scenarios, the verdict."""

from msgspec.structs import replace

from tests.report import runs
from wscheck.model.findings import Verdict
from wscheck.model.report import Report
from wscheck.report.terminal import change_lines


def lines(before: Report, after: Report) -> list[str]:
    return [line.plain for line in change_lines(before, after)]


def test_a_fault_that_appears_has_its_message_and_its_fix() -> None:
    passing, failing = runs.passing()[0], runs.failing()[0]
    found = lines(passing, failing)
    message = failing.findings[0].message
    assert any(line.startswith("✗ new  multiple-connections  ") and message in line for line in found)
    assert any(line.startswith("       fix  Open the connection in one module or provider") for line in found)
    assert found[-1].startswith("FAILED (before: passed)  in ")


def test_a_fault_that_was_mended_is_gone() -> None:
    found = lines(runs.failing()[0], runs.passing()[0])
    assert any(line.startswith("✓ gone  multiple-connections  ") for line in found)
    assert not any(line.startswith("✗ new") for line in found)
    assert found[-1].startswith("PASSED (before: failed)  in ")


def test_a_run_without_a_verdict_mends_nothing() -> None:
    after = runs.passing()[0]
    after.verdict, after.reason = Verdict.INCONCLUSIVE, "nothing listens"
    found = lines(runs.failing()[0], after)
    assert any(line.startswith("? not seen  multiple-connections  ") for line in found)
    assert not any("gone" in line for line in found)


def test_users_scenarios_and_lines_do_not_make_a_fault_another_one() -> None:
    before, after = runs.failing()[0], runs.failing()[0]
    after.findings = [replace(each, user="someone else", scenario="other", count=9) for each in after.findings]
    found = lines(before, after)
    assert found[0].startswith("nothing changed, still ") and len(found) == 2


def test_a_scenario_with_another_verdict_is_named() -> None:
    found = lines(runs.failing()[0], runs.passing()[0])
    assert any(line.endswith("now passed") for line in found)
