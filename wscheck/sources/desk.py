"""Where the bytes of logs are read, one piece after another: memory that is asked for once and used again.

To ask for half a megabyte with each piece costs more than to read it: the kernel clears every page that it gives.
"""

FRONT = 1 << 17
PIECE = 1 << 18
"""As much as stays in the processor's own cache while it is looked through."""

PIECES = 32
"""So many lie side by side: what reads and judges records is then fetched into that cache once for all of them."""


class Desk:
    """Room for pieces of one log at a time.

    data   `front` bytes for what the reader of a log still needs of what lay here before, then the pieces
    end    where the last piece ends
    marks  as much as a piece and `front`, for notes on what is there
    """

    __slots__ = ("_piece", "_view", "data", "end", "front", "marks")

    def __init__(self, pieces: int = PIECES, piece: int = PIECE, front: int = FRONT) -> None:
        self.front, self._piece = front, piece
        self.data, self.marks = bytearray(front + pieces * piece), bytearray(front + piece)
        self._view = memoryview(self.data)
        self.clear()

    @property
    def room(self) -> memoryview:
        """Where the next piece goes."""
        return self._view[self.end : self.end + self._piece]

    @property
    def full(self) -> bool:
        """Whether another whole piece would not fit."""
        return self.end + self._piece > len(self.data)

    def lay(self, size: int) -> int:
        """Keep the first `size` bytes of the room; gives where they begin."""
        self.end += size
        return self.end - size

    def clear(self) -> None:
        """Begin anew."""
        self.end = self.front

    def holds(self, data: memoryview) -> bool:
        """Whether `data` lies here."""
        return data.obj is self.data
