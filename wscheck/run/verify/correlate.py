"""Correlation of connections that both the client and the server's log observed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event
from wscheck.observe.traffic.redaction import is_stand_in

ConnectionEdge = TypeVar("ConnectionEdge", Connected, Disconnected)


def correlate_log_with_client(events: Sequence[Event]) -> Iterator[Event]:
    """Yield `events` in the same order, with what the client and the log each know of a connection combined.

    A server logs a connect or disconnect shortly before the client notices it, but knows neither page nor component.
    The log's event therefore gets what the client knows. For a disconnect, this applies only if the client saw the
    server end the connection: the log knows more about other ends. Only the log knows which process has a connection.

    If the page shows only a token where the log names the user, the user gets the name of the log.
    """
    client_events = [event for event in events if event.source != SOURCE_SERVER_LOG]
    connects = {e.sid: e for e in client_events if isinstance(e, Connected) and e.page is not None}
    server_disconnects = {
        e.sid: e for e in client_events if isinstance(e, Disconnected) and e.reason == IO_SERVER_DISCONNECT
    }
    user_names, nodes = _user_names(events, connects), _nodes(events)
    for event in events:
        combined = event
        if isinstance(event, Connected) and event.node is None and event.sid in nodes:
            combined = msgspec.structs.replace(event, node=nodes[event.sid])
        if event.source == SOURCE_SERVER_LOG and isinstance(event, Connected) and event.sid in connects:
            combined = _with_log_location(connects[event.sid], event, source=SOURCE_SERVER_LOG)
        elif event.source == SOURCE_SERVER_LOG and isinstance(event, Disconnected) and event.sid in server_disconnects:
            observed = server_disconnects[event.sid]
            combined = _with_log_location(observed, event, source=observed.source)
        name = user_names.get(combined.user)
        yield combined if name is None else msgspec.structs.replace(combined, user=name)


def _with_log_location(observed: ConnectionEdge, logged: ConnectionEdge, source: str) -> ConnectionEdge:
    """Return the client's event with the time, process, file and line of the log's."""
    return msgspec.structs.replace(
        observed, at=logged.at, source=source, node=logged.node, path=logged.path, line=logged.line
    )


def _nodes(events: Iterable[Event]) -> dict[str | None, str]:
    """Return the server process of each socket id that the logs report."""
    logged = (e for e in events if isinstance(e, Connected) and e.source == SOURCE_SERVER_LOG)
    return {event.sid: event.node for event in logged if event.node is not None and event.sid is not None}


def _user_names(events: Iterable[Event], connects: Mapping[str | None, Connected]) -> dict[str | None, str]:
    """Return the log's name of each user for whom the page only shows a stand-in, by stand-in."""
    names: dict[str | None, str] = {}
    for event in events:
        if event.source != SOURCE_SERVER_LOG or not isinstance(event, Connected) or event.user is None:
            continue
        observed = connects.get(event.sid)
        if observed is not None and observed.user is not None and is_stand_in(observed.user):
            names[observed.user] = event.user
    return names
