"""The server accepted one user's token for another user's identity."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Connected
from wscheck.model.findings import Severity


class IdentityUnverified(Rule):
    id = "identity-unverified"
    severity = Severity.ERROR
    title = "Anybody's token opens anybody's connection"
    meaning = (
        "A connection that presented the token of one user and the id of another was accepted: whoever is logged "
        "in can take over any user's connection, and replace the real one."
    )
    fix = "Take the user from the verified token; ignore or compare the userId that the client sends."
    source = "documented behaviour, Connection Management: auth {token, userId}"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._told: set[str | None] = set()
        return {Connected: self._connected}

    def _connected(self, event: Connected) -> None:
        # The client and the server's log both tell of one connection.
        if event.credential == "foreign" and event.sid not in self._told:
            self._told.add(event.sid)
            self.report(event.user, "connected with a token that belongs to another user", event.at, event)
