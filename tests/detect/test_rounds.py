"""The decision on counts per round: a constant growth is a leak, none is none, and anything between is unclear."""

import pytest

from wscheck.detect.rounds import Growth, GrowthKind, growth, round_series
from wscheck.model.events import CodeLocation, RoundCounted

RAMP = CodeLocation("src/ramp.ts", 9)
UNCLEAR, NONE = Growth(GrowthKind.UNCLEAR), Growth(GrowthKind.NONE)


def constant(per_round: int, rounds: int) -> Growth:
    return Growth(GrowthKind.CONSTANT, per_round, rounds)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], constant(1, 7)),
        ([1, 3, 5, 7], constant(2, 3)),
        ([0, 3, 4, 5, 6], constant(1, 3)),  # the first visit also opens two shared connections
        ([2, 1, 2, 3, 4], constant(1, 3)),  # the first visit closes one
        ([0, 0, 1, 2, 3], constant(1, 3)),
        ([1, 1, 1, 1], NONE),
        ([0, 1, 1, 1, 1], NONE),  # a connection that the first visit opens and the others share
        ([0, 5, 5, 5], NONE),
        ([3, 2, 1, 0], NONE),
        ([0, 1, 1, 2, 2, 3], UNCLEAR),
        ([0, 1, 2, 3, 3, 3], UNCLEAR),
        ([0, 1, 0, 1, 0], UNCLEAR),
        ([0, 1, 3, 6], UNCLEAR),
        ([0, 0, 0, 0, 1], UNCLEAR),
        ([0, 1, 2], UNCLEAR),  # two rounds are too few
        ([0, 1], UNCLEAR),
        ([0, 0], NONE),
        ([4], NONE),
        ([], NONE),
    ],
)
def test_the_growth_of_a_count(counts: list[int], expected: Growth) -> None:
    assert growth(counts) == expected


@pytest.mark.parametrize(
    ("at_rest", "expected"),
    [(4, constant(1, 4)), (5, constant(1, 4)), (0, NONE), (2, UNCLEAR), (7, UNCLEAR)],
)
def test_the_count_at_rest_tells_a_leak_from_a_delayed_close(at_rest: int, expected: Growth) -> None:
    assert growth([0, 1, 2, 3, 4], at_rest) == expected, "what grows without visits is no leak of the place"


def test_a_delayed_close_that_is_late_once_is_no_leak() -> None:
    assert growth([0, 1, 0, 1, 1], at_rest=0) == NONE


def test_counts_are_grouped_by_place_and_opener() -> None:
    def counted(
        place: str, round: int, count: int, opener: CodeLocation | None = RAMP, at_rest: bool = False
    ) -> RoundCounted:
        return RoundCounted(place=place, round=round, count=count, opener=opener, at_rest=at_rest)

    events = [
        counted("/ramp", 0, 0),
        counted("/ramp", 0, 1, None),
        counted("/ramp", 1, 1),
        counted("/ramp", 1, 1, None),
    ]
    events += [counted("/ramp", 1, 1, at_rest=True), counted("/gate", 0, 1)]
    series = round_series(events)
    assert [(each.place, each.opener, each.counts, each.at_rest) for each in series] == [
        ("/ramp", RAMP, (0, 1), 1),
        ("/ramp", None, (1, 1), None),
        ("/gate", RAMP, (1,), None),
    ]
    assert series[0].describe() == "0, 1"
