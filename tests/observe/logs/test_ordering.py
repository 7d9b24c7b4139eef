"""Order of events by time: complete logs are sorted, followed ones wait for a moment."""

from collections.abc import Sequence

import pytest

from wscheck.model.events import Connected, Disconnected, Event
from wscheck.observe.logs.ordering import HOUR_S, LateEvents, ReorderBuffer, order_logs

NOON = 1_795_000_000.0


def opened(sid: str, at: float | None, line: int = 0) -> Connected:
    return Connected(sid=sid, user="A", at=None if at is None else NOON + at, path="app.log", line=line)


def ended(sid: str, at: float, line: int = 0) -> Disconnected:
    return Disconnected(sid=sid, at=NOON + at, path="app.log", line=line)


def sids(events: Sequence[Event]) -> list[str]:
    return [f"{'+' if isinstance(event, Connected) else '-'}{getattr(event, 'sid', '')}" for event in events]


def test_one_pod_after_the_other_is_sorted() -> None:
    pods = [opened("a", 0), ended("a", 600), opened("b", 100), ended("b", 500)]
    ordered = order_logs([pods])
    assert (sids(ordered.events), ordered.gaps) == (["+a", "+b", "-b", "-a"], [])


def test_an_export_with_the_newest_line_first_is_reversed_also_within_a_second() -> None:
    ordered = order_logs([[ended("b", 9), opened("b", 5), ended("a", 5), opened("a", 0)]])
    assert (sids(ordered.events), ordered.gaps) == (["+a", "-a", "+b", "-b"], [])


def test_several_logs_are_merged_and_events_without_time_stay_after_the_one_before() -> None:
    ordered = order_logs([[opened("a", 0), opened("untimed", None), opened("c", 20)], [opened("b", 10)]])
    assert sids(ordered.events) == ["+a", "+untimed", "+b", "+c"]


def test_local_time_that_goes_back_by_an_hour_continues() -> None:
    events = [opened("a", 0), ended("a", 3000), opened("b", 3590), opened("c", 0), ended("b", 30), ended("c", 60)]
    ordered = order_logs([events])
    assert sids(ordered.events) == sids(events)
    assert [event.at for event in ordered.events][3:] == [NOON + HOUR_S, NOON + HOUR_S + 30, NOON + HOUR_S + 60]
    assert [gap.blocks for gap in ordered.gaps] == [False]


def test_a_clock_that_was_set_back_is_a_gap_and_no_time_span_is_negative() -> None:
    events = [opened("a", 0, 1), opened("b", 60, 2), ended("b", 20, 3), ended("a", 30, 4)]
    ordered = order_logs([events])
    times = [event.at for event in ordered.events if event.at is not None]
    assert sids(ordered.events) == sids(events) and times == sorted(times)
    assert [(gap.blocks, "app.log:3" in gap.reason) for gap in ordered.gaps] == [(True, True)]


def test_followed_events_wait_for_earlier_ones_of_other_sources() -> None:
    buffer = ReorderBuffer(1.0)
    assert buffer.add([opened("b", 10.0)], now=0.0) == []
    assert buffer.add([opened("a", 9.5)], now=0.5) == []
    assert sids(buffer.add([], now=1.0)) == ["+a", "+b"]
    assert len(buffer) == 0


def test_a_later_event_releases_those_that_waited_long_enough_in_log_time() -> None:
    buffer = ReorderBuffer(1.0)
    assert sids(buffer.add([opened("a", 0), opened("b", 5), opened("c", 5.5)], now=0.0)) == ["+a"]
    assert sids(buffer.flush()) == ["+b", "+c"]


@pytest.mark.parametrize(("times", "count"), [([1.0, 2.0, 1.5], 0), ([1.0, 5.0, 2.0, 6.0], 1)])
def test_events_that_cannot_be_sorted_are_a_gap(times: list[float], count: int) -> None:
    late = LateEvents()
    late.observe(times)
    assert late.count == count
    gap = late.gap()
    assert (gap is not None) == bool(count)
    if gap is not None:
        assert gap.reason.startswith("1 events are up to 3 s older")
