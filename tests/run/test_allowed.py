"""Allowed findings leave a report, and its verdict is decided again."""

import pytest

from wscheck.detect.engine import RuleOptions
from wscheck.model.errors import UsageError
from wscheck.model.events import Connected, PhaseEnded
from wscheck.model.findings import Bar, Verdict
from wscheck.model.report import BrowserReport
from wscheck.run.allowed import check_rule_ids, remove_allowed
from wscheck.run.page_report import evaluate_pages


def two_open_connections() -> BrowserReport:
    events = [
        Connected(at=at, sid=f"s{at}", eio=f"e{at}", user="ann", page="tab 1", source="browser") for at in (1.0, 2.0)
    ]
    return evaluate_pages([*events, PhaseEnded(at=9.0, source="browser")], RuleOptions(), Bar(), target="page")


def test_connections_that_stay_open_pass_if_their_rule_is_allowed() -> None:
    report = two_open_connections()
    assert report.verdict is Verdict.FAILED
    allowed = remove_allowed(report, ["multiple-connections"], Bar())
    assert [finding.rule for finding in allowed] == ["multiple-connections"]
    assert (report.verdict, report.reason, report.findings) == (Verdict.PASSED, "", [])


def test_another_allowed_rule_changes_nothing() -> None:
    report = two_open_connections()
    assert remove_allowed(report, ["excessive-attempts"], Bar()) == []
    assert report.verdict is Verdict.FAILED and len(report.findings) == 1


def test_an_unknown_rule_is_rejected() -> None:
    with pytest.raises(UsageError, match="Did you mean `multiple-connections`"):
        check_rule_ids(["multiple-conections"])
