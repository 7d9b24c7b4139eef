"""WHICH SOCKET IDS ARE ONE CONNECTION: the namespaces that share an Engine.IO session, as far as evidence tells."""

from wscheck.model.events import Connected

SessionOwner = str | tuple[str, str]
"""A user, and the process that serves the user where that is named."""


class EngineSessions:
    """A connection is named by the socket id that opened its session; further namespaces join it.

    A client's evidence names the session. A server's log may name the namespace: a session has each only once, so a
    user's sockets in different ones may be one connection, and are held for as few as they can be.

    has_evidence  whether any evidence told of either; most logs do not, and then there is nothing to look up
    """

    def __init__(self) -> None:
        self.has_evidence = False
        self._connection: dict[str, str] = {}
        self._eio: dict[str, str] = {}
        self._joined: dict[str, str] = {}
        self._namespaces: dict[str, set[str]] = {}
        self._supposed: dict[SessionOwner, str | tuple[str, ...]] = {}
        self._owner: dict[str, SessionOwner] = {}
        self._space: dict[str, str] = {}

    def __contains__(self, sid: object) -> bool:
        """Whether `sid` is a further namespace of some connection."""
        return sid in self._joined

    def start(self, opened: Connected, sid: str) -> None:
        """The session of `opened` is the connection `sid`, unless another namespace opened it before."""
        eio, namespace, user = opened.eio, opened.namespace, opened.user
        if eio is not None:
            self.has_evidence = True
            if eio not in self._connection:
                self._connection[eio], self._eio[sid] = sid, eio
        elif namespace is not None and user is not None and sid not in self._owner:
            self.has_evidence = True
            self._space[sid] = namespace
            self._owner[sid] = owner = _owner(user, opened.node)
            # Nearly everybody has one: a million of them shall not cost a list each.
            self._supposed[owner] = (*self._mine(owner), sid) if owner in self._supposed else sid

    def join(self, opened: Connected, sid: str) -> bool:
        """Whether `opened` is of a known session; `sid` is then a further namespace of its connection."""
        if opened.eio is not None:
            connection = self._connection.get(opened.eio)
        else:
            connection = self._without(opened.namespace, _owner(opened.user or "", opened.node))
        if connection is None:
            return False
        if opened.eio is None and opened.namespace is not None:
            self._space[sid] = opened.namespace
        self._add(sid, connection)
        return True

    def leave(self, sid: str) -> str | None:
        """The connection that ends with the namespace `sid`; None while another namespace keeps it open."""
        connection = self._joined.get(sid, sid)
        sids = self._namespaces.get(connection)
        if sids is None:
            return sid
        sids.discard(sid)
        self._joined.pop(sid, None)
        self._space.pop(sid, None)
        return self._one_less(connection) if sids else connection

    def forget(self, connection: str) -> None:
        """The connection is gone, with all its namespaces."""
        eio, owner = self._eio.pop(connection, None), self._owner.pop(connection, None)
        if eio is not None:
            del self._connection[eio]
        if owner is not None:
            rest = tuple(sid for sid in self._mine(owner) if sid != connection)
            self._supposed[owner] = rest if len(rest) != 1 else rest[0]
            if not rest:
                del self._supposed[owner]
        for sid in self._namespaces.pop(connection, {connection}):
            self._joined.pop(sid, None)
            self._space.pop(sid, None)

    def _mine(self, owner: SessionOwner) -> tuple[str, ...]:
        supposed = self._supposed.get(owner, ())
        return (supposed,) if isinstance(supposed, str) else supposed

    def _add(self, sid: str, connection: str) -> None:
        self._joined[sid] = connection
        self._namespaces.setdefault(connection, {connection}).add(sid)

    def _without(self, namespace: str | None, owner: SessionOwner) -> str | None:
        """The owner's newest connection that has nothing in `namespace` yet: a client asks for one after the other."""
        mine = reversed(self._mine(owner))
        return next((one for one in mine if namespace not in self._spaces(one)), None) if namespace else None

    def _spaces(self, connection: str) -> set[str]:
        return {self._space.get(sid, "") for sid in self._namespaces.get(connection, (connection,))}

    def _one_less(self, connection: str) -> str | None:
        """A connection that is none any more, for what is left of it may be another's: which sockets are together was
        only supposed. One whose own socket is still open keeps its name."""
        owner = self._owner.get(connection)
        pairs = ((connection, other) for other in self._mine(owner)) if owner is not None else ()
        for pair in pairs:
            for gone, kept in (pair, pair[::-1]):
                if gone != kept and gone not in self._space and not self._spaces(gone) & self._spaces(kept):
                    for sid in self._namespaces.pop(gone):
                        self._add(sid, kept)
                    return gone
        return None


def _owner(user: str, node: str | None) -> SessionOwner:
    return user if node is None else (user, node)
