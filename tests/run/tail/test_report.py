"""Kinds of events that the logs must contain in another wording."""

import pytest

from wscheck.run.tail.report import missing_kinds


@pytest.mark.parametrize(
    ("events", "most_open", "missing"),
    [
        ({}, 0, ["connected", "replaced", "disconnected"]),
        ({"replaced": 3}, 0, ["connected", "disconnected"]),
        ({"connected": 3}, 1, []),
        ({"connected": 3}, 2, ["replaced", "disconnected"]),
        ({"connected": 3, "replaced": 1}, 2, []),
        ({"connected": 3, "disconnected": 1}, 2, []),
    ],
)
def test_kinds_that_must_have_occurred_are_missing(events: dict[str, int], most_open: int, missing: list[str]) -> None:
    assert missing_kinds(events, most_open) == missing
