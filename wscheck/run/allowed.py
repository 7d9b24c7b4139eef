"""Rules that the caller of the Python API allows: their findings are removed and the verdict is decided again."""

from collections.abc import Collection, Iterable

import msgspec

from wscheck.detect.rules import RULE_DOCS
from wscheck.detect.verdict import first_finding, first_message, verdict
from wscheck.model.errors import UnknownName
from wscheck.model.findings import Bar, Finding
from wscheck.model.gaps import Gap
from wscheck.model.report import BrowserReport, VerifyReport
from wscheck.run.verify.scoring import score_run


def check_rule_ids(rules: Iterable[str]) -> None:
    """Check that every rule exists.

    Raises:
        UnknownName: A rule does not exist.
    """
    if unknown := next((rule for rule in rules if rule not in RULE_DOCS), None):
        raise UnknownName(f"There is no rule `{unknown}`.", unknown, RULE_DOCS, "List all: wscheck rules.")


def remove_allowed(report: VerifyReport | BrowserReport, rules: Collection[str], bar: Bar) -> list[Finding]:
    """Remove the findings of `rules` from `report` and decide its verdict again. Return the removed findings.

    Missing evidence that only concerns `rules` no longer prevents a verdict of passed.
    """
    allowed = [finding for finding in report.findings if finding.rule in rules]
    if not allowed and not any(_concerns_only(gap, rules) for gap in report.gaps):
        return []
    report.findings = [finding for finding in report.findings if finding.rule not in rules]
    if isinstance(report, BrowserReport):
        decision = verdict(report.findings, _without_blocks(report.gaps, rules), bar, describe=first_finding)
    else:
        run_gaps = [gap for gap in report.gaps if all(gap not in scenario.gaps for scenario in report.scenarios)]
        for scenario in report.scenarios:
            scenario.findings = [finding for finding in scenario.findings if finding.rule not in rules]
            part = verdict(scenario.findings, _without_blocks(scenario.gaps, rules), bar, describe=first_message)
            scenario.verdict, scenario.reason, scenario.gaps = part.verdict, part.reason, list(part.gaps)
        decision = score_run(report.scenarios, bar, _without_blocks(run_gaps, rules))
    report.verdict, report.reason, report.gaps = decision.verdict, decision.reason, list(decision.gaps)
    return allowed


def _concerns_only(gap: Gap, rules: Collection[str]) -> bool:
    return bool(gap.rules) and set(gap.rules) <= set(rules)


def _without_blocks(gaps: Iterable[Gap], rules: Collection[str]) -> list[Gap]:
    """Return `gaps` (missing evidence). Those that only concern `rules` no longer prevent a verdict of passed."""
    return [msgspec.structs.replace(gap, blocks=False) if _concerns_only(gap, rules) else gap for gap in gaps]
