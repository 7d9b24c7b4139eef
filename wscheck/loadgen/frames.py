"""WEBSOCKET FRAMES: bytes to messages and back, sans-I/O, for a client (RFC 6455, no extensions)."""

import random
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_CONTINUATION = 0x0
_FIN = 0x80
LARGEST = 16 * 1024 * 1024
"""Bytes a message may have: more than any event, less than what exhausts a machine that holds thousands."""


class Message(NamedTuple):
    """A whole message or a control frame; `data` is text for TEXT, bytes otherwise."""

    opcode: int
    data: str | bytes


class FrameError(ValueError):
    """Bytes that no server may send."""


class Frames:
    """Feed it what arrived; it gives the messages that are complete.

    `broken` says what was wrong once something was; nothing is read after that.
    """

    __slots__ = ("_fragments", "_kind", "_rest", "_wanted", "broken")

    def __init__(self) -> None:
        self._rest: bytes | bytearray = b""
        self._wanted = 0  # bytes of a frame in parts: looked at anew with each part, a large one would take minutes
        self._fragments: bytearray | None = None
        self._kind = 0
        self.broken: str | None = None

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return []
            data, self._rest, self._wanted = bytes(self._rest), b"", 0
        messages: list[Message] = []
        at, size = 0, len(data)
        try:
            while size - at >= 2 and self.broken is None:
                first, length = data[at], data[at + 1]
                if (
                    first == 0x81 and length < 126 and self._fragments is None
                ):  # a short text in one frame: nearly all of the traffic
                    end = at + 2 + length
                    if end > size:
                        break
                    messages.append((TEXT, data[at + 2 : end].decode()))  # type: ignore[arg-type]  # a tuple is quicker
                else:
                    end = self._frame(data, at, messages)
                    if not end:
                        break
                at = end
        except UnicodeDecodeError:
            self.broken = "a text that is not UTF-8"
        except FrameError as problem:
            self.broken = str(problem)
        if self.broken is None and at < size:
            self._rest = bytearray(data[at:])
        return messages

    def _frame(self, data: bytes, at: int, messages: list[Message]) -> int:
        """Reads the frame at `at`; where it ends, or 0 while it is incomplete."""
        first, length = data[at], data[at + 1]
        _lawful(first, length)
        start = at + 2
        if length >= 126:
            width = 2 if length == 126 else 8
            start += width
            if start > len(data):
                return 0
            length = int.from_bytes(data[at + 2 : start])
        joined = len(self._fragments) if self._fragments is not None and first & 0x0F == _CONTINUATION else 0
        if joined + length > LARGEST:
            raise FrameError(f"a message larger than {LARGEST >> 20} MiB")
        if start + length > len(data):
            self._wanted = start + length - at
            return 0
        self._take(first, data[start : start + length], messages)
        return start + length

    def _take(self, first: int, payload: bytes, messages: list[Message]) -> None:
        opcode = first & 0x0F
        if opcode & 0x8:
            messages.append(Message(opcode, payload))
            return
        if (opcode == _CONTINUATION) is (self._fragments is None):
            raise FrameError("a fragment out of order")
        if opcode:
            self._kind = opcode
            self._fragments = bytearray()
        assert self._fragments is not None
        self._fragments += payload
        if first & _FIN:
            whole, self._fragments = bytes(self._fragments), None
            messages.append(Message(self._kind, whole.decode() if self._kind == TEXT else whole))


def _lawful(first: int, length: int) -> None:
    """Raises FrameError for what needs no more than the first two bytes to be wrong."""
    opcode = first & 0x0F
    if first & 0x70:
        raise FrameError("a frame with reserved bits")
    if length & 0x80:
        raise FrameError("a masked frame")
    if opcode not in (_CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        raise FrameError("a frame of an unknown type")
    if opcode & 0x8 and (length > 125 or not first & _FIN):
        raise FrameError("a control frame that is long or fragmented")


def masked(opcode: int, payload: bytes) -> bytes:
    """One frame as a client sends it, under a new random mask."""
    length = len(payload)
    mask = random.getrandbits(32).to_bytes(4)
    if length < 126:
        head = bytes((_FIN | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((_FIN | opcode, 0xFE)) + length.to_bytes(2)
    else:
        head = bytes((_FIN | opcode, 0xFF)) + length.to_bytes(8)
    return head + mask + mask_with(mask, payload)


def mask_with(mask: bytes, payload: bytes) -> bytes:
    """`payload` under `mask`, and back."""
    length = len(payload)
    key = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(length, "little")
