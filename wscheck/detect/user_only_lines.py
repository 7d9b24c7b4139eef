"""Connections in logs whose lines name the user and not the socket."""

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Replaced

SAME_EVENT_S = 1.0
"""Longest time between two log lines about the same opening or the same end (seconds)."""

MAX_USERS = 1_000
"""Users about whom the latest lines are stored."""


class AssumedEnd(msgspec.Struct, frozen=True):
    """An end without a socket id, and the connection that was assumed to have ended, None if none was."""

    sid: str | None
    event: Disconnected
    opening: Connected | None


class UserOnlyLines:
    """State of connections in a log with lines that name the user and not the socket.

    Openings without a socket id get a substitute id. An end without a socket id closes the user's only connection, or
    the oldest of several: the number of open connections is then right, and only which one ended is unknown.

    substitutes   substitute ids of open connections
    names_ends    a line without a socket id reported the end of a connection
    unclear_ends  number of ends for which it is unknown which of the user's connections ended
    """

    def __init__(self) -> None:
        self._opened = 0
        self.names_ends, self.unclear_ends = False, 0
        self.substitutes: set[str] = set()
        self._assumed = BoundedDict[str, AssumedEnd](MAX_USERS)
        self._replaced = BoundedDict[str, Replaced](MAX_USERS)
        self._ended = BoundedDict[str, Disconnected](MAX_USERS)

    def new_id(self) -> str:
        """Return an id for a connection without a socket id."""
        self._opened += 1
        sid = f"#{self._opened} (no socket id)"
        self.substitutes.add(sid)
        return sid

    def is_substitute(self, sid: str) -> bool:
        """Return whether `sid` was made by `new_id`, and its connection is open."""
        return sid in self.substitutes

    @property
    def has_openings(self) -> bool:
        """True if a line without a socket id reported an opening."""
        return self._opened > 0

    def forget(self, sid: str) -> None:
        """Record that a connection with a substitute id ended."""
        self.substitutes.discard(sid)

    def assume_ended(self, user: str, sid: str | None, event: Disconnected, opening: Connected | None) -> None:
        """Record which of the user's connections was assumed to have ended: `sid`, or None if it is unknown."""
        self.unclear_ends += 1
        self._assumed.put(user, AssumedEnd(sid, event, opening))

    def is_second_report(self, user: str, event: Disconnected, latest: ClosedChange | None) -> bool:
        """Return whether a line with the socket id has just reported the same end. `latest` is the latest end."""
        ended = self._ended.pop(user, None)
        if ended is None and latest is not None and latest.user == user and latest.event.source == SOURCE_SERVER_LOG:
            ended = latest.event if isinstance(latest.event, Disconnected) and latest.event.sid is not None else None
        return ended is not None and are_of_same_moment(ended, event)

    def ended_with_sid(self, user: str, event: Disconnected) -> AssumedEnd | None:
        """Record an end with a socket id. Return the assumed end of the same moment which the socket id corrects."""
        self._ended.put(user, event)
        assumed = self._assumed.pop(user, None)
        if assumed is None or not are_of_same_moment(assumed.event, event) or assumed.sid == event.sid:
            return None
        self.unclear_ends -= 1
        return assumed

    def replaced(self, user: str, event: Replaced) -> None:
        """Record that a connection of `user` was replaced, whose end may follow in a line without a socket id."""
        self._replaced.put(user, event)

    def ends_replaced(self, user: str, event: Disconnected) -> bool:
        """Return whether an end without a socket id is that of the connection that was replaced just before."""
        replaced = self._replaced.pop(user, None)
        return replaced is not None and are_of_same_moment(replaced, event)


def are_of_same_moment(first: Event, second: Event) -> bool:
    """Return whether two log lines may be about the same opening or end."""
    if first.at is None or second.at is None:
        return first.at is second.at and abs((second.line or 0) - (first.line or 0)) == 1
    return abs(second.at - first.at) <= SAME_EVENT_S + max(first.resolution, second.resolution)


def is_logged(opening: Connected | None) -> bool:
    """Return whether only a log reports a connection, so that a line without a socket id may report its end."""
    return opening is None or (opening.source == SOURCE_SERVER_LOG and opening.page is None)
