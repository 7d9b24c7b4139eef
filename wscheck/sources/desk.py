"""Where the bytes of logs are read, one piece after another: memory that is asked for once and used again.

To ask for half a megabyte with each piece costs more than to read it: the kernel clears every page that it gives.
"""

FRONT = 1 << 17
CHUNK = 1 << 19
"""As much as stays in the processor's own cache with all that is made of it."""


class Desk:
    """Room for one piece, one user at a time.

    data   `front` bytes for what the reader of a log still needs of the piece before, then the piece
    room   the piece's part of it
    marks  as much as `data` again, for notes on what is there
    """

    __slots__ = ("data", "front", "marks", "room")

    def __init__(self, size: int = CHUNK, front: int = FRONT) -> None:
        self.front, self.data, self.marks = front, bytearray(front + size), bytearray(front + size)
        self.room = memoryview(self.data)[front:]

    def holds(self, data: memoryview) -> bool:
        """Whether `data` is the beginning of the room."""
        return data.obj is self.data
