"""What a client and the server's log both saw, as one sighting: with all that the client knows of it, and under the
name that tells the reader most."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event
from wscheck.observe.traffic.redaction import is_stand_in

OnBoth = TypeVar("OnBoth", Connected, Disconnected)


def recognised(events: Sequence[Event]) -> Iterator[Event]:
    """`events` in the same order. A server logs a beginning or an end a moment before the client hears of it, and knows
    neither page nor component: what the client knows is told with the first sighting. How a connection ended only so
    far as the client was kicked, since a log has other words for it, and knows of other ends more than a client. Which
    process has a connection only its log knows."""
    seen = [event for event in events if event.source != SOURCE_SERVER_LOG]
    opened = {e.sid: e for e in seen if isinstance(e, Connected) and e.page is not None}
    kicked = {e.sid: e for e in seen if isinstance(e, Disconnected) and e.reason == IO_SERVER_DISCONNECT}
    names, nodes = _names(events, opened), _nodes(events)
    for event in events:
        told = event
        if isinstance(event, Connected) and event.node is None and event.sid in nodes:
            told = msgspec.structs.replace(event, node=nodes[event.sid])
        if event.source == SOURCE_SERVER_LOG and isinstance(event, Connected) and event.sid in opened:
            told = _located(opened[event.sid], event, source=SOURCE_SERVER_LOG)
        elif event.source == SOURCE_SERVER_LOG and isinstance(event, Disconnected) and event.sid in kicked:
            told = _located(kicked[event.sid], event, source=kicked[event.sid].source)
        name = names.get(told.user)
        yield told if name is None else msgspec.structs.replace(told, user=name)


def _located(mine: OnBoth, logged: OnBoth, source: str) -> OnBoth:
    """What the client knows of it, at the time and in the line where the log tells of it."""
    return msgspec.structs.replace(
        mine, at=logged.at, source=source, node=logged.node, path=logged.path, line=logged.line
    )


def _nodes(events: Iterable[Event]) -> dict[str | None, str]:
    logged = (e for e in events if isinstance(e, Connected) and e.source == SOURCE_SERVER_LOG)
    return {event.sid: event.node for event in logged if event.node is not None and event.sid is not None}


def _names(events: Iterable[Event], opened: Mapping[str | None, Connected]) -> dict[str | None, str]:
    """Whom the log calls by name where the page only showed a token, or nothing."""
    names: dict[str | None, str] = {}
    for event in events:
        if event.source != SOURCE_SERVER_LOG or not isinstance(event, Connected) or event.user is None:
            continue
        mine = opened.get(event.sid)
        if mine is not None and mine.user is not None and is_stand_in(mine.user):
            names[mine.user] = event.user
    return names
