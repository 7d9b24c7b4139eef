"""Whose reconnection is it: a socket that connects again is opened by a timer or a handler, and yet belongs to the
code that once called io()."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from wscheck.detect import stack_frames
from wscheck.observe.traffic import ConnectionOrigin, EngineSession

_IO = re.compile(r"socket\.io-client/.*\bindex\.\w+$|socket\.io(\.\w+)*\.js$")


def attribute_reconnects(
    sessions: Sequence[EngineSession], found: dict[int, ConnectionOrigin], objects: Iterable[Sequence[str]]
) -> dict[int, ConnectionOrigin]:
    """By id() of each session, where it was opened: reconnections get the place of their first connection.

    objects  for each socket object of a page, the sids it had: sure, where the page could be looked into
    """
    origins = dict(found)
    sure = _continued(sessions, objects)
    taken: set[int] = set()
    for number, session in enumerate(sessions):
        before = sure.get(id(session))
        if before is None and _again(found[id(session)]):
            before = _before(session, sessions[:number], found[id(session)], origins, taken)
        if before is not None:
            taken.add(id(before))
            origins[id(session)] = origins[id(before)]
    return origins


def _continued(sessions: Sequence[EngineSession], objects: Iterable[Sequence[str]]) -> dict[int, EngineSession]:
    """By id() of each session that is surely a reconnection: the one before it of the same socket object, which has
    another socket id unless the server recovered it."""
    lives: dict[str, list[EngineSession]] = {}
    for session in sessions:
        for sid in session.sids:
            lives.setdefault(sid, []).append(session)
    recovered = lives.values()
    again = ([session for sid in sids for session in lives.get(sid, ())] for sids in objects)
    pairs = (pair for chain in (*recovered, *again) for pair in pairwise(chain))
    return {id(after): before for before, after in pairs if after is not before}


def _again(whence: ConnectionOrigin) -> bool:
    """Whether the client library opened it without anybody calling io()."""
    client = [place for place in whence.stack if stack_frames.is_client_frame(place)]
    return bool(client) and not any(_IO.search(place.file) for place in client)


def _before(
    session: EngineSession,
    earlier: Sequence[EngineSession],
    whence: ConnectionOrigin,
    origins: dict[int, ConnectionOrigin],
    taken: set[int],
) -> EngineSession | None:
    """The session of the same page that this one continues: one that was given up before (not because of it), best one
    opened in the same file. Its transport may still be closing, which takes a busy server its time."""
    ended = [
        each
        for each in reversed(earlier)
        if each.unused_from is not None
        and each.unused_from <= session.opened_at
        and each.origin.id == session.origin.id
        and id(each) not in taken
        and origins[id(each)].opener
    ]
    files = {place.file for place in stack_frames.app_frames(whence.stack)}
    alike = [each for each in ended if (opener := origins[id(each)].opener) is not None and opener.file in files]
    return next(iter(alike or ended), None)
