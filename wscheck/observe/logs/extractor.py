"""A log's bytes to events: one pass looks for markers, and only the lines around one are read."""

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
"""A line longer than this is not read; if it has a marker it is counted as unreadable."""

KEPT = 1 << 16
"""Bytes kept of what was read, for records that begin before their marker."""

OVERLAP = 128
"""Longer than any marker: so much of a line that is not kept is looked at again with what follows it."""

NEWLINE = ord("\n")

TOO_LONG = "the line is longer than 1 MiB"


class LogExtractor:
    """Feed it a log's bytes in order; it gives the events whose records are complete, in the order of their markers.

    path, node  what the events say of where they are from
    redactor    hides the secrets that this run knows
    dressed     what readers of the same log share
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
        """Lines that look like events and could not be read."""
        return self._event_builder.unreadable

    @property
    def levels(self) -> Mapping[str, int]:
        """Events by how much their records said (docs/logs.md)."""
        return self._event_builder.levels + Counter({FULL: self._fast_reader.event_count})

    def suggestions(self, kinds: Collection[str], about: ConnectionIds = NO_IDS) -> list[MarkerProposal]:
        """What in the last that was read may be events of these kinds, in words that are not looked for; `about`: of
        connections with these ids."""
        return find_suggestions(self._recent(), self._wording, kinds, _events_in, about)

    @property
    def latest(self) -> float | None:
        """The time of the last line that was read, or of the last before it that tells one."""
        return self._general_reader.latest_time(self._recent())

    def _recent(self) -> bytes:
        lowest, whole = self._lowest(self._next)
        begin = lowest if whole else self._held.find(b"\n", lowest, self._next) + 1
        return bytes(self._held[begin : self._next])

    # --- what is fed -------------------------------------------------------------------------------------------------

    def feed(self, data: Any) -> list[Event]:
        """Take further bytes (bytes, bytearray or memoryview; they are not kept) and give what is complete."""
        self._take(data)
        return self.read()

    def look(self, buffer: ReadBuffer, size: int) -> int:
        """Take the first `size` bytes in the desk's room; gives how many events there are for `read`.

        To read and judge a record takes code and books that megabytes of log drive out of the processor's cache, so
        records are only noted at first: what is then done with thousands of them is done in half the time.
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
        """The events whose records are complete."""
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
        """Whether what is held lies before the desk's room, where it is laid if it is not too much."""
        if self._buffer is not buffer:
            self.detach()
            if len(self._held) > buffer.reserve:
                return False
            floor = buffer.prepend(self._held, self)
            self._held, self._buffer = buffer.data, buffer
            self._moved(floor, floor)
        return True

    def _stay_on(self, buffer: ReadBuffer, end: int) -> None:
        """Hold what is still needed of the piece that ends there, on the desk if it is not too much."""
        begin = max(self._floor, self._next - KEPT)
        if end - begin > buffer.reserve:
            self._held, self._buffer = buffer.data[begin:end], None
            self._moved(-begin, 0)
        else:
            self._moved(buffer.reserve - end, buffer.carry_over(begin, end))

    def detach(self) -> None:
        """Hold what is needed of the log elsewhere than in a read buffer."""
        if self._buffer is not None:
            self._held, self._buffer = self._held[self._floor : self._buffer.reserve], None
            self._moved(-self._floor, 0)

    def _moved(self, by: int, floor: int) -> None:
        """What is held stands so much further up now, and begins at `floor`."""
        self._gone, self._next = self._gone - by, self._next + by
        self._floor = self._fast_reader.floor = floor

    @property
    def _end(self) -> int:
        """Where what is held ends."""
        return len(self._held) if self._buffer is None else self._buffer.reserve

    def flush(self, *, at_end: bool = False) -> list[Event]:
        """No more lines for now: give what waits for them. `at_end`: nor will there be, the last line is whole."""
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
        """Whether a record has begun and may still go on."""
        return self._general_reader.busy

    @property
    def offset(self) -> int:
        """Bytes fed up to the end of the last complete record: reading may go on from there."""
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
        """Note the records that can be read at a glance; gives where the first line begins that takes care."""
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
        """Hold no line that is too long."""
        end = self._end
        if end - self._next > (0 if self._skipping else LONGEST):
            # What is looked at may begin before: a marker can lie across two pieces.
            begin = self._next - OVERLAP if self._skipping else self._next
            self._skipped_marker |= self._needle.search(self._held, max(self._floor, begin), end) is not None
            self._skipping, self._next = True, end

    def _end_of_skipped(self, end: int) -> int:
        """The line that was too long ends here."""
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
        """Only now it is known what log this is: its lines above were read as a server's."""
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
        """The lines that end where `begin` bytes were fed, the nearest first."""
        begin -= self._gone
        lowest, whole = self._lowest(begin)
        while begin > lowest:
            above = self._held.rfind(b"\n", lowest, begin - 1) + 1 or lowest
            if above == lowest and not whole:
                return  # its beginning is no longer held
            yield bytes(self._held[above:begin]), self._gone + above
            begin = above

    def _lowest(self, begin: int) -> tuple[int, bool]:
        """How far up one may look from held[begin], and whether the log begins there."""
        lowest = max(self._floor, begin - KEPT)
        return lowest, lowest + self._gone == 0


def _events_in(log: bytes, wording: LogVocabulary) -> list[Event]:
    extractor = LogExtractor("", wording=wording)
    return [*extractor.feed(log), *extractor.flush(at_end=True)]
