"""Report of `wscheck load` (schema wscheck.load/1)."""

from collections.abc import Callable

import msgspec

from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import Report

SCHEMA = "wscheck.load/1"


class EventCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Event counts of a run.

    duplicated  events that another connection of the same user had already received
    greetings   first events of a new connection that the server sent before the client had sent any; not duplicates
    """

    received: int = 0
    duplicated: int = 0
    greetings: int = 0


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of one second, `second` seconds after the start. `open` and `users` are values at its last moment."""

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
    """A threshold of the run. It is crossed if `measured` exceeds `limit`, or if nothing was measured (None)."""

    id: str
    limit: float
    measured: float | None
    crossed: bool


class ServerSide(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the embedded backend in the same run, with the processor time and memory of its process."""

    connects: int
    replaced: int
    refused: int
    peak: int
    emitted: int
    cpu_s: float | None = None
    rss_mb: float | None = None


class LoadReport(Report, kw_only=True):
    """Report of one load run.

    users                  simulated users that connected
    workers, workers_lost  Locust processes that generate load, and how many of them died during the run
    refused, disconnects   counts keyed by kind of refusal, and keyed by disconnect reason
    connections_open       open connections at the end of the run, before the users stop
    connections_per_user   most connections of a user at once, averaged over the users
    churn_per_user_s       connects and disconnects, per user and second
    ack_timeouts           events that were not acknowledged in time
    notes                  limits of the figures, such as a lost worker or a lagging load generator
    server                 counts of the embedded backend; None for any other target
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
"""Threshold id (the name of its flag) to a function that returns the measured value (docs/load.md, Thresholds)."""


def check_thresholds(report: LoadReport, limits: dict[str, float]) -> list[Threshold]:
    """Return a checked threshold for each entry of `limits`.

    `limits` is a dict of threshold id to limit. The measured values come from `report`.
    """
    thresholds = []
    for name, limit in limits.items():
        measured = THRESHOLD_MEASURES[name](report) if report.connects else None
        thresholds.append(
            Threshold(id=name, limit=limit, measured=measured, crossed=measured is None or measured > limit)
        )
    return thresholds
