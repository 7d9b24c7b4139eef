"""The same event reached one page, or one handler, more than once (documented alert 3)."""

from collections import Counter
from collections.abc import Mapping

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.disconnect_reasons import SERVER_ENDED
from wscheck.model.events import CodeLocation, Delivered, Disconnected, Handled, HandlersRegistered
from wscheck.model.findings import Confidence, Severity

REMEMBERED = 5_000

Key = tuple[str | None, str | None, str, str]


class _Seen:
    """Where one payload was seen: deliveries per connection, handler runs per component."""

    __slots__ = ("delivered", "first_at", "handled")

    def __init__(self, at: float | None) -> None:
        self.first_at = at
        self.delivered: dict[str | None, int] = {}
        self.handled: dict[str | None, int] = {}


class EventDuplicated(Rule):
    """Two tabs that each receive an event are not a duplicate; two connections of one page are."""

    id = "event-duplicated"
    severity = Severity.ERROR
    title = "An event arrived or was handled more than once"
    meaning = (
        "The same event with the same payload arrived on several connections of one page, several times on one "
        "connection, or ran the same handler more often than it arrived. Users see doubled messages and counters."
    )
    fix = "Receive on one connection; register each handler once and remove it with off() on unmount."
    source = "documented behaviour, Alert If 3: same events handled multiple times"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._seen = BoundedDict[Key, _Seen](REMEMBERED)
        self._registrations: dict[tuple[str | None, str, CodeLocation], int] = {}
        self._gone = BoundedDict[str | None, None](REMEMBERED)
        return {
            Delivered: self._delivered,
            Handled: self._handled,
            HandlersRegistered: self._registered,
            Disconnected: self._ended,
        }

    def _ended(self, event: Disconnected) -> None:
        """What reconnects is greeted again: what a lost connection had received arrives once more, and only once."""
        if not self._seen or event.reason in SERVER_ENDED:
            return
        self._gone.put(event.sid, None)

    def _delivered(self, event: Delivered) -> None:
        seen = self._recall(event)
        if seen is None:
            return
        seen.delivered[event.sid] = seen.delivered.get(event.sid, 0) + 1
        others = [sid for sid in seen.delivered if sid != event.sid and sid not in self._gone]
        if others:
            self._tell(event, f"{event.name} arrived on {len(others) + 1} connections of one page")
        elif seen.delivered[event.sid] > 1:
            self._tell(event, f"{event.name} arrived {seen.delivered[event.sid]} times on one connection")

    def _handled(self, event: Handled) -> None:
        seen = self._recall(event)
        if seen is None:
            return
        times = seen.handled[event.component] = seen.handled.get(event.component, 0) + 1
        if times > max(1, sum(seen.delivered.values())):
            by = f" by {event.component}" if event.component else ""
            self._tell(event, f"{event.name} was handled {times} times{by}")

    def _registered(self, event: HandlersRegistered) -> None:
        """The same place several times on one connection. Where it grows and grows, handlers are left behind; a second
        one may be that of a second component that shares the hook, all the more when both came at once."""
        for place, count in Counter(event.handlers).items():
            key = (event.page, event.name, place)
            before = self._registrations.get(key, 0)
            self._registrations[key] = count
            if count <= max(before, 1):
                continue
            left = before > 1 or event.inside is not None
            told = f"{event.name} is handled {count} times on one connection"
            doubt = "" if left else ", by an effect that never removes it or by so many components that share a hook"
            self.report(
                event.user,
                f"{told}: its handler at {place} was added {count} times{doubt}",
                event.at,
                event,
                key=event.name,
                severity=Severity.ERROR if left else Severity.WARNING if before else Severity.NOTE,
                confidence=Confidence.HIGH if left else Confidence.MEDIUM,
            )

    def _recall(self, event: Delivered | Handled) -> _Seen | None:
        if event.digest is None:
            return None
        key = (event.user, event.page, event.name, event.digest)
        seen = self._seen.get(key)
        if seen is not None and _long_ago(seen.first_at, event.at, self.options.duplicate_s):
            del self._seen[key]
            seen = None
        if seen is None:
            seen = _Seen(event.at)
            self._seen.put(key, seen)
        return seen

    def _tell(self, event: Delivered | Handled, message: str) -> None:
        # Without a time the second sighting may be a legitimate repetition.
        confidence = Confidence.HIGH if event.at is not None else Confidence.MEDIUM
        self.report(event.user, message, event.at, event, key=event.name, confidence=confidence)


def _long_ago(first: float | None, now: float | None, window: float) -> bool:
    return first is not None and now is not None and now - first > window
