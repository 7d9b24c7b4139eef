"""A reusable buffer for the chunks of a log.

The buffer is allocated once. Allocating half a megabyte for each chunk costs more than reading it, because the kernel
clears every page that it provides.
"""

from typing import Protocol

RESERVE_BYTES = 1 << 17
PAYLOAD_BYTES = 1 << 19
"""A chunk this large stays in the processor's cache together with everything computed from it."""


class BufferUser(Protocol):
    """A log reader with unprocessed bytes in the buffer between two chunks."""

    def detach(self) -> None:
        """Copy this reader's unprocessed bytes out of the buffer, so that another reader can use it."""


class ReadBuffer:
    """Memory for one chunk at a time, used by one log reader at a time.

    data     `reserve` bytes for the unprocessed end of the previous chunk, then the payload
    payload  the part of `data` that receives a chunk
    scratch  work memory of the same size as `data`, which a search in `data` may overwrite
    """

    __slots__ = ("_user", "_whole", "data", "payload", "reserve", "scratch")

    def __init__(self, size: int = PAYLOAD_BYTES, reserve: int = RESERVE_BYTES) -> None:
        self.reserve, self.data, self.scratch = reserve, bytearray(reserve + size), bytearray(reserve + size)
        self._whole = memoryview(self.data)
        self.payload = self._whole[reserve:]
        self._user: BufferUser | None = None

    def contains(self, chunk: memoryview) -> bool:
        """Return whether `chunk` lies in this buffer."""
        return chunk.obj is self.data

    def prepend(self, unprocessed: bytearray, user: BufferUser) -> int:
        """Copy the bytes `unprocessed` directly in front of the payload. Return the offset of the copy in `data`.

        `user` is the reader to which the bytes belong. The copy stays valid until another reader uses the buffer: then
        `user.detach` is called.
        """
        if self._user is not None and self._user is not user:
            self._user.detach()
        self._user = user
        self.data[self.reserve - len(unprocessed) : self.reserve] = unprocessed
        return self.reserve - len(unprocessed)

    def carry_over(self, start: int, end: int) -> int:
        """Move data[start:end] in front of the payload, for the next chunk. Return the offset to which it was moved."""
        new_start = self.reserve - (end - start)
        self._whole[new_start : self.reserve] = self._whole[start:end]
        return new_start
