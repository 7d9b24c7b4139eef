"""An event goes on arriving after somebody removed every handler it had."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Delivered, HandlersRegistered
from wscheck.model.findings import Severity


class EventUnheard(Rule):
    """Only where `off(event)` took other people's handlers along: a view that leaves and removes its own handler
    leaves an event that nobody wants, and that is as it should be."""

    id = "event-unheard"
    severity = Severity.ERROR
    title = "An event arrives and its handlers are gone"
    meaning = (
        "One part of the page called off(event) without a handler, which removes everybody's. The others go on "
        "waiting for an event that arrives and that nobody hears."
    )
    fix = "Pass the handler: socket.off(event, handler)."
    source = "documented behaviour, Watch For 2: all events handled on the one connection; Emitter.off"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._lost: dict[tuple[str | None, str], HandlersRegistered] = {}
        return {HandlersRegistered: self._registered, Delivered: self._delivered}

    def _registered(self, event: HandlersRegistered) -> None:
        if event.lost and not event.handlers:
            self._lost[event.sid, event.name] = event
        elif event.handlers:
            self._lost.pop((event.sid, event.name), None)

    def _delivered(self, event: Delivered) -> None:
        lost = self._lost.get((event.sid, event.name))
        if lost is None:
            return
        were = ", ".join(str(place) for place in lost.lost)
        removed = "its handler" if len(lost.lost) == 1 else f"its {len(lost.lost)} handlers"
        message = f"{event.name} arrives and nobody hears it: off(event) removed {removed} ({were})"
        self.report(event.user, message, event.at, lost, event, key=event.name)
