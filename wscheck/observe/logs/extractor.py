"""Events from the bytes of a log. One pass searches for markers; only the lines around a marker are read."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from wscheck.model.events import Event
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.encoding import Encoding
from wscheck.observe.logs.event_builder import FULL, EventBuilder, PrefixMemory
from wscheck.observe.logs.fast_reader.reader import FastReader
from wscheck.observe.logs.fast_reader.scan import Found, NeedleScanner
from wscheck.observe.logs.formats.browser_console import NEEDLES
from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.general_reader import GeneralReader
from wscheck.observe.logs.matcher import RecordMatcher
from wscheck.observe.logs.suggest.column_roles import ConnectionIds
from wscheck.observe.logs.suggest.suggestions import NO_IDS, MarkerProposal, find_suggestions
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.observe.tailing.read_buffer import ReadBuffer

LONGEST = 1 << 20
"""A longer line is not read. With a marker it is counted as unreadable."""

KEPT = 1 << 16
"""Bytes that are retained of the lines already read, for records that start before their marker."""

OVERLAP = 128
"""Bytes of a skipped line that are searched again with what follows. More than any marker has."""

NEWLINE = ord("\n")

TOO_LONG = "the line is longer than 1 MiB"


class LogExtractor:
    """Reader of one log.

    It takes the bytes in order and returns the events of complete records, in the order of their markers.

    path, node     path and server process of the events
    redactor       removes the secrets of this run
    prefix_memory  shared by the readers of one log
    """

    def __init__(
        self,
        path: str,
        *,
        wording: LogVocabulary | None = None,
        node: str | None = None,
        redactor: Redactor | None = None,
        prefix_memory: PrefixMemory | None = None,
    ) -> None:
        self._wording = wording = wording or LogVocabulary()
        self._needle = wording.needle_pattern()
        self._event_builder = EventBuilder(path, node, redactor)
        matcher, timestamps = RecordMatcher(wording), TimestampParser(path, wording.time_key_names())
        shared = (matcher, timestamps, self._event_builder, PrefixMemory() if prefix_memory is None else prefix_memory)
        self._general_reader = GeneralReader(path, *shared)
        self._fast_reader = FastReader(*shared, learns=not wording.markers)
        self._scanner, self._encoding = NeedleScanner(wording), Encoding()
        self._held = bytearray()
        self._buffer: ReadBuffer | None = None
        self._gone = self._next = self._floor = 0
        self._places: Iterator[Found] | None = None
        self._skipping = self._skipped_marker = False
        self.bytes = self.lines = 0

    @property
    def unreadable(self) -> int:
        """Return the number of lines that look like events and cannot be read."""
        return self._event_builder.unreadable

    @property
    def levels(self) -> Mapping[str, int]:
        """Return the number of events by completeness of their records (docs/logs.md)."""
        return self._event_builder.levels + Counter({FULL: self._fast_reader.event_count})

    def suggestions(self, kinds: Collection[str], about: ConnectionIds = NO_IDS) -> list[MarkerProposal]:
        """Return options that would read events of `kinds` in the last lines.

        `about` restricts them to connections with these ids.
        """
        return find_suggestions(self._recent(), self._wording, kinds, _events_in, about)

    @property
    def latest(self) -> float | None:
        """Return the time of the last line that has one, in seconds since the epoch."""
        return self._general_reader.latest_time(self._recent())

    def _recent(self) -> bytes:
        lowest, whole = self._lowest(self._next)
        begin = lowest if whole else self._held.find(b"\n", lowest, self._next) + 1
        return bytes(self._held[begin : self._next])

    # --- what is fed -------------------------------------------------------------------------------------------------

    def feed(self, data: Any) -> list[Event]:
        """Read `data` and return the events of the complete records."""
        self._take(data)
        return self.read()

    def look(self, buffer: ReadBuffer, size: int) -> int:
        """Read the first `size` bytes of the buffer's payload and return how many events `read` would return.

        Records of a known shape are only noted here. Building thousands of events at once takes half the time, because
        a
        megabyte of log between two records evicts the code and data of the evaluation from the processor's cache.
        """
        if self._encoding.settled and self._lies_on(buffer):
            self.bytes += size
            end = buffer.reserve + size
            self._read(buffer.data.rfind(b"\n", self._next, end) + 1, buffer.scratch)
            self._stay_on(buffer, end)
            self._skip()
        else:
            self._take(buffer.payload[:size])
        return self._event_builder.waiting + self._fast_reader.pending

    def read(self) -> list[Event]:
        """Return the events of the complete records."""
        self._fast_reader.flush()
        return self._event_builder.take_events()

    def _take(self, data: Any) -> None:
        self.detach()
        self.bytes += len(data)
        self._held += self._encoding.take(data)
        self._read(self._held.rfind(b"\n", self._next) + 1)
        self._skip()
        surplus = self._next - KEPT
        if surplus > KEPT:
            del self._held[:surplus]
            self._gone += surplus
            self._next -= surplus

    def _lies_on(self, buffer: ReadBuffer) -> bool:
        """Move the retained bytes in front of the buffer's payload; return False if they are too long."""
        if self._buffer is not buffer:
            self.detach()
            if len(self._held) > buffer.reserve:
                return False
            floor = buffer.prepend(self._held, self)
            self._held, self._buffer = buffer.data, buffer
            self._moved(floor, floor)
        return True

    def _stay_on(self, buffer: ReadBuffer, end: int) -> None:
        """Retain the bytes before `end` that are still needed, in the buffer if they fit."""
        begin = max(self._floor, self._next - KEPT)
        if end - begin > buffer.reserve:
            self._held, self._buffer = buffer.data[begin:end], None
            self._moved(-begin, 0)
        else:
            self._moved(buffer.reserve - end, buffer.carry_over(begin, end))

    def detach(self) -> None:
        """Copy the retained bytes out of the buffer."""
        if self._buffer is not None:
            self._held, self._buffer = self._held[self._floor : self._buffer.reserve], None
            self._moved(-self._floor, 0)

    def _moved(self, by: int, floor: int) -> None:
        """Update the positions after the retained bytes moved by `by` and start at `floor`."""
        self._gone, self._next = self._gone - by, self._next + by
        self._floor = self._fast_reader.floor = floor

    @property
    def _end(self) -> int:
        """Return the end of the retained bytes."""
        return len(self._held) if self._buffer is None else self._buffer.reserve

    def flush(self, *, at_end: bool = False) -> list[Event]:
        """Complete the records that wait for further lines and return their events.

        `at_end`: the last line is complete although it has no line end.
        """
        self.detach()
        if at_end:
            self._held += self._encoding.end()
            self._read(len(self._held))
        self._fast_reader.flush()
        if len(self._held) == self._next:
            # A line that is being written may belong to what waits; without one, nothing more is to be expected.
            self._general_reader.finish()
        return self._event_builder.take_events()

    @property
    def pending(self) -> bool:
        """Return whether a record has started that may continue."""
        return self._general_reader.busy

    @property
    def offset(self) -> int:
        """Return the number of bytes up to the end of the last complete record. Reading can resume there."""
        begun = self._general_reader.start_offset
        begin = max(0, begun - self._gone) if begun is not None else self._next
        if self._encoding.plain:
            return self._gone + self._next if begun is None else begun
        return self.bytes - self._encoding.size_of(self._held[begin : self._end])

    def _read(self, end: int, marks: bytearray | None = None) -> None:
        """Read the complete lines up to `end`."""
        if end <= self._next:
            return
        self._scanner.detect_journal(self._held, self._next, end)
        found, counted = self._scanner.scan(self._held, self._next, end, self.lines, marks)
        held, lines, position = self._held, self._general_reader, self._next
        if self._skipping:
            position = self._end_of_skipped(end)
        self._places = iter(found)
        while position < end:
            if not lines.busy:
                position = self._shortcuts(position, end)
                if position >= end:
                    break
            begin, position = position, held.find(b"\n", position, end) + 1 or end
            self._line(begin, position)
            self.lines += held[position - 1] == NEWLINE
        self._next, self.lines = end, counted

    def _shortcuts(self, position: int, end: int) -> int:
        """Note the records that the fast reader can read; return the start of the first line for the general reader."""
        held, note = self._held, self._fast_reader.note
        if self._places is None:
            self._places = iter(self._scanner.scan(held, position, end, self.lines)[0])
        for at, line in self._places:
            if at < position:
                continue
            begin = held.rfind(b"\n", position, at) + 1 or position
            position = note(held, at, begin, end, line)
            if not position:
                self.lines = line - 1
                return begin
        return end

    def _skip(self) -> None:
        """Discard the part of a line that exceeds the maximum length."""
        end = self._end
        if end - self._next > (0 if self._skipping else LONGEST):
            # What is looked at may begin before: a marker can lie across two pieces.
            begin = self._next - OVERLAP if self._skipping else self._next
            self._skipped_marker |= self._needle.search(self._held, max(self._floor, begin), end) is not None
            self._skipping, self._next = True, end

    def _end_of_skipped(self, end: int) -> int:
        """Return the end of a line that exceeded the maximum length."""
        line_end = self._held.find(b"\n", self._next, end) + 1 or end
        marked = self._skipped_marker or self._needle.search(
            self._held, max(self._floor, self._next - OVERLAP), line_end
        )
        self._skipping = self._skipped_marker = False
        self._too_long(bool(marked))
        self.lines += self._held[line_end - 1] == NEWLINE
        return line_end

    def _too_long(self, marked: bool) -> None:
        self._fast_reader.flush()
        if marked:
            self._event_builder.add_unreadable(self.lines + 1, TOO_LONG, "")
        self._general_reader.skip_line()

    # --- one line ----------------------------------------------------------------------------------------------------

    def _line(self, begin: int, end: int) -> None:
        held = self._held
        if end - begin > LONGEST + 1:
            self._too_long(self._needle.search(held, begin, end) is not None)
            return
        self._fast_reader.flush()
        raw = bytes(held[begin:end])
        marked = self._scanner.journal or self._needle.search(raw) is not None
        console = self._general_reader.console
        if not console.started and b"nified WebSocket" in raw and console.starts(LogMessage(decode_line(raw))):
            self._begin_console(begin)
        self._general_reader.read_line(raw, self.lines + 1, self._gone + begin, marked, self._above)

    def _begin_console(self, begin: int) -> None:
        """Read the lines above again: only this line shows that a browser console wrote the log."""
        self._needle = re.compile(b"|".join([self._needle.pattern, *NEEDLES]))
        self._scanner.add_needles(*NEEDLES)
        self._places = None
        lowest, whole = self._lowest(begin)
        first = lowest if whole else self._held.find(b"\n", lowest, begin) + 1 or begin
        line = self.lines - self._held.count(b"\n", first, begin)
        for raw in bytes(self._held[first:begin]).splitlines(keepends=True):
            line += 1
            self._general_reader.reread_line(raw, line)

    def _above(self, begin: int) -> Iterator[tuple[bytes, int]]:
        """Yield the lines above the offset `begin`, the nearest first, each with its offset."""
        begin -= self._gone
        lowest, whole = self._lowest(begin)
        while begin > lowest:
            above = self._held.rfind(b"\n", lowest, begin - 1) + 1 or lowest
            if above == lowest and not whole:
                return  # its beginning is no longer held
            yield bytes(self._held[above:begin]), self._gone + above
            begin = above

    def _lowest(self, begin: int) -> tuple[int, bool]:
        """Return how far lines above `begin` are retained, and whether the log starts there."""
        lowest = max(self._floor, begin - KEPT)
        return lowest, lowest + self._gone == 0


def _events_in(log: bytes, wording: LogVocabulary) -> list[Event]:
    extractor = LogExtractor("", wording=wording)
    return [*extractor.feed(log), *extractor.flush(at_end=True)]
