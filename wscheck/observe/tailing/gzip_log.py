"""The bytes inside what gzip packed by their place, as far as it is whole: what comes before a damage is not lost."""

import zlib
from collections.abc import Callable

CHUNK = 1 << 14
UNPACKED = 1 << 20
KEPT = 1 << 16
GZIP = 16 + zlib.MAX_WBITS
GZIP_MAGIC = b"\x1f\x8b"
"""What gzip begins everything with."""


class GzipReader:
    """What `source` gives, read forward; what lies far behind is unpacked anew.

    source  the packed bytes from a place on, some of them; none at the end, or while there are no more

    broken  it ends before its end, is damaged, or is no gzip file: what follows cannot be read
    """

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._rewind()

    def _rewind(self) -> None:
        self._unpacker = zlib.decompressobj(GZIP)
        self._held = bytearray()
        self._at = self._begin = 0
        self._damaged = self.broken = False

    @property
    def _end(self) -> int:
        return self._begin + len(self._held)

    def read_at(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes from `offset` on, fewer at the end."""
        if offset < self._begin:
            self._rewind()
        while self._end < offset + length and self._unpack(offset):
            pass
        begin = offset - self._begin
        return bytes(self._held[begin : begin + length])

    def size(self) -> int:
        """Bytes inside; to know this takes unpacking them."""
        while self._unpack(self._end):
            pass
        return self._end

    def _unpack(self, wanted: int) -> bool:
        """Unpack a little more; what lies before `wanted` need not be kept. False at the end."""
        data = self._more()
        surplus = min(wanted, self._end) - self._begin - KEPT
        if surplus > UNPACKED:
            del self._held[:surplus]
            self._begin += surplus
        self._held += data
        return bool(data)

    def _more(self) -> bytes:
        while not self._damaged and (packed := self._packed()):
            try:
                data = self._unpacker.decompress(packed, UNPACKED)
            except zlib.error:
                self._damaged = self.broken = True
                break
            if data:
                return data
        return b""

    def _packed(self) -> bytes:
        """What is to be unpacked next, none at the end. One file may hold several, packed one after the other."""
        if not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._next()
            self.broken = not packed and self._at > 0
            return packed
        packed = (self._unpacker.unused_data or self._next()).lstrip(b"\0")
        self._unpacker = zlib.decompressobj(GZIP) if packed else self._unpacker
        return packed

    def _next(self) -> bytes:
        packed = self._source(self._at)
        self._at += len(packed)
        return packed
