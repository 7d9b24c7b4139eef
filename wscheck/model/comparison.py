"""Data types for the comparison of two runs: the report of `wscheck compare` (schema `wscheck.compare/1`)."""

from enum import StrEnum

import msgspec

from wscheck.model.findings import Verdict
from wscheck.model.load_report import Second
from wscheck.model.report import Report

SCHEMA = "wscheck.compare/1"

TIME_TOLERANCE_MS = 100.0
"""Largest difference between two times that count as the same (milliseconds), unless the runs show a longer delay.

A busy machine adds that much, and users do not notice it.
"""


class Basis(StrEnum):
    """Numbers by which a measure was compared.

    VALUES   the values themselves
    MEDIANS  the medians, because there are too few durations for a higher percentile
    NONE     the measure was not compared, because there are too few durations even for a median
    """

    VALUES = "values"
    MEDIANS = "medians"
    NONE = "none"


class MeasureChange(StrEnum):
    """Direction in which a measure changed. UNKNOWN if one of the two reports does not contain the measure."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    UNKNOWN = "unknown"


class ComparedMeasure(msgspec.Struct, frozen=True, kw_only=True):
    """A measure (one number of a report) in both runs. `basis` defines by which numbers they were compared.

    benefit  heading under which the measure is reported: the advantage of one connection per user, such as "Server
             load"
    unit     "" for a count, "/user" for a mean over users, "ms", "s" or "/s"
    ratio    after divided by before, per user and second if the runs differ in size; None if a value is unknown or 0
    """

    id: str
    benefit: str
    name: str
    unit: str
    before: float | None
    after: float | None
    change: MeasureChange
    ratio: float | None = None
    basis: Basis = Basis.VALUES


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two runs. `variant` is the profile of a load run, or the client of a verify run."""

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

    verdict  FAILED if a measure got worse, INCONCLUSIVE if a run proved nothing, otherwise PASSED
    notes    differences between the runs that limit the comparison: targets, numbers of users, durations
    """

    before: ComparedRun
    after: ComparedRun
    measures: list[ComparedMeasure] = msgspec.field(default_factory=list)
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def has_results(self) -> bool:
        return bool(self.measures)
