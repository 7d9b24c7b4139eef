"""Reader of one connection: recognises its protocol, and turns its data into wire events.

Often the first frames show the protocol. Until then, a connection is read as a plain WebSocket or stream. When its
protocol is recognised, the first frames are read again.
"""

from collections.abc import Callable, Mapping

import msgspec

from wscheck.protocols.protocol import (
    MAX_FIRST,
    Accepted,
    Confidence,
    Data,
    Direction,
    Inner,
    InnerData,
    Link,
    Opening,
    Session,
    WireEvent,
    WireEvents,
)
from wscheck.protocols.registry import Recognition, recognise

MAX_RETAINED = 64 * 1024
"""Largest amount of data (characters or bytes) that is kept until the protocol is known."""

MAX_DEPTH = 3
"""Largest number of protocols that carry each other."""

SUBPROTOCOL = "sec-websocket-protocol"


class Restarted(WireEvent, frozen=True, kw_only=True):
    """The connection has another protocol than assumed so far. The next events replace all its earlier events."""


class ConnectionReader:
    """Reader of one connection whose protocol may become known later.

    recognition  the protocol, as far as it is known
    is_decided   True if further data cannot change `recognition`
    """

    def __init__(self, opening: Opening, recognition: Recognition, at: float, depth: int = 1) -> None:
        self.recognition, self._opening, self._at, self._depth = recognition, opening, at, depth
        self._retained_size = 0
        self._steps: list[Callable[[], WireEvents]] = []
        self.is_decided = recognition.confidence is Confidence.CERTAIN
        self._inner: _CarriedReader | None = None
        self._session = recognition.protocol.start_session(opening)

    @property
    def session(self) -> Session:
        """Session of the protocol that is assumed at present."""
        return self._session

    @property
    def carried(self) -> Recognition | None:
        """Protocol, as far as it is known, of the inner connection (STOMP in SockJS); None if there is none."""
        return self._inner.recognition if self._inner is not None else None

    def start(self) -> WireEvents:
        """Process the client's request to open the connection."""
        return self._process(self._session.start(self._at))

    def link(self, opening: Opening) -> Link:
        """Return the `Link` for a request or WebSocket of this connection: the first one or a later one."""
        return _ReaderLink(self, self._session.link(opening)) if self.is_decided else _WholeLink(self)

    def set_headers(self, headers: Mapping[str, str]) -> WireEvents:
        """Process the headers of the request, if they become known after the request itself. Names are lower case."""
        offered = tuple(each.strip() for each in headers.get(SUBPROTOCOL, "").split(",") if each.strip())
        return self._learn(headers=headers, subprotocols=offered or self._opening.subprotocols)

    def accept(self, at: float, headers: Mapping[str, str] | None = None) -> WireEvents:
        """Process the answer of the server: the connection is open. `headers` have names in lower case."""
        accepted = (headers or {}).get(SUBPROTOCOL, "")
        events = self._learn(accepted=accepted or self._opening.accepted)
        return [*events, *self._perform(lambda: self._session.accept(at))]

    def receive(self, direction: Direction, data: Data, at: float, link: Link | None = None) -> WireEvents:
        """Process data of the connection; `link` is the request or WebSocket that carried them."""
        if self.is_decided:
            return self._process((link or self._session).receive(direction, data, at))
        first = self._opening.sent if direction is Direction.SENT else self._opening.received
        self._retained_size += len(data)
        events: WireEvents = []
        if len(first) < MAX_FIRST and self._retained_size <= MAX_RETAINED:
            name = "sent" if direction is Direction.SENT else "received"
            events = self._learn(**{name: (*first, data)})
        else:
            self.decide()
        return [*events, *self._perform(lambda: self._session.receive(direction, data, at))]

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        """Process the end of the transport."""
        inner = self._inner.close(code, reason, at) if self._inner is not None else []
        return [*inner, *self._process(self._session.close(code, reason, at))]

    def decide(self) -> None:
        """Keep the protocol that is assumed at present, even if later data show another one."""
        self.is_decided, self._steps = True, []

    def _learn(self, **facts: object) -> WireEvents:
        """Process new facts about the connection: values for fields of `Opening`.

        If they show another protocol, start a session of this protocol, and give it all data of the connection again.
        """
        if self.is_decided:
            return []
        self._opening = msgspec.structs.replace(self._opening, **facts)
        found = recognise(self._opening) or self.recognition
        is_other, self.recognition = found.protocol is not self.recognition.protocol, found
        events: WireEvents = []
        if is_other:
            self._session, self._inner = found.protocol.start_session(self._opening), None
            events = [Restarted(at=self._at), *self._process(self._session.start(self._at))]
            for step in self._steps:
                events += self._process(step())
        if found.confidence is Confidence.CERTAIN:
            self.decide()
        return events

    def _perform(self, step: Callable[[], WireEvents]) -> WireEvents:
        """Call `step`, a function that gives data of the connection to the session, and return its events.

        Store the function, so that `_learn` can call it again if another protocol is recognised.
        """
        if not self.is_decided:
            self._steps.append(step)
        return self._process(step())

    def _process(self, events: WireEvents) -> WireEvents:
        """Return `events`, with the data of an inner connection (STOMP in SockJS) replaced by its events."""
        processed: WireEvents = []
        for event in events:
            if isinstance(event, Inner):
                self._inner = _carried(event, self._depth)
                processed += self._inner.start(event.at) if self._inner is not None else []
            elif isinstance(event, InnerData):
                processed += self._inner.receive(event.direction, event.data, event.at) if self._inner else []
            else:
                processed.append(event)
        return processed


class _ReaderLink(Link):
    """One HTTP request or one WebSocket of a connection whose protocol is decided."""

    def __init__(self, reader: ConnectionReader, link: Link) -> None:
        self._reader, self._link = reader, link

    @property
    def carries(self) -> bool:  # type: ignore[override]
        return self._link.carries

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        return self._reader.receive(direction, data, at, self._link)


class _WholeLink(Link):
    """Stand-in for every HTTP request or WebSocket of a connection whose protocol is not decided yet."""

    def __init__(self, reader: ConnectionReader) -> None:
        self._reader = reader

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        return self._reader.receive(direction, data, at)


class _CarriedReader:
    """Reader of an inner connection, whose data are in the messages of an outer one (STOMP in SockJS).

    Its events are held back until its protocol is decided.
    """

    def __init__(self, reader: ConnectionReader) -> None:
        self._reader = reader
        self._held: WireEvents = []

    @property
    def recognition(self) -> Recognition:
        """Protocol of the inner connection. If it carries a further connection, the protocol of the further one."""
        return self._reader.carried or self._reader.recognition

    def start(self, at: float) -> WireEvents:
        """Process the start of the inner connection: the outer connection is open."""
        return self._pass([*self._reader.start(), *self._reader.accept(at)])

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        """Process data of the inner connection."""
        return self._pass(self._reader.receive(direction, data, at))

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        """Process the end of the outer connection, which also ends the inner one."""
        self._reader.decide()
        return self._pass(self._reader.close(code, reason, at))

    def _pass(self, events: WireEvents) -> WireEvents:
        """Return the events that can be reported now; hold back the others until the protocol is decided.

        `Accepted` without a channel is left out: only the outer connection is reported as accepted.
        """
        for event in events:
            if isinstance(event, Restarted):
                self._held.clear()
            elif event.channel or not isinstance(event, Accepted):
                self._held.append(event)
        if not self._reader.is_decided:
            return []
        released, self._held = self._held, []
        return released


def _carried(event: Inner, depth: int) -> _CarriedReader | None:
    recognition = recognise(event.opening) if depth < MAX_DEPTH else None
    if recognition is None:
        return None
    return _CarriedReader(ConnectionReader(event.opening, recognition, event.at, depth + 1))
