"""Lanes of the timeline: one lane per connection, and the replacements between lanes, computed from the events."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wscheck.detect.changes import ReplacedChange
from wscheck.detect.ledger import Ledger
from wscheck.model.events import (
    AnyEvent,
    CodeLocation,
    Connected,
    ConnectionEvent,
    Delivered,
    Disconnected,
    Mounted,
    Refused,
    Replaced,
)


@dataclass
class Lane:
    """One connection. `opened_at` and `closed_at` are times of events, None if the opening or the end was not observed.

    shared_with  further components that use the connection
    diverges_at  first frame at which the stack differs from those of other connections with the same opener
    """

    id: str
    user: str | None = None
    page: str | None = None
    component: str | None = None
    shared_with: list[str] = field(default_factory=list)
    opener: CodeLocation | None = None
    diverges_at: CodeLocation | None = None
    opened_at: float | None = None
    closed_at: float | None = None
    reasons: list[str] = field(default_factory=list)
    deliveries: list[tuple[float, str]] = field(default_factory=list)
    replaced_by: str | None = None

    @property
    def first_event_at(self) -> float:
        times = [self.opened_at, self.closed_at, *(at for at, _ in self.deliveries[:1])]
        return min((at for at in times if at is not None), default=0.0)

    @property
    def colour_key(self) -> tuple[str | None, CodeLocation | None]:
        """Component and call site that opened the connection. If several callers share the call site, only the caller.

        Lanes with equal keys have the same colour.
        """
        return (None, self.diverges_at) if self.diverges_at else (self.component, self.opener)


@dataclass
class LaneSet:
    """All lanes between `start` and `end`.

    replacements  (time, replaced lane, new lane)
    refused       (time, reason) of each attempt that ended without a connection
    has_times     False if no event has a time: times are then positions in the list of events
    """

    start: float
    end: float
    has_times: bool
    lanes: list[Lane]
    replacements: list[tuple[float, Lane, Lane]]
    refused: list[tuple[float, str]]


def build_lanes(events: Iterable[AnyEvent], diverging: Mapping[str, CodeLocation] | None = None) -> LaneSet:
    """Return the lanes of `events`, in the order of the openings.

    `diverging` is a dict of Engine.IO session id or socket id to the first stack frame at which the connection's call
    stack differs from those of the user's other connections.
    """
    all_events = list(events)
    has_times = any(event.at is not None for event in all_events)
    builder = _LaneBuilder(all_events)
    timed_events = _in_time_order(all_events, has_times)
    for at, event in timed_events:
        builder.add(event, at)
    builder.replacements += _inferred_replacements(all_events, {id(event): at for at, event in timed_events})
    return builder.finish(has_times, diverging or {})


def _inferred_replacements(events: Iterable[AnyEvent], times: Mapping[int, float]) -> Iterator[tuple[float, str, str]]:
    """Yield (time, old sid, new sid) of replacements that no event reports.

    A page does not learn that its connection was replaced: it receives only a disconnect.
    """
    ledger = Ledger()
    for event in events:
        for change in ledger.apply(event):
            if isinstance(change, ReplacedChange) and not change.explicit and change.old_sid and change.new_sid:
                yield times[id(event)], change.old_sid, change.new_sid


def _in_time_order(events: Sequence[AnyEvent], has_times: bool) -> list[tuple[float, AnyEvent]]:
    """Return (time, event) of all events, sorted by time. An event without a time gets that of the previous event."""
    at = 0.0
    timed_events = []
    for position, event in enumerate(events):
        at = event.at if event.at is not None else at if has_times else float(position)
        timed_events.append((at, event))
    return sorted(timed_events, key=lambda pair: pair[0])


class _LaneBuilder:
    """Builder of the lanes. Events of two sources about one connection belong to the same lane."""

    def __init__(self, events: Iterable[AnyEvent]) -> None:
        # A log contains only the socket id, possibly before the event in which the client reports the session too.
        known = (event for event in events if isinstance(event, ConnectionEvent) and event.sid and event.eio)
        self._session: dict[str, str] = {event.sid: event.eio for event in known if event.sid and event.eio}
        self._lanes: dict[str, Lane] = {}
        self.replacements: list[tuple[float, str, str]] = []
        self._refused: list[tuple[float, str]] = []
        self._mounted: dict[tuple[str, str], None] = {}
        self._times: list[float] = []

    def add(self, event: AnyEvent, at: float) -> None:
        self._times.append(at)
        match event:
            case Replaced(old_sid=str(old), new_sid=str(new)):
                self.replacements.append((at, old, new))
            case Refused():
                self._refused.append((at, event.message or event.reason or "refused"))
            case Connected():
                self._open(event, at)
            case Disconnected():
                self._close(event, at)
            case Delivered() if (lane := self._lane(event)) is not None:
                lane.deliveries.append((at, event.name))
            case Mounted(page=str(page), component=str(component)):
                self._mounted[page, component] = None
            case _:
                pass

    def finish(self, has_times: bool, diverging: Mapping[str, CodeLocation]) -> LaneSet:
        self._add_sharing_components()
        for key, lane in self._lanes.items():
            lane.diverges_at = diverging.get(key) or diverging.get(lane.id)
        lanes = sorted(self._lanes.values(), key=lambda lane: lane.first_event_at)
        start, end = min(self._times, default=0.0), max(self._times, default=0.0)
        return LaneSet(start, end, has_times, lanes, list(self._lane_replacements()), self._refused)

    def _lane(self, event: ConnectionEvent) -> Lane | None:
        """Return the lane of the event's connection, found by its Engine.IO session id or else its socket id."""
        key = self._session.get(event.sid or "") or event.eio or event.sid
        if key is None:
            return None
        lane = self._lanes.setdefault(key, Lane(id=event.sid or key))
        lane.user = lane.user or event.user
        lane.page = lane.page or event.page
        lane.component = lane.component or event.component
        lane.opener = lane.opener or event.opener
        return lane

    def _open(self, event: Connected, at: float) -> None:
        if (lane := self._lane(event)) is not None:
            lane.opened_at = at if lane.opened_at is None else min(lane.opened_at, at)

    def _close(self, event: Disconnected, at: float) -> None:
        if (lane := self._lane(event)) is None:
            return
        lane.closed_at = at if lane.closed_at is None else min(lane.closed_at, at)
        if event.reason and event.reason not in lane.reasons:
            lane.reasons.append(event.reason)

    def _add_sharing_components(self) -> None:
        """Add each mounted component that opened no connection to `shared_with` of its page's connections."""
        opened = {(lane.page, lane.component) for lane in self._lanes.values()}
        for page, component in self._mounted:
            for lane in self._lanes.values():
                if lane.page == page and (page, component) not in opened:
                    lane.shared_with.append(component)

    def _lane_replacements(self) -> Iterator[tuple[float, Lane, Lane]]:
        """Yield each replacement once, even if several sources reported it."""
        yielded: set[tuple[str, str]] = set()
        for at, old_sid, new_sid in self.replacements:
            old, new = (self._lanes.get(self._session.get(sid, sid)) for sid in (old_sid, new_sid))
            if new is None or old is None or (old.id, new.id) in yielded:
                continue
            yielded.add((old.id, new.id))
            old.replaced_by = new.id
            yield at, old, new
