"""Timeline of a report: positions of the lanes (one per connection) in a drawing.

Horizontal positions are percentages, so that the drawing fits any width; vertical positions are pixels. The drawing has
a limited size: of a large run, it shows the connections of the affected users and the number of all others.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from wscheck.model.disconnect_reasons import SERVER_ENDED, SERVER_SHUTTING_DOWN
from wscheck.model.events import CodeLocation
from wscheck.report.formatting import format_duration, one_line, plural
from wscheck.report.html.lanes import Lane, LaneSet

LANES = 24
"""Largest number of lanes in one drawing."""

TABLE_ROWS = 500
"""Largest number of connections in the table below the drawing."""

TICK_POSITIONS = 200
"""Number of positions along a lane. Deliveries at the same position are drawn as one tick, with their number."""

OVERVIEW_COLUMNS = 80
"""Number of columns of the overview, which is shown if only a part of the run is drawn."""

HUES = 6
LANE_HEIGHT, FIRST_LANE_Y, BAR_HEIGHT = 46, 30, 12

ENDED_BY_SERVER = SERVER_ENDED | {SERVER_SHUTTING_DOWN}


@dataclass(frozen=True)
class TimelineTick:
    """Mark with a text, at `x` per cent of the width."""

    x: float
    text: str


@dataclass(frozen=True)
class TimelineBar:
    """Drawn lane (one connection). `left` and `right` are percentages; `y` is the middle of the bar.

    continues         the connection is still open at the end of the drawn time range
    closed_by_server  the server ended or replaced the connection
    """

    lane: Lane
    continues: bool
    y: int
    left: float
    right: float
    hue: int
    label: str
    reason: str
    description: str
    closed_by_server: bool
    ticks: list[TimelineTick]

    @property
    def width(self) -> float:
        return round(max(self.right - self.left, 0.15), 3)


@dataclass(frozen=True)
class TimelineArrow:
    """Arrow for a replacement at `x` per cent, from the lane at `y1` to the lane at `y2`."""

    x: float
    y1: int
    y2: int
    text: str


@dataclass(frozen=True)
class TimelineOverview:
    """Overview of the whole run: columns for the connections opened over time.

    A frame marks the time range of the detailed drawing.
    """

    columns: list[tuple[float, float]]
    width: float
    left: float
    right: float
    description: str


@dataclass(frozen=True)
class Timeline:
    """Variables of `templates/timeline.html.j2`."""

    height: int
    bars: list[TimelineBar]
    arrows: list[TimelineArrow]
    grid: list[TimelineTick]
    refused: list[TimelineTick]
    refused_y: int
    omitted_lanes: int
    overview: TimelineOverview | None
    summary: str
    openers: list[tuple[int, str]]
    rows: list[tuple[str, ...]]
    omitted_rows: int


@dataclass(frozen=True)
class TimelineView:
    """Lanes (one per connection) to draw, in the time range from `start` to `end`.

    origin     start of the run; the times in the drawing are relative to it
    has_times  False if no event has a time: times are then positions in the list of events
    omitted    number of lanes that are not drawn
    """

    lanes: list[Lane]
    start: float
    end: float
    origin: float
    has_times: bool
    omitted: int = 0

    def x(self, at: float) -> float:
        """Return the position of `at` in per cent, limited to 0 and 100."""
        span = self.end - self.start
        return round(min(max(100 * (at - self.start) / span, 0.0), 100.0), 3) if span > 0 else 50.0

    def contains(self, at: float) -> bool:
        return self.start <= at <= self.end

    def format_time(self, at: float) -> str:
        """Return for example `0.412 s`, or `event 12` if the events have no time."""
        return f"{at - self.origin:.3f} s" if self.has_times else f"event {at:.0f}"


def draw_timeline(lane_set: LaneSet, important: Collection[str] = ()) -> Timeline | None:
    """Return the timeline of the lanes, None if there was no connection and no attempt.

    `important` contains ids of lanes. If not all lanes fit, only lanes of the users of these lanes are drawn.
    """
    if not lane_set.lanes and not lane_set.refused:
        return None
    view = _choose_view(lane_set, important)
    keys = dict.fromkeys(lane.colour_key for lane in lane_set.lanes)
    hues = {key: number % HUES for number, key in enumerate(keys)}
    name_users = len({lane.user for lane in lane_set.lanes}) > 1
    bars = [
        _bar(view, lane, LANE_HEIGHT * index + FIRST_LANE_Y, hues[lane.colour_key], name_users)
        for index, lane in enumerate(view.lanes)
    ]
    refused = [
        TimelineTick(view.x(at), f"refused: {one_line(reason)}, at {view.format_time(at)}")
        for at, reason in lane_set.refused
    ]
    rows = [_table_row(view, lane) for lane in lane_set.lanes[:TABLE_ROWS]]
    return Timeline(
        height=LANE_HEIGHT * (len(bars) + bool(refused)),
        bars=bars,
        arrows=list(_arrows(lane_set, view, {id(bar.lane): bar for bar in bars})),
        grid=list(_grid(view)),
        refused=refused[:TICK_POSITIONS],
        refused_y=LANE_HEIGHT * len(bars) + FIRST_LANE_Y,
        omitted_lanes=view.omitted,
        overview=_overview(lane_set, view),
        summary=_summary(lane_set),
        openers=[(hue, name) for key, hue in hues.items() if (name := _opener(*key))][:HUES],
        rows=rows,
        omitted_rows=len(lane_set.lanes) - len(rows),
    )


# Selection of lanes and span


def _choose_view(lane_set: LaneSet, important: Collection[str]) -> TimelineView:
    """Return a view of all lanes if they fit, otherwise of the first `LANES` lanes of affected users.

    If connections repeat in a loop, the view shows the beginning of the loop, because the rest looks the same.
    """
    if len(lane_set.lanes) <= LANES:
        return TimelineView(lane_set.lanes, lane_set.start, lane_set.end, lane_set.start, lane_set.has_times)
    candidates = _affected_lanes(lane_set, important)
    shown = candidates[:LANES]
    start = max(min(lane.first_event_at for lane in shown), lane_set.start)
    end = candidates[LANES].first_event_at if len(candidates) > LANES else lane_set.end
    omitted = len(lane_set.lanes) - len(shown)
    return TimelineView(shown, start, end if end > start else lane_set.end, lane_set.start, lane_set.has_times, omitted)


def _affected_lanes(lane_set: LaneSet, important: Collection[str]) -> list[Lane]:
    """Return the lanes of all users who have a lane with an id in `important`.

    If there is no such user, return the lanes of all users who had a replacement; without any, return all lanes.
    """
    replaced = {lane.id for _, *pair in lane_set.replacements for lane in pair}
    marked = [lane for lane in lane_set.lanes if lane.id in important] or [
        lane for lane in lane_set.lanes if lane.id in replaced
    ]
    users = {lane.user for lane in marked}
    return [lane for lane in lane_set.lanes if lane.user in users] if marked else lane_set.lanes


def _overview(lane_set: LaneSet, view: TimelineView) -> TimelineOverview | None:
    """Return the overview of a run if only a part of the run is drawn, None if the whole run is drawn."""
    span = lane_set.end - lane_set.start
    if not view.omitted or span <= 0:
        return None
    counts = [0] * OVERVIEW_COLUMNS
    for lane in lane_set.lanes:
        column = int((lane.first_event_at - lane_set.start) / span * OVERVIEW_COLUMNS)
        counts[min(column, OVERVIEW_COLUMNS - 1)] += 1
    most, width = max(counts), 100 / OVERVIEW_COLUMNS
    columns = [(round(n * width, 3), round(100 * count / most, 1)) for n, count in enumerate(counts) if count]
    left, right = (100 * (at - lane_set.start) / span for at in (view.start, view.end))
    interval = f" per {span / OVERVIEW_COLUMNS:.2g} s" if lane_set.has_times else ""
    description = (
        f"Connections opened over the whole run, at most {most}{interval}. The frame marks the part drawn below."
    )
    return TimelineOverview(columns, round(width * 0.8, 3), round(left, 3), round(right, 3), description)


# Drawing


def _bar(view: TimelineView, lane: Lane, y: int, hue: int, name_user: bool) -> TimelineBar:
    opened = view.start if lane.opened_at is None else lane.opened_at
    closed = view.end if lane.closed_at is None else lane.closed_at
    return TimelineBar(
        lane=lane,
        continues=lane.closed_at is None or not view.contains(lane.closed_at),
        y=y,
        left=view.x(opened),
        right=view.x(closed),
        hue=hue,
        label=_label(lane, lane.user if name_user else None),
        reason=_reason(lane),
        description=_description(view, lane),
        closed_by_server=lane.replaced_by is not None or not ENDED_BY_SERVER.isdisjoint(lane.reasons),
        ticks=list(_delivery_ticks(view, lane)),
    )


def _delivery_ticks(view: TimelineView, lane: Lane) -> Iterator[TimelineTick]:
    positions: dict[int, list[tuple[float, str]]] = {}
    for at, name in lane.deliveries:
        if view.contains(at):
            positions.setdefault(round(view.x(at) / 100 * TICK_POSITIONS), []).append((at, name))
    for group in positions.values():
        names = list(dict.fromkeys(one_line(name) for _, name in group))
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        count = f" ({len(group)} deliveries)" if len(group) > 1 else ""
        yield TimelineTick(view.x(group[0][0]), f"{shown}{count}, at {view.format_time(group[0][0])}")


def _arrows(lane_set: LaneSet, view: TimelineView, bars: Mapping[int, TimelineBar]) -> Iterator[TimelineArrow]:
    for at, old, new in lane_set.replacements:
        if id(old) in bars and id(new) in bars:
            y1, y2 = bars[id(old)].y, bars[id(new)].y
            offset = BAR_HEIGHT // 2 + 2 if y2 > y1 else -BAR_HEIGHT // 2 - 2
            text = f"{one_line(old.id)} was replaced by {one_line(new.id)}, at {view.format_time(at)}"
            yield TimelineArrow(view.x(at), y1, y2 - offset, text)


def _grid(view: TimelineView) -> Iterator[TimelineTick]:
    """Yield two to six round times for the time axis, counted from the start of the run. More do not fit on a phone."""
    span = view.end - view.start
    if span <= 0:
        return
    step = next(step for step in _round_steps() if span / step <= 6)
    first, last = math.ceil((view.start - view.origin) / step), math.floor((view.end - view.origin) / step)
    for number in range(first, last + 1):
        text = _format_round_time(number * step) if view.has_times else f"event {number * step:.0f}"
        yield TimelineTick(view.x(view.origin + number * step), text if number else "0")


def _format_round_time(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else format_duration(seconds)


def _round_steps() -> Iterator[float]:
    for power in range(-3, 12):
        yield from (10.0**power, 2 * 10.0**power, 5 * 10.0**power)
    yield float("inf")


# Text


def _summary(lane_set: LaneSet) -> str:
    parts = [plural(len(lane_set.lanes), "connection"), plural(len(lane_set.replacements), "replacement")]
    if lane_set.refused:
        parts.append(plural(len(lane_set.refused), "refused attempt"))
    counts = ", ".join(parts)
    return f"{counts} in {format_duration(lane_set.end - lane_set.start)}" if lane_set.has_times else counts


def _label(lane: Lane, user: str | None) -> str:
    """Return for example `user_1 · Dashboard + BotCreationWizard · useBotWebSocket at useBotWebSocket.ts:5`."""
    components = " + ".join(one_line(name) for name in (lane.component, *lane.shared_with) if name)
    return " · ".join(part for part in (one_line(user or ""), components, _short_location(lane)) if part)


def _description(view: TimelineView, lane: Lane) -> str:
    """Return a sentence that describes the whole lane, for tooltips and screen readers."""
    user = f" of {one_line(lane.user)}" if lane.user else ""
    opener = _opener(lane.component, lane.opener)
    parts = [f"Connection {one_line(lane.id)}{user}" + (f", opened by {opener}" if opener else "")]
    parts += [f"called from {_location(lane.diverges_at)}"] if lane.diverges_at is not None else []
    parts += [f"shared with {', '.join(map(one_line, lane.shared_with))}"] if lane.shared_with else []
    parts.append(
        f"opened at {view.format_time(lane.opened_at)}" if lane.opened_at is not None else "opened before the run"
    )
    parts.append(
        f"closed at {view.format_time(lane.closed_at)}" if lane.closed_at is not None else "still open at the end"
    )
    parts += [f"replaced by {one_line(lane.replaced_by)}"] if lane.replaced_by is not None else []
    parts += [_reason(lane)] if lane.reasons else []
    parts.append(plural(len(lane.deliveries), "delivery", "deliveries"))
    return "; ".join(parts)


def _table_row(view: TimelineView, lane: Lane) -> tuple[str, ...]:
    opened, closed = (view.format_time(at) if at is not None else "" for at in (lane.opened_at, lane.closed_at))
    opener = _opener(lane.component, lane.opener)
    opened_by = f"{opener}, called from {_location(lane.diverges_at)}" if lane.diverges_at is not None else opener
    cells = lane.id, lane.user or "", opened_by, opened, closed or "still open", _reason(lane)
    return *cells, str(len(lane.deliveries))


def _reason(lane: Lane) -> str:
    return " / ".join(one_line(reason) for reason in lane.reasons)


def _opener(component: str | None, location: CodeLocation | None) -> str:
    place = _location(location) if location else ""
    return f"{one_line(component)} at {place}" if component and place else one_line(component or "") or place


def _location(location: CodeLocation) -> str:
    """Return for example `useBotWebSocket at src/hooks/useBotWebSocket.ts:5:18`."""
    return one_line(f"{location.function} at {location}" if location.function else str(location))


def _short_location(lane: Lane) -> str:
    """Return the call site that distinguishes this lane, without its directory: `useBotWebSocket at socket.ts:5`."""
    location = lane.diverges_at or lane.opener
    if location is None:
        return ""
    name = location.file.rpartition("/")[2]
    line = f"{name}:{location.line}" if location.line else name
    return one_line(f"{location.function} at {line}" if location.function else line)
