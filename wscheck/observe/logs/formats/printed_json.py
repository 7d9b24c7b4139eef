"""JSON records that were printed over several lines, as `jq` prints them: each is joined to one line.

Records in a list are not joined: an application may have printed what a user sent.
"""

MAX_LINES = 400
MAX_SIZE = 1 << 17
"""Largest number of lines and bytes of a record. What is longer is a document that contains records."""


class PrintedJson:
    """Conversion of a log of printed JSON records to one line each.

    The line ends within a record are moved behind the record, so that the size of the text and the line numbers stay.
    """

    def __init__(self) -> None:
        self._is_first, self._is_printed = True, False
        self._rest = b""
        self._record = list[bytes]()
        self._size = 0

    @property
    def is_active(self) -> bool:
        """Return whether the log may contain printed records, so that `convert` may change its bytes."""
        return self._is_first or self._is_printed

    @property
    def waiting(self) -> bytes:
        """Return the bytes that wait for the end of a record or of a line."""
        return b"".join([*(part for line in self._record for part in (line, b"\n")), self._rest])

    def convert(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """Return `data` with each record on one line. The bytes of an incomplete record wait for the next call."""
        if self._is_first and len(data):
            self._is_first = False
            opening = bytes(data[:64]).lstrip()
            self._is_printed = opening.partition(b"\n")[0].rstrip() == b"{" and b"\n" in opening
        if not self._is_printed:
            return data
        found = list[bytes]()
        *lines, self._rest = (self._rest + bytes(data)).split(b"\n")
        for line in lines:
            found += self._line(line)
        return b"".join(found)

    def end(self) -> bytes:
        """Return the bytes that still wait at the end of the log."""
        rest, self._rest = self._rest, b""
        if not rest:
            return b"".join(self._unfinished())
        found = b"".join([*self._line(rest), *self._unfinished()])
        return found.removesuffix(b"\n")  # the last line has no end

    def _line(self, line: bytes) -> list[bytes]:
        content = line.rstrip()
        if not self._record and (content != b"{" or not self._is_printed):
            return [line, b"\n"]
        self._record.append(line)
        self._size += len(line) + 1
        if content == b"}":
            record, count = b"".join(self._record), len(self._record)
            self._record, self._size = [], 0
            return [record, b"\n" * count]
        if len(self._record) > MAX_LINES or self._size > MAX_SIZE:
            self._is_printed = False
            return self._unfinished()
        return []

    def _unfinished(self) -> list[bytes]:
        lines = [part for line in self._record for part in (line, b"\n")]
        self._record, self._size = [], 0
        return lines
