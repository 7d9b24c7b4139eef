"""Users of a page: the connections that one page has to one server at the same time belong to one user.

A page may name its user on one connection and not on another, or keep the connection of a guest or of the previous user
in addition to that of the present user. In both cases, the page has several connections.
"""

from collections.abc import Iterable, Sequence
from math import inf

import msgspec

from wscheck.model.events import Connected, Event, Refused
from wscheck.observe.traffic.redaction import UNKNOWN_USER
from wscheck.observe.traffic.server_split import ServerSplit, SessionEvents


class _Span(msgspec.Struct):
    """Connection of a page: its index among all sessions, the time of its answer, and the time of its end."""

    index: int
    opened_at: float
    ended_at: float


def unify_users(sessions: SessionEvents, servers: ServerSplit) -> SessionEvents:
    """Return the sessions with their events, in which the simultaneous connections of a page have one user.

    An unknown user becomes the known one. Two known users become "A and B".
    """
    unified = list(sessions)
    for spans in _spans_by_page(sessions, servers):
        for group in _simultaneous(spans):
            users = _known_users(unified, group)
            if users and (len(group) > 1 or len(users) == 1):
                owner = " and ".join(users)
                for index in group:
                    session, events = unified[index]
                    unified[index] = (session, [_with_user(event, owner) for event in events])
    return unified


def _spans_by_page(sessions: SessionEvents, servers: ServerSplit) -> Iterable[list[_Span]]:
    pages: dict[object, list[_Span]] = {}
    for index, (session, events) in enumerate(sessions):
        answered = [event.at for event in events if isinstance(event, Connected | Refused) and event.at is not None]
        if session.initiator.page and answered:
            ended_at = session.unused_from if session.unused_from is not None else inf
            span = _Span(index, answered[0], max(ended_at, answered[0]))
            pages.setdefault((session.initiator.page, servers.of(session)), []).append(span)
    return pages.values()


def _simultaneous(spans: Iterable[_Span]) -> Iterable[list[int]]:
    """Yield groups of connections, each of which is open at the same time as another one of its group."""
    group: list[int] = []
    group_ends_at = -inf
    for span in sorted(spans, key=lambda one: one.opened_at):
        if group and span.opened_at >= group_ends_at:
            yield group
            group, group_ends_at = [], -inf
        group.append(span.index)
        group_ends_at = max(group_ends_at, span.ended_at)
    if group:
        yield group


def _known_users(sessions: SessionEvents, group: Sequence[int]) -> list[str]:
    users: dict[str, None] = {}
    for index in group:
        session, events = sessions[index]
        unknown = UNKNOWN_USER.format(session.initiator.page)
        users |= dict.fromkeys(event.user for event in events if event.user is not None and event.user != unknown)
    return list(users)


def _with_user(event: Event, user: str) -> Event:
    return msgspec.structs.replace(event, user=user)
