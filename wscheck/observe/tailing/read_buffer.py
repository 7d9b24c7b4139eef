"""Where the bytes of logs are read, one piece after another: memory that is asked for once and used again.

To ask for half a megabyte with each piece costs more than to read it: the kernel clears every page that it gives.
"""

from typing import Protocol

FRONT = 1 << 17
CHUNK = 1 << 19
"""As much as stays in the processor's own cache with all that is made of it."""


class BufferUser(Protocol):
    """Whose bytes lie in a read buffer from one piece to the next."""

    def detach(self) -> None:
        """Take them along: somebody else needs the place."""


class ReadBuffer:
    """Room for one piece, one user at a time.

    data   `reserve` bytes for what the reader of a log still needs of the piece before, then the piece
    payload   the piece's part of it
    scratch  as much as `data` again, for notes on what is there
    """

    __slots__ = ("_user", "_whole", "data", "payload", "reserve", "scratch")

    def __init__(self, size: int = CHUNK, reserve: int = FRONT) -> None:
        self.reserve, self.data, self.scratch = reserve, bytearray(reserve + size), bytearray(reserve + size)
        self._whole = memoryview(self.data)
        self.payload = self._whole[reserve:]
        self._user: BufferUser | None = None

    def contains(self, data: memoryview) -> bool:
        """Whether `data` is the beginning of the payload."""
        return data.obj is self.data

    def prepend(self, held: bytearray, user: BufferUser) -> int:
        """Lay what `user` needs before the payload, where it stays until it leaves; gives where it begins."""
        if self._user is not None and self._user is not user:
            self._user.detach()
        self._user = user
        self.data[self.reserve - len(held) : self.reserve] = held
        return self.reserve - len(held)

    def carry_over(self, begin: int, end: int) -> int:
        """Move data[begin:end] before the payload, for the next piece; gives where it begins now."""
        floor = self.reserve - (end - begin)
        self._whole[floor : self.reserve] = self._whole[begin:end]
        return floor
