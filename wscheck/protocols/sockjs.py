"""SockJS: messages of another protocol, in frames of SockJS on a WebSocket or a stream.

The URL contains the number of a server and an id for each session: PREFIX/SERVER/SESSION/TRANSPORT.

Source: https://sockjs.github.io/sockjs-protocol/sockjs-protocol-0.3.3.html.
"""

import re
from typing import Any

import msgspec

from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.protocols.event_stream import EventStreamParser
from wscheck.protocols.protocol import (
    Accepted,
    Beat,
    Confidence,
    Data,
    Direction,
    Ended,
    Inner,
    InnerData,
    Malformed,
    Opening,
    Protocol,
    Session,
    Transport,
    WireEvents,
    with_path,
)

_PATH = re.compile(r"^(?P<prefix>.*)/(?P<server>[^/.]+)/(?P<session>[^/.]+)/(?P<transport>websocket|eventsource)$")
_USUAL = re.compile(r"/\d{3}/[a-z0-9]{8}/\w+$")
"""Server and session as sockjs-client writes them. The protocol allows any text without a dot."""

_TRANSPORTS = {"websocket": Transport.WEBSOCKET, "eventsource": Transport.EVENT_STREAM}
_DECODER = msgspec.json.Decoder()


class SockJs(Protocol):
    """SockJS on a WebSocket or an event stream. Its other transports, which use only HTTP requests, are not read."""

    id = "sockjs"
    name = "SockJS"

    def recognise(self, opening: Opening) -> Confidence:
        match = _PATH.match(opening.path)
        if match is None or _TRANSPORTS[match["transport"]] is not opening.transport:
            return Confidence.NONE
        if opening.received and opening.is_websocket:
            return Confidence.CERTAIN if opening.received[0] == "o" else Confidence.NONE
        is_usual = _USUAL.search(opening.path) is not None
        return Confidence.LIKELY if is_usual else Confidence.NONE

    def start_session(self, opening: Opening) -> "SockJsSession":
        return SockJsSession(opening)

    def endpoint(self, url: str) -> str:
        match = _PATH.match(Opening(url=url, transport=Transport.WEBSOCKET).path)
        return with_path(url, match["prefix"]) if match is not None else url


class SockJsSession(Session):
    """Session of one SockJS connection. Its messages are the data of an inner connection of another protocol."""

    def __init__(self, opening: Opening) -> None:
        self._opening, self._is_ended = opening, False
        self._parser = EventStreamParser() if opening.transport is Transport.EVENT_STREAM else None

    def accept(self, at: float) -> WireEvents:
        url = SockJs().endpoint(self._opening.url)
        carried = Opening(url=url, transport=Transport.WEBSOCKET, headers=self._opening.headers)
        return [Accepted(at=at), Inner(at=at, opening=carried)]

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        if direction is Direction.SENT:
            return _inner(text, direction, at)
        if self._parser is None:
            return _process_frame(text, at)
        frames = [event[1] for event in self._parser.feed(text) if event is not None]
        return [each for frame in frames for each in _process_frame(frame, at)]

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        if self._is_ended:
            return []
        self._is_ended = True
        return [Ended(at=at, reason=reason or TRANSPORT_CLOSE)]


def _process_frame(frame: str, at: float) -> WireEvents:
    """Process a frame of the server: open, heartbeat, array of messages, message, or close."""
    kind, rest = frame[:1], frame[1:]
    if kind in ("a", "m"):
        return _inner(rest, Direction.RECEIVED, at)
    if kind == "h":
        return [Beat(at=at, direction=Direction.RECEIVED)]
    return [] if kind in ("o", "c", "") else [Malformed(at=at, reason="unknown frame of SockJS")]


def _inner(text: str, direction: Direction, at: float) -> WireEvents:
    """Return the messages in a JSON text (one, or an array) as data of the inner connection."""
    try:
        messages: Any = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return [Malformed(at=at, reason="messages in a frame of SockJS are no JSON")]
    return [
        InnerData(at=at, direction=direction, data=str(each))
        for each in (messages if isinstance(messages, list) else [messages])
    ]
