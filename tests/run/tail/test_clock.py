"""Connections open for too long: those that neither ended nor were replaced, each once."""

from tests.conversation import START, log_of
from wscheck.detect.engine import Judge
from wscheck.run.tail.clock import ConnectionAges


def test_ended_and_replaced_connections_are_not_stale() -> None:
    text = log_of("ada").connects("old", 0).is_replaced("old", "new", 1).connects("new", 1)
    text &= log_of("bob").connects("left", 2).disconnects("left", 3)
    judge, ages = Judge(), ConnectionAges(10.0)
    for event in text.events:
        ages.observe(event, judge.feed(event))
    assert list(ages.pop_stale(START + 11)) == []
    assert list(ages.pop_stale(START + 11.1)) == ["new"]
    assert list(ages.pop_stale(START + 99)) == []
