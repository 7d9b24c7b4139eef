"""WHOSE CONNECTION the server made of one user's token that came with another user's id. Pure.

That it was let in proves nothing: a server that ignores the id, as it should, lets it in too, as the token's owner.
"""

from collections.abc import Iterator, Sequence

from wscheck.endings import KICKED
from wscheck.events import Connected, Delivered, Disconnected, Event

UNTOLD = (
    "the server let a token in under another user's id, and nothing told whose connection it became: name the key of "
    "the user's id in an [[event]] of wscheck.toml, or give --server-log"
)


def taken_over(events: Sequence[Event]) -> bool | None:
    """Whether it became the connection of the user it named; None when nothing told, or there was none."""
    foreign = {e.sid: e.user for e in _seen(events) if e.credential == "foreign"}
    owner = {e.sid: e.user for e in _seen(events) if e.credential == "own"}
    told = set(_told(events, foreign, owner))
    if told & set(foreign.values()):
        return True
    return False if told else None


def untold(events: Sequence[Event]) -> bool:
    """Whether there was such a connection, and nothing said whose it became."""
    return any(e.credential == "foreign" for e in _seen(events)) and taken_over(events) is None


def _seen(events: Sequence[Event]) -> Iterator[Connected]:
    return (e for e in events if isinstance(e, Connected) and e.source != "server-log")


Users = dict[str | None, str | None]
"""Of some connections, by sid, who they were opened as."""


def _told(events: Sequence[Event], foreign: Users, owner: Users) -> Iterator[str]:
    """The users that the server named for it: in its log, in what it sent, or by closing that user's other one."""
    for event in events:
        if isinstance(event, Delivered) and event.sid in foreign and event.about is not None:
            yield event.about
        elif isinstance(event, Connected) and event.source == "server-log" and event.sid in foreign:
            yield from filter(None, [event.user])
        elif isinstance(event, Disconnected) and event.sid in owner and event.reason in KICKED:
            yield from filter(None, [owner[event.sid]])
