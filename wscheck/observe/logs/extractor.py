"""Extraction of events from the bytes of a log.

One pass searches for needles: short texts, one of which is in every marker (text that identifies an event). Only the
lines around a needle are decoded and read.
"""

import codecs
import re
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import Any

import stringzilla
from msgspec.structs import replace
from stringzilla import bytesum, count

from wscheck.model.events import Event
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.access_log import AccessLog
from wscheck.observe.logs.broker_log import MAX_FOREIGN_LINES, BrokerLog, broker_line
from wscheck.observe.logs.event_builder import FULL, EventBuilder, PrefixMemory
from wscheck.observe.logs.fast_reader.reader import FastReader
from wscheck.observe.logs.formats.browser_console import NEEDLES
from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line
from wscheck.observe.logs.formats.multiline_records import Paragraphs, PrintedJson
from wscheck.observe.logs.formats.tables import parse_table_header
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.general_reader import GeneralReader
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import RecordMatcher
from wscheck.observe.logs.vocabulary import START_NEEDLES, LogVocabulary
from wscheck.observe.logs.wording.scout import WordingScout
from wscheck.observe.tailing.read_buffer import ReadBuffer
from wscheck.observe.utf_16 import DETECTION_BYTES, utf_16_name

MAX_LINE = 1 << 20
"""Maximum size in bytes of a line that is read. A longer line counts as unreadable if it contains a marker."""

RETAINED = 1 << 16
"""Number of bytes before the current position that stay available, because a record may start before its marker."""

OVERLAP = 128
"""Number of bytes at the end of a skipped piece that are searched again with the next piece. No marker is longer."""

MAX_HEADER = 4096
"""Largest size in bytes of the line that names the columns of a table."""

MAX_OPENING = 64
"""Bytes at the start of a log by which JSON over several lines is recognised."""

NEWLINE = ord("\n")

TOO_LONG = "the line is longer than 1 MiB"

_FIRST_LINE_END = lazy_pattern(rb"\n|\r(?=[^\r\n])")
_LONE_RETURN = lazy_pattern(rb"\r(?!\n)")
_JOURNAL_KEY = lazy_pattern(rb'"(?:__CURSOR|__REALTIME_TIMESTAMP|_BOOT_ID)"')
_NUMBER_LIST_NEEDLES = (b"111,99,107,101,116,32,", b"111, 99, 107, 101, 116, 32,")
"""The text "ocket " as numbers: journald exports a message with colours or invalid characters as a list of bytes."""

_WIDE_NEEDLE = b"ocket "
_AFTER_WIDE_NEEDLE = (b"client ", b"for user", b"server ", b"connect")
"""Texts that follow "ocket " in the built-in markers that contain it.

One search for "ocket " finds all these markers. If too many hits are not followed by one of the texts, the longer
texts ("ocket client " and so on) are searched for instead.
"""

_MAX_VAIN_FINDS = 1_000
"""Number of finds of "ocket " that were no marker, after which the scanner searches for longer needles instead."""

_SEARCH_ALL_BYTES = 1 << 22
"""Number of bytes at the start of a log that are searched for the server start messages of all frameworks."""

_MAX_STARTS = 20
"""Number of hits in the first `_SEARCH_ALL_BYTES` above which a needle is too common to show server starts."""

Found = tuple[int, int]
"""Position of a needle in the data, and the number of its line, from 1."""

_LONG_PIECE = 1 << 16
_LINE_ENDS_AS_ONES = bytes(byte == ord("\n") for byte in range(256))


class LogExtractor:
    """Reader that converts the bytes of one log to events.

    It receives the bytes in order. Each call returns the events of the records that are complete by then, sorted by the
    position of their markers.

    path, node     path of the log, and server process that writes it
    redactor       removes the secrets of this run
    prefix_memory  which kinds of records start with a time or level; shared by the readers of all files of the log
    scout          finds lines without a known marker that report connections (see `wording`); these are read too
    """

    def __init__(
        self,
        path: str,
        *,
        wording: LogVocabulary | None = None,
        node: str | None = None,
        redactor: Redactor | None = None,
        prefix_memory: PrefixMemory | None = None,
        scout: WordingScout | None = None,
    ) -> None:
        self._wording = wording = wording or LogVocabulary()
        self._needle = wording.needle_pattern()
        self._event_builder = EventBuilder(path, node, redactor)
        self._matcher = matcher = RecordMatcher(wording)
        self._timestamps = timestamps = TimestampParser(path, wording.time_key_names())
        shared = (matcher, timestamps, self._event_builder, PrefixMemory() if prefix_memory is None else prefix_memory)
        self._general_reader = GeneralReader(path, *shared)
        self._fast_reader = FastReader(*shared, learns=not wording.markers)
        self._scanner, self._encoding = NeedleScanner(wording), Encoding()
        self._printed_json, self._paragraphs = PrintedJson(), Paragraphs()
        self._scout, self._learned_needles, self._learned_markers = scout, set[bytes](), 0
        self._data = bytearray()
        self.access_log: AccessLog | None = None
        custom = wording.custom_needles()
        self._custom_needle = re.compile(b"|".join(map(re.escape, custom))) if custom else None
        self._broker_log: BrokerLog | None = None
        self._is_no_broker_log = False
        self.is_printed_json = False
        self._buffer: ReadBuffer | None = None
        self._dropped = self._position = self._retained_from = 0
        self._places: Iterator[Found] | None = None
        self._skipping = self._skipped_marker = False
        self.bytes = self.lines = 0

    @property
    def unreadable(self) -> int:
        """Return the number of lines that look like events but cannot be read."""
        return self._event_builder.unreadable

    @property
    def levels(self) -> Counter[str]:
        """Return the number of events per completeness: with all ids, with the user only, and so on (docs/logs.md)."""
        return self._event_builder.levels + Counter({FULL: self._fast_reader.event_count})

    @property
    def scout(self) -> WordingScout | None:
        """Return the search for connections that no known marker reports, None if only known markers are read."""
        return self._scout

    @property
    def latest(self) -> float | None:
        """Return the time of the last line that contains a time, in seconds since the epoch."""
        return self._general_reader.latest_time(self._recent())

    def _recent(self) -> bytes:
        lowest, whole = self._lowest(self._position)
        begin = lowest if whole else self._data.find(b"\n", lowest, self._position) + 1
        return bytes(self._data[begin : self._position])

    # --- input --------------------------------------------------------------------------------------------------------

    def feed(self, data: Any) -> list[Event]:
        """Read `data` and return the events of the complete records."""
        self._read_copy(data)
        return self.read()

    def scan(self, buffer: ReadBuffer, size: int) -> int:
        """Read the first `size` bytes of the buffer's payload and return how many events `read` would return.

        Records of a known shape (the same bytes except ids and times) are only stored here; `read` builds their events.
        Building thousands of events at once takes half the time, because the log bytes between two records displace the
        program's data from the processor's cache.
        """
        are_unchanged = not self._printed_json.is_active and not self._paragraphs.is_active
        if self._encoding.settled and are_unchanged and self._move_to_buffer(buffer):
            self.bytes += size
            end = buffer.reserve + size
            self._read(buffer.data.rfind(b"\n", self._position, end) + 1, buffer.scratch)
            self._retain_in_buffer(buffer, end)
            self._skip_long_line()
        else:
            self._read_copy(buffer.payload[:size])
        return self._event_builder.waiting + self._fast_reader.pending

    def read(self) -> list[Event]:
        """Return the events of the records that were completed since the last call."""
        self._fast_reader.flush()
        return self._take_events()

    def _take_events(self) -> list[Event]:
        """Return the events that were built since the last call.

        Each of them gets the resolution of the log's timestamps.
        """
        events = self._event_builder.take_events()
        if self._timestamps.has_fractions:
            return events
        return [replace(event, resolution=1.0) if event.at is not None else event for event in events]

    def _read_copy(self, data: Any) -> None:
        self.detach()
        self.bytes += len(data)
        self._data += self._paragraphs.convert(self._printed_json.convert(self._encoding.convert(data)))
        self._read(self._data.rfind(b"\n", self._position) + 1)
        self._skip_long_line()
        surplus = self._position - RETAINED
        if surplus > RETAINED:
            del self._data[:surplus]
            self._dropped += surplus
            self._position -= surplus

    def _move_to_buffer(self, buffer: ReadBuffer) -> bool:
        """Move the bytes kept from earlier calls in front of the buffer's payload. Return whether they fit there."""
        if self._buffer is not buffer:
            self.detach()
            if len(self._data) > buffer.reserve:
                return False
            floor = buffer.prepend(self._data, self)
            self._data, self._buffer = buffer.data, buffer
            self._shift(floor, floor)
        return True

    def _retain_in_buffer(self, buffer: ReadBuffer, end: int) -> None:
        """Retain the bytes before `end` that are still needed, in the buffer if they fit."""
        begin = max(self._retained_from, self._position - RETAINED)
        if end - begin > buffer.reserve:
            self._data, self._buffer = buffer.data[begin:end], None
            self._shift(-begin, 0)
        else:
            self._shift(buffer.reserve - end, buffer.carry_over(begin, end))

    def detach(self) -> None:
        """Copy the retained bytes out of the buffer, so that another reader can use the buffer."""
        if self._buffer is not None:
            self._data, self._buffer = self._data[self._retained_from : self._buffer.reserve], None
            self._shift(-self._retained_from, 0)

    def _shift(self, by: int, floor: int) -> None:
        """Add `by` to the stored positions, because the retained bytes were moved. These bytes now start at `floor`."""
        self._dropped, self._position = self._dropped - by, self._position + by
        self._retained_from = self._fast_reader.floor = floor

    @property
    def _end(self) -> int:
        """Return the position directly after the last retained byte."""
        return len(self._data) if self._buffer is None else self._buffer.reserve

    def flush(self, *, at_end: bool = False) -> list[Event]:
        """Complete the records that wait for further lines and return their events.

        at_end  the log has ended, so its last line is complete even without a line end
        """
        self.detach()
        if at_end:
            self._data += self._paragraphs.convert(self._printed_json.convert(self._encoding.end()))
            self._data += self._paragraphs.convert(self._printed_json.end())
            self._data += self._paragraphs.flush(at_end=True)
            self._read(len(self._data))
        elif self._paragraphs.is_active and (found := self._paragraphs.flush(at_end=False)):
            self._data += found
            self._read(self._data.rfind(b"\n", self._position) + 1)
        self._fast_reader.flush()
        if len(self._data) == self._position:
            # A half-written last line may belong to an open record, so records are closed only if there is none.
            self._general_reader.finish()
        return self._take_events()

    @property
    def pending(self) -> bool:
        """Return whether further lines may belong to a record whose start has been read."""
        return self._general_reader.busy or (self._paragraphs.is_active and bool(self._paragraphs.waiting))

    @property
    def offset(self) -> int:
        """Return the number of bytes up to the end of the last complete record, where reading can resume."""
        first_open = self._general_reader.start_offset
        begin = max(0, first_open - self._dropped) if first_open is not None else self._position
        if self._encoding.plain and not self._paragraphs.is_active:
            return self._dropped + self._position if first_open is None else first_open
        unread = self._paragraphs.original(self._data[begin : self._end])
        waiting = self._paragraphs.waiting + self._printed_json.waiting
        return self.bytes - self._encoding.input_size(unread + waiting)

    def _read(self, end: int, marks: bytearray | None = None) -> None:
        """Read the complete lines up to `end`. `marks` is the scratch space of `NeedleScanner.scan`."""
        if end <= self._position:
            return
        self._scanner.detect_journal(self._data, self._position, end)
        if not self.lines:
            header = self._data[self._position : min(end, self._position + MAX_HEADER)].partition(b"\n")[0]
            self._general_reader.table = parse_table_header(decode_line(header))
            opening = bytes(self._data[self._position : min(end, self._position + MAX_OPENING)])
            self.is_printed_json = opening.lstrip().partition(b"\n")[0].rstrip() in {b"[", b"{"}
            self._timestamps.detect_date_order(bytes(self._data[self._position : min(end, self._position + RETAINED)]))
        if self._read_broker_log(end):
            return
        if self._scout is not None:
            self._learn(self._scout, end)
            self._read_requests(end)
        found, counted = self._scanner.scan(self._data, self._position, end, self.lines, marks)
        data, lines, position = self._data, self._general_reader, self._position
        if self._skipping:
            position = self._finish_skipped_line(end)
        self._places = iter(found)
        while position < end:
            if not lines.busy:
                position = self._read_fast(position, end)
                if position >= end:
                    break
            begin, position = position, data.find(b"\n", position, end) + 1 or end
            self._line(begin, position)
            self.lines += data[position - 1] == NEWLINE
        self._position, self.lines = end, counted
        if self.access_log is not None and (spans := self.access_log.take_spans()) and not self.levels.total():
            self._event_builder.add_spans(spans)
        if self.access_log is not None and (lost := self.access_log.take_lost()) and not self.levels.total():
            self._event_builder.add_lost_sessions(lost)

    def _read_broker_log(self, end: int) -> bool:
        """Read the lines up to `end` if this is the log of an MQTT broker; return whether it is one.

        The lines before the first line that only a broker writes are read like the lines of other logs. If they
        contain events, the log is not taken for that of a broker. Nor is a log with a marker of the user, from the
        first such line on.
        """
        if self._is_no_broker_log:
            return False
        if self._broker_log is None:
            start = self._broker_start(end)
            if start is None:
                return False
            self._read(start)
            if self.levels.total():
                return False
            self._broker_log = BrokerLog(self._timestamps)
        begin = self._finish_skipped_line(end) if self._skipping else self._position
        marker = self._custom_needle.search(self._data, begin, end) if self._custom_needle is not None else None
        if marker is not None:
            self._is_no_broker_log = True
            end = self._data.rfind(b"\n", begin, marker.start()) + 1 or begin
        lines = bytes(self._data[begin:end])
        self._broker_log.read(lines, self.lines + 1)
        self._event_builder.add_broker_events(self._broker_log.take_events())
        for number, text in self._broker_log.take_unreadable():
            self._event_builder.add_unreadable(number, "an id is too long, or the form of the line is unknown", text)
        self._position, self.lines = end, self.lines + lines.count(b"\n")
        return marker is None

    def _broker_start(self, end: int) -> int | None:
        """Return the offset of the first line before `end` that only an MQTT broker writes, None if there is none.

        Only the first lines of a log without events are searched.
        """
        if self._skipping or self.lines >= MAX_FOREIGN_LINES or self.levels.total():
            return None
        stop = self._position
        for _ in range(MAX_FOREIGN_LINES - self.lines):
            stop = self._data.find(b"\n", stop, end) + 1 or end
            if stop >= end:
                break
        found = broker_line(bytes(self._data[self._position : stop]))
        return None if found is None else self._position + found

    def _read_requests(self, end: int) -> None:
        """Count the requests of real-time connections in the lines before `end`, if this is an access log."""
        begin = self._position
        if self.access_log is None and not self.lines:
            opening = bytes(self._data[begin : min(end, begin + RETAINED)])
            self.access_log = AccessLog.recognise(self._timestamps, opening)
        if self.access_log is not None:
            self.access_log.read(self._data, begin, end, self.lines + 1)

    def _learn(self, scout: WordingScout, end: int) -> None:
        """Search the lines before `end` for reports of connections in unknown words.

        The lines of one logging call are a statement. If the scout learns the meaning of a statement, read its earlier
        lines again.
        """
        rows = scout.search(self._data, self._position, end, self.lines + 1)
        wording = scout.wording
        self._matcher.learned = wording if wording else None
        if len(scout.markers) > self._learned_markers:
            self._learned_markers = len(scout.markers)
            added = tuple((kind, text) for text, kind in scout.markers.items())
            keys = (*self._wording.keys, *scout.keys)
            self._matcher.use_markers(LogVocabulary((*self._wording.markers, *added), keys))
        found = (*wording.needles(), *map(str.encode, scout.markers))
        needles = [each for each in found if each not in self._learned_needles]
        if needles:
            self._learned_needles.update(needles)
            self._needle = re.compile(b"|".join([self._needle.pattern, *map(re.escape, needles)]))
            self._scanner.add_needles(*needles)
        for row in rows:
            self._general_reader.reread_learned(row.text, row.line, row.header)

    def _read_fast(self, position: int, end: int) -> int:
        """Store the records that the fast reader can read; return the start of the first line that it cannot read."""
        data, note = self._data, self._fast_reader.note
        if self._places is None:
            self._places = iter(self._scanner.scan(data, position, end, self.lines)[0])
        for at, line in self._places:
            if at < position:
                continue
            begin = data.rfind(b"\n", position, at) + 1 or position
            position = note(data, at, begin, end, line)
            if not position:
                self.lines = line - 1
                return begin
        return end

    def _skip_long_line(self) -> None:
        """Discard the part of a line that exceeds the maximum length."""
        end = self._end
        if end - self._position > (0 if self._skipping else MAX_LINE):
            # The search starts before the new piece, because a marker may span two pieces.
            begin = self._position - OVERLAP if self._skipping else self._position
            self._skipped_marker |= self._needle.search(self._data, max(self._retained_from, begin), end) is not None
            self._skipping, self._position = True, end

    def _finish_skipped_line(self, end: int) -> int:
        """Count a line that exceeded the maximum length, and return the position of its end."""
        line_end = self._data.find(b"\n", self._position, end) + 1 or end
        marked = self._skipped_marker or self._needle.search(
            self._data, max(self._retained_from, self._position - OVERLAP), line_end
        )
        self._skipping = self._skipped_marker = False
        self._too_long(bool(marked))
        self.lines += self._data[line_end - 1] == NEWLINE
        return line_end

    def _too_long(self, marked: bool) -> None:
        self._fast_reader.flush()
        if marked:
            self._event_builder.add_unreadable(self.lines + 1, TOO_LONG, "")
        self._general_reader.skip_line()

    # --- one line -----------------------------------------------------------------------------------------------------

    def _line(self, begin: int, end: int) -> None:
        data = self._data
        if end - begin > MAX_LINE + 1:
            self._too_long(self._needle.search(data, begin, end) is not None)
            return
        self._fast_reader.flush()
        raw = bytes(data[begin:end])
        marked = (
            self._scanner.journal
            or self._needle.search(raw) is not None
            or any(needle in raw for needle in self._scanner.start_needles)
        )
        console = self._general_reader.console
        if not console.started and b"nified WebSocket" in raw and console.starts(LogMessage(decode_line(raw))):
            self._begin_console(begin)
        self._general_reader.read_line(raw, self.lines + 1, self._dropped + begin, marked, self._above)

    def _begin_console(self, begin: int) -> None:
        """Read the lines above `begin` again as console lines.

        The line at `begin` is the first to show that a browser console wrote the log.
        """
        self._needle = re.compile(b"|".join([self._needle.pattern, *NEEDLES]))
        self._scanner.add_needles(*NEEDLES)
        self._places = None
        lowest, whole = self._lowest(begin)
        first = lowest if whole else self._data.find(b"\n", lowest, begin) + 1 or begin
        line = self.lines - self._data.count(b"\n", first, begin)
        for raw in bytes(self._data[first:begin]).splitlines(keepends=True):
            line += 1
            self._general_reader.reread_line(raw, line)

    def _above(self, begin: int) -> Iterator[tuple[bytes, int]]:
        """Yield the lines above the offset `begin` with their offsets, the nearest line first."""
        begin -= self._dropped
        lowest, whole = self._lowest(begin)
        while begin > lowest:
            above = self._data.rfind(b"\n", lowest, begin - 1) + 1 or lowest
            if above == lowest and not whole:
                return  # the start of the line is not retained any more
            yield bytes(self._data[above:begin]), self._dropped + above
            begin = above

    def _lowest(self, begin: int) -> tuple[int, bool]:
        """Return the lowest offset from which lines above `begin` can be read, and whether the log starts there."""
        lowest = max(self._retained_from, begin - RETAINED)
        return lowest, lowest + self._dropped == 0


def read_events(log: bytes, vocabulary: LogVocabulary) -> list[Event]:
    """Return the events of a whole log."""
    extractor = LogExtractor("", wording=vocabulary)
    return [*extractor.feed(log), *extractor.flush(at_end=True)]


class NeedleScanner:
    """Search for all needles (short texts; every marker contains one) in a piece of a log.

    The search finds the needles and their line numbers before any record in the piece is read."""

    def __init__(self, wording: LogVocabulary) -> None:
        self._needles = wording.custom_needles()
        self.start_needles, self._started = list(START_NEEDLES), Counter[bytes]()
        self._searched = 0
        self._widely, self._in_vain = True, 0
        self._looked = False
        self.journal = False

    def add_needles(self, *needles: bytes) -> None:
        """Add needles to those that `scan` searches for."""
        self._needles += needles

    def detect_journal(self, data: bytearray, begin: int, end: int) -> None:
        """Detect from the first line whether journald wrote the log."""
        if self._looked:
            return
        line_end = data.find(b"\n", begin, end)
        self.journal = _JOURNAL_KEY.search(data, begin, end if line_end < 0 else line_end) is not None
        self._looked = True
        if self.journal:
            self.add_needles(*_NUMBER_LIST_NEEDLES)

    def scan(
        self, data: bytearray, begin: int, end: int, lines: int, marks: bytearray | None = None
    ) -> tuple[list[Found], int]:
        """Return the needles in data[begin:end] as (position, line number), and the number of lines before `end`.

        lines  number of lines that end before `begin`
        marks  scratch space as long as `data`, which makes counting faster
        """
        places = self._places(data, begin, end)
        parts = pairwise((begin, *places, end))
        if marks is not None and end - begin > _LONG_PIECE:
            ones = _line_ends(data, begin, end, marks)
            ended = [bytesum(ones[since:until]) for since, until in parts]
        else:
            ended = [count(data, b"\n", since, until) if since < until else 0 for since, until in parts]
        *numbers, after = accumulate(ended[1:], initial=lines + 1 + ended[0])
        return list(zip(places, numbers, strict=True)), after - 1

    def _places(self, data: bytearray, begin: int, end: int) -> list[int]:
        found = self._documented_markers(data, begin, end) if self._widely else []
        for needle in self._needles:
            found += _places(data, needle, begin, end)
        for needle in self.start_needles:
            starts = _places(data, needle, begin, end)
            self._started[needle] += len(starts)
            found += starts
        if self._searched <= _SEARCH_ALL_BYTES:
            self._searched += end - begin
            if self._searched > _SEARCH_ALL_BYTES:
                self._keep_useful_start_needles()
        if self._widely and self._in_vain > _MAX_VAIN_FINDS:
            self._widely = False
            self.add_needles(*(_WIDE_NEEDLE + after for after in _AFTER_WIDE_NEEDLE))
        return sorted(found) if self._needles or self.start_needles else found

    def _keep_useful_start_needles(self) -> None:
        """Keep searching only for those messages about a server start that occurred in this log.

        Each further needle (searched text) makes reading a large log slower.
        """
        rare = [needle for needle in self.start_needles if 0 < self._started[needle] <= _MAX_STARTS]
        common = self.start_needles[-1]
        self.start_needles = rare if rare or self._started[common] > _MAX_STARTS else [common]

    def _documented_markers(self, data: bytearray, begin: int, end: int) -> list[int]:
        """Return the positions of built-in markers with "ocket " in data[begin:end], such as "ocket client "."""
        found, find, vain = list[int](), stringzilla.find, 0
        while (at := find(data, _WIDE_NEEDLE, begin, end)) >= 0:
            begin = at + len(_WIDE_NEEDLE)
            if data.startswith(_AFTER_WIDE_NEEDLE, begin):
                found.append(at)
            else:
                vain += 1
        self._in_vain += vain
        return found


def _places(data: bytearray, needle: bytes, begin: int, end: int) -> list[int]:
    found, find = [], stringzilla.find
    while (at := find(data, needle, begin, end)) >= 0:
        found.append(at)
        begin = at + 1
    return found


def _line_ends(data: bytearray, begin: int, end: int, marks: bytearray) -> memoryview:
    """Return a view of `marks` that is 1 at each line end of data[begin:end] and 0 elsewhere.

    The sum of a part of the view is its number of lines. Searching for each line end instead would take most of the
    time of reading a log.
    """
    ones = memoryview(marks)
    stringzilla.translate(data, _LINE_ENDS_AS_ONES, start=begin, end=end, out=ones[begin:end])
    return ones


class Encoding:
    """Incremental conversion of UTF-16 logs (PowerShell writes them) to UTF-8, and of carriage returns to newlines.

    A byte order mark identifies UTF-16; without one, zeros in every second byte do. If the first line of the log
    ends with a carriage return alone, each carriage return alone ends a line. Other bytes pass through unchanged.
    """

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._name = ""
        self._ends_with_return: bool | None = None
        self._held_returns = b""

    @property
    def plain(self) -> bool:
        """Return whether bytes pass through unchanged and no bytes are buffered."""
        return self._decoder is None and not self._head

    @property
    def settled(self) -> bool:
        """Return whether the log is known to need no conversion, so that all its bytes pass through unchanged."""
        return self._head is None and self._decoder is None and self._ends_with_return is False

    def convert(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """Return `data` as UTF-8. Bytes that cannot be converted yet are buffered for the next call."""
        if self._head is not None:
            data, self._head = self._head + bytes(data[:DETECTION_BYTES]) + bytes(data[DETECTION_BYTES:]), None
            if len(data) < DETECTION_BYTES:
                self._head = data
                return b""
            self._recognise(data)
        return self._with_newlines(
            data if self._decoder is None else self._decoder.decode(bytes(data)).encode("utf-8", "replace")
        )

    def _with_newlines(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        if self._ends_with_return is False:
            return data
        text, self._held_returns = self._held_returns + bytes(data), b""
        if self._ends_with_return is None and (first := _FIRST_LINE_END.search(text)) is not None:
            self._ends_with_return = first[0] != b"\n"
        if self._ends_with_return is not False:
            # Whether the returns at the end are lone is known with the next bytes.
            rest = text.rstrip(b"\r")
            text, self._held_returns = rest, text[len(rest) :]
        return _LONE_RETURN.sub(b"\n", text) if self._ends_with_return else text

    def end(self) -> bytes:
        """Return the bytes that are still buffered at the end of the log."""
        head, self._head = self._head or b"", None
        if self._decoder is not None:
            self._decoder.reset()  # discard an incomplete character
        held, self._held_returns = self._held_returns, b""
        return head + (held.replace(b"\r", b"\n") if self._ends_with_return else held)

    def input_size(self, text: bytes | bytearray) -> int:
        """Return the number of bytes that the converted `text` and the buffered bytes have in the log itself."""
        text = text + self._held_returns
        if self._decoder is None:
            return len(text) + len(self._head or b"")
        return len(text.decode("utf-8", "replace").encode(self._name)) + len(self._decoder.getstate()[0])

    def _recognise(self, data: bytes) -> None:
        name = utf_16_name(data)
        if name:
            self._name = name
            self._decoder = codecs.getincrementaldecoder(self._name)("replace")
