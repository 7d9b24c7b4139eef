"""Rule: the server accepted one user's token for another user's identity."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Connected
from wscheck.model.findings import Severity


class IdentityUnverified(Rule):
    """Rule: a connection was opened with one user's id and another user's token."""

    id = "identity-unverified"
    severity = Severity.ERROR
    title = "One user's token opens another user's connection"
    meaning = (
        "A connection that presented the token of one user and the id of another was accepted: any logged-in user can "
        "connect as another user, and replace that user's own connection."
    )
    fix = "Take the user from the verified token; ignore or compare the userId that the client sends."
    source = 'origin document (`wscheck docs origin`), "Connection Management": auth {token, userId}'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._reported: set[str | None] = set()
        return {Connected: self._connected}

    def _connected(self, event: Connected) -> None:
        # The client and the server's log both report the same connection: count it once.
        if event.credential == "foreign" and event.sid not in self._reported:
            self._reported.add(event.sid)
            self.report(event.user, "connected with a token that belongs to another user", event.at, event)
