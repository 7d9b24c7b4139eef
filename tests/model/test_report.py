"""A run that was stopped: what it found stands, and what it did not find proves nothing."""

import pytest

from wscheck.model.findings import Verdict
from wscheck.model.report import Report


@pytest.mark.parametrize(
    ("verdict", "then", "reason"),
    [
        (Verdict.PASSED, Verdict.INCONCLUSIVE, "the run was interrupted"),
        (Verdict.FAILED, Verdict.FAILED, "why"),
        (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, "why"),
    ],
)
def test_an_interruption_takes_back_a_pass_and_nothing_else(verdict: Verdict, then: Verdict, reason: str) -> None:
    report = Report(schema="wscheck.verify/1", target="t", verdict=verdict, reason="why")
    report.interrupt()
    assert (report.verdict, report.reason, report.interrupted) == (then, reason, True)
