"""Rule: the server accepted an invalid token."""

from collections.abc import Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import Connected
from wscheck.model.findings import Severity


class TokenUnchecked(Rule):
    """Rule: a connection was opened with an invalid token."""

    id = "token-unchecked"
    severity = Severity.ERROR
    title = "The server accepts an invalid token"
    meaning = "A connection with an invalid token was accepted: the connection is not authenticated at all."
    fix = "Verify the token in the connection middleware (io.use) and refuse with an error."
    source = "Socket.IO documentation, Middlewares: sending credentials"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._reported: set[str | None] = set()
        return {Connected: self._connected}

    def _connected(self, event: Connected) -> None:
        # The client and the server's log both report the same connection: count it once.
        if event.credential == "invalid" and event.sid not in self._reported:
            self._reported.add(event.sid)
            self.report(event.user, "connected with an invalid token", event.at, event)
