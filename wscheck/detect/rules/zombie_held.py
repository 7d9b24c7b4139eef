"""The server keeps a client that stopped answering pings."""

from collections.abc import Mapping

from wscheck.detect.changes import ClosedChange, ReplacedChange
from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import HeartbeatStopped
from wscheck.model.findings import Severity


class ZombieHeld(Rule):
    id = "zombie-held"
    severity = Severity.ERROR
    title = "A silent client is never closed"
    meaning = (
        "A client that no longer answers pings (a closed laptop, a lost network) keeps its connection beyond "
        "pingInterval + pingTimeout: the user holds one more than anybody uses, and events go nowhere."
    )
    fix = "Leave pingInterval and pingTimeout on; on a new connection replace the old one rather than refuse it."
    source = "Engine.IO protocol 4, Heartbeat"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._silent: dict[str, HeartbeatStopped] = {}
        return {HeartbeatStopped: self._silenced, ClosedChange: self._closed, ReplacedChange: self._superseded}

    def _silenced(self, event: HeartbeatStopped) -> None:
        if event.sid is not None:
            self._silent[event.sid] = event

    def _closed(self, change: ClosedChange) -> None:
        self._let_go(change.sid, change.event.at)

    def _superseded(self, change: ReplacedChange) -> None:
        """Replaced by the user's next connection: let go, though the silent client cannot say that it heard."""
        self._let_go(change.old_sid, change.event.at)

    def _let_go(self, sid: str | None, at: float | None) -> None:
        event = self._silent.get(sid) if sid is not None else None
        if event is not None and sid is not None and not _late(event, at):
            del self._silent[sid]

    def finish(self, at: float | None) -> None:
        for event in self._silent.values():
            if _late(event, at):
                message = f"still held {event.within:.1f} s after it stopped answering pings"
                self.report(event.user, message, at, event)


def _late(event: HeartbeatStopped, at: float | None) -> bool:
    return at is not None and event.at is not None and at - event.at > event.within
