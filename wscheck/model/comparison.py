"""Comparison of two runs: the report of `wscheck compare` (schema `wscheck.compare/1`)."""

from enum import StrEnum

import msgspec

from wscheck.model.findings import Verdict
from wscheck.model.load_report import Second
from wscheck.model.report import Report

SCHEMA = "wscheck.compare/1"

TIME_TOLERANCE_MS = 100.0
"""Times that differ by at most this count as the same: a busy machine adds that much, and no user notices it."""


class MeasureChange(StrEnum):
    """Direction in which a measure changed. UNKNOWN: at least one of the runs did not measure it."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    UNKNOWN = "unknown"


class ComparedMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of both runs.

    benefit  the heading under which it is reported, for example "Server load"
    unit     "" for a count, "/user" for a mean over users, "ms", "s" or "/s"
    ratio    after divided by before, per user and second if the runs differ in size; None if either is unknown or 0
    """

    id: str
    benefit: str
    name: str
    unit: str
    before: float | None
    after: float | None
    change: MeasureChange
    ratio: float | None = None


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two runs. `variant` is the profile of a load run or the client of a verify run."""

    label: str
    schema: str
    target: str
    variant: str = msgspec.field(name="told")
    verdict: Verdict
    duration_s: float
    users: int | None = None
    series: list[Second] = msgspec.field(default_factory=list)


class CompareReport(Report, kw_only=True):
    """Report of `wscheck compare`.

    verdict  FAILED if a measure got worse, INCONCLUSIVE if a run proved nothing, else PASSED
    notes    differences that make the two runs less comparable: targets, numbers of users, durations
    """

    before: ComparedRun
    after: ComparedRun
    measures: list[ComparedMeasure] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def has_results(self) -> bool:
        return bool(self.measures)
