"""Order of the events of logs by time.

A log may be out of order: the pods of `kubectl logs -l` one after the other, an export with the newest line first, a
clock that was set back. A log that is read as a whole is sorted. While logs are followed, the events of several sources
wait for a moment, because another source may still deliver events with earlier times.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec

from wscheck.model.events import Connected, Disconnected, Event
from wscheck.model.gaps import Gap

MAX_SORTED_LINES = 500_000
"""Number of lines up to which complete logs are sorted as a whole."""

TOLERANCE_S = 1.0
"""Longest time by which lines of several threads or processes of one server may be out of order (seconds)."""

HOUR_S, MAX_PAUSE_AT_CHANGE_S = 3600.0, 300.0
"""Step back of local time in autumn, and longest time between the lines before and after it (seconds)."""

Timed = tuple[float, Event]
"""Event with its time, or the time of the timed event before it."""


class OrderedEvents(msgspec.Struct):
    """Events in the order of their time, and the gaps (missing evidence) that result from the original order."""

    events: list[Event]
    gaps: list[Gap] = msgspec.field(default_factory=list)


def order_logs(logs: Iterable[Sequence[Event]]) -> OrderedEvents:
    """Return the events of complete logs in the order of time.

    Events of equal time stay in the order of their lines.
    """
    ordered = [_order_log(events) for events in logs]
    merged = heapq.merge(*(with_times(one.events) for one in ordered), key=lambda timed: timed[0])
    return OrderedEvents([event for _, event in merged], [gap for one in ordered for gap in one.gaps])


def with_times(events: Iterable[Event]) -> Iterator[Timed]:
    """Yield each event with its time for sorting. An event without a time gets the time of the last event with one."""
    last = 0.0
    for event in events:
        last = event.at if event.at is not None else last
        yield last, event


def _order_log(events: Sequence[Event]) -> OrderedEvents:
    steps = [after - before for (before, _), (after, _) in pairwise(with_times(events)) if before]
    backward = sum(step < 0 for step in steps)
    if not backward:
        return OrderedEvents(list(events))
    if backward > sum(step > 0 for step in steps):
        events = events[::-1]  # the newest line comes first
        steps = [-step for step in reversed(steps)]
    jumps = [-step for step in steps if step < -TOLERANCE_S]
    if len(jumps) == 1 and HOUR_S - MAX_PAUSE_AT_CHANGE_S <= jumps[0] <= HOUR_S:
        return _without_jumps(events, "local time was set back by an hour there", blocks=False)
    in_order = [event for _, event in sorted(with_times(events), key=lambda timed: timed[0])]
    if jumps and _contradictions(in_order) > _contradictions(events):
        return _without_jumps(events, "the clock was set back there", blocks=True)
    return OrderedEvents(in_order)


def _contradictions(events: Sequence[Event]) -> int:
    """Return the number of connections that, in this order, end before they open."""
    ended, early = set[str](), 0
    opened = set[str]()
    for event in events:
        if isinstance(event, Disconnected) and event.sid is not None and event.sid not in opened:
            ended.add(event.sid)
        elif isinstance(event, Connected) and event.sid is not None:
            early += event.sid in ended
            opened.add(event.sid)
    return early


def _without_jumps(events: Sequence[Event], why: str, *, blocks: bool) -> OrderedEvents:
    """Return `events` in the given order, with a gap (missing evidence) that names lines at which the time goes back.

    After each step back, the times of all later events are increased, so that the time never goes back.

    why     cause of the steps back, as text for the gap
    blocks  whether the gap prevents a verdict of passed; false for the end of summer time: one step back of an hour
    """
    shifted, offset, last, places = list[Event](), 0.0, None, list[str]()
    for event in events:
        if event.at is not None:
            if last is not None and event.at + offset < last - TOLERANCE_S:
                places.append(f"{event.path}:{event.line}")
                offset = HOUR_S if not blocks else last - event.at
            last = max(last or 0.0, event.at + offset)
        shifted.append(msgspec.structs.replace(event, at=last) if offset and event.at is not None else event)
    reason = f"the times go back at {', '.join(places[:3])}: {why}, so the order of the lines was used"
    return OrderedEvents(shifted, [Gap(id="out-of-order", reason=reason, blocks=blocks)])


class ReorderBuffer:
    """Events of several sources, held back for `window_s` seconds so that events with earlier times can come first."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._waiting: list[tuple[float, int, float, Event]] = []
        self._newest, self._count = 0.0, 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, events: Iterable[Event], now: float) -> list[Event]:
        """Add events that were read at `now` (monotonic seconds), and return those that need not wait any longer."""
        for at, event in with_times(events):
            self._count += 1
            key = at or self._newest
            self._newest = max(self._newest, key)
            self._waiting.append((key, self._count, now, event))
        self._waiting.sort(key=lambda entry: entry[:2])
        due = 0
        for number, (at, _, read_at, _) in enumerate(self._waiting, start=1):
            if at <= self._newest - self._window_s or read_at <= now - self._window_s:
                due = number
        return self._release(due)

    def flush(self) -> list[Event]:
        """Return all events that were still held back."""
        return self._release(len(self._waiting))

    def _release(self, due: int) -> list[Event]:
        released, self._waiting = self._waiting[:due], self._waiting[due:]
        return [event for *_, event in released]


class LateEvents:
    """Events that were evaluated after events with later times.

    This happens if a log is out of order and cannot be sorted.

    count    number of such events
    seconds  longest time by which one of them is earlier than an event that was evaluated before it
    """

    def __init__(self) -> None:
        self.count, self.seconds = 0, 0.0
        self._latest: float | None = None

    def observe(self, times: Sequence[float]) -> None:
        """Record the times of a batch of events."""
        if not times:
            return
        in_order = sorted(times)
        latest = self._latest if self._latest is not None else times[0]
        if in_order != times or in_order[0] < latest:
            for at in times:
                if latest - at > TOLERANCE_S:
                    self.count += 1
                    self.seconds = max(self.seconds, latest - at)
                latest = max(latest, at)
        self._latest = max(latest, in_order[-1])

    def gap(self) -> Gap | None:
        """Return the gap (missing evidence) that late events cause, None if there are none."""
        if not self.count:
            return None
        reason = (
            f"{self.count} events are up to {self.seconds:.0f} s older than events before them, and were evaluated in "
            "the order in which they were read: sort the log by time"
        )
        closes_with = f"--no-follow and a log of at most {MAX_SORTED_LINES:,} lines"
        return Gap(id="out-of-order", reason=reason, closes_with=closes_with)
