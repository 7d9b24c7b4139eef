"""Rule: a page has the same subscription twice, on one connection or on two."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from wscheck.detect.changes import ClosedChange
from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Disconnected, Subscribed, Unsubscribed
from wscheck.model.findings import Confidence, Severity

_Key = TypeVar("_Key")
_Owner = tuple[str | None, str | None]
"""User and page that have a subscription."""


class OpenSubscription(NamedTuple):
    """Key of an open subscription: the connection (`sid`), and the subscription's id within this connection."""

    sid: str | None
    id: str


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
        self._open: dict[OpenSubscription, Subscribed] = {}
        self._alike: dict[tuple[_Owner, str | None, str], list[OpenSubscription]] = {}
        self._ids_by_sid: dict[str | None, list[OpenSubscription]] = {}
        self.pending: dict[OpenSubscription, Subscribed] = {}
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
        self._open[key] = event
        self._ids_by_sid.setdefault(event.sid, []).append(key)
        alike = self._alike.setdefault(_likeness(event), [])
        alike.append(key)
        if len(alike) > 1:
            self.pending[key] = event

    def _end(self, key: OpenSubscription) -> None:
        event = self._open.pop(key, None)
        self.pending.pop(key, None)
        if event is None:
            return
        _remove(self._ids_by_sid, key.sid, key)
        _remove(self._alike, _likeness(event), key)

    def _end_all(self, sid: str | None) -> None:
        for key in list(self._ids_by_sid.get(sid, ())):
            self._end(key)

    def on_time(self, at: float) -> None:
        for key, event in list(self.pending.items()):
            if event.at is not None and at - event.at > self.options.grace_s:
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
        alike = [self._open[each] for each in self._alike[_likeness(event)] if self._is_together(event, each)]
        here = [each for each in alike if each.sid == event.sid]
        if len(alike) < 2:
            return
        confidence = Confidence.HIGH if at is not None else Confidence.MEDIUM
        if len(here) > 1:
            times = "twice" if len(here) == 2 else f"{len(here)} times"
            message = f"subscribed to {event.name} {times} on one connection"
            severity = None
        else:
            # The rule for connections reports the two connections as an error.
            message = f"subscribed to {event.name} on {len({each.sid for each in alike})} connections of one page"
            severity = Severity.WARNING
        places = list(dict.fromkeys(str(each.subscriber) for each in alike if each.subscriber is not None))
        if places:
            message += f": {' and '.join(places)}"
        self.report(event.user, message, event.at, *alike[:4], key=event.name, confidence=confidence, severity=severity)

    def _is_together(self, event: Subscribed, other: OpenSubscription) -> bool:
        """Return whether `other` uses the same connection as `event`, or a connection to the same endpoint."""
        if other.sid == event.sid:
            return True
        urls = [getattr(self.ledger.opening_event(sid or ""), "url", None) for sid in (event.sid, other.sid)]
        return None not in urls and ServerEndpoint.from_url(str(urls[0])) == ServerEndpoint.from_url(str(urls[1]))


def _remove(lists: dict[_Key, list[OpenSubscription]], key: _Key, value: OpenSubscription) -> None:
    lists[key].remove(value)
    if not lists[key]:
        del lists[key]


def _likeness(event: Subscribed) -> tuple[_Owner, str | None, str]:
    """Return a key that is the same for all equal subscriptions of a page (of a user, if the page is unknown)."""
    owner = (None, event.page) if event.page is not None else (event.user, None)
    return owner, event.protocol, str(event.same)
