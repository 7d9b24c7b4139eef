"""Statistics of a load run that can be summed over workers, and the NDJSON stream that contains them.

The stream starts with a `begun` record. About once a second follow a `totals` record (cumulative) and `second` records
(one second each), and for each lost worker a `worker_lost` record. An `ended` record is the last one. The Locust
process writes the stream and the command line reads it, so this module imports the libraries of neither.
"""

import math
from collections.abc import Mapping
from typing import TypeVar

import msgspec

CountKey = TypeVar("CountKey", int, str)

SCHEMA = "wscheck.load-stream/1"

_GROWTH = math.log(1.02)
_SMALLEST_MS = 0.01


class Percentiles(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds, accurate to 1 %. None if nothing was measured.

    samples  number of durations, None in a report of an earlier version
    """

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    samples: int | None = None


class Histogram(msgspec.Struct):
    """Histogram of durations in logarithmic buckets, each 2 % wider than the previous one. Histograms can be merged."""

    buckets: dict[int, int] = {}

    def add(self, ms: float, times: int = 1) -> None:
        """Add `times` durations of `ms` milliseconds. A negative duration (after a clock change) counts as 0."""
        bucket = math.ceil(math.log(ms / _SMALLEST_MS) / _GROWTH) if ms > _SMALLEST_MS else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    def merge(self, other: "Histogram") -> None:
        """Add the durations that `other` contains."""
        _add(self.buckets, other.buckets)

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def below(self, ms: float) -> int:
        """Return the number of durations of at most `ms` milliseconds. The limit is accurate to 2 %."""
        return sum(count for bucket, count in self.buckets.items() if _bucket_middle(bucket) <= ms)

    @property
    def total(self) -> float:
        """Sum of all durations in milliseconds, accurate to 1 %."""
        return sum(count * _bucket_middle(bucket) for bucket, count in self.buckets.items())

    def percentile(self, percent: float) -> float | None:
        """Return the duration in milliseconds that `percent` of all durations do not exceed, None without durations."""
        remaining = self.count * percent / 100
        for bucket, count in sorted(self.buckets.items()):
            remaining -= count
            if remaining <= 1e-9:
                return _bucket_middle(bucket)
        return None

    @property
    def percentiles(self) -> Percentiles:
        return Percentiles(self.percentile(50), self.percentile(95), self.percentile(99), self.count)


def _bucket_middle(bucket: int) -> float:
    """Return the geometric middle of a bucket, in milliseconds with four digits."""
    return float(f"{_SMALLEST_MS * math.exp((bucket - 0.5) * _GROWTH):.4g}") if bucket else 0.0


def _add(into: dict[CountKey, int], more: Mapping[CountKey, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count


class LoadStatistics(msgspec.Struct):
    """Counts of a run or of a part of a run. The counts of two parts can be merged.

    users                                users that have sent a CONNECT packet; each user belongs to one worker only
    users_multiple                       users that had more than one connection at once
    user_peaks                           number of users, keyed by the most connections that such a user had at once
    sum_of_user_peaks                    most connections of a user at once, summed over the users (`held` in the
                                         stream); a connection counts from its CONNECT packet until it ended or the page
                                         dropped it
    attempts                             connections that were started; each is also in `connects` or in `refused`,
                                         unless it was abandoned
    refused                              refused connections, keyed by kind (docs/load-engine.md)
    disconnects                          ended connections, including replaced ones, keyed by Socket.IO disconnect
                                         reason
    replaced                             connections that the server ended in favour of a newer one of the same user
    received, sent                       events
    duplicated                           events that another connection of the user had already received
    greetings                            other events that arrived on a new connection before the client had sent an
                                         event on it
    acks, ack_timeouts                   sent events that were acknowledged, and sent events that were not acknowledged
                                         in time
    unanswered                           sent events whose connection ended before the acknowledgement
    protocol_errors                      connections that ended because the server violated the protocol
    stalled                              connections that ended because this process was too slow to answer a ping
    user_s                               seconds that users spent in the run, each from the first CONNECT packet until
                                         the user stopped
    first_replaced_at, last_replaced_at  epoch seconds
    lifetime, connect, ack, lag          durations: lifetime of connections, time to connect, time to acknowledgement,
                                         and delay of this process's own timer
    """

    users: int = 0
    users_multiple: int = 0
    user_peaks: dict[int, int] = {}
    sum_of_user_peaks: int = msgspec.field(default=0, name="held")
    attempts: int = 0
    connects: int = 0
    refused: dict[str, int] = {}
    disconnects: dict[str, int] = {}
    replaced: int = 0
    received: int = 0
    duplicated: int = 0
    greetings: int = 0
    sent: int = 0
    acks: int = 0
    ack_timeouts: int = 0
    unanswered: int = 0
    protocol_errors: int = 0
    stalled: int = 0
    user_s: float = 0.0
    first_replaced_at: float | None = None
    last_replaced_at: float | None = None
    lifetime: Histogram = msgspec.field(default_factory=Histogram)
    connect: Histogram = msgspec.field(default_factory=Histogram)
    ack: Histogram = msgspec.field(default_factory=Histogram)
    lag: Histogram = msgspec.field(default_factory=Histogram)

    def merge(self, other: "LoadStatistics") -> None:
        """Add the statistics of `other`."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _DISTRIBUTIONS:
            getattr(self, name).merge(getattr(other, name))
        _add(self.refused, other.refused)
        _add(self.disconnects, other.disconnects)
        _add(self.user_peaks, other.user_peaks)
        self.first_replaced_at = min(_without_none(self.first_replaced_at, other.first_replaced_at), default=None)
        self.last_replaced_at = max(_without_none(self.last_replaced_at, other.last_replaced_at), default=None)

    @property
    def disconnected(self) -> int:
        return sum(self.disconnects.values())

    @property
    def open(self) -> int:
        """Number of connections that opened and whose end is not reported."""
        return self.connects - self.disconnected

    @property
    def connections_per_user(self) -> float | None:
        """Most connections of a user at once, averaged over the users. None without users."""
        return self.sum_of_user_peaks / self.users if self.users else None

    def users_above(self, limit: int) -> int:
        """Return the number of users that had more than `limit` connections at once."""
        if limit == 1:
            return self.users_multiple
        return sum(users for peak, users in self.user_peaks.items() if peak > limit)

    @property
    def churn_per_user_s(self) -> float | None:
        """Connects and disconnects per user and second. None before any time has passed."""
        return (self.connects + self.disconnected) / self.user_s if self.user_s else None


_COUNTERS = tuple(field.name for field in msgspec.structs.fields(LoadStatistics) if field.type in (int, float))
_DISTRIBUTIONS = ("lifetime", "connect", "ack", "lag")


def _without_none(*times: float | None) -> list[float]:
    return [time for time in times if time is not None]


class SecondCounts(msgspec.Struct):
    """Counts of one second, for the run or for one worker.

    at                epoch second
    users, open       values at the end of the second
    peak              most connections open at once; for several workers the sum of their peaks, an upper bound
    heartbeat_lag_ms  longest delay of this process's own timer
    """

    at: int
    users: int = 0
    open: int = 0
    peak: int = 0
    attempts: int = 0
    connects: int = 0
    refused: int = 0
    disconnects: int = 0
    replaced: int = 0
    received: int = 0
    duplicated: int = 0
    sent: int = 0
    heartbeat_lag_ms: float = 0.0

    def merge(self, other: "SecondCounts") -> None:
        """Add another worker's statistics of the same second. Of `heartbeat_lag_ms`, keep the larger value."""
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.heartbeat_lag_ms = max(self.heartbeat_lag_ms, other.heartbeat_lag_ms)


_SUMMED = tuple(name for name in SecondCounts.__struct_fields__ if name not in ("at", "heartbeat_lag_ms"))


class WorkerReport(msgspec.Struct):
    """Report of a worker to the master: counts since the previous report, and the seconds that were completed since."""

    statistics: LoadStatistics
    seconds: list[SecondCounts]


class RunStarted(msgspec.Struct, tag="begun", frozen=True):
    """First record of a run. `workers` is 0 if a single process generates all load."""

    profile: str
    host: str
    users: int
    workers: int
    started_at: float
    options: dict[str, str | int | float | bool | None] = {}
    schema: str = SCHEMA


class SecondCompleted(msgspec.Struct, tag="second", frozen=True):
    """One complete second. The seconds of a run are in order, without repetition."""

    counts: SecondCounts = msgspec.field(name="bucket")


class RunTotals(msgspec.Struct, tag="totals", frozen=True):
    """Cumulative statistics up to the time `at`. `users` and `open` are the values of the last complete second."""

    at: float
    state: str
    users: int
    open: int
    peak: int
    workers_ready: int
    workers_lost: int
    statistics: LoadStatistics


class WorkerLost(msgspec.Struct, tag="worker_lost", frozen=True):
    """Loss of a worker. The totals contain its counts until `last_report_at`.

    index        number of the worker
    users, open  values in the last report of the worker
    statistics   sum of all reports of the worker
    """

    worker: str
    index: int
    at: float
    last_report_at: float | None
    users: int
    open: int
    statistics: LoadStatistics


class RunEnded(msgspec.Struct, tag="ended", frozen=True):
    """Last record of a run that ended normally.

    connections_open  connections without a reported end, except those in `lost_open`
    lost_open         connections that were open in the last reports of lost workers; their end is unknown
    """

    at: float
    duration_s: float
    workers: int
    workers_lost: int
    connections_open: int
    connections_peak: int
    lost_open: int
    statistics: LoadStatistics


StreamRecord = RunStarted | SecondCompleted | RunTotals | WorkerLost | RunEnded

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(StreamRecord)


def encode_record(record: StreamRecord) -> bytes:
    """Return a record as one line of the stream, with its newline."""
    return _ENCODER.encode(record) + b"\n"


def decode_record(line: bytes | str) -> StreamRecord:
    """Parse one line of the stream.

    Raises:
        msgspec.DecodeError: The line is not a record. This is a ValueError.
    """
    record: StreamRecord = _DECODER.decode(line)
    return record
