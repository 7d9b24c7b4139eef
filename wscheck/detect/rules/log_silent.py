"""The server's log does not show what the client saw."""

from collections.abc import Iterable, Mapping

from wscheck.detect.rules.rule import EventHandler, Rule
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Replaced, SourceStarted
from wscheck.model.findings import Severity


class LogSilent(Rule):
    id = "log-silent"
    severity = Severity.ERROR
    title = "The server's log is silent about connections that were made"
    meaning = (
        "wscheck connected and the log that was given shows none of it: whoever monitors that log would see no "
        "replacement either. A quiet log is then no evidence of health."
    )
    fix = (
        "Log connects, replacements and disconnects as documented, each as it happens; or point --server-log at the "
        "right file."
    )
    source = "documented behaviour, Monitoring"

    def handlers(self) -> Mapping[type, EventHandler]:
        self._watched = False
        self._seen: list[Event] = []
        return {
            SourceStarted: self._watch,
            Connected: self._seen.append,
            Disconnected: self._seen.append,
            Replaced: self._seen.append,
        }

    def _watch(self, event: SourceStarted) -> None:
        self._watched |= event.source == SOURCE_SERVER_LOG

    def finish(self, at: float | None) -> None:
        unseen = unlogged(self._seen) if self._watched else []
        if unseen:
            made = len(_made(self._seen))
            message = f"the server's log shows nothing of {len(unseen)} of {made} connections"
            self.report(unseen[0].user, message, at, *unseen[:3])


def unlogged(events: Iterable[Event]) -> list[Connected]:
    """The connections of a phase of which the server's log told nothing, in words that are known."""
    told = {each for event in events if event.source == SOURCE_SERVER_LOG for each in _ids(event)} - {None}
    return [e for e in _made(events) if e.sid not in told and e.user not in told]


def _made(events: Iterable[Event]) -> list[Connected]:
    made = {e.sid or e.user: e for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG}
    return [connection for name, connection in made.items() if name is not None]


def _ids(event: Event) -> tuple[str | None, ...]:
    if isinstance(event, Replaced):
        return event.old_sid, event.new_sid, event.user
    return (event.sid, event.user) if isinstance(event, Connected | Disconnected) else ()
