"""Tests of the counts of events."""

import pytest

from wscheck.model.event_counts import EventCounter
from wscheck.model.events import Connected, Disconnected, Event


@pytest.mark.parametrize(
    ("opening", "end", "are_timed"), [(1.0, 2.0, True), (None, 2.0, False), (None, None, False), (1.0, None, True)]
)
def test_a_log_is_timed_if_its_openings_are(opening: float | None, end: float | None, *, are_timed: bool) -> None:
    counts, source = EventCounter(), "server-log"
    events: list[Event] = [Connected(at=opening, source=source, sid="a"), Disconnected(at=end, source=source, sid="a")]
    counts.add(events, [event.at for event in events if event.at is not None])
    assert counts.are_timed == are_timed
