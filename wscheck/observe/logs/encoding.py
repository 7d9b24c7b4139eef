"""Conversion of UTF-16 logs (PowerShell writes them) to UTF-8.

A byte order mark identifies UTF-16; without one, zeros in every second byte do.
"""

import codecs

_SIGNS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_NEEDED = 8
_ENOUGH = 2


class Encoding:
    """Incremental conversion to UTF-8. Bytes that are not UTF-16 pass through unchanged."""

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._name = ""

    @property
    def plain(self) -> bool:
        """Return whether the bytes pass through unchanged and none are buffered."""
        return self._decoder is None and not self._head

    @property
    def settled(self) -> bool:
        """Return whether it is decided that bytes pass through unchanged."""
        return self._head is None and self._decoder is None

    def convert(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """Return `data` as UTF-8, as far as it can be converted yet."""
        if self._head is not None:
            data, self._head = self._head + bytes(data[:_NEEDED]) + bytes(data[_NEEDED:]), None
            if len(data) < _NEEDED:
                self._head = data
                return b""
            self._recognise(data)
        return data if self._decoder is None else self._decoder.decode(bytes(data)).encode("utf-8", "replace")

    def end(self) -> bytes:
        """Return the buffered bytes at the end of the log."""
        head, self._head = self._head or b"", None
        if self._decoder is not None:
            self._decoder.reset()  # half a character that was never completed
        return head

    def input_size(self, text: bytes | bytearray) -> int:
        """Return how many input bytes `text` and the buffered bytes after it came from."""
        if self._decoder is None:
            return len(text) + len(self._head or b"")
        return len(text.decode("utf-8", "replace").encode(self._name)) + len(self._decoder.getstate()[0])

    def _recognise(self, data: bytes) -> None:
        zeros = {parity: data[parity:_NEEDED:2].count(0) for parity in (0, 1)}
        name = _SIGNS.get(data[:2])
        if name is None and min(zeros.values()) == 0 and max(zeros.values()) >= _ENOUGH:
            name = "utf-16-le" if zeros[1] else "utf-16-be"
        if name:
            self._name = name
            self._decoder = codecs.getincrementaldecoder(self._name)("replace")
