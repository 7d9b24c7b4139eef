"""Before and after: the documented fault and its fix, under the same load, and what the one saves over the other."""

from pathlib import Path

import msgspec

from wscheck.model.comparison import CompareReport
from wscheck.model.findings import Verdict
from wscheck.model.load_report import LoadReport
from wscheck.run.compare.compare import compare
from wscheck.run.load.plan import Plan

BEFORE, AFTER = "duplicated", "unified"


def of(plan: Plan, profile: str) -> Plan:
    """`plan` with another profile; Locust's own outputs get its name, so that the second run spares the first's."""
    extras = {kind: _named(path, profile) for kind, path in plan.extras.items()}
    limits = plan.limits if profile == AFTER else {}
    return msgspec.structs.replace(plan, profile=profile, extras=extras, limits=limits)


def _named(path: Path, profile: str) -> Path:
    return path.with_name(f"{path.stem}-{profile}{path.suffix}")


def compared(before: LoadReport, after: LoadReport) -> CompareReport:
    """The comparison. It passes only when the second run does: better than the fault is not yet good."""
    report = compare(before, after)
    report.findings = after.findings
    report.options = after.options
    if after.verdict is not Verdict.PASSED:
        report.verdict = after.verdict
        report.reason = f"the run after is {after.verdict}: {after.reason}"
    return report
