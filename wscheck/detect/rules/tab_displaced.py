"""Rule: a second tab of the same user takes the connection of the first."""

from collections.abc import Mapping

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange, OpenedChange, ReplacedChange
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.disconnect_reasons import TRANSPORT_ENDED
from wscheck.model.events import Connecting, Delivered, Refused
from wscheck.model.findings import Confidence, Severity
from wscheck.model.policy import UNDECIDED

CLOSED_TRANSPORT = "the second tab's connection closed the first one's transport: a standard client will reconnect"

MAX_HEARD = 2_000
"""Pairs of connection and event name that are stored."""


class TabDisplaced(Rule):
    """Rule that reports how the server treats a second tab of a user.

    The policy decides whether both tabs may stay connected. Without a policy, the finding is a note.

    The finding is an error if the server's way to enforce the policy cannot work. If the server closes the transport
    instead of the namespace, every client takes this for a lost network and reconnects, so the two tabs replace each
    other for ever.
    """

    id = "tab-displaced"
    severity = Severity.WARNING
    title = "A second tab takes the connection of the first"
    meaning = (
        "With one socket per user, a second tab disconnects the first, or is refused. A client that does not reconnect "
        "shows no error: the first tab gets no more events."
    )
    fix = (
        "Keep a room per user rather than a socket per user, share one connection between tabs (SharedWorker, leader "
        "election), or send the first tab a reason before disconnecting it."
    )
    source = (
        "origin document (`wscheck docs origin`), "
        '"Connection Management": reconnection false; measured on socket.io 4.8'
    )

    def handlers(self) -> Mapping[type, EventHandler]:
        self._both_open_since: dict[str, float] = {}
        self._heard = BoundedDict[tuple[str | None, str], None](MAX_HEARD)
        self._told: dict[str | None, Delivered] = {}
        self._attempt_at: dict[str | None, float] = {}
        self._lost_while_attempting: dict[str | None, ClosedChange] = {}
        self.pending = self._both_open_since
        return {
            OpenedChange: self._opened,
            ReplacedChange: self._fewer,
            ClosedChange: self._closed,
            Refused: self._refused,
            Connecting: self._connecting,
            Delivered: self._delivered,
        }

    def _connecting(self, event: Connecting) -> None:
        self._told.clear()
        if event.at is not None:
            self._attempt_at[event.user] = event.at

    def _delivered(self, event: Delivered) -> None:
        """Store the latest event whose name is new on its connection.

        If the server closes the connection soon afterwards, the event may state the reason.
        """
        if (event.sid, event.name) not in self._heard:
            self._heard.put((event.sid, event.name), None)
            self._told[event.sid] = event

    def _opened(self, change: OpenedChange) -> None:
        """Report that the first tab's transport was lost between the attempt of the second and its acknowledgement.

        A server may close the older connection before it acknowledges the newer one.
        """
        self._attempt_at.pop(change.user, None)
        if (lost := self._lost_while_attempting.pop(change.user, None)) is not None:
            self.report(
                change.user,
                CLOSED_TRANSPORT,
                lost.event.at,
                lost.event,
                change.event,
                severity=Severity.ERROR,
                key="loop",
                confidence=Confidence.MEDIUM,
            )
        if change.others and change.event.at is not None:
            self._both_open_since.setdefault(change.user, change.event.at)

    def _fewer(self, change: ReplacedChange | ClosedChange) -> None:
        if change.user is not None and len(change.remaining) < 2:
            self._both_open_since.pop(change.user, None)

    def on_time(self, at: float) -> None:
        for user, since in list(self._both_open_since.items()):
            if at - since > self.options.grace_s:
                del self._both_open_since[user]
                self._report_both_open(user, at)

    def _report_both_open(self, user: str, at: float) -> None:
        policy, message = self.options.policy, "each tab has a connection of its own"
        if not policy.is_set:
            self.gaps[UNDECIDED] = None
            self.report(user, message, at, severity=Severity.NOTE, key="each")
        elif policy.limit is not None and len(self.ledger.open_connections(user)) > policy.limit:
            message = f"{message}, and the policy permits {policy.limit} for each user"
            self.report(user, message, at, severity=Severity.ERROR, key="each")

    def _closed(self, change: ClosedChange) -> None:
        self._fewer(change)
        if not change.replaced:
            if change.reason in TRANSPORT_ENDED and change.user in self._attempt_at:
                self._lost_while_attempting[change.user] = change
            return
        if change.reason in TRANSPORT_ENDED:
            self.report(
                change.user, CLOSED_TRANSPORT, change.event.at, change.event, severity=Severity.ERROR, key="loop"
            )
        elif (told := self._told.get(change.sid)) is not None:
            message = f"the second tab disconnected the first, which received {told.name} just before"
            self.report(
                change.user, message, change.event.at, told, change.event, severity=Severity.NOTE, key="displaced"
            )
        else:
            message = "the second tab disconnected the first, which gets neither a reason nor any more events"
            self.report(change.user, message, change.event.at, change.event, key="displaced")

    def _refused(self, event: Refused) -> None:
        self._attempt_at.pop(event.user, None)
        self._lost_while_attempting.pop(event.user, None)
        if event.reason != "refused" or not self.ledger.open_connections(event.user):
            return  # the server did not answer, or there is no other tab
        reason = f'with the reason "{event.message}"' if event.message else "without a reason"
        severity = Severity.NOTE if event.message else Severity.WARNING
        message = f"the server refused the second tab {reason}"
        self.report(event.user, message, event.at, event, severity=severity, key="refused")
