"""Records over several lines, each joined to one line.

- JSON that was printed over several lines, as `jq` prints it. Records in a list are not joined, because an application
  may have printed what a user sent, unless the log begins with the list of an export, as that of `aws logs`.
- Paragraphs: several lines without a prefix, one of which is the time, and then an empty line.
"""

from collections.abc import Sequence

from wscheck.observe.logs.formats.timestamps import STAMP
from wscheck.observe.logs.lazy_pattern import lazy_pattern

MAX_PRINTED_LINES = 400
MAX_PRINTED_SIZE = 1 << 17
"""Largest number of lines and bytes of a printed record. What is longer is a document that contains records."""

MAX_EXPORT_OPENING = 256
"""Bytes at the start of a log by which an export is recognised."""

MIN_LINES, MAX_LINES = 2, 12
"""Minimum and maximum number of lines of a paragraph that may be a record."""
MIN_PARAGRAPHS = 2
"""Number of paragraphs in the first piece of a log that show that its records are paragraphs."""
MAX_OPENING = 1 << 13
"""Number of bytes at the start of a log that are searched for paragraphs."""
MAX_LINE = 1 << 11
"""Longest line of a paragraph in bytes."""

_EXPORT = lazy_pattern(rb'\{\r?\n[ \t]+"(?:events|logs|records|entries|results)": \[\r?\n([ \t]+)\{')
"""Start of an export: an object with a list of records. The group is the indentation of the records."""

_JOINT = b",\t"
"""Separator of joined lines. Tabs within the lines are replaced, so the text occurs only as a separator."""


class PrintedJson:
    """Conversion of a log of printed JSON records to one line each.

    The line ends within a record are moved behind the record, so that the size of the text and the line numbers stay.
    """

    def __init__(self) -> None:
        self._is_first, self._is_printed = True, False
        self._begin, self._ends = b"{", frozenset((b"}",))
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
            opening = bytes(data[:MAX_EXPORT_OPENING]).lstrip()
            export = _EXPORT.match(opening)
            if export is not None:
                self._begin = export[1] + b"{"
                self._ends = frozenset((export[1] + b"}", export[1] + b"},"))
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
        if not self._record and (content != self._begin or not self._is_printed):
            return [line, b"\n"]
        is_last = content in self._ends
        self._record.append(line.replace(b"},", b"} ") if is_last else line)
        self._size += len(line) + 1
        if is_last:
            record, count = b"".join(self._record), len(self._record)
            self._record, self._size = [], 0
            return [record.lstrip().ljust(len(record)), b"\n" * count]
        if len(self._record) > MAX_PRINTED_LINES or self._size > MAX_PRINTED_SIZE:
            self._is_printed = False
            return self._unfinished()
        return []

    def _unfinished(self) -> list[bytes]:
        lines = [part for line in self._record for part in (line, b"\n")]
        self._record, self._size = [], 0
        return lines


class Paragraphs:
    """Conversion of a log to one line per paragraph.

    The line ends within a paragraph are moved behind it, so that the line numbers stay.
    """

    def __init__(self) -> None:
        self._is_first, self._are_records = True, False
        self._rest = b""
        self._lines, self._has_time = list[bytes](), False

    @property
    def is_active(self) -> bool:
        """Return whether the records may be paragraphs, so that `convert` may change the bytes."""
        return self._is_first or self._are_records

    @property
    def waiting(self) -> bytes:
        """Return the bytes that wait for the end of a paragraph or of a line."""
        return b"".join([*(part for line in self._lines for part in (line, b"\n")), self._rest])

    def convert(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """Return `data` with each paragraph on one line. Bytes of an incomplete paragraph wait for the next call."""
        if self._is_first and len(data):
            self._is_first = False
            self._are_records = _are_paragraphs(bytes(data[:MAX_OPENING]))
        if not self._are_records:
            return data
        return self._join(bytes(data))

    def flush(self, *, at_end: bool) -> bytes:
        """End the current paragraph if it has a time, and return its bytes. Call this when no lines follow for now.

        at_end  the log has ended, so return all bytes that still wait
        """
        if at_end and self._rest:
            last, self._rest = self._rest, b""
            found = b"".join([*self._add(last), self._end_paragraph()])
            return found.removesuffix(b"\n")  # the last line has no end
        return self._end_paragraph() if at_end or self._has_time else b""

    def original(self, text: bytes | bytearray) -> bytes:
        """Return the converted `text` without the added separators, so that it has as many bytes as in the log."""
        return bytes(text.replace(_JOINT, b"") if self._are_records else text)

    def _join(self, data: bytes) -> bytes:
        found = list[bytes]()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.strip() and len(self._lines) < MAX_LINES and len(line) <= MAX_LINE:
                found += self._add(line)
            else:
                found += self._end_paragraph(), line.replace(b"\t", b" "), b"\n"
        if len(self._rest) > MAX_LINE:
            found += self._end_paragraph(), self._rest.replace(b"\t", b" ")
            self._rest = b""
        return b"".join(found)

    def _add(self, line: bytes) -> list[bytes]:
        """Add a line to the current paragraph.

        If the line and the paragraph both contain a time, the line starts a new paragraph, and the current one is
        returned. Otherwise return an empty list.
        """
        has_time = _has_time(line)
        found = [self._end_paragraph()] if has_time and self._has_time else []
        self._lines.append(line)
        self._has_time = self._has_time or has_time
        return found

    def _end_paragraph(self) -> bytes:
        lines = [line.replace(b"\t", b" ").replace(b"\r", b" ") for line in self._lines]
        has_time, self._lines, self._has_time = self._has_time, [], False
        if len(lines) < MIN_LINES or not has_time:
            return b"".join(part for line in lines for part in (line, b"\n"))
        return _JOINT.join(lines) + b"\n" * len(lines)


def _are_paragraphs(opening: bytes) -> bool:
    """Return whether the first piece of a log shows that its records are paragraphs.

    A line prefix with a time, or a line of JSON, shows that they are not.
    """
    count, paragraph, times = 0, list[bytes](), 0
    for line in opening.split(b"\n")[:-1]:
        if line.strip():
            paragraph.append(line)
            times += _has_time(line)
            if times > 1 or not _may_continue(paragraph, times):
                return False
        elif paragraph:
            if len(paragraph) < MIN_LINES or not times:
                return False
            count, paragraph, times = count + 1, [], 0
    return count >= MIN_PARAGRAPHS


def _has_time(line: bytes) -> bool:
    return STAMP.search(line[:MAX_LINE].decode("utf-8", "replace")) is not None


def _may_continue(paragraph: Sequence[bytes], times: int) -> bool:
    """Return whether a record may begin with these lines. `times` is the number of lines with a time."""
    is_untimed_text = paragraph[0].lstrip()[:1] not in {b"{", b"["} and not (len(paragraph) == 1 and times)
    return is_untimed_text and len(paragraph) <= MAX_LINES and len(paragraph[-1]) <= MAX_LINE
