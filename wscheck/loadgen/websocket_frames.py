"""WebSocket frames for a client (RFC 6455 without extensions): bytes to messages and back, without I/O."""

import random
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_CONTINUATION = 0x0
_FIN = 0x80
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Largest message that is accepted: larger than any event, and small enough for thousands of connections."""


class WebSocketMessage(NamedTuple):
    """A whole message or a control frame. `data` is a str for TEXT and bytes for every other opcode."""

    opcode: int
    data: str | bytes


class FrameError(ValueError):
    """Error: the server sent bytes that a server must not send."""


class FrameReader:
    """Incremental parser of the frames from a server.

    `error` describes the first violation of the protocol, None if there was none. Nothing after a violation is parsed.
    """

    __slots__ = ("_bytes_needed", "_fragments", "_message_opcode", "_rest", "error")

    def __init__(self) -> None:
        self._rest: bytes | bytearray = b""
        # Size of an incomplete frame, so that a large frame is not parsed again with each part that arrives.
        self._bytes_needed = 0
        self._fragments: bytearray | None = None
        self._message_opcode = 0
        self.error: str | None = None

    def feed(self, data: bytes) -> list[WebSocketMessage]:
        """Return the messages that `data` completes, in order."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._bytes_needed:
                return []
            data, self._rest, self._bytes_needed = bytes(self._rest), b"", 0
        messages: list[WebSocketMessage] = []
        at, size = 0, len(data)
        try:
            while size - at >= 2 and self.error is None:
                first, length = data[at], data[at + 1]
                # A short text in one frame: nearly all of the traffic.
                if first == 0x81 and length < 126 and self._fragments is None:
                    end = at + 2 + length
                    if end > size:
                        break
                    # A plain tuple is faster than a named one.
                    messages.append((TEXT, data[at + 2 : end].decode()))  # type: ignore[arg-type]
                else:
                    end = self._parse_frame(data, at, messages)
                    if not end:
                        break
                at = end
        except UnicodeDecodeError:
            self.error = "text is not UTF-8"
        except FrameError as problem:
            self.error = str(problem)
        if self.error is None and at < size:
            self._rest = bytearray(data[at:])
        return messages

    def count_texts(self, data: bytes) -> int:
        """Return the number of messages in `data` if it contains whole, short text messages only.

        Return 0 for all other data, which `feed` must read. Nothing is stored in either case. For messages
        that nobody reads, this is much faster than `feed`.
        """
        if self._rest or self._fragments is not None or self.error is not None:
            return 0
        at, size, count = 0, len(data), 0
        try:
            if 2 <= size < 128 and data[0] == 0x81 and data[1] == size - 2:  # one message: the most frequent case
                data[2:].decode()
                return 1
            while size - at >= 2 and data[at] == 0x81 and (length := data[at + 1]) < 126:
                start, at = at + 2, at + 2 + length
                data[start:at].decode()
                count += 1
        except UnicodeDecodeError:
            return 0
        return count if at == size else 0

    def _parse_frame(self, data: bytes, at: int, messages: list[WebSocketMessage]) -> int:
        """Parse the frame at offset `at`. Return the offset of its end, or 0 if it is incomplete."""
        first, length = data[at], data[at + 1]
        _check_frame_start(first, length)
        start = at + 2
        if length >= 126:
            width = 2 if length == 126 else 8
            start += width
            if start > len(data):
                return 0
            length = int.from_bytes(data[at + 2 : start])
        joined = len(self._fragments) if self._fragments is not None and first & 0x0F == _CONTINUATION else 0
        if joined + length > MAX_MESSAGE_BYTES:
            raise FrameError(f"message larger than {MAX_MESSAGE_BYTES >> 20} MiB")
        if start + length > len(data):
            self._bytes_needed = start + length - at
            return 0
        self._add_frame(first, data[start : start + length], messages)
        return start + length

    def _add_frame(self, first: int, payload: bytes, messages: list[WebSocketMessage]) -> None:
        """Append the message that the frame completes, if it completes one."""
        opcode = first & 0x0F
        if opcode & 0x8:
            messages.append(WebSocketMessage(opcode, payload))
            return
        if (opcode == _CONTINUATION) is (self._fragments is None):
            raise FrameError("fragment out of order")
        if opcode:
            self._message_opcode = opcode
            self._fragments = bytearray()
        assert self._fragments is not None
        self._fragments += payload
        if first & _FIN:
            whole, self._fragments = bytes(self._fragments), None
            text_or_bytes = whole.decode() if self._message_opcode == TEXT else whole
            messages.append(WebSocketMessage(self._message_opcode, text_or_bytes))


def _check_frame_start(first: int, length: int) -> None:
    """Raise FrameError for the violations that the first two bytes show (RFC 6455, section 5.2)."""
    opcode = first & 0x0F
    if first & 0x70:
        raise FrameError("frame with reserved bits")
    if length & 0x80:
        raise FrameError("masked frame from a server")
    if opcode not in (_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        raise FrameError("frame of an unknown type")
    if opcode & 0x8 and (length > 125 or not first & _FIN):
        raise FrameError("control frame that is long or fragmented")


def encode_masked_frame(opcode: int, payload: bytes) -> bytes:
    """Return one frame as a client sends it, with a new random mask (RFC 6455, section 5.3)."""
    length = len(payload)
    mask = random.getrandbits(32).to_bytes(4)
    if length < 126:
        head = bytes((_FIN | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((_FIN | opcode, 0xFE)) + length.to_bytes(2)
    else:
        head = bytes((_FIN | opcode, 0xFF)) + length.to_bytes(8)
    return head + mask + apply_mask(mask, payload)


def apply_mask(mask: bytes, payload: bytes) -> bytes:
    """Return `payload` XOR `mask`. Applied twice it returns the payload."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")
