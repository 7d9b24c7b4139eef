"""Random access to the unpacked bytes of a packed file (gzip, bzip2, xz, Zstandard), as far as the file is intact."""

import bz2
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

READ_BYTES = 1 << 14
UNPACK_BYTES = 1 << 20
LOOKBACK_BYTES = 1 << 16
"""Unpacked bytes before the latest read that stay available without unpacking the file again."""
GZIP_WINDOW = 16 + zlib.MAX_WBITS
GZIP_MAGIC = b"\x1f\x8b"
"""The first two bytes of every gzip file (RFC 1952, section 2.3.1)."""
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
"""The first four bytes of a Zstandard frame (RFC 8878, section 3.1.1)."""
ZSTD_HEADER_BYTES = 18
XZ_MEMORY = 1 << 27
"""Most memory in bytes that a packed file may demand; `xz -9` needs 65 MiB."""


class Decompressor(Protocol):
    """Decompressor of one stream, as in bz2, lzma and compression.zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """Decompressor of gzip. If the output of a call reaches its limit, the remaining packed bytes are kept."""

    def __init__(self) -> None:
        self._decompressor = zlib.decompressobj(GZIP_WINDOW)
        self._has_more = False

    @property
    def eof(self) -> bool:
        return self._decompressor.eof

    @property
    def needs_input(self) -> bool:
        return not (self._has_more or self._decompressor.unconsumed_tail or self.eof)

    @property
    def unused_data(self) -> bytes:
        return self._decompressor.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        unpacked = self._decompressor.decompress(self._decompressor.unconsumed_tail + data, max_length)
        self._has_more = len(unpacked) == max_length
        return unpacked


def _zstd() -> Any:
    """Return the module for Zstandard: of the standard library since Python 3.14, or its backport."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        from backports import zstd  # type: ignore[import-not-found, no-redef, unused-ignore]
    return zstd


_DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    ".gz": _Gunzip,
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY),
    ".zst": lambda: _zstd().ZstdDecompressor(),
}
PACKED_SUFFIXES = tuple(_DECOMPRESSORS)
FORMATS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}


class CannotUnpack(OSError):
    """Error: no library for the format of a packed file is installed."""


def is_packed(path: Path) -> bool:
    """Return whether the file is packed according to its name."""
    return path.suffix in _DECOMPRESSORS


def decompressor_for(path: Path) -> Callable[[], Decompressor]:
    """Return the factory of decompressors for the packed file at `path`. Raises CannotUnpack."""
    factory = _DECOMPRESSORS[path.suffix]
    try:
        factory()
    except ImportError:
        message = "reading .zst needs `pip install 'wscheck-cli[zstd]'`; or unpack the file with `zstd -d`"
        raise CannotUnpack(None, message, str(path)) from None
    return factory


def cannot_unpack(path: Path) -> str:
    """Return why the file at `path` cannot be unpacked here, "" if it can or need not be."""
    try:
        if is_packed(path):
            decompressor_for(path)
    except CannotUnpack as error:
        return error.strerror or str(error)
    return ""


class PackedReader:
    """Unpacked content of a packed file. A read far before the latest one unpacks the file again from the start.

    source   returns packed bytes from an offset on; none at the end, or while no more have arrived
    damaged  the stream is cut off, is corrupt or has another format: the rest cannot be read
    """

    def __init__(self, source: Callable[[int], bytes], new_decompressor: Callable[[], Decompressor] = _Gunzip) -> None:
        self._source, self._new_decompressor = source, new_decompressor
        self._rewind()

    def _rewind(self) -> None:
        self._decompressor = self._new_decompressor()
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
        while not self._corrupt:
            packed = self._next_packed()
            if not packed and (self._decompressor.needs_input or self._decompressor.eof):
                break
            try:
                data = self._decompressor.decompress(packed, UNPACK_BYTES)
            except Exception:  # each library has an error of its own: zlib.error, OSError, LZMAError, ZstdError
                self._corrupt = self.damaged = True
                break
            if data:
                return data
        return b""

    def _next_packed(self) -> bytes:
        """Return the packed bytes to unpack next; none at the end, or if the decompressor has enough of them.

        A file may contain several streams, with zeros after each.
        """
        if not self._decompressor.eof:
            if not self._decompressor.needs_input:
                return b""
            packed = self._read_source()
            self.damaged = not packed and self._packed_offset > 0
            return packed
        packed = (self._decompressor.unused_data or self._read_source()).lstrip(b"\0")
        self._decompressor = self._new_decompressor() if packed else self._decompressor
        return packed

    def _read_source(self) -> bytes:
        packed = self._source(self._packed_offset)
        self._packed_offset += len(packed)
        return packed


def zstd_content_size(header: bytes) -> int | None:
    """Return the unpacked size that the first frame of a Zstandard file states, None if it states none.

    `zstd FILE` writes one frame with this size (RFC 8878, section 3.1.1.1).
    """
    if len(header) < ZSTD_HEADER_BYTES or not header.startswith(ZSTD_MAGIC):
        return None
    descriptor = header[4]
    single_segment, code = bool(descriptor & 0x20), descriptor >> 6
    size = (int(single_segment), 2, 4, 8)[code]
    start = 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3]
    if not size:
        return None
    return int.from_bytes(header[start : start + size], "little") + (256 if size == 2 else 0)
