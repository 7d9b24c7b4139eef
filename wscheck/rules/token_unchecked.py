"""The server accepted a token that is not one."""

from collections.abc import Mapping

from wscheck.events import Connected
from wscheck.findings import Severity
from wscheck.rules.rule import Handler, Rule
from wscheck.transitions import Opened


class TokenUnchecked(Rule):
    id = "token-unchecked"
    severity = Severity.ERROR
    title = "Any token is good enough"
    meaning = "A connection with an invalid token was accepted: the connection is not authenticated at all."
    fix = "Verify the token in the connection middleware (io.use) and refuse with an error."
    source = "Socket.IO documentation, Middlewares: sending credentials"

    def watches(self) -> Mapping[type, Handler]:
        return {Opened: self._opened}

    def _opened(self, change: Opened) -> None:
        event = change.event
        if isinstance(event, Connected) and event.credential == "invalid":
            self.sighted(event.user, "connected with an invalid token", event.at, event)
