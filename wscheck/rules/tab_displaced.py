"""What a second tab of the same user does to the first: a policy, so it is told rather than condemned."""

from collections.abc import Mapping

from wscheck.events import Refused
from wscheck.findings import Severity
from wscheck.ledger import CUT
from wscheck.rules.rule import Handler, Rule
from wscheck.transitions import Closed, Opened, Superseded


class TabDisplaced(Rule):
    """An error only where the policy cannot work: a transport that is closed instead of a namespace looks to every
    client like a lost network, so the first tab reconnects and the two replace each other for ever."""

    id = "tab-displaced"
    severity = Severity.WARNING
    title = "A second tab takes the connection of the first"
    meaning = (
        "With one socket per user, opening a second tab silences the first or is refused. A client that does not "
        "reconnect shows no error: the first tab simply gets no more events."
    )
    fix = (
        "Keep a room per user rather than a socket per user, share one connection between tabs (SharedWorker, leader "
        "election), or tell the first tab why before disconnecting it."
    )
    source = "documented behaviour, Connection Management: reconnection false; measured on socket.io 4.8"

    def watches(self) -> Mapping[type, Handler]:
        self._displaced: dict[str, Superseded] = {}
        return {Opened: self._opened, Superseded: self._superseded, Closed: self._closed, Refused: self._refused}

    def _opened(self, change: Opened) -> None:
        if change.others:
            self.sighted(
                change.user,
                "each tab holds a connection of its own",
                change.event.at,
                severity=Severity.NOTE,
                key="tabs",
            )

    def _superseded(self, change: Superseded) -> None:
        if change.old_sid is not None:
            self._displaced[change.old_sid] = change

    def _closed(self, change: Closed) -> None:
        if not change.superseded:
            return
        if change.reason in CUT:
            message = "the second tab's connection closed the first one's transport: a stock client will reconnect"
            self.sighted(change.user, message, change.event.at, change.event, severity=Severity.ERROR, key="loop")
        else:
            message = "the second tab disconnected the first, which is not told why and gets no more events"
            self.sighted(change.user, message, change.event.at, change.event, key="displaced")

    def _refused(self, event: Refused) -> None:
        told = f' and is told "{event.message}"' if event.message else " and is not told why"
        severity = Severity.NOTE if event.message else Severity.WARNING
        self.sighted(
            event.user, f"the second tab is refused{told}", event.at, event, severity=severity, key="refused"
        )
