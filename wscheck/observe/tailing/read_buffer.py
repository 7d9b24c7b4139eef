"""Where the bytes of logs are read, one piece after another: memory that is asked for once and used again.

To ask for half a megabyte with each piece costs more than to read it: the kernel clears every page that it gives.
"""

from typing import Protocol

FRONT = 1 << 17
CHUNK = 1 << 19
"""As much as stays in the processor's own cache with all that is made of it."""


class Holder(Protocol):
    """Whose bytes lie on a desk from one piece to the next."""

    def leave(self) -> None:
        """Take them along: somebody else needs the place."""


class Desk:
    """Room for one piece, one user at a time.

    data   `front` bytes for what the reader of a log still needs of the piece before, then the piece
    room   the piece's part of it
    marks  as much as `data` again, for notes on what is there
    """

    __slots__ = ("_holder", "_whole", "data", "front", "marks", "room")

    def __init__(self, size: int = CHUNK, front: int = FRONT) -> None:
        self.front, self.data, self.marks = front, bytearray(front + size), bytearray(front + size)
        self._whole = memoryview(self.data)
        self.room = self._whole[front:]
        self._holder: Holder | None = None

    def holds(self, data: memoryview) -> bool:
        """Whether `data` is the beginning of the room."""
        return data.obj is self.data

    def lay(self, held: bytearray, holder: Holder) -> int:
        """Lay what `holder` needs before the room, where it stays until it leaves; gives where it begins."""
        if self._holder is not None and self._holder is not holder:
            self._holder.leave()
        self._holder = holder
        self.data[self.front - len(held) : self.front] = held
        return self.front - len(held)

    def keep(self, begin: int, end: int) -> int:
        """Move data[begin:end] before the room, for the next piece; gives where it begins now."""
        floor = self.front - (end - begin)
        self._whole[floor : self.front] = self._whole[begin:end]
        return floor
