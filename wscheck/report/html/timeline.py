"""Lanes as positions of a drawing: across in per cent, so that it fits any width; down in pixels; bounded."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from wscheck.model.disconnect_reasons import SERVER_ENDED, SERVER_SHUTTING_DOWN
from wscheck.model.events import AnyEvent, CodeLocation
from wscheck.report.formatting import format_duration, one_line, plural
from wscheck.report.html import captions
from wscheck.report.html.lanes import Lane, Picture, picture
from wscheck.report.html.view import Strip, View, choose, strip

ROWS = 500
"""Connections listed in the table beneath it."""

TICKS = 200
"""Places along a lane where deliveries can be told apart; those in one place become one tick with their number."""

HUES = 6
ROW, TOP, BAR = 46, 30, 12

ENDED_BY_SERVER = SERVER_ENDED | {SERVER_SHUTTING_DOWN}


@dataclass(frozen=True)
class Tick:
    x: float
    said: str


@dataclass(frozen=True)
class Bar:
    """One drawn lane. `left` and `right` in per cent; `y` is the bar's middle; what `goes_on` does not end in view."""

    lane: Lane
    goes_on: bool
    y: int
    left: float
    right: float
    hue: int
    label: str
    reason: str
    said: str
    kicked: bool
    ticks: list[Tick]

    @property
    def width(self) -> float:
        return round(max(self.right - self.left, 0.15), 3)


@dataclass(frozen=True)
class Arrow:
    x: float
    y1: int
    y2: int
    said: str


@dataclass(frozen=True)
class Timeline:
    """What `templates/timeline.html.j2` draws."""

    height: int
    bars: list[Bar]
    arrows: list[Arrow]
    grid: list[Tick]
    refused: list[Tick]
    refused_y: int
    more: int
    strip: Strip | None
    summary: str
    openers: list[tuple[int, str]]
    rows: list[tuple[str, ...]]
    more_rows: int


def timeline(
    events: Iterable[AnyEvent], important: Collection[str] = (), diverging: Mapping[str, CodeLocation] | None = None
) -> Timeline | None:
    """The timeline of `events`, None when no connection was seen. Lanes in `important` are drawn before others.

    diverging  by Engine.IO session or sid: where the stacks of connections with one opener part
    """
    seen = picture(events, diverging or {})
    if not seen.lanes and not seen.refused:
        return None
    view = choose(seen, important)
    hues = {who: number % HUES for number, who in enumerate(dict.fromkeys(lane.who for lane in seen.lanes))}
    many = len({lane.user for lane in seen.lanes}) > 1
    bars = [_bar(view, lane, ROW * index + TOP, hues[lane.who], many) for index, lane in enumerate(view.lanes)]
    refused = [Tick(view.x(at), f"refused: {one_line(why)}, at {view.when(at)}") for at, why in seen.refused]
    rows = [_row(view, lane) for lane in seen.lanes[:ROWS]]
    return Timeline(
        height=ROW * (len(bars) + bool(refused)),
        bars=bars,
        arrows=list(_arrows(seen, view, {id(bar.lane): bar for bar in bars})),
        grid=list(_grid(view)),
        refused=refused[:TICKS],
        refused_y=ROW * len(bars) + TOP,
        more=view.left_out,
        strip=strip(seen, view),
        summary=_summary(seen),
        openers=[(hue, name) for who, hue in hues.items() if (name := captions.opener(*who))][:HUES],
        rows=rows,
        more_rows=len(seen.lanes) - len(rows),
    )


def _bar(view: View, lane: Lane, y: int, hue: int, many: bool) -> Bar:
    opened = view.start if lane.opened_at is None else lane.opened_at
    closed = view.end if lane.closed_at is None else lane.closed_at
    user = lane.user if many else None
    goes_on = lane.closed_at is None or not view.holds(lane.closed_at)
    return Bar(
        lane=lane,
        goes_on=goes_on,
        y=y,
        left=view.x(opened),
        right=view.x(closed),
        hue=hue,
        label=captions.label(lane, user),
        reason=captions.reason(lane),
        said=captions.in_full(view, lane),
        kicked=lane.replaced_by is not None or not ENDED_BY_SERVER.isdisjoint(lane.reasons),
        ticks=list(_ticks(view, lane)),
    )


def _ticks(view: View, lane: Lane) -> Iterator[Tick]:
    """One tick for each place along the lane where something arrived."""
    places: dict[int, list[tuple[float, str]]] = {}
    for at, name in lane.deliveries:
        if view.holds(at):
            places.setdefault(round(view.x(at) / 100 * TICKS), []).append((at, name))
    for group in places.values():
        names = dict.fromkeys(one_line(name) for _, name in group)
        told = ", ".join(list(names)[:5]) + (", ..." if len(names) > 5 else "")
        times = f" ({len(group)} deliveries)" if len(group) > 1 else ""
        yield Tick(view.x(group[0][0]), f"{told}{times}, at {view.when(group[0][0])}")


def _arrows(seen: Picture, view: View, place: dict[int, Bar]) -> Iterator[Arrow]:
    for at, old, new in seen.arrows:
        if id(old) in place and id(new) in place:
            y1, y2 = place[id(old)].y, place[id(new)].y
            near = BAR // 2 + 2 if y2 > y1 else -BAR // 2 - 2
            said = f"{one_line(old.id)} was replaced by {one_line(new.id)}, at {view.when(at)}"
            yield Arrow(view.x(at), y1, y2 - near, said)


def _grid(view: View) -> Iterator[Tick]:
    """Two to six round times, which a telephone has room for, told from where the run began."""
    span = view.end - view.start
    if span <= 0:
        return
    step = next(s for s in _round_steps() if span / s <= 6)
    first, last = math.ceil((view.start - view.origin) / step), math.floor((view.end - view.origin) / step)
    for number in range(first, last + 1):
        name = _round_time(number * step) if view.timed else f"event {number * step:.0f}"
        yield Tick(view.x(view.origin + number * step), name if number else "0")


def _round_time(value: float) -> str:
    return f"{value:g} s" if value < 120 else format_duration(value)


def _round_steps() -> Iterator[float]:
    for power in range(-3, 12):
        yield from (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
    yield float("inf")


def _row(view: View, lane: Lane) -> tuple[str, ...]:
    opened, closed = (view.when(at) if at is not None else "" for at in (lane.opened_at, lane.closed_at))
    told = lane.id, lane.user or "", captions.opened_by(lane), opened, closed or "still open", captions.reason(lane)
    return *told, str(len(lane.deliveries))


def _summary(seen: Picture) -> str:
    told = [plural(len(seen.lanes), "connection"), plural(len(seen.arrows), "replacement")]
    if seen.refused:
        told.append(plural(len(seen.refused), "refused attempt"))
    return f"{', '.join(told)} in {format_duration(seen.end - seen.start)}" if seen.timed else ", ".join(told)
