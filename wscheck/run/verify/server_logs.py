"""Server logs during a phase: wait until they are complete, quote unknown messages, select the run's own events."""

import time
from collections.abc import Sequence
from typing import Any

from wscheck.detect.rules.log_silent import unlogged
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Replaced, Unreadable
from wscheck.model.report import suggested_options
from wscheck.observe.logs.server_log import ServerLog
from wscheck.observe.logs.suggest.column_roles import ConnectionIds
from wscheck.run.verify.inconclusive import READ_ERROR, UNKNOWN_WORDING
from wscheck.scenarios.context import ScenarioContext

_EVENT_TYPES = {"connected": Connected, "replaced": Replaced, "disconnected": Disconnected}

MAX_LOG_DELAY_S = 1.0
"""Seconds by which a log may lag behind the server."""


async def wait_for_logs(logs: Sequence[ServerLog], context: ScenarioContext) -> None:
    """Wait until the logs contain every connection of the client, at most `MAX_LOG_DELAY_S`.

    Then record which logs could not be read, and quote the message of a connection that no log reports in a known form.
    """
    if not logs:
        return
    sids = {e.sid for e in context.events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG}
    await context.wait_until(lambda: sids <= _logged_sids(context.events), MAX_LOG_DELAY_S if sids else 0.0)
    for log in (each for each in logs if each.read_error):
        context.record(
            Unreadable(at=time.time(), source=SOURCE_SERVER_LOG, path=log.name, reason=READ_ERROR, text=log.read_error)
        )
    for connection in unlogged(own_events(context.events))[:1]:
        _record_unknown_message(logs, connection, context)


def _logged_sids(events: Sequence[Event]) -> set[str | None]:
    return {e.sid for e in events if isinstance(e, Connected) and e.source == SOURCE_SERVER_LOG}


def _record_unknown_message(logs: Sequence[ServerLog], connection: Connected, context: ScenarioContext) -> None:
    """Record the first log message that contains the connection's socket id, or else its user."""
    for needle in filter(None, (connection.sid, connection.user)):
        for log in logs:
            if message := log.find_mention([needle]):
                fields: dict[str, Any] = {"source": SOURCE_SERVER_LOG, "user": connection.user, "path": log.name}
                options = _options_to_read(log, context.events)
                reason = f"{UNKNOWN_WORDING}: {options}" if options else UNKNOWN_WORDING
                context.record(Unreadable(at=time.time(), **fields, reason=reason, text=message, closes_with=options))
                return


def _options_to_read(log: ServerLog, events: Sequence[Event]) -> str:
    """Return the options with which the messages of this log can be read, "" if none can be proposed."""
    logged_types = {type(event) for event in events if event.source == SOURCE_SERVER_LOG}
    missing_kinds = [kind for kind, event_type in _EVENT_TYPES.items() if event_type not in logged_types]
    connected = [e for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG]
    ids = ConnectionIds(tuple(e.sid for e in connected if e.sid), tuple({e.user: None for e in connected if e.user}))
    return suggested_options(log.suggestions(missing_kinds, ids))


def own_events(events: Sequence[Event]) -> list[Event]:
    """Return `events` without log events of other connections.

    A shared server has other clients, and a log may still report connections of an earlier phase.
    """
    own_sids = {e.sid for e in events if isinstance(e, Connected) and e.source != SOURCE_SERVER_LOG} | {None}
    own_users = {e.user for e in events if e.source != SOURCE_SERVER_LOG} | {None}

    def is_own(event: Event) -> bool:
        if isinstance(event, Connected | Disconnected) and event.sid is not None and event.sid in own_sids:
            return True  # the log may name the user differently than the page, which may not name one at all
        if isinstance(event, Replaced) and event.old_sid is not None:
            return event.old_sid in own_sids  # for the same reason
        if event.user not in own_users:
            return False
        if isinstance(event, Replaced):
            return event.new_sid in own_sids
        return not isinstance(event, Connected | Disconnected) or event.sid in own_sids

    return [event for event in events if event.source != SOURCE_SERVER_LOG or is_own(event)]
