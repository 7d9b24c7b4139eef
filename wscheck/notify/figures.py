"""Figures of logs that are followed: the metrics, their names in Prometheus and OpenTelemetry, and their counting.

docs/metrics.md describes each metric. No label contains a socket id or a user.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from wscheck.detect.changes import ClosedChange, LedgerChange, ReplacedChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.detect.rules import OF_LOGS
from wscheck.model.disconnect_reasons import SERVER_SPELLINGS
from wscheck.model.events import Connected, Event, Replaced
from wscheck.notify.listener import WatchView

STALLED_S = 10.0

DURATIONS_S = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
"""Upper limits of the buckets of the durations, in seconds."""

GAUGE, COUNTER, HISTOGRAM = "gauge", "counter", "histogram"


class Metric(NamedTuple):
    """A metric.

    name    in Prometheus, without the suffix `_total` of a counter
    otlp    name in OpenTelemetry, from which Prometheus' translation rules make `name`
    unit    in the notation of OpenTelemetry (UCUM)
    labels  names of the labels; attributes in OpenTelemetry
    """

    name: str
    otlp: str
    kind: str
    help: str
    unit: str
    labels: tuple[str, ...] = ()


CONNECTIONS = Metric("wscheck_connections", "wscheck.connections", GAUGE, "Connections open now.", "{connection}")
OVER_ONE = Metric(
    "wscheck_users_over_one", "wscheck.users_over_one", GAUGE, "Users with more than one connection.", "{user}"
)
CONNECTS = Metric("wscheck_connects", "wscheck.connects", COUNTER, "Connections opened.", "{connection}")
DISCONNECTS = Metric(
    "wscheck_disconnects", "wscheck.disconnects", COUNTER, "Connections that ended.", "{connection}", ("reason",)
)
REPLACED = Metric(
    "wscheck_replaced_sockets", "wscheck.replaced_sockets", COUNTER, "Sockets the server replaced.", "{socket}"
)
FINDINGS = Metric(
    "wscheck_findings", "wscheck.findings", COUNTER, "Incidents opened.", "{incident}", ("rule", "severity")
)
OPEN_INCIDENTS = Metric(
    "wscheck_open_incidents", "wscheck.open_incidents", GAUGE, "Incidents open now.", "{incident}", ("rule",)
)
LINES = Metric("wscheck_log_lines", "wscheck.log_lines", COUNTER, "Log lines read.", "{line}")
BYTES = Metric("wscheck_log_bytes", "wscheck.log_bytes", COUNTER, "Log bytes read.", "By")
UNREADABLE = Metric(
    "wscheck_unreadable",
    "wscheck.unreadable",
    COUNTER,
    "Lines that look like events and cannot be read.",
    "{line}",
)
NOTIFICATIONS = Metric(
    "wscheck_notifications",
    "wscheck.notifications",
    COUNTER,
    "Messages about incidents to receivers.",
    "{message}",
    ("result",),
)
DURATION = Metric(
    "wscheck_connection_duration_seconds",
    "wscheck.connection_duration",
    HISTOGRAM,
    "Duration of connections whose start was read.",
    "s",
)

METRICS = (
    *(CONNECTIONS, OVER_ONE, CONNECTS, DISCONNECTS, REPLACED, FINDINGS, OPEN_INCIDENTS),
    *(LINES, BYTES, UNREADABLE, NOTIFICATIONS, DURATION),
)

LabelValues = tuple[str, ...]


class DeliveryCounts(Protocol):
    """Numbers of messages to a receiver: those that were delivered, and those that were dropped."""

    delivered: int
    dropped: int


class Figures:
    """The current values of all metrics.

    From the start, a metric with the label `rule` or `result` has a series for each value of the label. The series
    begins with 0, so that a monitoring system sees the first increase.

    polled_at  time.monotonic() of the last poll of the logs
    bucket_counts, duration_sum  histogram of the durations: one count per upper limit in `DURATIONS_S`, and one for
                                 longer durations; and the sum in seconds
    on_duration  functions that receive each duration in seconds
    """

    def __init__(self, watch: WatchView, deliveries: Sequence[DeliveryCounts] = ()) -> None:
        self.polled_at = time.monotonic()
        self.bucket_counts, self.duration_sum = [0] * (len(DURATIONS_S) + 1), 0.0
        self.on_duration: list[Callable[[float], None]] = []
        self._watch, self._deliveries = watch, deliveries
        self._counts: dict[Metric, Counter[LabelValues]] = {
            CONNECTS: Counter({(): 0}),
            DISCONNECTS: Counter(),
            REPLACED: Counter({(): 0}),
            FINDINGS: Counter({(rule.id, str(rule.severity)): 0 for rule in OF_LOGS}),
            OPEN_INCIDENTS: Counter({(rule.id,): 0 for rule in OF_LOGS}),
        }
        self._current: dict[Metric, Callable[[], Mapping[LabelValues, float]]] = {
            CONNECTIONS: lambda: {(): watch.connection_count},
            OVER_ONE: lambda: {(): len(watch.users_over_one)},
            LINES: lambda: {(): watch.lines},
            BYTES: lambda: {(): watch.bytes},
            UNREADABLE: lambda: {(): watch.unreadable},
            NOTIFICATIONS: self._notifications,
        }
        for incident in watch.open_incidents:  # of an earlier run, from its checkpoint
            self._counts[OPEN_INCIDENTS][incident.rule,] += 1

    def values(self, metric: Metric) -> Iterable[tuple[LabelValues, float]]:
        """Return (label values, current value) of each series of a counter or gauge. Any thread may call it."""
        if metric in self._current:
            return self._current[metric]().items()
        return list(self._counts[metric].items())

    def _notifications(self) -> Mapping[LabelValues, float]:
        return {
            ("delivered",): sum(each.delivered for each in self._deliveries),
            ("dropped",): sum(each.dropped for each in self._deliveries),
        }

    @property
    def healthy(self) -> bool:
        """True if the logs were polled recently. While the loop runs, it polls at least once a second."""
        return time.monotonic() - self.polled_at < STALLED_S

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Count an opened connection or a replacement, and each connection that ended because of the event."""
        if isinstance(event, Connected):
            self._counts[CONNECTS][()] += 1
        elif isinstance(event, Replaced):
            self._counts[REPLACED][()] += 1
        for change in changes:
            if isinstance(change, ClosedChange):
                reason = change.reason if change.reason in SERVER_SPELLINGS else "other"
                self._counts[DISCONNECTS][reason,] += 1
                self._observe_duration(None if change.replaced else change.opening, change.event.at)
            elif isinstance(change, ReplacedChange):
                self._observe_duration(change.old, change.event.at)

    def _observe_duration(self, opening: Connected | None, ended_at: float | None) -> None:
        opened_at = opening.at if opening is not None else None
        if opened_at is None or ended_at is None:
            return
        seconds = max(0.0, ended_at - opened_at)
        self.bucket_counts[bisect_left(DURATIONS_S, seconds)] += 1
        self.duration_sum += seconds
        for receive in self.on_duration:
            receive(seconds)

    def on_incident(self, incident: Incident) -> None:
        """Count an incident that opened or was resolved."""
        if incident.state is IncidentState.OPENED:
            self._counts[FINDINGS][incident.rule, str(incident.severity)] += 1
            self._counts[OPEN_INCIDENTS][incident.rule,] += 1
        elif incident.state is IncidentState.RESOLVED:
            self._counts[OPEN_INCIDENTS][incident.rule,] -= 1

    def on_poll_end(self, now: float | None) -> bool:
        """Keep the time of the poll. Return False, because no early poll is needed."""
        self.polled_at = time.monotonic()
        return False
