"""Separation of the sessions by server: a page may have one connection to each of several servers."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from wscheck.detect.connection_policy import ServerEndpoint
from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import Connected, Disconnected, Event
from wscheck.model.replacement import may_have_replaced
from wscheck.observe.traffic.session import TrafficSession

USER_AT_SERVER = "{} at {}"
"""Label of a user at a server other than the user's home server."""

SessionEvents = Sequence[tuple[TrafficSession, Sequence[Event]]]
"""Each session with its events."""


class ServerSplit:
    """Servers of a set of sessions.

    main  the target's server if a session connects to it, else the server with the most sessions of known users.
          A user's home server is `main`, or the first one that the user connects to.
    """

    def __init__(self, sessions: SessionEvents, target: str = "") -> None:
        self._server_by_session = {id(session): ServerEndpoint.from_url(session.url) for session, _ in sessions}
        if len(self._servers()) > 1:
            self._merge_aliases(sessions)
        servers = self._servers()
        targets = [server for server in servers if target and server.has_same_origin(ServerEndpoint.from_url(target))]
        identified = [self._server_by_session[id(session)] for session, _ in sessions if session.identified]
        self.main = max(targets or servers, key=identified.count, default=ServerEndpoint("", None, ""))

    def _servers(self) -> list[ServerEndpoint]:
        return list(dict.fromkeys(self._server_by_session.values()))

    @property
    def note(self) -> str:
        """Sentence that lists the servers, empty if there is only one."""
        others = [server for server in self._servers() if server != self.main]
        if not others:
            return ""
        names = ", ".join(str(server) for server in (self.main, *others))
        return f"Connections went to {1 + len(others)} servers, each evaluated separately: {names}."

    def server_for(self, session: TrafficSession) -> ServerEndpoint:
        """Return the server of a session."""
        return self._server_by_session[id(session)]

    def label_events(self, sessions: SessionEvents) -> Iterator[Event]:
        """Yield all events. At each server other than the home server, a user gets another label.

        The connections of a user to different servers are therefore counted separately.
        """
        home: dict[str | None, ServerEndpoint] = {}
        for session, events in sessions:
            server = self._server_by_session[id(session)]
            for event in events:
                if server == self.main:
                    home[event.user] = server
                home.setdefault(event.user, server)
        for session, events in sessions:
            server = self._server_by_session[id(session)]
            for event in events:
                at_home = event.user is None or server == home[event.user]
                yield event if at_home else _with_server_label(event, server, home[event.user])

    def _merge_aliases(self, sessions: SessionEvents) -> None:
        """Merge endpoints that are two names of one server.

        Two endpoints are one server if a connection to the second replaces a connection to the first.
        """
        opened = [(event, session) for session, events in sessions for event in events if isinstance(event, Connected)]
        for session, events in sessions:
            for event in events:
                if isinstance(event, Disconnected) and event.reason == IO_SERVER_DISCONNECT:
                    successors = [other for connected, other in opened if _may_replace(event, connected)]
                    self._merge(session, successors)

    def _merge(self, session: TrafficSession, successors: Iterable[TrafficSession]) -> None:
        server = self._server_by_session[id(session)]
        others = [self._server_by_session[id(successor)] for successor in successors]
        if others and server not in others:
            self._server_by_session = {
                key: server if each == others[0] else each for key, each in self._server_by_session.items()
            }


def _with_server_label(event: Event, server: ServerEndpoint, home: ServerEndpoint) -> Event:
    name = server.origin if server.origin != home.origin else str(server)
    return msgspec.structs.replace(event, user=USER_AT_SERVER.format(event.user, name))


def _may_replace(ended: Disconnected, opened: Connected) -> bool:
    """Report whether the server may have ended a connection in favour of `opened`."""
    return opened.user == ended.user and opened.sid != ended.sid and may_have_replaced(opened.at, ended.at)
