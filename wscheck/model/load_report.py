"""WHAT A LOAD RUN TOLD: the report of `wscheck load` (schema `wscheck.load/1`), statistics and all; pure."""

from collections.abc import Callable

import msgspec

from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import Report

SCHEMA = "wscheck.load/1"


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """`duplicated`: deliveries of an event that another connection of the same user had received already."""

    received: int = 0
    duplicated: int = 0


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a run, the `second`-th since it began; counts are of that second, `open` and `users` at its end."""

    second: int
    users: int = 0
    open: int = 0
    connects: int = 0
    refused: int = 0
    disconnects: int = 0
    replaced: int = 0
    received: int = 0
    duplicated: int = 0
    heartbeat_lag_ms: float | None = None


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that was asked for. `measured` None: nothing was measured, which does not count as kept."""

    id: str
    limit: float
    measured: float | None
    crossed: bool


class ServerSide(msgspec.Struct, frozen=True, kw_only=True):
    """What the embedded backend says of the same run, and what it cost its process."""

    connects: int
    replaced: int
    refused: int
    peak: int
    emitted: int
    cpu_s: float | None = None
    rss_mb: float | None = None


class LoadReport(Report, kw_only=True):
    """`wscheck load` (schema `wscheck.load/1`).

    users                 simulated users that ran
    workers, workers_lost Locust processes that generated load, and those of them that died on the way
    refused, disconnects  by kind and by reason
    connections_open      at the end of the run, before the users leave
    connections_per_user  the most connections that a user held at once, averaged over the users
    churn_per_user_s      connects and disconnects, per user and second
    ack_timeouts          events that were not acknowledged in time
    notes                 what whoever reads the figures must know: a lost worker, a generator that lagged
    server                what the embedded backend counted itself; None against any other target
    """

    profile: str = ""
    users: int = 0
    workers: int = 1
    workers_lost: int = 0
    connects: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    disconnects: dict[str, int] = msgspec.field(default_factory=dict)
    replaced: int = 0
    connections_open: int = 0
    connections_peak: int = 0
    connections_per_user: float = 0.0
    churn_per_user_s: float = 0.0
    lifetime_ms: Percentiles = msgspec.field(default_factory=Percentiles)
    connect_ms: Percentiles = msgspec.field(default_factory=Percentiles)
    ack_ms: Percentiles = msgspec.field(default_factory=Percentiles)
    ack_timeouts: int = 0
    events: EventCounts = msgspec.field(default_factory=EventCounts)
    heartbeat_lag_ms: Percentiles = msgspec.field(default_factory=Percentiles)
    series: list[Second] = msgspec.field(default_factory=list)
    thresholds: list[Threshold] = msgspec.field(default_factory=list)
    server: ServerSide | None = None
    notes: list[str] = msgspec.field(default_factory=list)

    @property
    def has_results(self) -> bool:
        return bool(self.profile)


ThresholdMeasure = Callable[[LoadReport], float | None]

THRESHOLD_MEASURES: dict[str, ThresholdMeasure] = {
    "max-connections-per-user": lambda report: report.connections_per_user,
    "max-replaced": lambda report: report.replaced,
    "max-churn": lambda report: report.churn_per_user_s,
    "max-connect-p95": lambda report: report.connect_ms.p95,
}
"""What each threshold measures, by the name of its flag (docs/load.md, Thresholds)."""


def check_thresholds(report: LoadReport, limits: dict[str, float]) -> list[Threshold]:
    """Every limit of `limits` (threshold id to number) against what `report` measured."""
    told = []
    for name, limit in limits.items():
        measured = THRESHOLD_MEASURES[name](report) if report.connects else None
        told.append(Threshold(id=name, limit=limit, measured=measured, crossed=measured is None or measured > limit))
    return told
