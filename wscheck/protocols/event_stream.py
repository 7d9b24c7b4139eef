"""Server-sent events: streams of the media type text/event-stream, read by EventSource or by fetch().

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html, "Parsing an event stream".
"""

from wscheck.model.disconnect_reasons import TRANSPORT_CLOSE
from wscheck.protocols.protocol import (
    Confidence,
    Data,
    Direction,
    Ended,
    Malformed,
    Opening,
    Protocol,
    Received,
    Session,
    Transport,
    WireEvents,
)
from wscheck.protocols.websocket import MESSAGE, decode_json, is_heartbeat, message_name

MEDIA_TYPE = "text/event-stream"

MAX_EVENT = 1024 * 1024
"""Largest event that is read, in characters."""


class EventStream(Protocol):
    """A stream of server-sent events."""

    id = "event-stream"
    name = "server-sent events"

    def recognise(self, opening: Opening) -> Confidence:
        return Confidence.FALLBACK if opening.transport is Transport.EVENT_STREAM else Confidence.NONE

    def start_session(self, opening: Opening) -> "EventStreamSession":
        return EventStreamSession()


class EventStreamParser:
    """Parser of an event stream, which arrives in parts of any length."""

    def __init__(self) -> None:
        self._rest = ""
        self._after_return = self._is_oversized = False
        self._size = 0
        self._name, self._data = "", list[str]()
        self._is_start = True

    def feed(self, text: str) -> list[tuple[str, str] | None]:
        """Process the next part of the stream, and return each event that it completes, as type and data.

        None stands for an event that is too long.
        """
        if self._is_start and text:
            text, self._is_start = text.removeprefix("\ufeff"), False
        if self._after_return and text[:1] == "\n":
            text = text[1:]
        if text:
            self._after_return = text.endswith("\r")
        lines = (self._rest + text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._rest = lines.pop()
        found = [event for line in lines for event in self._process_line(line)]
        if len(self._rest) + self._size > MAX_EVENT:
            self._is_oversized, self._rest, self._data, self._size = True, "", [], 0
        return found

    def _process_line(self, line: str) -> list[tuple[str, str] | None]:
        if line:
            self._process_field(line)
            return []
        name, data, is_oversized = self._name or MESSAGE, self._data, self._is_oversized
        self._name, self._data, self._size, self._is_oversized = "", [], 0, False
        if is_oversized:
            return [None]
        return [(name, "\n".join(data))] if data else []

    def _process_field(self, line: str) -> None:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
            self._size += len(value) + 1


class EventStreamSession(Session):
    """Session of one stream. Its data are text in parts of any length, or bytes in UTF-8."""

    def __init__(self) -> None:
        self._parser, self._is_ended = EventStreamParser(), False
        self._undecoded = b""

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        if direction is Direction.SENT:
            return []
        text = data if isinstance(data, str) else self._decode(data)
        return [self._event(event, at) for event in self._parser.feed(text) if not _keeps_open(event)]

    def _decode(self, data: bytes) -> str:
        """Return the text of a part. If its last character is incomplete, keep the bytes of it for the next part."""
        data = self._undecoded + data
        complete = len(data) - _incomplete_length(data)
        self._undecoded = data[complete:]
        return data[:complete].decode("utf-8", "replace")

    def _event(self, event: tuple[str, str] | None, at: float) -> Received | Malformed:
        if event is None:
            return Malformed(at=at, reason="a server-sent event is longer than 1 MiB")
        name, text = event
        payload = decode_json(text)
        own_name = message_name(payload) if name == MESSAGE else name
        return Received(at=at, name=own_name or MESSAGE, payload=payload)

    def close(self, code: int | None, reason: str, at: float) -> WireEvents:
        if self._is_ended:
            return []
        self._is_ended = True
        return [Ended(at=at, reason=reason or TRANSPORT_CLOSE)]


def _keeps_open(event: tuple[str, str] | None) -> bool:
    return event is not None and is_heartbeat(event[1], event[0])


def _incomplete_length(data: bytes) -> int:
    """Return the number of bytes at the end of `data` that begin an incomplete UTF-8 character."""
    for length in range(1, min(4, len(data) + 1)):
        byte = data[-length]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return length if needed > length else 0
        if byte < 0x80:
            return 0
    return 0


def encode_event(name: str, data: str) -> str:
    """Return the text of an event as it stands in a stream, for sources of traffic that report only parsed events."""
    lines = [f"event: {name}", *(f"data: {line}" for line in data.split("\n"))]
    return "\n".join(lines) + "\n\n"
