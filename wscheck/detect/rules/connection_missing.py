"""A page that must be connected is not."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Expected
from wscheck.model.findings import Severity


class ConnectionMissing(Rule):
    id = "connection-missing"
    severity = Severity.ERROR
    title = "A user who should be connected is not"
    meaning = "The page needs a connection and the user holds none: it was refused, closed or never recovered."
    fix = "Reconnect after the transport was lost (with backoff), and keep the connection while a component uses it."
    source = "documented behaviour, Watch For 4: persistent connections without disconnections"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._expected: list[Expected] = []
        return {Expected: self._expect}

    def _expect(self, event: Expected) -> None:
        """The scenario states it where it must hold: what the user holds at that moment decides."""
        if event.what == "connected" and not self.ledger.open_connections(event.user):
            by = f" {event.component} needs one" if event.component else ""
            self.report(event.user, f"holds no connection although{by or ' the page needs one'}", event.at, event)
