"""Which server each session is with: one connection to each of several is right, and they are judged apart."""

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

import msgspec

from wscheck.model.disconnect_reasons import IO_SERVER_DISCONNECT
from wscheck.model.events import Connected, Disconnected, Event
from wscheck.model.replacement import may_have_replaced
from wscheck.observe.traffic.engine_session import EngineSession

ELSEWHERE = "{} at {}"
"""Whoever is connected to another server than the one that is looked at."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}

Told = Sequence[tuple[EngineSession, Sequence[Event]]]
"""Each session with what it tells."""


class ServerEndpoint(msgspec.Struct, frozen=True):
    """Where Engine.IO is served: `host`, with the port unless it is that of the scheme, and the path."""

    host: str
    path: str

    @classmethod
    def of(cls, url: str) -> "ServerEndpoint":
        """That of a page's or a client's address; every name of this machine is one."""
        parts = urlsplit(url)
        name = "localhost" if parts.hostname in _LOOPBACK else parts.hostname or ""
        port = parts.netloc.rpartition(":")[2] if parts.netloc[-1:].isdigit() and ":" in parts.netloc else ""
        usual = port == str(_PORTS.get(parts.scheme.replace("ws", "http"), ""))
        return cls(f"{name}:{port}" if port and not usual else name, parts.path.rstrip("/"))


class ServerSplit:
    """Those that the sessions were with. `first` is the one that is looked at: that of the target, if any session was
    with it, else the one with most sessions whose user is known. Whoever is not connected to it is at home at the
    server that came first for them."""

    def __init__(self, told: Told, target: str = "") -> None:
        self._of = {id(session): ServerEndpoint.of(session.url) for session, _ in told}
        known = list(dict.fromkeys(self._of.values()))
        if len(known) > 1:
            self._join(told)
        known = list(dict.fromkeys(self._of.values()))
        wanted = [one for one in known if target and one.host == ServerEndpoint.of(target).host]
        identified = [self._of[id(session)] for session, _ in told if session.identified]
        self.first = max(wanted or known, key=identified.count, default=ServerEndpoint("", ""))

    @property
    def note(self) -> str:
        """That there are several; empty where there are not."""
        rest = [f"{one.host}{one.path}" for one in dict.fromkeys(self._of.values()) if one != self.first]
        if not rest:
            return ""
        first = f"{self.first.host}{self.first.path}"
        return f"Connections went to {1 + len(rest)} servers, each judged by itself: {', '.join([first, *rest])}."

    def apart(self, told: Told) -> Iterator[Event]:
        """All events; a user who is connected to several servers is somebody else at each but one."""
        home: dict[str | None, ServerEndpoint] = {}
        for session, events in told:
            server = self._of[id(session)]
            for event in events:
                if server == self.first:
                    home[event.user] = server
                home.setdefault(event.user, server)
        for session, events in told:
            server = self._of[id(session)]
            for event in events:
                known = home[event.user]
                yield event if event.user is None or server == known else _elsewhere(event, server, known)

    def _join(self, told: Told) -> None:
        """One server may have two names: it ended a connection under the one as the user began one under the other."""
        begun = [(event, session) for session, events in told for event in events if isinstance(event, Connected)]
        for session, events in told:
            for kick in events:
                if isinstance(kick, Disconnected) and kick.reason == IO_SERVER_DISCONNECT:
                    self._joined(session, kick, [whose for event, whose in begun if _in_favour(kick, event)])

    def _joined(self, session: EngineSession, kick: Disconnected, others: Iterable[EngineSession]) -> None:
        mine, theirs = self._of[id(session)], [self._of[id(other)] for other in others]
        if theirs and mine not in theirs:
            self._of = {key: mine if server == theirs[0] else server for key, server in self._of.items()}


def _elsewhere(event: Event, server: ServerEndpoint, home: ServerEndpoint) -> Event:
    name = server.host if server.host != home.host else f"{server.host}{server.path}"
    return msgspec.structs.replace(event, user=ELSEWHERE.format(event.user, name))


def _in_favour(kick: Disconnected, opened: Connected) -> bool:
    """Whether the kick may have been for this connection."""
    return opened.user == kick.user and opened.sid != kick.sid and may_have_replaced(opened.at, kick.at)
