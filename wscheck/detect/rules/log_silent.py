"""Rule: the server's log does not show connections that a client made."""

from collections.abc import Iterable, Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Replaced, SourceStarted
from wscheck.model.findings import Severity


class LogSilent(Rule):
    """Rule: the configured server log does not contain connections that the client made."""

    id = "log-silent"
    severity = Severity.ERROR
    title = "The server's log does not show connections that were made"
    meaning = (
        "wscheck connected, and the given log shows nothing of it. A monitor of that log would not see a replacement "
        "either, so a quiet log does not show that all is well."
    )
    fix = (
        "Log connects, replacements and disconnects as documented, each as it happens; or point --server-log at the "
        "right file."
    )
    source = 'origin document (`wscheck docs origin`), "Monitoring"'

    def handlers(self) -> Mapping[type, EventHandler]:
        self._has_log = False
        self._events: list[Event] = []
        return {
            SourceStarted: self._source_started,
            Connected: self._events.append,
            Disconnected: self._events.append,
            Replaced: self._events.append,
        }

    def _source_started(self, event: SourceStarted) -> None:
        self._has_log |= event.source == SOURCE_SERVER_LOG

    def finish(self, at: float | None) -> None:
        missing = unlogged(self._events) if self._has_log else []
        if missing:
            made = len(_made(self._events))
            message = f"the server's log shows nothing of {len(missing)} of {made} connections"
            self.report(missing[0].user, message, at, *missing[:3])


def unlogged(events: Iterable[Event]) -> list[Connected]:
    """Return the connections of the client whose socket id and user are in no readable line of the server's log."""
    logged = {each for event in events if event.source == SOURCE_SERVER_LOG for each in _ids(event)} - {None}
    return [e for e in _made(events) if e.sid not in logged and e.user not in logged]


def _made(events: Iterable[Event]) -> list[Connected]:
    made = {e.sid or e.user: e for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG}
    return [connection for name, connection in made.items() if name is not None]


def _ids(event: Event) -> tuple[str | None, ...]:
    if isinstance(event, Replaced):
        return event.old_sid, event.new_sid, event.user
    return (event.sid, event.user) if isinstance(event, Connected | Disconnected) else ()
