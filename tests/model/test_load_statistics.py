"""Load statistics: parts add up to the whole, and every record can be read back."""

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.load_statistics import (
    Histogram,
    LoadStatistics,
    RunEnded,
    RunStarted,
    RunTotals,
    SecondCompleted,
    SecondCounts,
    StreamRecord,
    WorkerLost,
    decode_record,
    encode_record,
)

durations = st.floats(0.02, 1e9)
reasons = st.sampled_from(["transport close", "io server disconnect", "ping timeout"])


def connected(s: LoadStatistics, ms: float) -> None:
    s.connects += 1
    s.connect.add(ms)


def ended(s: LoadStatistics, reason: str, ms: float) -> None:
    s.disconnects[reason] = s.disconnects.get(reason, 0) + 1
    s.lifetime.add(ms)


def replaced(s: LoadStatistics, at: float) -> None:
    s.replaced += 1
    s.merge(LoadStatistics(first_replaced_at=at, last_replaced_at=at))


steps = st.one_of(
    st.builds(lambda ms: lambda s: connected(s, ms), durations),
    st.builds(lambda reason, ms: lambda s: ended(s, reason, ms), reasons, durations),
    st.builds(lambda at: lambda s: replaced(s, at), st.floats(0, 2e9)),
)


@given(st.lists(st.tuples(st.integers(0, 3), steps)))
def test_merged_workers_equal_one_counter(counted_steps: list[tuple[int, Callable[[LoadStatistics], None]]]) -> None:
    one, workers = LoadStatistics(), [LoadStatistics() for _ in range(4)]
    for worker, step in counted_steps:
        step(one)
        step(workers[worker])
    random.Random(len(counted_steps)).shuffle(workers)
    merged = LoadStatistics()
    for each in workers:
        merged.merge(each)
    assert merged == one
    assert merged.open == one.open


@given(st.lists(durations, min_size=1, max_size=200), st.sampled_from([50, 95, 99]))
def test_a_percentile_is_within_one_percent_of_a_measured_value(measured: list[float], percent: int) -> None:
    histogram = Histogram()
    for each in measured:
        histogram.add(each)
    exact = sorted(measured)[max(0, -(-len(measured) * percent // 100) - 1)]
    assert histogram.percentile(percent) == pytest.approx(exact, rel=0.0102)


def test_merged_replacement_times_span_both_parts() -> None:
    merged = LoadStatistics(first_replaced_at=5.0, last_replaced_at=6.0)
    for first, last in ((2.0, 3.0), (7.0, 9.0)):
        merged.merge(LoadStatistics(first_replaced_at=first, last_replaced_at=last))
    assert (merged.first_replaced_at, merged.last_replaced_at) == (2.0, 9.0)


def test_without_measurements_there_are_no_percentiles() -> None:
    assert Histogram().percentiles.p99 is None
    assert LoadStatistics().connections_per_user is None
    assert LoadStatistics().churn_per_user_s is None


def test_two_statistics_share_no_default() -> None:
    LoadStatistics().refused["timeout"] = 1
    LoadStatistics().lag.add(5.0)
    assert LoadStatistics().refused == {}
    assert LoadStatistics().lag.count == 0


def test_counts_of_one_second_add_up_and_the_longest_lag_remains() -> None:
    whole = SecondCounts(7, users=2, open=3, peak=4, heartbeat_lag_ms=1.5)
    whole.merge(SecondCounts(7, users=1, open=2, peak=2))
    assert whole == SecondCounts(7, users=3, open=5, peak=6, heartbeat_lag_ms=1.5)


counted = LoadStatistics(connects=2, refused={"timeout": 1}, lifetime=Histogram({3: 4}), first_replaced_at=1.5)


@pytest.mark.parametrize(
    "record",
    [
        RunStarted("duplicated", "http://127.0.0.1:8000", 10, 2, 1e9, {"tabs": 3}),
        SecondCompleted(SecondCounts(1_000_000_000, open=4)),
        RunTotals(1e9, "running", 10, 12, 13, 2, 0, counted),
        WorkerLost("host_1", 1, 1e9, None, 3, 4, counted),
        RunEnded(1e9, 30.5, 2, 1, 0, 20, 4, counted),
    ],
    ids=lambda record: type(record).__name__,
)
def test_a_record_can_be_read_back(record: StreamRecord) -> None:
    text = encode_record(record)
    assert text.endswith(b"\n") and text.count(b"\n") == 1
    assert decode_record(text) == record


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type":"nonsense"}', '{"type":"begun"}'])
def test_other_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        decode_record(text)
    assert issubclass(msgspec.DecodeError, ValueError)
