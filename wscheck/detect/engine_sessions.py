"""Namespaces of Engine.IO sessions: several socket ids that belong to one connection.

Source: Socket.IO documentation, "Namespaces" (multiplexing over one connection).
"""

from wscheck.model.events import Connected

SessionOwner = str | tuple[str, str]
"""User, or (user, server process) if the evidence names the process."""


class EngineSessions:
    """Connections with their namespaces. The socket id that opened a session is the name of its connection.

    A client reports the Engine.IO session of each socket. A server's log may report only the namespace. Since a session
    has at most one socket per namespace, sockets of one user in different namespaces may share a connection. They are
    grouped into as few connections as possible.

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
        """Merge two connections of one user that may be one. Return the connection that ends by the merge, or None.

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
