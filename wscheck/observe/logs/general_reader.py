"""The lines around a marker: which of them begin a record, go on with one, or are parts of one line."""

import re
from collections.abc import Callable, Iterator

import msgspec

from wscheck.observe.logs.event_builder import EventBuilder, PrefixMemory
from wscheck.observe.logs.fast_reader.reader import FastReader
from wscheck.observe.logs.formats.browser_console import ConsoleReader
from wscheck.observe.logs.formats.envelopes import (
    LogMessage,
    decode_line,
    parse_json_object,
    split_batch,
    unwrap,
    unwrap_joined,
)
from wscheck.observe.logs.formats.line_prefix import PrefixKind, classify_prefix
from wscheck.observe.logs.formats.timestamps import TimestampParser
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
from wscheck.observe.logs.vocabulary import LogVocabulary

CUT_RECORD = "the record is cut: its JSON does not end"
SPLIT_LINE = "its runtime split the line, and the rest of it is missing"
UNESCAPED_RECORD = "Fluent Bit prints the fields of a record without escaping them: let it print `format json_lines`"
BARE_RECORD = "it stands without what stands before the other records: it may be text that somebody sent"

MAX_SPLIT_LINE = 1 << 20
MAX_LINES_BETWEEN_PARTS = 1_000
"""So many lines after the first part of a line its rest comes no more: whoever wrote it is gone."""

MAX_UNTIMED_LINES = 1_000
"""So many lines at the end of a log may tell no time, as those of a stack trace."""

TIME_WITHIN = 40
"""A time further into a line is what somebody speaks of."""

_CUT = lazy_pattern(r"""^[^{]*\{".*"(?:msg|message|MESSAGE|log)"\s*:\s*"(?:[^"\\]|\\.)*$""", re.DOTALL)

LinesAboveOffset = Callable[[int], Iterator[tuple[bytes, int]]]


class SplitLine(msgspec.Struct):
    """The first parts of a line that its runtime split: where it began, and what it says so far."""

    text: str
    line: int
    begin: int


class GeneralReader:
    """Takes the lines of interest in order; `busy` says that further lines are of interest whatever they say.

    shortcuts  read whole records at a glance, only while not `busy`: no other record may wait for these lines
    """

    def __init__(self, wording: LogVocabulary, path: str, evidence: EventBuilder, dressed: PrefixMemory) -> None:
        self._reader, self._calendar = RecordMatcher(wording), TimestampParser(path, wording.time_key_names())
        self._evidence = evidence
        self.records = OpenRecords(self._reader, self._calendar)
        self.console = ConsoleReader(path)
        self._parts: dict[str, SplitLine] = {}
        self._dressed = dressed
        self.shortcuts = FastReader(wording, self._reader, self._calendar, evidence, self._dressed)

    @property
    def busy(self) -> bool:
        return bool(self.records) or bool(self._parts)

    @property
    def start(self) -> int | None:
        """How many bytes were fed before the first record that is not complete."""
        begun = [parts.begin for parts in self._parts.values()]
        if self.records.start is not None:
            begun.append(self.records.start)
        return min(begun, default=None)

    def catch_up(self, raw: bytes, line: int) -> None:
        """A line above the one that showed whose log this is."""
        message = unwrap(decode_line(raw), self._calendar)
        if self._reader.sentence(message.text) is None:
            self._read_other(message, line)

    def take(self, raw: bytes, line: int, begin: int, marked: bool, above: LinesAboveOffset) -> None:
        """One line: `begin` is how many bytes were fed before it, `above` gives the lines above such a place."""
        message = unwrap(decode_line(raw), self._calendar)
        self._drop_split_lines(line - MAX_LINES_BETWEEN_PARTS)
        if message.parts:
            self._read_batch(message, line, begin)
        elif message.partial or message.source in self._parts:
            self._read_part(message, line, begin, above)
        elif not (marked and self._read_marker(message, line, begin, lambda: above(begin))):
            self.records.take(message)
        self.leave()

    def latest(self, log: bytes) -> float | None:
        """The time that the last lines of `log` tell, nearest to its end."""
        for raw in reversed(log.splitlines()[-MAX_UNTIMED_LINES:]):
            message = unwrap(decode_line(raw), self._calendar)
            at = message.at or self._calendar.read(message.text[:TIME_WITHIN])
            if at is not None:
                return at
        return None

    def foreign(self) -> None:
        """A line that is not read at all."""
        self.records.take(LogMessage(""))
        self.leave()

    def end(self) -> None:
        """No more lines for now."""
        self.records.end()
        self.leave()
        self._drop_split_lines()

    def _drop_split_lines(self, before: float = float("inf")) -> None:
        """Show the records whose lines began before this one and did not end."""
        while self._parts and (first := next(iter(self._parts.values()))).line < before:
            del self._parts[next(iter(self._parts))]
            message = LogMessage(first.text)
            unwrap_joined(message, self._calendar)
            if self._may_be_record(message):
                self._evidence.unread(first.line, SPLIT_LINE, first.text)

    def _may_be_record(self, message: LogMessage) -> bool:
        reading = self._reader.read(message)
        if reading is not None:
            return bool(reading.ids) or not reading.doubt
        marker = self._reader.sentence(message.text) if message.fields is None else None
        return marker is not None and _is_cut(message.text, marker)

    def leave(self) -> None:
        """Hand on what is complete."""
        for record in self.records.leave():
            self._evidence.record(record)

    def _read_batch(self, message: LogMessage, line: int, begin: int) -> None:
        """Records that were exported together: each as if it stood on a line of its own."""
        above: list[tuple[bytes, int]] = []
        for part in split_batch(message, self._calendar):
            if not self._read_marker(part, line, begin, lambda: reversed(above)):
                self.records.take(part)
            above.append((part.text.encode("utf-8", "replace") + b"\n", begin))

    def _read_part(self, message: LogMessage, line: int, begin: int, above: LinesAboveOffset) -> None:
        """A part of a line that was split: with the last one it is read as if it stood where its first part stands."""
        parts = self._parts.setdefault(message.source, SplitLine("", line, begin))
        parts.text += message.text
        if message.partial and len(parts.text) < MAX_SPLIT_LINE:
            return
        del self._parts[message.source]
        message.text, message.partial = parts.text, False
        unwrap_joined(message, self._calendar)
        if not self._read_marker(message, parts.line, parts.begin, lambda: above(parts.begin)):
            self.records.take(message)

    def _read_marker(self, message: LogMessage, line: int, begin: int, above: LinesAbove) -> bool:
        """Begin the record that a line with a marker may begin."""
        reading = self._reader.read(message)
        if reading is None and message.wrapped:
            text, start = join_parts_above(message, above, self._calendar)
            if start is not None:
                begin, message.text = start, text
                unwrap_joined(message, self._calendar)
                reading = self._reader.read(message)
        if reading is None:
            return self._read_other(message, line)
        if reading.block:
            start = complete_from_lines_above(reading, message, above, self._reader, self._calendar)
            if start is None:
                return False
            begin = start
        if message.at is None:
            message.at = self._calendar.read(f"{reading.before} {reading.behind}")
        if self._is_quoted_text(reading, message, line, above):
            return True
        self.records.begin(reading, message, line, begin)
        return True

    def _read_other(self, message: LogMessage, line: int) -> bool:
        """A line with a marker that begins no record: a console's, a cut one, or somebody's text."""
        if self.console.started:
            event = self.console.read(message, line, message.at or self._calendar.read(message.text[:40]))
            if event is not None:
                self.leave()
                self._evidence.events.append(event)
                return True
        marker = self._reader.sentence(message.text) if message.fields is None else None
        if marker is not None and _is_cut(message.text, marker):
            self._evidence.unread(line, CUT_RECORD, message.text)
            return True
        if marker is not None and is_unescaped(message.text, marker):
            self._evidence.unread(line, UNESCAPED_RECORD, message.text)
            return True
        return False

    def _is_quoted_text(self, reading: RecordStart, message: LogMessage, line: int, above: LinesAbove) -> bool:
        """Whether a bare record stands in somebody's text: in quotes that opened above, or unlike those before it."""
        kind, source = reading.kind, message.source
        if not reading.bare or message.structured:
            self._dressed.add(kind, source)
            return False
        if is_inside_quotation(above):
            return True
        if self._dressed.has(kind, source):
            self._evidence.unread(line, BARE_RECORD, message.text)
            return True
        return False


def _is_cut(text: str, marker: int) -> bool:
    """Whether the marker is the message of a JSON record that does not end."""
    before, brace, rest = text.partition("{")
    whole = parse_json_object(brace + rest) is not None
    return not whole and classify_prefix(before) is PrefixKind.SURE and _CUT.match(text[:marker]) is not None
