"""Interface of a protocol: the meaning of a request or WebSocket, without I/O.

A protocol recognises its connections (`Protocol.recognise`) and creates a `Session` for each. The session turns the
data of the connection into `WireEvent`s. What happens with a wire event (who the user is, which events are reported,
which secrets are hidden) is the concern of the reader of the session.

connection    one transport between a client and a server: a WebSocket, a stream, or the long polls of one session
channel       part of a connection that a client joins and leaves on its own, such as a Socket.IO namespace; "" if the
              protocol has none
subscription  a request for a kind of events on a connection, such as a GraphQL subscription or a topic
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum, auto
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import msgspec

from wscheck.model.disconnect_reasons import CLOSED, IO_CLIENT_DISCONNECT, PAGE_LEFT, TRANSPORT_CLOSE

Data = str | bytes
"""Content of a frame, of a body, or of a part of a stream: text or binary data."""


class Direction(Enum):
    """Direction of data, as the client sees it."""

    SENT = auto()
    RECEIVED = auto()


class Confidence(IntEnum):
    """Confidence with which a protocol recognises a connection. The highest one wins.

    NONE      the connection is not of this protocol
    FALLBACK  nothing is known but the transport: a plain WebSocket or a plain stream
    POSSIBLE  the address is a usual one
    LIKELY    the first data have the form of the protocol
    CERTAIN   the subprotocol, the query or the handshake names the protocol
    """

    NONE = 0
    FALLBACK = 1
    POSSIBLE = 2
    LIKELY = 3
    CERTAIN = 4


class Transport(Enum):
    """Transport of a connection. The value is that of `ConnectionEvent.transport`."""

    WEBSOCKET = "websocket"
    EVENT_STREAM = "event-stream"
    POLLING = "polling"


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about a connection from its first moments; more facts may become known until a few frames have passed.

    headers       headers of the request, with names in lower case
    subprotocols  WebSocket subprotocols that the client offers (Sec-WebSocket-Protocol)
    accepted      the subprotocol that the server chose, "" if it chose none or has not answered yet
    sent          first data that the client sent, at most `MAX_FIRST`
    received      first data that the server sent, at most `MAX_FIRST`
    """

    url: str
    transport: Transport
    headers: Mapping[str, str] = {}
    subprotocols: tuple[str, ...] = ()
    accepted: str = ""
    sent: tuple[Data, ...] = ()
    received: tuple[Data, ...] = ()

    @property
    def is_websocket(self) -> bool:
        """True if the connection is a WebSocket."""
        return self.transport is Transport.WEBSOCKET

    @property
    def path(self) -> str:
        """Path of the URL, empty if the URL is invalid."""
        try:
            return urlsplit(self.url).path
        except ValueError:
            return ""

    def speaks(self, *names: str) -> bool:
        """Return whether the connection has one of these subprotocols, or may still get one of them."""
        return self.accepted in names if self.accepted else any(name in names for name in self.subprotocols)


MAX_MESSAGE = 1024 * 1024
"""Largest message, in characters or bytes, that is put together from several frames."""

MAX_FIRST = 3
"""Frames of each direction by which a protocol is recognised."""


class WireEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Base class of the events that a session reports. `at` is the time in seconds since the epoch."""

    at: float
    channel: str = ""


class Named(WireEvent, frozen=True, kw_only=True):
    """The server gave the session an id."""

    id: str


class Identified(WireEvent, frozen=True, kw_only=True):
    """Data from the client that may contain the user id, as a dict of key to value.

    An identity rule of the configuration names the source and the key of the user id.

    source  "auth" (what the client sends in order to log in), "query", "header", "cookie" or "subprotocol"
    """

    source: str
    values: Mapping[str, Any]


class Requested(WireEvent, frozen=True, kw_only=True):
    """The client asked for a channel; `credentials` are those that it sent for it."""

    credentials: Mapping[str, Any] = {}


class Accepted(WireEvent, frozen=True, kw_only=True):
    """The server accepted the connection, or one of its channels.

    id         id that the server gave to the connection or channel, None if it gave none
    client_id  name of the client, if the server keeps only one connection of each name (MQTT)
    """

    id: str | None = None
    client_id: str | None = None


class Rejected(WireEvent, frozen=True, kw_only=True):
    """The server refused the connection or one of its channels, or wscheck cannot read it.

    reason   "refused" (by the server), or "protocol" (of a kind or version that cannot be read)
    """

    reason: str = "refused"
    message: str = ""


class Sent(WireEvent, frozen=True, kw_only=True):
    """The client sent an application event."""

    name: str
    arguments: Sequence[Any] = ()


class Received(WireEvent, frozen=True, kw_only=True):
    """The server sent an application event."""

    name: str
    payload: Any = None
    attachments: tuple[bytes, ...] = ()


class Subscribed(WireEvent, frozen=True, kw_only=True):
    """The client started a subscription.

    id    name of the subscription on the connection, which `Unsubscribed` repeats
    name  name of the topic, query or channel, as reports show it
    same  a JSON value that is equal for equal subscriptions: for example topic, or query and variables
    """

    id: str
    name: str
    same: Any = None


class Unsubscribed(WireEvent, frozen=True, kw_only=True):
    """A subscription ended.

    by_server  True if the server ended it
    replaced   True if it ended because the client made the same subscription again: the server keeps only the new one
    """

    id: str
    by_server: bool = False
    replaced: bool = False


class Beat(WireEvent, frozen=True, kw_only=True):
    """A heartbeat of the protocol. Heartbeats are no application events."""

    direction: Direction


class Ended(WireEvent, frozen=True, kw_only=True):
    """The connection, or one of its channels, ended. `reason` has a wording of `wscheck.model.disconnect_reasons`.

    by_client  the client ended the channel by a message
    """

    reason: str
    by_client: bool = False


class Closing(WireEvent, frozen=True, kw_only=True):
    """The client announced that it closes the transport."""


class TransportChanged(WireEvent, frozen=True, kw_only=True):
    """The connection continues on another transport."""

    transport: Transport


class Malformed(WireEvent, frozen=True, kw_only=True):
    """Data could not be read. `reason` quotes none of the data."""

    reason: str


class Inner(WireEvent, frozen=True, kw_only=True):
    """The messages of the connection carry an inner connection of another protocol, such as STOMP in SockJS."""

    opening: Opening


class InnerData(WireEvent, frozen=True, kw_only=True):
    """Data of the inner connection, such as a STOMP frame that arrived in a SockJS message."""

    direction: Direction
    data: Data


WireEvents = list[WireEvent]


class Link(ABC):
    """One HTTP request or one WebSocket that carries data of a session.

    A `Session` is itself a `Link`: if it has only one request or WebSocket, no separate object is made for this one.

    carries  False for a WebSocket that is still being tested for an upgrade: its end does not end the session
    """

    carries: bool = True

    @abstractmethod
    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        """Process one frame, one body, or one part of a stream."""


class Session(Link):
    """One connection of a protocol: a state machine that turns data into wire events.

    Call its methods in the order in which the data were sent or received.
    """

    def start(self, at: float) -> WireEvents:
        """Process the client's request to open the connection."""
        return []

    def accept(self, at: float) -> WireEvents:
        """Process the answer of the server: the connection is open (HTTP 101, or the headers of a stream)."""
        return [Accepted(at=at)]

    @abstractmethod
    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        """Process the end of the transport.

        code    the WebSocket close code, None if it is unknown
        reason  reason of the end (`wscheck.model.disconnect_reasons`); it is not reported if the data of the session
                showed a more precise one
        """

    def link(self, opening: Opening) -> Link:
        """Return the `Link` for a request or WebSocket of this session: the first one or a later one."""
        return self


class LoginSession(Session):
    """Session of a protocol with a login: the connection is accepted only when the server has answered the login.

    `accept`, which is called when the WebSocket opens, reports nothing. Call `open` or `refuse` for the answer.
    """

    def __init__(self) -> None:
        self.is_open = self._is_refused = self._is_ended = False

    def accept(self, at: float) -> WireEvents:
        return []

    def open(self, at: float, client_id: str | None = None) -> WireEvents:
        """Return the `Accepted` event of the login at the first call, no event at later calls."""
        if self.is_open or self._is_ended:
            return []
        self.is_open = True
        return [Accepted(at=at, client_id=client_id)]

    def refuse(self, message: str, at: float) -> WireEvents:
        """Return the `Rejected` event of the login at the first call, no event at later calls."""
        if self.is_open or self._is_refused or self._is_ended:
            return []
        self._is_refused = True
        return [Rejected(at=at, message=message)]

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        if self._is_ended:
            return []
        by_server = reason not in (IO_CLIENT_DISCONNECT, CLOSED, PAGE_LEFT)
        refused = self.refuse("the server closed the connection instead of accepting the login", at)
        self._is_ended = True
        return [*(refused if by_server else []), Ended(at=at, reason=reason or TRANSPORT_CLOSE)]


class Protocol(ABC):
    """A protocol: recognises its connections and reads them.

    id           name in recordings: "graphql-ws"
    name         name in reports: "GraphQL (graphql-ws)"
    is_left_out     its connections are listed, but not evaluated; True for the hot reload of a development server
    names_sessions  the server gives each session an id (`Named`); otherwise, connections are numbered
    reads_state     its clients read the WebSocket's `readyState` when the page asks for a subscription, and store what
                    they cannot send yet
    """

    id: ClassVar[str]
    name: ClassVar[str]
    is_left_out: ClassVar[bool] = False
    names_sessions: ClassVar[bool] = False
    reads_state: ClassVar[bool] = False

    @abstractmethod
    def recognise(self, opening: Opening) -> Confidence:
        """Return the confidence that a connection is of this protocol, by what is known about it so far."""

    @abstractmethod
    def start_session(self, opening: Opening) -> Session:
        """Return a session for a new connection."""

    def endpoint(self, url: str) -> str:
        """Return the URL without parts that are different for each connection. The default returns it unchanged."""
        return url

    def query(self, url: str) -> Mapping[str, str] | None:
        """Return the parameters in the URL's query that the application added; None means all parameters."""
        return None

    def session_key(self, opening: Opening) -> str | None:
        """Return the id of the session that a request or WebSocket continues, None if it starts a session."""
        return None


class WebSocketProtocol(Protocol):
    """A protocol whose connections are WebSockets.

    subprotocols    names in `Sec-WebSocket-Protocol` that belong to no other protocol
    own_parameters  parameters that the client library, not the application, adds to the URL's query
    """

    subprotocols: ClassVar[tuple[str, ...]] = ()
    own_parameters: ClassVar[frozenset[str]] = frozenset()

    def recognise(self, opening: Opening) -> Confidence:
        if not opening.is_websocket:
            return Confidence.NONE
        return Confidence.CERTAIN if opening.speaks(*self.subprotocols) else self.recognise_content(opening)

    @abstractmethod
    def recognise_content(self, opening: Opening) -> Confidence:
        """Return the confidence for a WebSocket without one of the subprotocols, by its URL and first messages."""

    def query(self, url: str) -> Mapping[str, str] | None:
        if not self.own_parameters:
            return None
        return {name: value for name, value in query_parameters(url).items() if name not in self.own_parameters}


def query_parameters(url: str) -> dict[str, str]:
    """Return the parameters in the query of a URL, none if the URL is invalid."""
    try:
        return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
    except ValueError:
        return {}


def with_path(url: str, path: str) -> str:
    """Return `url` with its path replaced by `path`."""
    return urlunsplit(urlsplit(url)._replace(path=path))
