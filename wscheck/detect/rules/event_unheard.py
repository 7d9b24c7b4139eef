"""Rule: an event still arrives after off(event) removed all its handlers."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Delivered, HandlersRegistered
from wscheck.model.findings import Severity


class EventUnheard(Rule):
    """Rule: an event arrives after `off(event)` removed the handlers of other components too.

    It is no fault if a component that unmounts removes the only handler of an event.
    """

    id = "event-unheard"
    severity = Severity.ERROR
    title = "An event arrives after its handlers were removed"
    meaning = (
        "One part of the page called off(event) without a handler, which removes the handlers of every part. The event "
        "still arrives, and no handler runs."
    )
    fix = "Pass the handler: socket.off(event, handler)."
    source = (
        "origin document (`wscheck docs origin`), "
        '"Watch For" item 2: all events handled on the one connection; Emitter.off'
    )

    def handlers(self) -> Mapping[type, EventHandler]:
        self._removed: dict[tuple[str | None, str], HandlersRegistered] = {}
        return {HandlersRegistered: self._registered, Delivered: self._delivered}

    def _registered(self, event: HandlersRegistered) -> None:
        if event.lost and not event.handlers:
            self._removed[event.sid, event.name] = event
        elif event.handlers:
            self._removed.pop((event.sid, event.name), None)

    def _delivered(self, event: Delivered) -> None:
        removal = self._removed.get((event.sid, event.name))
        if removal is None:
            return
        locations = ", ".join(str(location) for location in removal.lost)
        handlers = "its handler" if len(removal.lost) == 1 else f"its {len(removal.lost)} handlers"
        message = f"{event.name} arrives and no handler runs: off(event) removed {handlers} ({locations})"
        self.report(event.user, message, event.at, removal, event, key=event.name)
