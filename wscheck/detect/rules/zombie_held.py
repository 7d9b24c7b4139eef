"""Rule: the server keeps the connection of a client that stopped answering pings."""

from collections.abc import Mapping

from wscheck.detect.changes import ClosedChange, ReplacedChange
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import HeartbeatStopped, ProcessStalled
from wscheck.model.findings import Severity
from wscheck.model.gaps import Gap


class ZombieHeld(Rule):
    """Rule: the server did not close a connection in time after its client stopped answering pings."""

    id = "zombie-held"
    severity = Severity.ERROR
    title = "The server does not close the connection of a silent client"
    meaning = (
        "A client that no longer answers pings (a closed laptop, a lost network) stays connected beyond pingInterval + "
        "pingTimeout: the user has one connection more than is in use, and events sent on it are lost."
    )
    fix = (
        "Ping, and end the connection of a client that does not answer (Socket.IO: leave pingInterval and pingTimeout "
        "on); on a new connection, replace the old one rather than refuse it."
    )
    source = "Engine.IO protocol 4, Heartbeat"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._silent: dict[str, HeartbeatStopped] = {}
        self._stalled_s = 0.0
        return {
            HeartbeatStopped: self._stopped,
            ClosedChange: self._closed,
            ReplacedChange: self._replaced,
            ProcessStalled: self._stalled,
        }

    def _stalled(self, event: ProcessStalled) -> None:
        """Allow the server as much more time as this machine stood still.

        wscheck could not observe a close in that time. A server on the same machine could not close the connection.
        """
        if self._silent:
            self._stalled_s += event.seconds

    def _stopped(self, event: HeartbeatStopped) -> None:
        if event.sid is not None:
            self._silent[event.sid] = event

    def _closed(self, change: ClosedChange) -> None:
        self._released(change.sid, change.event.at)

    def _replaced(self, change: ReplacedChange) -> None:
        # The silent client cannot report that the server closed its connection, but a replacement shows that it did.
        self._released(change.old_sid, change.event.at)

    def _released(self, sid: str | None, at: float | None) -> None:
        event = self._silent.get(sid) if sid is not None else None
        if event is not None and sid is not None and not self._is_late(event, at):
            del self._silent[sid]

    def finish(self, at: float | None) -> None:
        for event in self._silent.values():
            if self._is_late(event, at):
                message = f"still open {event.within:.1f} s after it stopped answering pings"
                self.report(event.user, message, at, event)
            elif self._stalled_s:
                reason = f"this machine stalled for {self._stalled_s:.1f} s, so the server may have had too little time"
                self.gaps[Gap(id="machine-stalled", reason=reason, rules=(self.id,))] = None

    def _is_late(self, event: HeartbeatStopped, at: float | None) -> bool:
        return at is not None and event.at is not None and at - event.at > event.within + self._stalled_s
