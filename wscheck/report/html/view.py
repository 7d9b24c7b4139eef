"""Which lanes are drawn, and over which span of time: all of a small run, the telling part of a large one."""

from collections.abc import Collection
from dataclasses import dataclass

from wscheck.report.html.lanes import Lane, Picture

LANES = 24
"""Lanes drawn in one timeline; a note says how many more there are."""

BUCKETS = 80
"""Spans of the strip that shows a whole run when only a part of it is drawn."""


@dataclass(frozen=True)
class View:
    """The lanes to draw between `start` and `end`. `origin` is where the run began: times are told from there."""

    lanes: list[Lane]
    start: float
    end: float
    origin: float
    timed: bool
    left_out: int = 0

    def x(self, at: float) -> float:
        """Where `at` lies, in per cent, kept inside the frame."""
        span = self.end - self.start
        return round(min(max(100 * (at - self.start) / span, 0.0), 100.0), 3) if span > 0 else 50.0

    def holds(self, at: float) -> bool:
        """Whether `at` is inside the frame."""
        return self.start <= at <= self.end

    def when(self, at: float) -> str:
        """`0.412 s`, `event 12`: told from where the run began."""
        return f"{at - self.origin:.3f} s" if self.timed else f"event {at:.0f}"


def choose(seen: Picture, important: Collection[str]) -> View:
    """Everything, while it fits. Else the connections of the users that something happened to, from where it began
    for as long as LANES of them last: a loop looks the same in its tenth minute as in its first seconds."""
    if len(seen.lanes) <= LANES:
        return View(seen.lanes, seen.start, seen.end, seen.start, seen.timed)
    telling = _telling(seen, important)
    shown = telling[:LANES]
    start = max(min(lane.begins for lane in shown), seen.start)
    end = telling[LANES].begins if len(telling) > LANES else seen.end
    left_out = len(seen.lanes) - len(shown)
    return View(shown, start, end if end > start else seen.end, seen.start, seen.timed, left_out)


def _telling(seen: Picture, important: Collection[str]) -> list[Lane]:
    replaced = {lane.id for _, *pair in seen.arrows for lane in pair}
    marked = [lane for lane in seen.lanes if lane.id in important] or [
        lane for lane in seen.lanes if lane.id in replaced
    ]
    users = {lane.user for lane in marked}
    return [lane for lane in seen.lanes if lane.user in users] if marked else seen.lanes


@dataclass(frozen=True)
class Strip:
    """A whole run in one line: connections opened in each of BUCKETS spans, and which part is drawn beneath it."""

    heights: list[tuple[float, float]]
    width: float
    left: float
    right: float
    said: str


def strip(seen: Picture, view: View) -> Strip | None:
    """The strip above a view that shows only a part; None where everything is drawn."""
    span = seen.end - seen.start
    if not view.left_out or span <= 0:
        return None
    counts = [0] * BUCKETS
    for lane in seen.lanes:
        counts[min(int((lane.begins - seen.start) / span * BUCKETS), BUCKETS - 1)] += 1
    tallest, width = max(counts), 100 / BUCKETS
    heights = [(round(n * width, 3), round(100 * count / tallest, 1)) for n, count in enumerate(counts) if count]
    left, right = (100 * (at - seen.start) / span for at in (view.start, view.end))
    per_second = f" in {span / BUCKETS:.2g} s" if seen.timed else ""
    said = f"Connections opened over the whole run, at most {tallest}{per_second}; the framed part is drawn below."
    return Strip(heights, round(width * 0.8, 3), round(left, 3), round(right, 3), said)
