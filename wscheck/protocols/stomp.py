"""STOMP on WebSocket, versions 1.0 to 1.2, also inside SockJS.

A frame is a command, headers, an empty line, and a body that ends with NUL. Line ends between frames are heartbeats.

Source: STOMP protocol specification 1.2, https://stomp.github.io/stomp-specification-1.2.html.
"""

import msgspec

from wscheck.protocols.protocol import (
    MAX_MESSAGE,
    Beat,
    Closing,
    Confidence,
    Data,
    Direction,
    Identified,
    LoginSession,
    Malformed,
    Opening,
    Received,
    Sent,
    Subscribed,
    Unsubscribed,
    WebSocketProtocol,
    WireEvents,
)
from wscheck.protocols.websocket import decode_json

SUBPROTOCOLS = ("v10.stomp", "v11.stomp", "v12.stomp")

MAX_SUBSCRIPTIONS = 10_000
"""Subscriptions that are stored of one connection."""

_ESCAPES = {"\\r": "\r", "\\n": "\n", "\\c": ":", "\\\\": "\\"}
_LOGINS = ("CONNECT", "STOMP")
_NEVER_ESCAPED = frozenset({"CONNECT", "CONNECTED", "STOMP"})
_MAX_HEADERS = 200


class StompFrame(msgspec.Struct, frozen=True):
    """One frame. `headers` has the first value of each header, as the specification demands."""

    command: str
    headers: dict[str, str]
    body: bytes = b""


class Stomp(WebSocketProtocol):
    """STOMP, recognised by its subprotocols or by the first frame of the client."""

    id = "stomp"
    name = "STOMP"
    subprotocols = SUBPROTOCOLS

    def recognise_content(self, opening: Opening) -> Confidence:
        return Confidence.CERTAIN if opening.sent and _is_login(opening.sent[0]) else Confidence.NONE

    def start_session(self, opening: Opening) -> "StompSession":
        return StompSession()


def _is_login(data: Data) -> bool:
    text = data if isinstance(data, str) else data[:200].decode("utf-8", "replace")
    command, line_end, _ = text.lstrip("\r\n").partition("\n")
    return bool(line_end) and command.rstrip("\r") in _LOGINS


class StompParser:
    """Parser of the frames of one direction, which arrive in parts of any length."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._is_oversized = False

    def feed(self, data: Data) -> list[StompFrame | None]:
        """Process the next part, and return the frames that it completes. None stands for an unreadable frame."""
        self._data += data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        found: list[StompFrame | None] = []
        while self._data:
            if self._is_oversized:
                if not self._skip():
                    break
                found.append(None)
                continue
            start = len(self._data) - len(self._data.lstrip(b"\r\n"))
            if start:
                del self._data[:start]
                continue
            length, frame = self._next_frame()
            if not length:
                self._is_oversized = len(self._data) > MAX_MESSAGE
                if self._is_oversized:
                    continue
                break
            del self._data[:length]
            found.append(frame)
        return found

    def _skip(self) -> bool:
        """Remove the rest of a frame that is too long. Return whether the end of the frame has arrived."""
        end = self._data.find(b"\0")
        self._is_oversized = end < 0
        del self._data[: end + 1 if end >= 0 else len(self._data)]
        return end >= 0

    def _next_frame(self) -> tuple[int, StompFrame | None]:
        """Return the length of the first frame, and the frame.

        The length is 0 if the frame is incomplete. The frame is None if it is incomplete or cannot be read.
        """
        nul = self._data.find(b"\0")
        head_end, body_at = self._head()
        if head_end < 0 or 0 <= nul < head_end:
            return (nul + 1, None) if nul >= 0 else (0, None)
        frame = _parse_head(bytes(self._data[:head_end]))
        stated = frame.headers.get("content-length", "") if frame is not None else ""
        end = nul
        if stated.isascii() and stated.isdigit() and len(stated) < 10:
            end = body_at + int(stated)
            if end >= len(self._data):
                return 0, None
            if self._data[end] != 0:
                end = self._data.find(b"\0", body_at)
        if end < 0:
            return 0, None
        body = bytes(self._data[body_at:end])
        return end + 1, msgspec.structs.replace(frame, body=body) if frame is not None else None

    def _head(self) -> tuple[int, int]:
        """Return the positions of the headers' end and of the body's start, both -1 if the headers are incomplete."""
        ends = [(at, at + len(mark)) for mark in (b"\n\n", b"\n\r\n") if (at := self._data.find(mark)) >= 0]
        return min(ends, default=(-1, -1))


def _parse_head(head: bytes) -> StompFrame | None:
    lines = head.decode("utf-8", "replace").split("\n")
    command = lines[0].rstrip("\r")
    if not (command.isascii() and command.isalpha() and command.isupper()):
        return None
    headers: dict[str, str] = {}
    for line in lines[1 : _MAX_HEADERS + 1]:
        name, colon, value = line.rstrip("\r").partition(":")
        if not colon:
            return None
        if command not in _NEVER_ESCAPED:
            name, value = _unescape(name), _unescape(value)
        headers.setdefault(name, value)
    return StompFrame(command, headers)


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    parts, at = [], 0
    while at < len(text):
        pair = text[at : at + 2]
        parts.append(_ESCAPES.get(pair, text[at]))
        at += 2 if pair in _ESCAPES else 1
    return "".join(parts)


class StompSession(LoginSession):
    """Session of one client."""

    def __init__(self) -> None:
        super().__init__()
        self._parsers = {direction: StompParser() for direction in Direction}
        self._destinations: dict[str, str] = {}

    def receive(self, direction: Direction, data: Data, at: float) -> WireEvents:
        if not data.strip("\r\n") if isinstance(data, str) else not data.strip(b"\r\n"):
            self._parsers[direction].feed(data)
            return [Beat(at=at, direction=direction)]
        events: WireEvents = []
        for frame in self._parsers[direction].feed(data):
            if frame is None:
                events.append(Malformed(at=at, reason="a STOMP frame that cannot be read"))
            elif direction is Direction.SENT:
                events += self._process_sent(frame, at)
            else:
                events += self._process_received(frame, at)
        return events

    def _process_sent(self, frame: StompFrame, at: float) -> WireEvents:
        headers = frame.headers
        if frame.command in _LOGINS:
            return [Identified(at=at, source="auth", values=headers)]
        if frame.command == "SUBSCRIBE":
            return self._subscribe(headers, at)
        if frame.command == "UNSUBSCRIBE":
            key = headers.get("id") or headers.get("destination", "")
            is_known = self._destinations.pop(key, None) is not None
            return [Unsubscribed(at=at, id=key)] if is_known else []
        if frame.command == "SEND":
            return [Sent(at=at, name=headers.get("destination", "SEND"), arguments=[_content(frame)])]
        return [Closing(at=at)] if frame.command == "DISCONNECT" else []

    def _subscribe(self, headers: dict[str, str], at: float) -> WireEvents:
        destination = headers.get("destination", "")
        key = headers.get("id") or destination
        if len(self._destinations) >= MAX_SUBSCRIPTIONS:
            return []
        replaced: WireEvents = [Unsubscribed(at=at, id=key)] if key in self._destinations else []
        self._destinations[key] = destination
        selector = headers.get("selector")
        same = {"selector": selector} if selector else None
        return [*replaced, Subscribed(at=at, id=key, name=destination, same=same)]

    def _process_received(self, frame: StompFrame, at: float) -> WireEvents:
        headers = frame.headers
        if frame.command == "CONNECTED":
            user = headers.get("user-name")
            named: WireEvents = [Identified(at=at, source="auth", values={"user-name": user})] if user else []
            return [*named, *self.open(at)]
        if frame.command == "ERROR":
            return self.refuse(headers.get("message", ""), at)
        if frame.command != "MESSAGE":
            return []
        name = self._destinations.get(headers.get("subscription", "")) or headers.get("destination", "MESSAGE")
        return [Received(at=at, name=name, payload=_content(frame))]


def _content(frame: StompFrame) -> object:
    return decode_json(frame.body.decode("utf-8", "replace"))
