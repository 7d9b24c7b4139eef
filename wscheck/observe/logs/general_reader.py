"""General reader: reads records of any format, line by line.

It decides which line starts a record, which lines continue a record, and which lines are parts of a split line.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from wscheck.observe.logs.event_builder import EventBuilder, PrefixMemory
from wscheck.observe.logs.formats.browser_console import ConsoleReader
from wscheck.observe.logs.formats.envelopes import (
    LogMessage,
    decode_line,
    parse_json_object,
    split_batch,
    unwrap,
    unwrap_joined,
)
from wscheck.observe.logs.formats.key_values import find_key_values
from wscheck.observe.logs.formats.line_prefix import PrefixKind, classify_prefix
from wscheck.observe.logs.formats.tables import Table
from wscheck.observe.logs.formats.timestamps import KEYS as TIME_KEYS
from wscheck.observe.logs.formats.timestamps import TIME_WITHIN, TimestampParser
from wscheck.observe.logs.formats.vendor_exports import is_unescaped
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import RecordMatcher, RecordStart
from wscheck.observe.logs.multiline import (
    LinesAbove,
    OpenRecords,
    complete_from_lines_above,
    is_inside_quotation,
    join_parts_above,
)

CUT_RECORD = "the record is incomplete: its JSON does not end"
SPLIT_LINE = "the container runtime split this line, and the rest is missing"
UNESCAPED_RECORD = (
    "Fluent Bit printed the fields of this record without escaping them: set its output to `format json_lines`"
)
BARE_RECORD = "it lacks the line prefix (time, level) of the other records, so it may be text that a user sent"

MAX_SPLIT_LINE = 1 << 20
MAX_LINES_BETWEEN_PARTS = 1_000
"""Number of lines after which the rest of a split line is no longer expected, because its writer must have stopped."""

MAX_UNTIMED_LINES = 1_000
"""Maximum number of lines without a time at the end of a log, for example the lines of a stack trace."""


_CUT = lazy_pattern(r"""^[^{]*\{".*"(?:msg|message|MESSAGE|log)"\s*:\s*"(?:[^"\\]|\\.)*$""", re.DOTALL)

_HEADER = lazy_pattern(r"(?P<time>.{8,40}?)\s[A-Za-z_$][\w$]*(?:\.[\w$]+)+(?:\s[\w$<>]+)?\s*")
"""Line with the time, the class and the method of a record, whose message follows on the next line."""

LinesAboveOffset = Callable[[int], Iterator[tuple[bytes, int]]]


class SplitLine(msgspec.Struct):
    """First parts of a line that a container runtime split: text, and line number and offset of the first part."""

    text: str
    line: int
    begin: int


class GeneralReader:
    """Reader of the lines with markers and of the lines after them, in order.

    While it is `busy` (a record or a split line is not complete), it must receive every line.

    table  columns of the log if it is a table (CSV), otherwise None
    """

    def __init__(
        self,
        path: str,
        matcher: RecordMatcher,
        timestamps: TimestampParser,
        event_builder: EventBuilder,
        prefix_memory: PrefixMemory,
    ) -> None:
        self._matcher, self._timestamps = matcher, timestamps
        self._event_builder = event_builder
        self.records = OpenRecords(self._matcher, self._timestamps)
        self.console = ConsoleReader(path)
        self._parts: dict[str, SplitLine] = {}
        self._prefix_memory = prefix_memory
        self.table: Table | None = None

    @property
    def busy(self) -> bool:
        return bool(self.records) or bool(self._parts)

    @property
    def start_offset(self) -> int | None:
        """Return the number of bytes before the first incomplete record or split line, None if all are complete."""
        offsets = [parts.begin for parts in self._parts.values()]
        if self.records.start_offset is not None:
            offsets.append(self.records.start_offset)
        return min(offsets, default=None)

    def reread_line(self, raw: bytes, line: int) -> None:
        """Read an earlier line again, after a later line showed that a browser console wrote the log."""
        message = unwrap(decode_line(raw), self._timestamps, self.table)
        if self._matcher.find_marker(message.text) is None:
            self._read_other(message, line)

    def reread_learned(self, text: str, line: int, header: str) -> None:
        """Read an earlier line again, after later lines showed the meaning of the logging call that wrote it.

        `header` is the line above if the line is indented, "" if it is not.
        """
        above = [(header.encode("utf-8", "replace"), 0)] if header else []
        self._read_marker(unwrap(text, self._timestamps, self.table), line, 0, lambda: iter(above))
        self.flush_complete()

    def read_line(self, raw: bytes, line: int, begin: int, marked: bool, above: LinesAboveOffset) -> None:
        """Read one line.

        begin   offset of the line in bytes
        marked  the line may contain a marker
        above   function that returns the lines above an offset
        """
        message = unwrap(decode_line(raw), self._timestamps, self.table)
        self._drop_split_lines(line - MAX_LINES_BETWEEN_PARTS)
        if message.batch:
            self._read_batch(message, line, begin)
        elif message.partial or message.writer in self._parts:
            self._read_part(message, line, begin, above)
        elif not (marked and self._read_marker(message, line, begin, lambda: above(begin))):
            self.records.add_line(message)
        self.flush_complete()

    def latest_time(self, log: bytes) -> float | None:
        """Return the time of the last line of `log` that contains a time."""
        for raw in reversed(log.splitlines()[-MAX_UNTIMED_LINES:]):
            message = unwrap(decode_line(raw), self._timestamps, self.table)
            at = message.at or self._timestamps.find(message.text[:TIME_WITHIN])
            if at is not None:
                return at
        return None

    def skip_line(self) -> None:
        """Treat a line that is too long to be read as an empty line."""
        self.records.add_line(LogMessage(""))
        self.flush_complete()

    def finish(self) -> None:
        """Complete all records, because no more lines follow for now."""
        self.records.close()
        self.flush_complete()
        self._drop_split_lines()

    def _drop_split_lines(self, before: float = float("inf")) -> None:
        """Discard incomplete split lines that started before line `before`.

        If a split line contains a record, it is reported as unreadable.
        """
        while self._parts and (first := next(iter(self._parts.values()))).line < before:
            del self._parts[next(iter(self._parts))]
            message = LogMessage(first.text)
            unwrap_joined(message, self._timestamps)
            if self._may_be_record(message):
                self._event_builder.add_unreadable(first.line, SPLIT_LINE, first.text)

    def _may_be_record(self, message: LogMessage) -> bool:
        record_start = self._matcher.match(message)
        if record_start is not None:
            return bool(record_start.ids) or not record_start.maybe_prose
        marker = self._matcher.find_marker(message.text) if message.fields is None else None
        return marker is not None and _is_cut(message.text, marker)

    def flush_complete(self) -> None:
        """Pass the complete records to the event builder."""
        for record in self.records.pop_complete():
            self._event_builder.add_record(record)

    def _read_batch(self, message: LogMessage, line: int, begin: int) -> None:
        """Read records that were exported together, each as if it were on its own line."""
        above: list[tuple[bytes, int]] = []
        for part in split_batch(message, self._timestamps):
            if not self._read_marker(part, line, begin, lambda: reversed(above)):
                self.records.add_line(part)
            above.append((part.text.encode("utf-8", "replace") + b"\n", begin))

    def _read_part(self, message: LogMessage, line: int, begin: int, above: LinesAboveOffset) -> None:
        """Read a part of a split line. After the last part, read the joined line at the position of its first part."""
        parts = self._parts.setdefault(message.writer, SplitLine("", line, begin))
        parts.text += message.text
        if message.partial and len(parts.text) < MAX_SPLIT_LINE:
            return
        del self._parts[message.writer]
        message.text, message.partial = parts.text, False
        unwrap_joined(message, self._timestamps)
        if not self._read_marker(message, parts.line, parts.begin, lambda: above(parts.begin)):
            self.records.add_line(message)

    def _read_marker(self, message: LogMessage, line: int, begin: int, above: LinesAbove) -> bool:
        """Start the record of a line with a marker. Return False if the line may belong to an earlier record."""
        record_start = self._matcher.match(message)
        if record_start is None and message.from_container:
            text, start = join_parts_above(message, above, self._timestamps)
            if start is not None:
                begin, message.text = start, text
                unwrap_joined(message, self._timestamps)
                record_start = self._matcher.match(message)
        if record_start is None:
            return self._read_other(message, line)
        if record_start.in_object:
            start = complete_from_lines_above(record_start, message, above, self._matcher, self._timestamps)
            if start is None:
                return False
            begin = start
        if message.at is None:
            message.at = record_time(record_start, message, self._timestamps)
        if message.at is None and message.fields is None:
            message.at = self._time_above(above, is_indented=message.text[:1].isspace())
        if self._is_quoted_text(record_start, message, line, above):
            return True
        self.records.start_record(record_start, message, line, begin)
        return True

    def _time_above(self, above: LinesAbove, *, is_indented: bool) -> float | None:
        """Return the time on the line above, if one logging call wrote both lines.

        java.util.logging writes time and class on a line of their own. .NET writes the message indented below the time,
        the level and the category.
        """
        raw, _ = next(iter(above()), (b"", 0))
        text = decode_line(raw) if raw else ""
        if is_indented and not text[:1].isspace():
            return self._timestamps.find(text[:TIME_WITHIN])
        header = _HEADER.fullmatch(text)
        return self._timestamps.find(header["time"]) if header is not None else None

    def _read_other(self, message: LogMessage, line: int) -> bool:
        """Read a console line, or report a line with an incomplete or unescaped record as unreadable.

        Return False for any other line, which may belong to an earlier record.
        """
        if self.console.started:
            event = self.console.read(message, line, message.at or self._timestamps.find(message.text[:40]))
            if event is not None:
                self.flush_complete()
                self._event_builder.events.append(event)
                return True
        marker = self._matcher.find_marker(message.text) if message.fields is None else None
        if marker is not None and _is_cut(message.text, marker):
            self._event_builder.add_unreadable(line, CUT_RECORD, message.text)
            return True
        if marker is not None and is_unescaped(message.text, marker):
            self._event_builder.add_unreadable(line, UNESCAPED_RECORD, message.text)
            return True
        return False

    def _is_quoted_text(self, record_start: RecordStart, message: LogMessage, line: int, above: LinesAbove) -> bool:
        """Return whether a record without line prefix is part of text that a user sent.

        It is user text if it is inside a quotation, or if earlier records of this kind and writer had a prefix.
        """
        kind, source = record_start.kind, message.writer
        if not record_start.unprefixed or message.structured:
            self._prefix_memory.add(kind, source)
            return False
        if is_inside_quotation(above):
            return True
        if self._prefix_memory.contains(kind, source):
            self._event_builder.add_unreadable(line, BARE_RECORD, message.text)
            return True
        return False


def record_time(record_start: RecordStart, message: LogMessage, timestamps: TimestampParser) -> float | None:
    """Return the time on the line of a marker: in its prefix or at its end, or under a key such as "time" (logfmt)."""
    at = timestamps.find(f"{record_start.prefix} {record_start.trailing_time}")
    if at is not None or message.fields is not None or not any(key in message.text for key in TIME_KEYS):
        return at
    pairs = (pair for pair in find_key_values(message.text) if pair.depth <= 1)
    return timestamps.from_fields({pair.key: pair.value for pair in pairs})


def _is_cut(text: str, marker: int) -> bool:
    """Return whether the marker is the message of an incomplete JSON record."""
    before, brace, rest = text.partition("{")
    whole = parse_json_object(brace + rest) is not None
    return not whole and classify_prefix(before) is PrefixKind.SURE and _CUT.match(text[:marker]) is not None
