"""The server's logs beside a phase: until they have told of it, what in them is of it, and what they said otherwise."""

import time
from collections.abc import Sequence
from typing import Any

from wscheck.detect.rules.log_silent import unlogged
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Replaced, Unreadable
from wscheck.model.report import suggested_options
from wscheck.observe.logs.server_log import ServerLog
from wscheck.observe.logs.suggest.column_roles import ConnectionIds
from wscheck.run.verify.inconclusive import READ_ERROR, UNKNOWN_WORDING
from wscheck.scenarios.context import Stage

_KINDS = {"connected": Connected, "replaced": Replaced, "disconnected": Disconnected}

DELAY_S = 1.0
"""How long a log may lag behind what it tells of."""


async def caught_up(logs: Sequence[ServerLog], stage: Stage) -> None:
    """Wait until the logs told of every connection that the client saw, or long enough that they will not."""
    if not logs:
        return
    mine = {e.sid for e in stage.events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG}
    await stage.until(lambda: mine <= _logged(stage.events), DELAY_S if mine else 0.0)
    for log in (each for each in logs if each.read_error):
        stage.record(
            Unreadable(at=time.time(), source=SOURCE_SERVER_LOG, path=log.name, reason=READ_ERROR, text=log.read_error)
        )
    for connection in unlogged(only_ours(stage.events))[:1]:
        _quote(logs, connection, stage)


def _logged(events: Sequence[Event]) -> set[str | None]:
    return {e.sid for e in events if isinstance(e, Connected) and e.source == SOURCE_SERVER_LOG}


def _quote(logs: Sequence[ServerLog], connection: Connected, stage: Stage) -> None:
    """What the logs said of this connection in words that are not known, if anything: first by its id."""
    for each in filter(None, (connection.sid, connection.user)):
        for log in logs:
            if said := log.find_mention([each]):
                here: dict[str, Any] = {"source": SOURCE_SERVER_LOG, "user": connection.user, "path": log.name}
                options = _options(log, stage.events)
                reason = f"{UNKNOWN_WORDING}: {options}" if options else UNKNOWN_WORDING
                stage.record(Unreadable(at=time.time(), **here, reason=reason, text=said, closes_with=options))
                return


def _options(log: ServerLog, events: Sequence[Event]) -> str:
    """Return the options that read the log's wording, "" if none can be proposed."""
    seen = {type(event) for event in events if event.source == SOURCE_SERVER_LOG}
    kinds = [kind for kind, event in _KINDS.items() if event not in seen]
    mine = [e for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG]
    about = ConnectionIds(tuple(e.sid for e in mine if e.sid), tuple({e.user: None for e in mine if e.user}))
    return suggested_options(log.suggestions(kinds, about))


def only_ours(events: Sequence[Event]) -> list[Event]:
    """Without what the log tells of other connections: a shared server serves others, and a log lags behind."""
    ours = {e.sid for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG} | {None}
    users = {e.user for e in events if e.source != SOURCE_SERVER_LOG} | {None}

    def is_ours(event: Event) -> bool:
        if isinstance(event, Connected | Disconnected) and event.sid is not None and event.sid in ours:
            return True  # whatever the log calls the user, whom a page need not name
        if isinstance(event, Replaced) and event.old_sid is not None:
            return event.old_sid in ours  # likewise
        if event.user not in users:
            return False
        if isinstance(event, Replaced):
            return event.new_sid in ours
        return not isinstance(event, Connected | Disconnected) or event.sid in ours

    return [event for event in events if event.source != SOURCE_SERVER_LOG or is_ours(event)]
