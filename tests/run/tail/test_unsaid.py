"""Which events are looked for in other words: those of which there must have been some."""

import pytest

from wscheck.run.tail.marker_hints import missing


@pytest.mark.parametrize(
    ("events", "most_open", "asked"),
    [
        ({}, 0, ["connected", "replaced", "disconnected"]),
        ({"replaced": 3}, 0, ["connected", "disconnected"]),
        ({"connected": 3}, 1, []),
        ({"connected": 3}, 2, ["replaced", "disconnected"]),
        ({"connected": 3, "replaced": 1}, 2, []),
        ({"connected": 3, "disconnected": 1}, 2, []),
    ],
)
def test_what_there_must_have_been_is_asked_for(events: dict[str, int], most_open: int, asked: list[str]) -> None:
    assert missing(events, most_open) == asked
