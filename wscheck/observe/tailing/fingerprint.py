"""How a place in a log is recognised again: by what was read there, because names move and inodes are reused."""

from collections.abc import Callable

import msgspec

HEAD = 256
TAIL = 64

ReadAt = Callable[[int, int], bytes]
"""`read_at(length, offset)`: up to `length` bytes of a file, fewer at its end."""


class FilePosition(msgspec.Struct, frozen=True):
    """A place in a log: `offset` bytes in, with the file's first bytes and the last bytes before the place.

    lines  how many lines end before it, None where nobody counted
    """

    head: bytes
    tail: bytes
    offset: int
    lines: int | None = None

    def matches(self, read_at: ReadAt) -> bool:
        """Whether the file behind `read_at` holds what had been read when the position was taken."""
        return self._tail_matches(read_at) and read_at(len(self.head), 0) == self.head

    def _tail_matches(self, read_at: ReadAt) -> bool:
        return read_at(len(self.tail), self.offset - len(self.tail)) == self.tail

    @classmethod
    def taken(cls, read_at: ReadAt, offset: int) -> "FilePosition":
        """The position `offset` bytes into the file behind `read_at`."""
        tail = min(TAIL, offset)
        return cls(read_at(min(HEAD, offset), 0), read_at(tail, offset - tail), offset)
