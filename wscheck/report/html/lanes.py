"""Who held which connection when, as the timeline draws it: events in, lanes and arrows between them out. Pure."""

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
    """One connection. Times are in the events' own measure; None where that end was not seen.

    shared_with  further components that use it
    diverges_at  where its stack parts from those of connections with the same opener
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
    def begins(self) -> float:
        """When it was first seen in any way."""
        seen = [self.opened_at, self.closed_at, *(at for at, _ in self.deliveries[:1])]
        return min((at for at in seen if at is not None), default=0.0)

    @property
    def who(self) -> tuple[str | None, CodeLocation | None]:
        """Lanes with the same opener look the same; with a shared one it is the caller that tells them apart."""
        return (None, self.diverges_at) if self.diverges_at else (self.component, self.opener)


@dataclass
class Picture:
    """Everything seen between `start` and `end`.

    arrows   (time, lane that was replaced, lane that replaced it)
    refused  times of the attempts that ended without a connection, and why
    timed    False when the evidence has no clock: times are then positions in it
    """

    start: float
    end: float
    timed: bool
    lanes: list[Lane]
    arrows: list[tuple[float, Lane, Lane]]
    refused: list[tuple[float, str]]


def picture(events: Iterable[AnyEvent], diverging: Mapping[str, CodeLocation] | None = None) -> Picture:
    """The picture of `events`, lanes in the order in which they opened. `diverging`: by session or sid."""
    seen = list(events)
    timed = any(event.at is not None for event in seen)
    drawing = _Drawing(seen)
    times = _in_time(seen, timed)
    for at, event in times:
        drawing.add(event, at)
    drawing.replaced += _supposed(seen, {id(event): at for at, event in times})
    return drawing.done(timed, diverging or {})


def _supposed(seen: Iterable[AnyEvent], when: Mapping[int, float]) -> Iterator[tuple[float, str, str]]:
    """(time, old sid, new sid) of the replacements that nobody wrote down: a page sees only that it was thrown out."""
    ledger = Ledger()
    for event in seen:
        for change in ledger.apply(event):
            if isinstance(change, ReplacedChange) and not change.explicit and change.old_sid and change.new_sid:
                yield when[id(event)], change.old_sid, change.new_sid


def _in_time(seen: Sequence[AnyEvent], timed: bool) -> list[tuple[float, AnyEvent]]:
    """Two sources tell of one moment one after the other: by time they tell one story."""
    at, told = 0.0, []
    for position, event in enumerate(seen):
        at = event.at if event.at is not None else at if timed else float(position)
        told.append((at, event))
    return sorted(told, key=lambda pair: pair[0])


class _Drawing:
    """The picture while it is being drawn. Two sources may tell of one connection: it is one lane."""

    def __init__(self, seen: Iterable[AnyEvent]) -> None:
        """A log knows only the sid of a connection whose session the client names, and may tell of it first."""
        known = (event for event in seen if isinstance(event, ConnectionEvent) and event.sid and event.eio)
        self._session: dict[str, str] = {event.sid: event.eio for event in known if event.sid and event.eio}
        self._lanes: dict[str, Lane] = {}
        self.replaced: list[tuple[float, str, str]] = []
        self._refused: list[tuple[float, str]] = []
        self._mounted: dict[tuple[str, str], None] = {}
        self._times: list[float] = []

    def add(self, event: AnyEvent, at: float) -> None:
        self._times.append(at)
        match event:
            case Replaced(old_sid=str(old), new_sid=str(new)):
                self.replaced.append((at, old, new))
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

    def done(self, timed: bool, diverging: Mapping[str, CodeLocation]) -> Picture:
        self._share()
        for key, lane in self._lanes.items():
            lane.diverges_at = diverging.get(key) or diverging.get(lane.id)
        lanes = sorted(self._lanes.values(), key=lambda lane: lane.begins)
        start, end = min(self._times, default=0.0), max(self._times, default=0.0)
        return Picture(start, end, timed, lanes, list(self._arrows()), self._refused)

    def _lane(self, event: ConnectionEvent) -> Lane | None:
        """The lane of the connection that `event` is about: its Engine.IO session, where one is known."""
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

    def _share(self) -> None:
        """A component that mounted on a page and opened nothing there uses what the page holds."""
        opened = {(lane.page, lane.component) for lane in self._lanes.values()}
        for page, component in self._mounted:
            for lane in self._lanes.values():
                if lane.page == page and (page, component) not in opened:
                    lane.shared_with.append(component)

    def _arrows(self) -> Iterable[tuple[float, Lane, Lane]]:
        drawn: set[tuple[str, str]] = set()
        for at, old_sid, new_sid in self.replaced:
            old, new = (self._lanes.get(self._session.get(sid, sid)) for sid in (old_sid, new_sid))
            if new is None or old is None or (old.id, new.id) in drawn:
                continue
            drawn.add((old.id, new.id))
            old.replaced_by = new.id
            yield at, old, new
