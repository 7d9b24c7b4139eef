"""WHICH SOCKET IDS ARE ONE CONNECTION: the namespaces that share an Engine.IO session, as far as evidence names it."""


class Sessions:
    """A connection is named by the socket id that opened its session; further namespaces join it.

    known  whether any evidence named a session; a server's log does not, and then there is nothing to look up
    """

    def __init__(self) -> None:
        self.known = False
        self._connection: dict[str, str] = {}
        self._eio: dict[str, str] = {}
        self._joined: dict[str, str] = {}
        self._namespaces: dict[str, set[str]] = {}

    def __contains__(self, sid: str) -> bool:
        """Whether `sid` is a further namespace of some connection."""
        return sid in self._joined

    def begin(self, eio: str, sid: str) -> None:
        """The session `eio` is the connection `sid`, unless another namespace opened it before."""
        self.known = True
        if eio not in self._connection:
            self._connection[eio], self._eio[sid] = sid, eio

    def join(self, eio: str, sid: str) -> bool:
        """Whether `eio` is a known session; `sid` is then a further namespace of its connection."""
        connection = self._connection.get(eio)
        if connection is None:
            return False
        self._joined[sid] = connection
        self._namespaces.setdefault(connection, {connection}).add(sid)
        return True

    def leave(self, sid: str) -> str | None:
        """The connection that ends with the namespace `sid`; None while another namespace keeps it open."""
        connection = self._joined.get(sid, sid)
        sids = self._namespaces.get(connection)
        if sids is None:
            return sid
        sids.discard(sid)
        self._joined.pop(sid, None)
        return None if sids else connection

    def forget(self, connection: str) -> None:
        """The connection is gone, with all its namespaces."""
        eio = self._eio.pop(connection, None)
        if eio is not None:
            del self._connection[eio]
            for sid in self._namespaces.pop(connection, ()):
                self._joined.pop(sid, None)
