"""Rule: an event about one user arrived on the connection of another."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Delivered
from wscheck.model.findings import Severity


class EventLeaked(Rule):
    """Rule: the payload of an event names another user than the user who received it."""

    id = "event-leaked"
    severity = Severity.ERROR
    title = "A user received another user's event"
    meaning = "The server sent an event that names one user to the connection of another: private data leaks."
    fix = "Emit to the user's own room, io.to(`user:${userId}`).emit(...), never io.emit(...)."
    source = "Socket.IO documentation, Rooms; the documented server keys its sockets by user"

    def handlers(self) -> Mapping[type, EventHandler]:
        return {Delivered: self._delivered}

    def _delivered(self, event: Delivered) -> None:
        if event.about is not None and event.user is not None and event.about != event.user:
            message = f"received {event.name} about {event.about}"
            self.report(event.user, message, event.at, event, key=event.name)
