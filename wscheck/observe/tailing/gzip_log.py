"""Random access to the unpacked bytes of a gzip file, as far as the file is intact."""

import zlib
from collections.abc import Callable

READ_BYTES = 1 << 14
UNPACK_BYTES = 1 << 20
LOOKBACK_BYTES = 1 << 16
"""Unpacked bytes before the latest read that stay available without unpacking the file again."""
GZIP_WINDOW = 16 + zlib.MAX_WBITS
GZIP_MAGIC = b"\x1f\x8b"
"""The first two bytes of every gzip file (RFC 1952, section 2.3.1)."""


class GzipReader:
    """Unpacked content of a gzip stream, read forward; a read far behind unpacks it again from the start.

    source   returns packed bytes from an offset on; none at the end, or while no more have arrived
    damaged  the stream is cut off, is corrupt or is not gzip: the rest cannot be read
    """

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._rewind()

    def _rewind(self) -> None:
        self._decompressor = zlib.decompressobj(GZIP_WINDOW)
        self._unpacked = bytearray()
        self._packed_offset = self._start = 0
        self._corrupt = self.damaged = False

    @property
    def _end(self) -> int:
        return self._start + len(self._unpacked)

    def read_at(self, length: int, offset: int) -> bytes:
        """Return up to `length` unpacked bytes from `offset` on, fewer at the end."""
        if offset < self._start:
            self._rewind()
        while self._end < offset + length and self._unpack(offset):
            pass
        start = offset - self._start
        return bytes(self._unpacked[start : start + length])

    def size(self) -> int:
        """Return the number of unpacked bytes. This unpacks everything."""
        while self._unpack(self._end):
            pass
        return self._end

    def _unpack(self, wanted: int) -> bool:
        """Unpack a little more and return False at the end. Bytes well before `wanted` are dropped."""
        data = self._next_unpacked()
        surplus = min(wanted, self._end) - self._start - LOOKBACK_BYTES
        if surplus > UNPACK_BYTES:
            del self._unpacked[:surplus]
            self._start += surplus
        self._unpacked += data
        return bool(data)

    def _next_unpacked(self) -> bytes:
        while not self._corrupt and (packed := self._next_packed()):
            try:
                data = self._decompressor.decompress(packed, UNPACK_BYTES)
            except zlib.error:
                self._corrupt = self.damaged = True
                break
            if data:
                return data
        return b""

    def _next_packed(self) -> bytes:
        """Return the packed bytes to unpack next, none at the end. A file may contain several gzip members."""
        if not self._decompressor.eof:
            packed = self._decompressor.unconsumed_tail or self._read_source()
            self.damaged = not packed and self._packed_offset > 0
            return packed
        packed = (self._decompressor.unused_data or self._read_source()).lstrip(b"\0")
        self._decompressor = zlib.decompressobj(GZIP_WINDOW) if packed else self._decompressor
        return packed

    def _read_source(self) -> bytes:
        packed = self._source(self._packed_offset)
        self._packed_offset += len(packed)
        return packed
