"""Rule: the same event reached one page, or one handler, more than once."""

from collections import ChainMap, Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.disconnect_reasons import SERVER_ENDED
from wscheck.model.events import (
    SOURCE_BROWSER,
    SOURCE_CLIENT,
    SOURCE_HAR,
    CodeLocation,
    Connected,
    Delivered,
    Disconnected,
    Emitted,
    Event,
    Expected,
    Handled,
    HandlersRegistered,
)
from wscheck.model.findings import Confidence, Severity
from wscheck.model.gaps import Gap

MAX_PAYLOADS = 5_000

COPY_S = 0.2
"""Seconds within which a server that sends an event twice on one connection sends the second copy."""

RESTAMPED_COPY_S = 0.05
"""Seconds within which a server sends the second copy, if the copies differ in a time, a sequence number or an id."""

REQUEST_S = 2.0
"""Seconds within which an event may be the answer to a request."""

MIN_TICKS, MIN_TICK_S, TICK_JITTER = 4, 0.05, 1.75
"""Limits of a periodic push: fewest arrivals, shortest interval (seconds), longest as a multiple of the shortest."""

MAX_ARRIVALS = 2_000
"""Arrivals stored per payload."""

MAX_NAMED = 3
"""Events that a gap names."""

NEVER = float("-inf")

MIN_COPIED_PAYLOADS = 2
"""Different payloads that must arrive several times at once before copies on an observed page are an error."""

PAGE_SOURCES = frozenset({SOURCE_BROWSER, SOURCE_HAR})
"""Sources of observed pages, whose server sends what it wants. A scenario knows how often the server should send."""

PayloadKey = tuple[str | None, str | None, str | None, str, str]
"""User, page, namespace, event name and payload digest."""


class _Payloads:
    """Counts of the different payloads that one event had on one connection.

    total   number of different payloads
    copied  number of those payloads that arrived several times at once
    """

    __slots__ = ("copied", "total")

    def __init__(self) -> None:
        self.copied = self.total = 0

    @property
    def are_copied(self) -> bool:
        """True if enough different payloads arrived as copies, so that the server sends the event several times.

        A server that only repeats one unchanged payload does not satisfy this.
        """
        return self.copied >= MIN_COPIED_PAYLOADS and 2 * self.copied >= self.total


class _PayloadCounts:
    """Counts for one payload of an event.

    delivered  dict of socket id to the number of times that the payload arrived on this connection
    handled    dict of component to the number of times that its handler ran for the payload
    """

    __slots__ = ("delivered", "first_at", "handled")

    def __init__(self, at: float | None) -> None:
        self.first_at = at
        self.delivered: dict[str | None, int] = {}
        self.handled: dict[str | None, int] = {}


class _Arrivals:
    """Arrivals of equal payloads on one connection.

    Payloads count as equal if they are the same, or if they differ only in stamps (time, sequence number or event id).
    """

    __slots__ = ("events", "times")

    def __init__(self) -> None:
        self.times: list[float] = []
        self.events: list[Delivered] = []

    def add(self, event: Delivered, at: float) -> None:
        if len(self.times) < MAX_ARRIVALS:
            self.times.append(at)
            self.events.append(event)

    def bursts(self, gap_s: float) -> list[list[Delivered]]:
        """Return the arrivals in groups, each at most `gap_s` seconds after the one before it."""
        groups: list[list[Delivered]] = []
        last = NEVER
        for at, event in zip(self.times, self.events, strict=True):
            if at - last > gap_s:
                groups.append([])
            groups[-1].append(event)
            last = at
        return groups


def bursts_of_copies(events: Iterable[Event]) -> list[list[Delivered]]:
    """Return the equal payloads of one event that the simulated client received together on one connection."""
    arrivals: dict[tuple[str | None, str, str], _Arrivals] = {}
    for event in events:
        if isinstance(event, Delivered) and event.source == SOURCE_CLIENT and event.digest and event.at is not None:
            arrivals.setdefault((event.sid, event.name, event.digest), _Arrivals()).add(event, event.at)
    return [burst for each in arrivals.values() for burst in each.bursts(COPY_S) if len(burst) > 1]


class _Try:
    """Attempt of a scenario to receive an event while its client does nothing else, and no other client acts.

    is_requested  the client requests the event; otherwise it only connects
    is_connected  the client is connected, so that the event could arrive
    """

    def __init__(self, expected: Expected) -> None:
        self.page = expected.page
        self.is_requested = self.is_connected = expected.what == "answered-once"
        self._arrivals: list[Delivered] = []

    def add(self, event: Delivered) -> None:
        if len(self._arrivals) < MAX_ARRIVALS:
            self._arrivals.append(event)

    @property
    def has_arrivals(self) -> bool:
        return bool(self._arrivals)

    @property
    def is_copied(self) -> bool:
        """True if the event arrived several times with the same payload. The server should send it once per attempt."""
        return max(Counter(event.digest for event in self._arrivals).values(), default=0) > 1


class _BriefOverlap(NamedTuple):
    """Event that arrived on a connection and before on others, when these had not yet overlapped for the grace period.

    others  ids of the other connections that are still open
    until   time at which the overlap is longer than the grace period (epoch seconds)
    """

    event: Delivered
    others: frozenset[str | None]
    until: float


class EventDuplicated(Rule):
    """Rule: an event with the same payload arrives or is handled several times on one page.

    An event that arrives once in each of two tabs or namespaces is not a duplicate. Nor is one that the server repeats
    periodically, or one that arrives on two connections of which the page closes one within the grace period.

    Copies on one connection may also have different origins, such as the answer to a request and a broadcast that
    another client caused by connecting or leaving. A scenario therefore tries again with one client that does nothing
    else. Copies that do not arrive each time are no duplicates.
    """

    id = "event-duplicated"
    severity = Severity.ERROR
    title = "An event arrived or was handled more than once"
    meaning = (
        "The same event with the same payload arrived on several connections of one page, arrived several times at "
        "once on one connection, or was handled more often than it arrived. Users see doubled messages and counters."
    )
    fix = "Receive on one connection; register each handler once and remove it with off() on unmount."
    source = 'origin document (`wscheck docs origin`), "Alert If" item 3: same events handled multiple times'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._payloads = BoundedDict[PayloadKey, _PayloadCounts](MAX_PAYLOADS)
        self._registrations: dict[tuple[str | None, int | None, str | None, str, CodeLocation], int] = {}
        self._lost_sids = BoundedDict[str | None, None](MAX_PAYLOADS)
        self._endpoints = BoundedDict[str | None, ServerEndpoint](MAX_PAYLOADS)
        self._copies = BoundedDict[tuple[str | None, *PayloadKey], _Arrivals](MAX_PAYLOADS)
        self._restamped = BoundedDict[tuple[str | None, *PayloadKey], _Arrivals](MAX_PAYLOADS)
        self._repeated: dict[tuple[str | None, *PayloadKey], float] = {}
        self._payloads_by_event = BoundedDict[tuple[str | None, str], _Payloads](MAX_PAYLOADS)
        self._request_times: dict[str | None, deque[float]] = {}
        self._tries: dict[str, list[_Try]] = {}
        self._suspected: list[list[Delivered]] = []
        self._opened_at = BoundedDict[str | None, float](MAX_PAYLOADS)
        self._undecided: dict[int, _BriefOverlap] = {}
        self.pending = ChainMap[Any, Any](self._repeated, self._undecided)
        return {
            Delivered: self._delivered,
            Emitted: self._emitted,
            Handled: self._handled,
            HandlersRegistered: self._registered,
            Disconnected: self._disconnected,
            Expected: self._expected,
            Connected: self._connected,
        }

    def _expected(self, event: Expected) -> None:
        if event.what in ("once", "answered-once") and event.name is not None:
            self._tries.setdefault(event.name, []).append(_Try(event))

    def _connected(self, event: Connected) -> None:
        if event.url is not None:
            self._endpoints.put(event.sid, ServerEndpoint.from_url(event.url))
        if event.at is not None:
            self._opened_at.put(event.sid, event.at)
        for tries in self._tries.values():
            if tries[-1].page == event.page:
                tries[-1].is_connected = True

    def _disconnected(self, event: Disconnected) -> None:
        """Record a lost connection: after a reconnection, the server may repeat events that already arrived on it."""
        self._opened_at.pop(event.sid, None)
        self._end_overlaps(event)
        if not self._payloads or (event.reason in SERVER_ENDED and event.source not in PAGE_SOURCES):
            return
        self._lost_sids.put(event.sid, None)

    def _delivered(self, event: Delivered) -> None:
        if event.name in self._tries and self._tries[event.name][-1].page == event.page:
            self._tries[event.name][-1].add(event)
        counts = self._counts(event)
        if counts is None:
            return
        counts.delivered[event.sid] = counts.delivered.get(event.sid, 0) + 1
        others = [
            sid
            for sid in counts.delivered
            if sid != event.sid and sid not in self._lost_sids and self._have_one_endpoint(sid, event.sid)
        ]
        if others:
            self._arrived_on_several(event, others)
        elif event.at is None:
            if (times := counts.delivered[event.sid]) > 1:
                self._report_duplicate(event, f"{event.name} arrived {times} times on one connection")
            return
        if event.at is not None:
            self._store(event, event.at, exact=not others)

    def _arrived_on_several(self, event: Delivered, others: Sequence[str | None]) -> None:
        """Report an event that arrived on other connections too, at once or when they have overlapped long enough.

        A page may open the next connection before it closes the earlier one.
        """
        until = self._brief_until(event.sid, others)
        if event.at is None or until is None or event.at > until or len(self._undecided) >= MAX_PAYLOADS:
            self._report_on_several(event, len(others) + 1)
        else:
            self._undecided[id(event)] = _BriefOverlap(event, frozenset(others), until)

    def _brief_until(self, sid: str | None, others: Iterable[str | None]) -> float | None:
        """Return until when the overlap of an open connection with others is brief, None if it is unknown."""
        opened, others_opened = self._opened_at.get(sid), [self._opened_at.get(other) for other in others]
        known = [at for at in others_opened if at is not None]
        if opened is None or not known or len(known) < len(others_opened):
            return None
        return max(opened, min(known)) + self.options.grace_s

    def _end_overlaps(self, end: Disconnected) -> None:
        """Decide on the events that arrived on the connection that ended and, just before, on another one.

        They are no duplicates if the page ended the connection, unless a third connection is open.
        """
        for number, brief in list(self._undecided.items()):
            if end.sid != brief.event.sid and end.sid not in brief.others:
                continue
            del self._undecided[number]
            others = brief.others - {end.sid}
            if end.reason in SERVER_ENDED or end.at is None:
                self._report_on_several(brief.event, len(brief.others) + 1)
            elif end.sid != brief.event.sid and others:
                until = self._brief_until(brief.event.sid, others)
                self._undecided[number] = brief._replace(others=others, until=until or brief.until)

    def _report_on_several(self, event: Delivered, count: int) -> None:
        self._report_duplicate(event, f"{event.name} arrived on {count} connections of one page")

    def _have_one_endpoint(self, sid: str | None, other: str | None) -> bool:
        """Return whether two connections go to the same endpoint, or the endpoint of one is unknown.

        Equal messages from different endpoints are no duplicates: two services may send the same small message.
        """
        first, second = self._endpoints.get(sid), self._endpoints.get(other)
        return first is None or second is None or first == second

    def _store(self, event: Delivered, at: float, *, exact: bool) -> None:
        """Store the arrival of an event at the time `at`, so that `on_time` and `finish` can find copies.

        With `exact`, compare it with arrivals of the same payload on the connection. If the payload has stamps, also
        compare it with arrivals of payloads that differ only in stamps.
        """
        place = (event.sid, event.user, event.page, event.namespace, event.name)
        if exact and event.digest is not None:
            key = (*place, event.digest)
            if (arrivals := self._copies.get(key)) is None:
                self._copies.put(key, arrivals := _Arrivals())
                self._payloads_for(event).total += 1
            elif at - arrivals.times[-1] <= COPY_S:
                self._repeated[key] = at
            arrivals.add(event, at)
        if event.core is not None:
            key = (*place, event.core)
            if (arrivals := self._restamped.get(key)) is None:
                self._restamped.put(key, arrivals := _Arrivals())
            arrivals.add(event, at)

    def _emitted(self, event: Emitted) -> None:
        if event.at is not None:
            self._request_times.setdefault(event.sid, deque(maxlen=100)).append(event.at)

    def on_time(self, at: float) -> None:
        """Evaluate each repeated payload whose latest copy arrived more than `duplicate_s` seconds before `at`.

        Also report the events that arrived on several connections whose overlap is longer than the grace period.
        """
        for number, brief in list(self._undecided.items()):
            if at > brief.until:
                del self._undecided[number]
                self._report_on_several(brief.event, len(brief.others) + 1)
        for key, last in list(self._repeated.items()):
            if at - last > self.options.duplicate_s:
                self._evaluate_copies(key)

    def finish(self, at: float | None) -> None:
        if self._undecided:
            names = ", ".join(sorted({brief.event.name for brief in self._undecided.values()})[:MAX_NAMED])
            reason = (
                f"the evidence ends too early to decide whether one of the connections on which {names} arrived is "
                "being replaced"
            )
            self.gaps[Gap(id="evidence-ends-early", reason=reason, rules=(self.id,))] = None
        for key in list(self._repeated):
            self._evaluate_copies(key)
        for burst in self._suspected:
            self._evaluate_suspected(burst)
        for arrivals in self._restamped.values():
            self._evaluate_restamped(arrivals)

    def _evaluate_copies(self, key: tuple[str | None, *PayloadKey]) -> None:
        """Report the copies of one payload that arrived together on one connection."""
        del self._repeated[key]
        if (arrivals := self._copies.pop(key, None)) is None or _is_periodic(arrivals.times):
            return
        bursts = arrivals.bursts(COPY_S)
        payloads = self._payloads_for(arrivals.events[0])
        payloads.copied += any(len(burst) > 1 for burst in bursts)
        pushed_alone = any(len(burst) == 1 for burst in bursts)
        for burst in bursts:
            if pushed_alone and len(burst) == 2 and self._has_answer(burst):
                continue  # a state that the server pushes unrequested, and the same state as the answer to a request
            if len(burst) > 1 and burst[0].source == SOURCE_CLIENT:
                self._suspected.append(burst)  # later tries may show that the copies have different origins
                continue
            for times, event in enumerate(burst[1:], 2):
                is_likely = event.source not in PAGE_SOURCES or payloads.are_copied
                self._report_copy(event, times, is_likely=is_likely)

    def _evaluate_suspected(self, burst: list[Delivered]) -> None:
        """Report copies that arrived in a scenario, unless its later attempts show that they do not always arrive."""
        kinds = {True} if self._is_requested_before(burst[0]) else {False} | {self._has_answer(burst)}
        tries = [one for one in self._tries.get(burst[0].name, ()) if one.is_connected]
        arrived = [one for one in tries if one.has_arrivals]
        arrived = [one for one in arrived if one.is_requested in kinds] or arrived
        if not tries or any(_are_copied(one for one in arrived if one.is_requested is kind) for kind in (True, False)):
            for times, event in enumerate(burst[1:], 2):
                self._report_copy(event, times, is_likely=True)
        elif not arrived:
            event = burst[-1]
            message = f"{event.name} arrived {len(burst)} times on one connection, and not at all in {len(tries)} "
            message += "further tries: the server sent it again, or other clients caused it"
            self._report_possible(burst, message)

    def _is_requested_before(self, event: Delivered) -> bool:
        """Return whether the client requested something shortly before the event arrived on its connection."""
        at = event.at or 0.0
        return any(at - REQUEST_S <= sent <= at for sent in self._request_times.get(event.sid, ()))

    def _payloads_for(self, event: Delivered) -> _Payloads:
        payloads = self._payloads_by_event.get((event.sid, event.name))
        if payloads is None:
            self._payloads_by_event.put((event.sid, event.name), payloads := _Payloads())
        return payloads

    def _report_copy(self, event: Delivered, times: int, *, is_likely: bool) -> None:
        message = f"{event.name} arrived {times} times on one connection"
        if is_likely:
            self._report_duplicate(event, message)
        else:
            message += " at once: the server sent it again, or repeated an unchanged value"
            self._report_duplicate(event, message, Severity.NOTE)

    def _has_answer(self, burst: list[Delivered]) -> bool:
        """Return whether one of the events in `burst` may be the answer to a request.

        The client sent such a request within `REQUEST_S` seconds before the first event, or between first and last.
        """
        first, last = burst[0].at or 0.0, burst[-1].at or 0.0
        return any(first - REQUEST_S <= at <= last for at in self._request_times.get(burst[0].sid, ()))

    def _evaluate_restamped(self, arrivals: _Arrivals) -> None:
        """Report an event that arrives as several copies each time, if the copies differ only in their stamps.

        If the value of such a stamp occurs again in a later arrival, report nothing: the value then identifies a thing,
        such as one of two bots, and the arrivals are different events.
        """
        bursts = arrivals.bursts(RESTAMPED_COPY_S)
        if len(bursts) < 2 or any(len(burst) < 2 for burst in bursts):
            return
        changing = {path for burst in bursts for path in _changing_stamps(burst)}
        if not changing or any(_is_repeated(arrivals.events, path) for path in changing):
            return
        event, copies = bursts[-1][-1], max(len(burst) for burst in bursts)
        message = f"{event.name} arrived {copies} times within {RESTAMPED_COPY_S * 1000:g} ms in each of {len(bursts)} "
        message += f"tries, alike except for {', '.join(sorted(changing))}"
        self._report_possible(bursts[-1], message)

    def _report_possible(self, burst: Sequence[Delivered], message: str) -> None:
        """Report a possible duplicate: a warning, because another explanation remains."""
        event = burst[-1]
        self.report(
            event.user,
            message,
            event.at,
            *burst,
            key=event.name,
            severity=Severity.WARNING,
            confidence=Confidence.MEDIUM,
        )

    def _handled(self, event: Handled) -> None:
        counts = self._counts(event)
        if counts is None:
            return
        times = counts.handled[event.component] = counts.handled.get(event.component, 0) + 1
        if times > max(1, sum(counts.delivered.values())):
            by = f" by {event.component}" if event.component else ""
            self._report_duplicate(event, f"{event.name} was handled {times} times{by}")

    def _registered(self, event: HandlersRegistered) -> None:
        """Report a handler that is registered several times from one code location on one connection.

        If the code around the handler removes it again, the registrations belong to several mounted components that
        share the connection, which is no fault. If the number of registrations grows repeatedly, the handlers are
        certainly not removed, and the finding is an error. It is also an error if the handler of an event registers
        them. Otherwise several components may share the connection, and the finding is a note or a warning.
        """
        if event.removes and event.inside is None:
            return
        for location, count in Counter(event.handlers).items():
            key = (event.page, event.document, event.namespace, event.name, location)
            before = self._registrations.get(key, 0)
            self._registrations[key] = count
            if count <= max(before, 1):
                continue
            is_certain = event.inside is not None or before > 1
            is_likely = before > 0 and event.removes is False
            handled = f"{event.name} is handled {count} times on one connection"
            alternatives = (
                "" if is_certain else ", by an effect that never removes it or by as many components that share a hook"
            )
            self.report(
                event.user,
                f"{handled}: its handler at {location} was added {count} times{alternatives}",
                event.at,
                event,
                key=event.name,
                severity=Severity.ERROR if is_certain else Severity.WARNING if is_likely else Severity.NOTE,
                confidence=Confidence.HIGH if is_certain else Confidence.MEDIUM,
            )

    def _counts(self, event: Delivered | Handled) -> _PayloadCounts | None:
        """Return how often the event's payload was delivered and handled, None if the payload is unknown."""
        if event.digest is None:
            return None
        key = (event.user, event.page, event.namespace, event.name, event.digest)
        counts = self._payloads.get(key)
        if counts is not None and _is_older(counts.first_at, event.at, self.options.duplicate_s):
            del self._payloads[key]
            counts = None
        if counts is None:
            counts = _PayloadCounts(event.at)
            self._payloads.put(key, counts)
        return counts

    def _report_duplicate(self, event: Delivered | Handled, message: str, severity: Severity = Severity.ERROR) -> None:
        # If a time is unknown, the second delivery may be a legitimate repetition of the event.
        confidence = Confidence.HIGH if event.at is not None else Confidence.MEDIUM
        self.report(event.user, message, event.at, event, key=event.name, confidence=confidence, severity=severity)


def _are_copied(tries: Iterable[_Try]) -> bool:
    """Return whether the event arrived as copies in each of the attempts `tries`. Without attempts, return False."""
    copied = [one.is_copied for one in tries]
    return bool(copied) and all(copied)


def _is_periodic(times: list[float]) -> bool:
    """Return whether the intervals between `times` are nearly equal, as for an event that is sent periodically."""
    intervals = [later - earlier for earlier, later in pairwise(times)]
    if len(times) < MIN_TICKS or min(intervals) < MIN_TICK_S:
        return False
    return max(intervals) <= min(intervals) * TICK_JITTER


def _changing_stamps(burst: list[Delivered]) -> set[str]:
    """Return the payload paths of the stamps (time, number or id) in which the events of `burst` differ."""
    values: dict[str, set[str]] = {}
    for event in burst:
        for path, value in event.stamps:
            values.setdefault(path, set()).add(value)
    return {path for path, seen in values.items() if len(seen) > 1}


def _is_repeated(events: list[Delivered], path: str) -> bool:
    """Return whether two of `events` have the same value at `path` in their payloads.

    A value that occurs twice is not a stamp (time, number or id) of the event itself.
    """
    seen = [value for event in events for place, value in event.stamps if place == path]
    return len(set(seen)) < len(seen)


def _is_older(first: float | None, now: float | None, window_s: float) -> bool:
    return first is not None and now is not None and now - first > window_s
