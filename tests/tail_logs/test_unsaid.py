"""Which kinds of event a log is asked for in other words: those of which there must have been some."""

import pytest

from wscheck.tail.unsaid import missing

KINDS = ["connected", "replaced", "disconnected"]


@pytest.mark.parametrize(
    ("read", "most_open", "asked"),
    [
        ({}, 0, KINDS),
        ({"replaced": 1}, 0, ["connected", "disconnected"]),
        ({"connected": 5}, 1, []),
        ({"connected": 5}, 2, ["disconnected"]),
        ({"connected": 5, "disconnected": 1}, 2, []),
        ({"connected": 5, "replaced": 1}, 2, []),
    ],
)
def test_what_is_asked_for(read: dict[str, int], most_open: int, asked: list[str]) -> None:
    """Where nobody holds several, that no end was read may be because nobody left."""
    assert missing(read, most_open) == asked
