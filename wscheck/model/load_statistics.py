"""WHAT A SWARM DID: statistics that add up across workers, and the NDJSON by which a Locust process tells them.

    begun, then about once a second `totals` (cumulative) and `second` (one bucket each), `worker_lost`, at last `ended`

Pure: the Locust process and the command line share it, and neither has the other's libraries.
"""

import math
from collections.abc import Mapping
from typing import TypeVar

import msgspec

Key = TypeVar("Key", int, str)

SCHEMA = "wscheck.load-stream/1"

_GROWTH = math.log(1.02)
_SMALLEST_MS = 0.01


class Percentiles(msgspec.Struct, frozen=True):
    """In milliseconds, within 1 % of the true value; None where nothing was measured."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Histogram(msgspec.Struct):
    """How often each duration occurred, in buckets that grow by 2 %; two of them add up to one of all."""

    buckets: dict[int, int] = {}

    def add(self, ms: float, times: int = 1) -> None:
        """`times` more durations of `ms`; a negative one (a clock was set) counts as none."""
        bucket = math.ceil(math.log(ms / _SMALLEST_MS) / _GROWTH) if ms > _SMALLEST_MS else 0
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    def merge(self, other: "Histogram") -> None:
        """Count what `other` counted, too."""
        _add(self.buckets, other.buckets)

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def below(self, ms: float) -> int:
        """How many took at most `ms`, within 2 %."""
        return sum(count for bucket, count in self.buckets.items() if _middle(bucket) <= ms)

    @property
    def total(self) -> float:
        """The milliseconds of all together, within 1 %."""
        return sum(count * _middle(bucket) for bucket, count in self.buckets.items())

    def percentile(self, percent: float) -> float | None:
        """The duration in milliseconds that `percent` of all do not exceed, None when there are none."""
        wanted = self.count * percent / 100
        for bucket, count in sorted(self.buckets.items()):
            wanted -= count
            if wanted <= 1e-9:
                return _middle(bucket)
        return None

    @property
    def percentiles(self) -> Percentiles:
        return Percentiles(self.percentile(50), self.percentile(95), self.percentile(99))


def _middle(bucket: int) -> float:
    """Of the bucket's bounds, in milliseconds with four digits."""
    return float(f"{_SMALLEST_MS * math.exp((bucket - 0.5) * _GROWTH):.4g}") if bucket else 0.0


def _add(into: dict[Key, int], more: Mapping[Key, int]) -> None:
    for key, count in more.items():
        into[key] = into.get(key, 0) + count


class LoadStatistics(msgspec.Struct):
    """Everything counted, cumulative. `merge` of two is what one counter would have counted of both.

    users         who attempted at least one connection; ids are disjoint across workers, so they add up
    users_multiple  of those, who ever held more than one connection at once
    held          sum over users of the most connections each held at once: CONNECT sent, neither ended nor dropped
    attempts      connections begun; each ends up in `connects`, in `refused`, or was given up at the end
    refused       by kind: connect_error, http-4xx, timeout, unreachable, tls, protocol, ... (docs/load.md)
    disconnects   by reason as a client spells it; those that were replaced are among them
    replaced      connections that the server ended in favour of a newer one of the same user
    received, duplicated, sent   events; duplicated: the same event and payload on another connection of the user
    acks          answered; ack_timeouts: not answered in time; unanswered: the connection ended first
    protocol_errors  connections ended because the server sent what no such server sends
    stalled       ping timeouts while our own heartbeat lagged: ours, not the server's
    user_s        seconds that users spent in the run, from their first attempt to their stop
    first_replaced_at, last_replaced_at   epoch seconds
    """

    users: int = 0
    users_multiple: int = 0
    sum_of_user_peaks: int = msgspec.field(default=0, name="held")
    attempts: int = 0
    connects: int = 0
    refused: dict[str, int] = {}
    disconnects: dict[str, int] = {}
    replaced: int = 0
    received: int = 0
    duplicated: int = 0
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
        """Count what `other` counted, too."""
        for name in _COUNTERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _DISTRIBUTIONS:
            getattr(self, name).merge(getattr(other, name))
        _add(self.refused, other.refused)
        _add(self.disconnects, other.disconnects)
        self.first_replaced_at = min(_known(self.first_replaced_at, other.first_replaced_at), default=None)
        self.last_replaced_at = max(_known(self.last_replaced_at, other.last_replaced_at), default=None)

    @property
    def disconnected(self) -> int:
        return sum(self.disconnects.values())

    @property
    def open(self) -> int:
        """Connections that were opened and have not ended, as far as was reported."""
        return self.connects - self.disconnected

    @property
    def connections_per_user(self) -> float | None:
        """The mean over users of the most connections each held at once; None without users."""
        return self.sum_of_user_peaks / self.users if self.users else None

    @property
    def churn_per_user_s(self) -> float | None:
        """Connects + disconnects per user per second; None before any time has passed."""
        return (self.connects + self.disconnected) / self.user_s if self.user_s else None


_COUNTERS = tuple(field.name for field in msgspec.structs.fields(LoadStatistics) if field.type in (int, float))
_DISTRIBUTIONS = ("lifetime", "connect", "ack", "lag")


def _known(*times: float | None) -> list[float]:
    return [time for time in times if time is not None]


class SecondCounts(msgspec.Struct):
    """One second of the swarm, or of one worker. `at` is the epoch second.

    users, open   at the second's end; peak: the most open at once within it (summed over workers: at most that many)
    the others    within the second; heartbeat_lag_ms: the worst
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
        """Add the same second of another worker."""
        for name in _LEVELS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.heartbeat_lag_ms = max(self.heartbeat_lag_ms, other.heartbeat_lag_ms)


_LEVELS = tuple(name for name in SecondCounts.__struct_fields__ if name not in ("at", "heartbeat_lag_ms"))


class WorkerReport(msgspec.Struct):
    """What a worker sends the master: all since its last report, and the seconds that are complete."""

    statistics: LoadStatistics
    seconds: list[SecondCounts]


class RunStarted(msgspec.Struct, tag="begun", frozen=True):
    """The first line. `users` and `workers` are those asked for; `workers` is 0 where one process does it all."""

    profile: str
    host: str
    users: int
    workers: int
    started_at: float
    options: dict[str, str | int | float | bool | None] = {}
    schema: str = SCHEMA


class SecondCompleted(msgspec.Struct, tag="second", frozen=True):
    """One second, complete: `bucket.at` never comes twice, and rises."""

    counts: SecondCounts = msgspec.field(name="bucket")


class RunTotals(msgspec.Struct, tag="totals", frozen=True):
    """Everything up to `at`. Any of these lines alone is all that was known then."""

    at: float
    state: str
    users: int
    open: int
    peak: int
    workers_ready: int
    workers_lost: int
    statistics: LoadStatistics


class WorkerLost(msgspec.Struct, tag="worker_lost", frozen=True):
    """A worker that went silent. What it counted until `last_report_at` is in the totals, what came after is not.

    index        its number, `host` where it ran as far as its id says
    statistics   what its reports had counted; `users`, `open` its last levels
    """

    worker: str
    index: int
    at: float
    last_report_at: float | None
    users: int
    open: int
    statistics: LoadStatistics


class RunEnded(msgspec.Struct, tag="ended", frozen=True):
    """The last line of a run that was stopped in order.

    lost_open   connections that lost workers held when they were last heard of: their end nobody saw
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

_TO_JSON = msgspec.json.Encoder()
_FROM_JSON = msgspec.json.Decoder(StreamRecord)


def encode_record(line: StreamRecord) -> bytes:
    """`line` as one line of the stream, with its newline."""
    return _TO_JSON.encode(line) + b"\n"


def decode_record(line: bytes | str) -> StreamRecord:
    """The inverse of `encode_record`. Raises msgspec.DecodeError (a ValueError) when it is none."""
    decoded: StreamRecord = _FROM_JSON.decode(line)
    return decoded
