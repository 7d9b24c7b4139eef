"""Histories: the latest openings, replacements and ends of connections per user, in bounded memory."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from operator import sub
from typing import NamedTuple, TypeVar

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.detect.ledger import Ledger
from wscheck.detect.rules.multiple_connections import same_page_connection
from wscheck.detect.socket_ids import is_logged
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT, TRANSPORT_ENDED
from wscheck.model.events import (
    ActionPerformed,
    AttemptOutcome,
    Connected,
    Connecting,
    Event,
    HandlersRegistered,
    Refused,
    Subscribed,
    Unsubscribed,
)
from wscheck.model.findings import Confidence
from wscheck.protocols.engine_io import SESSION_ID_UNKNOWN

MAX_ENTRIES = 128
MAX_USERS = 5_000
MAX_ACTIONS = 1_000
MAX_DEVICE_USERS = 2

Entry = TypeVar("Entry")


class UserHistory:
    """Latest observations about one user: at most `MAX_ENTRIES` of each kind, the oldest first.

    met            pairs (older, newer) of connections: the newer one opened while the older one was open
    refusals       refused attempts, which only a page or a client reports
    registrations  registrations of event handlers, which only a page reports
    alike          dict of (sid, hash of name and arguments) to the equal subscriptions that have these values, as
                   they were when the largest number of them was open
    requested      dict of Engine.IO session id to the time of its first request (epoch seconds)
    actions        dict of page to the times at which wscheck performed an action on it (epoch seconds)
    steps          dict of page to the times at which a configured step acted on it (epoch seconds)
    has_page_data  a source other than a server log reported a page, a token or an opener
    on_eviction    function that is called with the history before entries are evicted, at most once per `MAX_ENTRIES`
                   additions
    """

    __slots__ = (
        *("_on_eviction", "_unsaved", "actions", "has_page_data", "requested", "steps"),
        *("_subscriptions", "alike"),
        *("closings", "met", "openings", "refusals", "registrations", "replacements"),
    )

    def __init__(
        self,
        requested: Mapping[str, float] | None = None,
        on_eviction: Callable[["UserHistory"], None] | None = None,
        actions: Mapping[str, Sequence[float]] | None = None,
        steps: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self.requested = requested if requested is not None else {}
        self.actions = actions if actions is not None else {}
        self.steps = steps if steps is not None else {}
        self._on_eviction, self._unsaved = on_eviction, 0
        self.has_page_data = False
        self.openings: deque[Connected] = deque(maxlen=MAX_ENTRIES)
        self.met: deque[tuple[Connected, Connected]] = deque(maxlen=MAX_ENTRIES)
        self.replacements: deque[ReplacedChange] = deque(maxlen=MAX_ENTRIES)
        self.closings: deque[ClosedChange] = deque(maxlen=MAX_ENTRIES)
        self.refusals: deque[Refused] = deque(maxlen=MAX_ENTRIES)
        self.registrations: deque[HandlersRegistered] = deque(maxlen=MAX_ENTRIES)
        self._subscriptions: dict[tuple[str | None, str], Subscribed] = {}
        self.alike: dict[tuple[str | None, str | None], tuple[Subscribed, ...]] = {}

    def find_opening(self, sid: str | None) -> Connected | None:
        """Return the event with which a connection opened, None if it is not stored.

        The connection may have ended since.
        """
        return next((opening for opening in reversed(self.openings) if sid and opening.sid == sid), None)

    def requested_at(self, opening: Connected) -> float | None:
        """Return the time of the connection's first request, or if that is unknown, of its acknowledgement."""
        return self.requested.get(opening.eio or "", opening.at)

    def has_request(self, opening: Connected) -> bool:
        """Return whether the time of the connection's request is known."""
        return (opening.eio or "") in self.requested

    def has_action_between(self, page: str | None, start: float, end: float) -> bool:
        """Return whether wscheck performed an action on a page between two times (epoch seconds)."""
        return any(start <= at <= end for at in self.actions.get(page or "", ()))

    def has_visit_between(self, page: str | None, start: float, end: float) -> bool:
        """Return whether `actions` or `steps` contain a time for a page between two times (epoch seconds)."""
        steps = self.steps.get(page or "", ())
        return self.has_action_between(page, start, end) or any(start <= at <= end for at in steps)

    def concerning(self, evidence: Iterable[Event]) -> "UserHistory":
        """Return the history with only those groups of equal subscriptions that occur in `evidence`, that of a finding.

        Return the whole history if the evidence contains no subscription.
        """
        likenesses = {(each.sid, each.same) for each in evidence if isinstance(each, Subscribed)}
        if not likenesses:
            return self
        found = copy(self)
        found.alike = {likeness: alike for likeness, alike in self.alike.items() if likeness in likenesses}
        return found

    def replaced_pairs(self) -> list[tuple[Connected, Connected]]:
        """Return (replaced, replacing) connections for each replacement, if the opening of both is known."""
        return [(r.old, r.new) for r in self.replacements if r.old is not None and r.new is not None]

    def opened(self, event: Connected) -> None:
        """Record that a connection opened."""
        self._add(self.openings, event, event)

    def replaced(self, change: ReplacedChange) -> None:
        """Record that a connection was replaced."""
        self._add(self.replacements, change, change.old)

    def closed(self, change: ClosedChange) -> None:
        """Record that a connection and all its subscriptions ended."""
        self._subscriptions = {key: event for key, event in self._subscriptions.items() if key[0] != change.sid}
        self._add(self.closings, change, change.opening)

    def refused(self, event: Refused) -> None:
        """Record that the server refused a connection."""
        self._add(self.refusals, event, None)

    def registered(self, event: HandlersRegistered) -> None:
        """Record that a page added or removed handlers of a Socket.IO event."""
        self._add(self.registrations, event, None)

    def subscribed(self, event: Subscribed) -> None:
        """Record that a subscription started."""
        self._subscriptions[event.sid, event.subscription] = event
        likeness = (event.sid, event.same)
        if len(self._subscriptions) > MAX_ENTRIES or (len(self.alike) >= MAX_ENTRIES and likeness not in self.alike):
            return
        now = tuple(each for each in self._subscriptions.values() if (each.sid, each.same) == likeness)
        if len(now) > len(self.alike.get(likeness, ())):
            self.alike[likeness] = now

    def unsubscribed(self, event: Unsubscribed) -> None:
        """Record that a subscription ended."""
        self._subscriptions.pop((event.sid, event.subscription), None)

    def _add(self, entries: deque[Entry], entry: Entry, opening: Connected | None) -> None:
        if not self.has_page_data and opening is not None and not is_logged(opening):
            self.has_page_data = (
                opening.page is not None or opening.fingerprint is not None or opening.opener is not None
            )
        self._unsaved += 1
        if self._unsaved >= MAX_ENTRIES and len(entries) == MAX_ENTRIES and self._on_eviction is not None:
            self._on_eviction(self)
            self._unsaved = 1
        entries.append(entry)

    def replacement_intervals(self) -> list[float]:
        """Return the seconds between each replacement and the next one."""
        times = [r.event.at for r in self.replacements if r.event.at is not None]
        return list(map(sub, times[1:], times))


Clue = tuple[Confidence, str]
"""Confidence that the cause applies, and the evidence for it as a clause."""


class Explanation(NamedTuple):
    """Cause that explains a user's connections.

    because  the evidence for the cause, as a clause
    fix      the fix that names the user's own code, "" for the fix of the catalogue
    """

    cause: str
    confidence: Confidence
    because: str
    fix: str = ""


Signature = Callable[[UserHistory], Clue | Explanation | None]
"""Detector of one cause: returns the evidence for the cause in a user's history, None if there is none."""


def _as_opening(event: Refused) -> Connected:
    """Return a refused connection attempt as if it had opened, to compare it with an open connection."""
    fields = {name: getattr(event, name) for name in AttemptOutcome.__struct_fields__}
    return Connected(**fields | {"sid": event.eio})


class UserHistories:
    """Histories of the users whose findings may need a cause.

    A history is created when the evidence contains one of the following about a user: a second open connection, a
    replacement, the end of the only connection by the server, a refusal because a request reached another process, or
    data from a page. Before a history or its oldest entries are evicted, `on_eviction` is called with the user and the
    history.
    """

    def __init__(self, ledger: Ledger, on_eviction: Callable[[str, UserHistory], None]) -> None:
        self._ledger, self._on_eviction = ledger, on_eviction
        self._histories: OrderedDict[str, UserHistory] = OrderedDict()
        self._requested = BoundedDict[str, float](MAX_USERS)
        self._actions: dict[str, deque[float]] = {}
        self._steps: dict[str, deque[float]] = {}
        self.device_users: dict[str, set[str]] = {}
        """Names and kinds of devices in the log, each with its first users."""

    def history(self, user: str | None) -> UserHistory:
        """Return the history of `user`, or an empty history if none is stored."""
        return self._histories.get(user or "") or UserHistory()

    def connecting(self, event: Connecting) -> None:
        if event.stack and event.eio is not None and event.at is not None and event.eio not in self._requested:
            self._requested.put(event.eio, event.at)

    def performed(self, event: ActionPerformed) -> None:
        if event.page is not None and event.at is not None:
            times = self._steps if event.by_step else self._actions
            times.setdefault(event.page, deque(maxlen=MAX_ACTIONS)).append(event.at)

    def opened(self, change: OpenedChange) -> None:
        if (device := getattr(change.event, "device", None)) is not None:
            self._has_device(change.user, device)
        history = self._histories.get(change.user)
        if history is None:
            if not change.others and not getattr(change.event, "stack", ()):
                return
            history = self._ensure(change.user)
            for other in map(self._ledger.opening_event, change.others):
                if other is not None:
                    history.opened(other)
        if isinstance(change.event, Connected):
            history.opened(change.event)
            history.met.extend((other, change.event) for other in self._met_by(change.event, change.others))

    def _has_device(self, user: str, device: str) -> None:
        users = self.device_users.get(device)
        if users is None and len(self.device_users) < MAX_USERS:
            users = self.device_users[device] = set()
        if users is not None and len(users) < MAX_DEVICE_USERS:
            users.add(user)

    def _met_by(self, event: Connected, others: Sequence[str]) -> list[Connected]:
        """Return the connections in `others` with which `event` is compared.

        These are the newest one and, if that has a different opener than `event`, also the newest one with the same
        opener.
        """
        newest = self._ledger.opening_event(others[-1]) if others else None
        met = [newest] if newest is not None else []
        if event.opener is not None and newest is not None and newest.opener != event.opener:
            earlier = (self._ledger.opening_event(sid) for sid in reversed(others[:-1]))
            same = next((each for each in earlier if each is not None and each.opener == event.opener), None)
            met += [same] if same is not None else []
        return met

    def replaced(self, change: ReplacedChange) -> None:
        if change.user is not None:
            self._ensure(change.user).replaced(change)

    def closed(self, change: ClosedChange) -> None:
        history = self._histories.get(change.user or "")
        of_page = change.opening is not None and change.opening.page is not None and not is_logged(change.opening)
        ended = change.reason == IO_SERVER_DISCONNECT or (of_page and change.reason in TRANSPORT_ENDED)
        is_last = ended and not change.remaining
        if history is None and change.user is not None and is_last:
            history = self._ensure(change.user)
        if history is not None:
            history.closed(change)

    def refused(self, event: Refused) -> None:
        if event.user is None or not (event.stack or event.message == SESSION_ID_UNKNOWN):
            return
        history = self._ensure(event.user)
        history.refused(event)
        if (first := same_page_connection(event, self._ledger)) is not None:
            history.met.append((first, _as_opening(event)))

    def registered(self, event: HandlersRegistered) -> None:
        if event.user is not None:
            self._ensure(event.user).registered(event)

    def subscribed(self, event: Subscribed) -> None:
        if event.user is not None:
            self._ensure(event.user).subscribed(event)

    def unsubscribed(self, event: Unsubscribed) -> None:
        if (history := self._histories.get(event.user or "")) is not None:
            history.unsubscribed(event)

    def _ensure(self, user: str) -> UserHistory:
        history = self._histories.get(user)
        if history is None:
            history = self._histories[user] = UserHistory(
                self._requested, partial(self._on_eviction, user), self._actions, self._steps
            )
            if len(self._histories) > MAX_USERS:
                self._on_eviction(*self._histories.popitem(last=False))
        return history
