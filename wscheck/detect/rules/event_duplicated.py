"""Rule: the same event reached one page, or one handler, more than once (documented alert 3)."""

from collections import Counter
from collections.abc import Mapping

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.disconnect_reasons import SERVER_ENDED
from wscheck.model.events import CodeLocation, Delivered, Disconnected, Handled, HandlersRegistered
from wscheck.model.findings import Confidence, Severity

MAX_PAYLOADS = 5_000

PayloadKey = tuple[str | None, str | None, str, str]
"""User, page, event name and payload digest."""


class _PayloadCounts:
    """Counts of one payload: deliveries per connection, and handler runs per component."""

    __slots__ = ("delivered", "first_at", "handled")

    def __init__(self, at: float | None) -> None:
        self.first_at = at
        self.delivered: dict[str | None, int] = {}
        self.handled: dict[str | None, int] = {}


class EventDuplicated(Rule):
    """Rule: an event with the same payload arrives or is handled several times on one page.

    An event that arrives once in each of two tabs is not a duplicate.
    """

    id = "event-duplicated"
    severity = Severity.ERROR
    title = "An event arrived or was handled more than once"
    meaning = (
        "The same event with the same payload arrived on several connections of one page, arrived several times on one "
        "connection, or was handled more often than it arrived. Users see doubled messages and counters."
    )
    fix = "Receive on one connection; register each handler once and remove it with off() on unmount."
    source = 'origin document (`wscheck docs origin`), "Alert If" item 3: same events handled multiple times'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._payloads = BoundedDict[PayloadKey, _PayloadCounts](MAX_PAYLOADS)
        self._registrations: dict[tuple[str | None, str, CodeLocation], int] = {}
        self._lost_sids = BoundedDict[str | None, None](MAX_PAYLOADS)
        return {
            Delivered: self._delivered,
            Handled: self._handled,
            HandlersRegistered: self._registered,
            Disconnected: self._disconnected,
        }

    def _disconnected(self, event: Disconnected) -> None:
        """Record a lost connection: after a reconnection, the server may repeat events that already arrived on it."""
        if not self._payloads or event.reason in SERVER_ENDED:
            return
        self._lost_sids.put(event.sid, None)

    def _delivered(self, event: Delivered) -> None:
        counts = self._counts(event)
        if counts is None:
            return
        counts.delivered[event.sid] = counts.delivered.get(event.sid, 0) + 1
        others = [sid for sid in counts.delivered if sid != event.sid and sid not in self._lost_sids]
        if others:
            self._report_duplicate(event, f"{event.name} arrived on {len(others) + 1} connections of one page")
        elif counts.delivered[event.sid] > 1:
            times = counts.delivered[event.sid]
            self._report_duplicate(event, f"{event.name} arrived {times} times on one connection")

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

        If the number of registrations grows repeatedly, handlers are not removed. Two registrations may also belong to
        two components that use the same hook, especially if both were added at once.
        """
        for location, count in Counter(event.handlers).items():
            key = (event.page, event.name, location)
            before = self._registrations.get(key, 0)
            self._registrations[key] = count
            if count <= max(before, 1):
                continue
            is_certain = before > 1 or event.inside is not None
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
                severity=Severity.ERROR if is_certain else Severity.WARNING if before else Severity.NOTE,
                confidence=Confidence.HIGH if is_certain else Confidence.MEDIUM,
            )

    def _counts(self, event: Delivered | Handled) -> _PayloadCounts | None:
        """Return the counts of the event's payload, None if the payload is unknown."""
        if event.digest is None:
            return None
        key = (event.user, event.page, event.name, event.digest)
        counts = self._payloads.get(key)
        if counts is not None and _is_older(counts.first_at, event.at, self.options.duplicate_s):
            del self._payloads[key]
            counts = None
        if counts is None:
            counts = _PayloadCounts(event.at)
            self._payloads.put(key, counts)
        return counts

    def _report_duplicate(self, event: Delivered | Handled, message: str) -> None:
        # If a time is unknown, the second delivery may be a legitimate repetition of the event.
        confidence = Confidence.HIGH if event.at is not None else Confidence.MEDIUM
        self.report(event.user, message, event.at, event, key=event.name, confidence=confidence)


def _is_older(first: float | None, now: float | None, window_s: float) -> bool:
    return first is not None and now is not None and now - first > window_s
