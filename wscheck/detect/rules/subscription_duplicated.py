"""Rule: a page has the same subscription twice, on one connection or on two."""

from collections import Counter
from collections.abc import Mapping
from heapq import heappop, heappush
from itertools import count, islice
from typing import NamedTuple, TypeVar

from wscheck.detect.changes import ClosedChange
from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import CodeLocation, Disconnected, Subscribed, Unsubscribed
from wscheck.model.findings import Confidence, Severity

_Key = TypeVar("_Key")
_Member = TypeVar("_Member")
_Value = TypeVar("_Value")

_Likeness = tuple[str | None, str | None, str | None, str]
"""Page, the user if the page is unknown, protocol and content of a subscription."""
_Place = ServerEndpoint | str | None
"""Endpoint of a connection, or its `sid` if the endpoint is unknown."""


class OpenSubscription(NamedTuple):
    """Key of an open subscription: the connection (`sid`), and the subscription's id within this connection."""

    sid: str | None
    id: str


class _EqualSubscriptions:
    """Equal open subscriptions of one page to one endpoint, the oldest first."""

    def __init__(self) -> None:
        self.events: dict[OpenSubscription, Subscribed] = {}
        self.per_sid = Counter[str | None]()
        self._subscribers = Counter[CodeLocation]()

    @property
    def subscribers(self) -> list[str]:
        return list(dict.fromkeys(map(str, self._subscribers)))

    def add(self, key: OpenSubscription, event: Subscribed) -> None:
        self.events[key] = event
        self.per_sid[event.sid] += 1
        if event.subscriber is not None:
            self._subscribers[event.subscriber] += 1

    def remove(self, key: OpenSubscription) -> None:
        event = self.events.pop(key)
        _decrement(self.per_sid, event.sid)
        if event.subscriber is not None:
            _decrement(self._subscribers, event.subscriber)


class SubscriptionDuplicated(Rule):
    """Rule: two equal subscriptions of a page are open for longer than the grace period.

    During the grace period, a client that changes a subscription may start the new one before it ends the old one.
    """

    id = "subscription-duplicated"
    severity = Severity.ERROR
    title = "A page has the same subscription twice"
    meaning = (
        "The page asked twice for the same topic, channel or query. The server sends every event once for each of the "
        "subscriptions, and counts and bills each of them."
    )
    fix = "Subscribe once, in one module or provider, and hand the events to every component that needs them."
    source = "the protocols' own documents: each subscription has an id of its own and gets every event"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._places: dict[OpenSubscription, tuple[_Likeness, _Place]] = {}
        self._equal: dict[_Likeness, dict[_Place, _EqualSubscriptions]] = {}
        self._ids_by_sid: dict[str | None, dict[OpenSubscription, None]] = {}
        self.pending: dict[OpenSubscription, Subscribed] = {}
        self._due: list[tuple[float, int, OpenSubscription]] = []
        self._order = count()
        return {
            Subscribed: self._subscribed,
            Unsubscribed: lambda event: self._end(OpenSubscription(event.sid, event.subscription)),
            Disconnected: lambda event: self._end_all(event.sid),
            ClosedChange: lambda change: self._end_all(change.sid),
        }

    def _subscribed(self, event: Subscribed) -> None:
        if event.same is None:
            return
        key = OpenSubscription(event.sid, event.subscription)
        self._end(key)  # an id that is used again stands for one subscription
        likeness, place = _likeness(event), self._place(event.sid)
        self._places[key] = likeness, place
        self._ids_by_sid.setdefault(event.sid, {})[key] = None
        alike = self._equal.setdefault(likeness, {})
        alike.setdefault(place, _EqualSubscriptions()).add(key, event)
        if len(alike) > 1 or len(alike[place].events) > 1:
            self.pending[key] = event
            if event.at is not None:
                heappush(self._due, (event.at, next(self._order), key))

    def _end(self, key: OpenSubscription) -> None:
        self.pending.pop(key, None)
        if key not in self._places:
            return
        likeness, place = self._places.pop(key)
        _remove(self._ids_by_sid, key.sid, key)
        alike = self._equal[likeness]
        alike[place].remove(key)
        if not alike[place].events:
            _remove(self._equal, likeness, place)

    def _end_all(self, sid: str | None) -> None:
        for key in list(self._ids_by_sid.get(sid, ())):
            self._end(key)

    def on_time(self, at: float) -> None:
        while self._due and at - self._due[0][0] > self.options.grace_s:
            since, _, key = heappop(self._due)
            event = self.pending.get(key)
            if event is not None and event.at == since:
                self._report(key, at)

    def finish(self, at: float | None) -> None:
        for key, event in list(self.pending.items()):
            if event.at is None:
                self._report(key, None)

    def _report(self, key: OpenSubscription, at: float | None) -> None:
        """Report the subscription `key` with the equal subscriptions of its page that are open, if there are any.

        The subscription then no longer waits for the end of its grace period.
        """
        event = self.pending.pop(key)
        likeness, place = self._places[key]
        alike = self._equal[likeness][place]
        here = alike.per_sid[event.sid]
        if len(alike.events) < 2:
            return
        confidence = Confidence.HIGH if at is not None else Confidence.MEDIUM
        if here > 1:
            times = "twice" if here == 2 else f"{here} times"
            message = f"subscribed to {event.name} {times} on one connection"
            severity = None
        else:
            # The rule for connections reports the two connections as an error.
            message = f"subscribed to {event.name} on {len(alike.per_sid)} connections of one page"
            severity = Severity.WARNING
        if alike.subscribers:
            message += f": {' and '.join(alike.subscribers)}"
        evidence = islice(alike.events.values(), 4)
        self.report(event.user, message, event.at, *evidence, key=event.name, confidence=confidence, severity=severity)

    def _place(self, sid: str | None) -> _Place:
        url = getattr(self.ledger.opening_event(sid), "url", None)
        return ServerEndpoint.from_url(url) if url is not None else sid


def _decrement(counter: Counter[_Key], key: _Key) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _remove(groups: dict[_Key, dict[_Member, _Value]], key: _Key, member: _Member) -> None:
    del groups[key][member]
    if not groups[key]:
        del groups[key]


def _likeness(event: Subscribed) -> _Likeness:
    """Return a key that is the same for all equal subscriptions of a page (of a user, if the page is unknown)."""
    return event.page, None if event.page is not None else event.user, event.protocol, str(event.same)
