"""Socket ids and connections: several socket ids of one connection, and connections whose lines have no socket id.

Source: Socket.IO documentation, "Namespaces" (multiplexing over one connection).
"""

import re

import msgspec

from wscheck.detect.bounded_dict import BoundedDict
from wscheck.detect.changes import ClosedChange
from wscheck.model.events import SOURCE_SERVER_LOG, Connected, Disconnected, Event, Replaced

_OWN_ID = re.compile(r"(?=.*\d)(?:[0-9a-f-]{3,64}|[0-9A-F-]{3,64}|[0-9A-HJKMNP-TV-Z]{26})|[A-Za-z]{1,8}[-_#:]\d{1,12}")
"""Id of hexadecimal digits, a number with or without a name in front, or a ULID."""


def is_own_id(sid: str) -> bool:
    """Return whether a connection has an id that the server made itself, and not one of Socket.IO or SignalR."""
    return _OWN_ID.fullmatch(sid) is not None


SessionOwner = str | tuple[str, str]
"""User, or (user, server process) if the evidence names the process."""

SAME_EVENT_S = 1.0
"""Longest time between two log lines about the same opening or the same end (seconds)."""

MAX_USERS = 1_000
"""Users about whom the latest lines are stored."""


class EngineSessions:
    """Connections with their namespaces. The socket id that opened a session is the name of its connection.

    If the events contain the Engine.IO session of each socket, sockets of one session are one connection. A server's
    log may contain only the namespace. One connection has at most one socket per namespace, so sockets of one user in
    different namespaces are then counted as one connection where possible.

    has_evidence  some event contained a session or a namespace; without such an event, callers can skip every lookup
    """

    def __init__(self) -> None:
        self.has_evidence = False
        self._connection: dict[str, str] = {}
        self._eio: dict[str, str] = {}
        self._joined: dict[str, str] = {}
        self._sids: dict[str, set[str]] = {}
        self._candidates: dict[SessionOwner, str | tuple[str, ...]] = {}
        self._owner: dict[str, SessionOwner] = {}
        self._namespace: dict[str, str] = {}

    def __contains__(self, sid: object) -> bool:
        """Return whether `sid` is an additional namespace of a connection, not the socket that opened it."""
        return sid in self._joined

    def start(self, opening: Connected, sid: str) -> None:
        """Record `sid` as the connection of the session in `opening`, unless another socket opened the session."""
        eio, namespace, user = opening.eio, opening.namespace, opening.user
        if eio is not None:
            self.has_evidence = True
            if eio not in self._connection:
                self._connection[eio], self._eio[sid] = sid, eio
        elif namespace is not None and user is not None and sid not in self._owner:
            self.has_evidence = True
            self._namespace[sid] = namespace
            self._owner[sid] = owner = _owner(user, opening.node)
            # Nearly every user has one connection. A single connection is stored without a tuple, which saves memory.
            self._candidates[owner] = (*self._connections(owner), sid) if owner in self._candidates else sid

    def join(self, opening: Connected, sid: str) -> bool:
        """Add `sid` to the existing connection of the session in `opening`. Return False if there is no connection."""
        if opening.eio is not None:
            connection = self._connection.get(opening.eio)
        else:
            connection = self._connection_without(opening.namespace, _owner(opening.user or "", opening.node))
        if connection is None:
            return False
        if opening.eio is None and opening.namespace is not None:
            self._namespace[sid] = opening.namespace
        self._add(sid, connection)
        return True

    def leave(self, sid: str) -> str | None:
        """Remove the namespace `sid`. Return the connection if this was its last namespace, else None."""
        connection = self._joined.get(sid, sid)
        sids = self._sids.get(connection)
        if sids is None:
            return sid
        sids.discard(sid)
        self._joined.pop(sid, None)
        self._namespace.pop(sid, None)
        return self._merge_remainder(connection) if sids else connection

    def forget(self, connection: str) -> None:
        """Remove a connection and all its namespaces."""
        eio, owner = self._eio.pop(connection, None), self._owner.pop(connection, None)
        if eio is not None:
            del self._connection[eio]
        if owner is not None:
            rest = tuple(sid for sid in self._connections(owner) if sid != connection)
            self._candidates[owner] = rest if len(rest) != 1 else rest[0]
            if not rest:
                del self._candidates[owner]
        for sid in self._sids.pop(connection, {connection}):
            self._joined.pop(sid, None)
            self._namespace.pop(sid, None)

    def _connections(self, owner: SessionOwner) -> tuple[str, ...]:
        connections = self._candidates.get(owner, ())
        return (connections,) if isinstance(connections, str) else connections

    def _add(self, sid: str, connection: str) -> None:
        self._joined[sid] = connection
        self._sids.setdefault(connection, {connection}).add(sid)

    def _connection_without(self, namespace: str | None, owner: SessionOwner) -> str | None:
        """Return the owner's newest connection that does not have `namespace` yet.

        A client opens the namespaces of a connection one after the other.
        """
        newest_first = reversed(self._connections(owner))
        return (
            next((sid for sid in newest_first if namespace not in self._namespaces(sid)), None) if namespace else None
        )

    def _namespaces(self, connection: str) -> set[str]:
        return {self._namespace.get(sid, "") for sid in self._sids.get(connection, (connection,))}

    def _merge_remainder(self, connection: str) -> str | None:
        """Merge two connections of one user if they may be namespaces of one connection.

        Return the connection that was merged into the other one, None if nothing was merged.

        Without session ids the grouping is a guess: after a namespace ends, the remaining namespaces of its connection
        may belong to another connection. A connection keeps its name while the socket of that name is open.
        """
        owner = self._owner.get(connection)
        pairs = ((connection, other) for other in self._connections(owner)) if owner is not None else ()
        for pair in pairs:
            for ended, remaining in (pair, pair[::-1]):
                if ended == remaining or ended in self._namespace:
                    continue
                if not self._namespaces(ended) & self._namespaces(remaining):
                    for sid in self._sids.pop(ended):
                        self._add(sid, remaining)
                    return ended
        return None


def _owner(user: str, node: str | None) -> SessionOwner:
    return user if node is None else (user, node)


class AssumedEnd(msgspec.Struct, frozen=True):
    """End of a connection that was reported without a socket id.

    sid  id of the connection that is assumed to have ended, None if none could be assumed
    """

    sid: str | None
    event: Disconnected
    opening: Connected | None


class UserOnlyLines:
    """State of connections in a log with lines that name the user and not the socket.

    Openings without a socket id get a substitute id. An end without a socket id closes the user's only connection, or
    the oldest of several. The number of open connections is then right, but another connection may have ended.

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
        """Return whether `event`, an end without a socket id, repeats an end that a line with a socket id reported.

        `latest` is the latest end of any connection.
        """
        ended = self._ended.pop(user, None)
        if ended is None and latest is not None and latest.user == user and latest.event.source == SOURCE_SERVER_LOG:
            ended = latest.event if isinstance(latest.event, Disconnected) and latest.event.sid is not None else None
        return ended is not None and may_be_same_moment(ended, event)

    def ended_with_sid(self, user: str, event: Disconnected) -> AssumedEnd | None:
        """Record an end with a socket id.

        If an end without a socket id was logged at the same moment, the two lines are about the same end. If a
        different connection was assumed to have ended then, return this wrong assumption, so that the caller can
        correct it. Otherwise return None.
        """
        self._ended.put(user, event)
        assumed = self._assumed.pop(user, None)
        if assumed is None or not may_be_same_moment(assumed.event, event) or assumed.sid == event.sid:
            return None
        self.unclear_ends -= 1
        return assumed

    def replaced(self, user: str, event: Replaced) -> None:
        """Record that a connection of `user` was replaced. A line without a socket id may report its end afterwards."""
        self._replaced.put(user, event)

    def ends_replaced(self, user: str, event: Disconnected) -> bool:
        """Return whether an end without a socket id belongs to the connection that was replaced just before."""
        replaced = self._replaced.pop(user, None)
        return replaced is not None and may_be_same_moment(replaced, event)


def may_be_same_moment(first: Event, second: Event) -> bool:
    """Return whether two log lines may be about the same opening or end."""
    if first.at is None or second.at is None:
        return first.at is second.at and abs((second.line or 0) - (first.line or 0)) == 1
    return abs(second.at - first.at) <= SAME_EVENT_S + max(first.resolution, second.resolution)


def is_logged(opening: Connected | None) -> bool:
    """Return whether only a log reports a connection, so that a line without a socket id may report its end.

    A connection that a page reports has a session or a component. In a log, `page` is only the name of a tab or device.
    """
    if opening is None:
        return True
    is_observed = opening.page is not None and (opening.eio is not None or opening.component is not None)
    return opening.source == SOURCE_SERVER_LOG and not is_observed
