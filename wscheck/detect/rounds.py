"""Numbers of connections or handlers after each round of a loop, and how these numbers grow.

A round is a visit of a view of the page, and the return from it. A number that grows by a constant in every round is a
leak of the view. A number that never grows is no leak.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise

import msgspec

from wscheck.model.events import CodeLocation, RoundCounted

MIN_ROUNDS = 3
"""Smallest number of rounds that tells a leak from a connection that the first visit opens and later ones share."""


class GrowthKind(StrEnum):
    """Kind of growth of the number of connections or handlers over the rounds."""

    CONSTANT = "constant"
    NONE = "none"
    UNCLEAR = "unclear"


class Growth(msgspec.Struct, frozen=True):
    """Growth of the number of connections or handlers over the rounds of a loop.

    per_round  by how much the number grows in each of `rounds` rounds; 0 unless the growth is constant
    """

    kind: GrowthKind
    per_round: int = 0
    rounds: int = 0


def growth(counts: Sequence[int], at_rest: int | None = None) -> Growth:
    """Return how the number of connections or handlers grows from round to round.

    The first round may add more than the others, because it may open a connection that the later rounds use too.

    Args:
        counts: the number before the first round, and after each round.
        at_rest: the number some seconds after the last round, when delayed closes have happened; None if not counted.
    """
    steps = [after - before for before, after in pairwise(counts)]
    later = steps[1:]
    if max(steps, default=0) <= 0 or (later and max(later) <= 0):
        return Growth(GrowthKind.NONE)
    if at_rest is not None and at_rest <= counts[0]:
        return Growth(GrowthKind.NONE)
    if len(steps) >= MIN_ROUNDS and len(set(later)) == 1 and _is_stable(counts[-1], at_rest, later[0]):
        return Growth(GrowthKind.CONSTANT, later[0], len(later) + (steps[0] == later[0]))
    return Growth(GrowthKind.UNCLEAR)


def _is_stable(last: int, at_rest: int | None, per_round: int) -> bool:
    """Return whether the number that was counted again some seconds after the last round (`at_rest`) confirms `last`.

    It may be larger than `last`, the number directly after that round, by at most `per_round`: a late effect of the
    round may still add to it. If it was not counted again (None), return True.
    """
    return at_rest is None or last <= at_rest <= last + per_round


class RoundSeries(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of connections, handlers or subscriptions of one call site, over the rounds of a loop.

    place    the place that was visited: the path of a link, or the line of a step
    what     "connections", "handlers" or "subscriptions"
    name     event of the handlers, or name of the subscriptions
    opener   call site of the connections or subscriptions, or location of the handlers
    counts   the number before the first round, and after each round
    at_rest  the number some seconds after the last round, None if not counted
    last     event that reported the number that was counted last
    """

    page: str | None
    place: str
    what: str
    name: str
    opener: CodeLocation | None
    counts: tuple[int, ...]
    at_rest: int | None
    last: RoundCounted

    @property
    def growth(self) -> Growth:
        """Growth of the number of connections or handlers from round to round."""
        return growth(self.counts, self.at_rest)

    def describe(self) -> str:
        """Return the numbers as text: "0, 1, 2, 3", or "0, 1, 2, 3, and 1 some seconds later"."""
        shown = ", ".join(map(str, self.counts))
        is_same = self.at_rest is None or not self.counts or self.at_rest == self.counts[-1]
        return shown if is_same else f"{shown}, and {self.at_rest} some seconds later"


def round_series(events: Iterable[RoundCounted]) -> list[RoundSeries]:
    """Return one series for each page, place, kind of number, name, opener and user.

    The series are in the order in which their first events occur in `events`.
    """
    groups: dict[tuple[str | None, str, str, str, CodeLocation | None, str | None], list[RoundCounted]] = {}
    for event in events:
        key = (event.page, event.place, event.what, event.name, event.opener, event.user)
        groups.setdefault(key, []).append(event)
    return [_series(group) for group in groups.values()]


def _series(group: Sequence[RoundCounted]) -> RoundSeries:
    first = group[0]
    return RoundSeries(
        page=first.page,
        place=first.place,
        what=first.what,
        name=first.name,
        opener=first.opener,
        counts=tuple(each.count for each in group if not each.at_rest),
        at_rest=next((each.count for each in group if each.at_rest), None),
        last=group[-1],
    )
