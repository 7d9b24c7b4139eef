"""The lines around a marker: which of them begin a record, go on with one, or are parts of one line."""

import re
from collections.abc import Callable, Iterator

import msgspec

from wscheck.observe.logs.event_builder import Dressed, Evidence
from wscheck.observe.logs.fast_reader.reader import Shortcuts
from wscheck.observe.logs.formats.browser_console import Console
from wscheck.observe.logs.formats.envelopes import Message, again, decoded, opened, parted
from wscheck.observe.logs.formats.envelopes import record as json_record
from wscheck.observe.logs.formats.line_prefix import Prefix, judged
from wscheck.observe.logs.formats.timestamps import Calendar
from wscheck.observe.logs.formats.vendor_exports import is_unescaped
from wscheck.observe.logs.matcher import Reader, Reading
from wscheck.observe.logs.multiline import Above, Records, is_quoted_above, object_above, parts_above
from wscheck.observe.logs.vocabulary import Wording

CUT = "the record is cut: its JSON does not end"
SPLIT = "its runtime split the line, and the rest of it is missing"
UNESCAPED = "Fluent Bit prints the fields of a record without escaping them: let it print `format json_lines`"
BARE = "it stands without what stands before the other records: it may be text that somebody sent"

MOST_PARTS = 1 << 20
MOST_BETWEEN = 1_000
"""So many lines after the first part of a line its rest comes no more: whoever wrote it is gone."""

MOST_UNTIMED = 1_000
"""So many lines at the end of a log may tell no time, as those of a stack trace."""

STAMPED = 40
"""A time further into a line is what somebody speaks of."""

_CUT = re.compile(r"""^[^{]*\{".*"(?:msg|message|MESSAGE|log)"\s*:\s*"(?:[^"\\]|\\.)*$""", re.DOTALL)

Lookback = Callable[[int], Iterator[tuple[bytes, int]]]


class Parts(msgspec.Struct):
    """The first parts of a line that its runtime split: where it began, and what it says so far."""

    text: str
    line: int
    begin: int


class Lines:
    """Takes the lines of interest in order; `busy` says that further lines are of interest whatever they say.

    shortcuts  read whole records at a glance, only while not `busy`: no other record may wait for these lines
    """

    def __init__(self, wording: Wording, path: str, evidence: Evidence, dressed: Dressed) -> None:
        self._reader, self._calendar = Reader(wording), Calendar(path, wording.time_keys())
        self._evidence = evidence
        self.records = Records(self._reader, self._calendar)
        self.console = Console(path)
        self._parts: dict[str, Parts] = {}
        self._dressed = dressed
        self.shortcuts = Shortcuts(wording, self._reader, self._calendar, evidence, self._dressed)

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
        message = opened(decoded(raw), self._calendar)
        if self._reader.sentence(message.text) is None:
            self._no_record(message, line)

    def take(self, raw: bytes, line: int, begin: int, marked: bool, above: Lookback) -> None:
        """One line: `begin` is how many bytes were fed before it, `above` gives the lines above such a place."""
        message = opened(decoded(raw), self._calendar)
        self._give_up_parts(line - MOST_BETWEEN)
        if message.parts:
            self._batch(message, line, begin)
        elif message.partial or message.source in self._parts:
            self._part(message, line, begin, above)
        elif not (marked and self._marker(message, line, begin, lambda: above(begin))):
            self.records.take(message)
        self.leave()

    def latest(self, log: bytes) -> float | None:
        """The time that the last lines of `log` tell, nearest to its end."""
        for raw in reversed(log.splitlines()[-MOST_UNTIMED:]):
            message = opened(decoded(raw), self._calendar)
            at = message.at or self._calendar.read(message.text[:STAMPED])
            if at is not None:
                return at
        return None

    def foreign(self) -> None:
        """A line that is not read at all."""
        self.records.take(Message(""))
        self.leave()

    def end(self) -> None:
        """No more lines for now."""
        self.records.end()
        self.leave()
        self._give_up_parts()

    def _give_up_parts(self, before: float = float("inf")) -> None:
        """Show the records whose lines began before this one and did not end."""
        while self._parts and (first := next(iter(self._parts.values()))).line < before:
            del self._parts[next(iter(self._parts))]
            message = Message(first.text)
            again(message, self._calendar)
            if self._may_be_record(message):
                self._evidence.unread(first.line, SPLIT, first.text)

    def _may_be_record(self, message: Message) -> bool:
        reading = self._reader.read(message)
        if reading is not None:
            return bool(reading.ids) or not reading.doubt
        marker = self._reader.sentence(message.text) if message.fields is None else None
        return marker is not None and _is_cut(message.text, marker)

    def leave(self) -> None:
        """Hand on what is complete."""
        for record in self.records.leave():
            self._evidence.record(record)

    def _batch(self, message: Message, line: int, begin: int) -> None:
        """Records that were exported together: each as if it stood on a line of its own."""
        above: list[tuple[bytes, int]] = []
        for part in parted(message, self._calendar):
            if not self._marker(part, line, begin, lambda: reversed(above)):
                self.records.take(part)
            above.append((part.text.encode("utf-8", "replace") + b"\n", begin))

    def _part(self, message: Message, line: int, begin: int, above: Lookback) -> None:
        """A part of a line that was split: with the last one it is read as if it stood where its first part stands."""
        parts = self._parts.setdefault(message.source, Parts("", line, begin))
        parts.text += message.text
        if message.partial and len(parts.text) < MOST_PARTS:
            return
        del self._parts[message.source]
        message.text, message.partial = parts.text, False
        again(message, self._calendar)
        if not self._marker(message, parts.line, parts.begin, lambda: above(parts.begin)):
            self.records.take(message)

    def _marker(self, message: Message, line: int, begin: int, above: Above) -> bool:
        """Begin the record that a line with a marker may begin."""
        reading = self._reader.read(message)
        if reading is None and message.wrapped:
            text, start = parts_above(message, above, self._calendar)
            if start is not None:
                begin, message.text = start, text
                again(message, self._calendar)
                reading = self._reader.read(message)
        if reading is None:
            return self._no_record(message, line)
        if reading.block:
            start = object_above(reading, message, above, self._reader, self._calendar)
            if start is None:
                return False
            begin = start
        if message.at is None:
            message.at = self._calendar.read(f"{reading.before} {reading.behind}")
        if self._intruding(reading, message, line, above):
            return True
        self.records.begin(reading, message, line, begin)
        return True

    def _no_record(self, message: Message, line: int) -> bool:
        """A line with a marker that begins no record: a console's, a cut one, or somebody's text."""
        if self.console.begun:
            event = self.console.read(message, line, message.at or self._calendar.read(message.text[:40]))
            if event is not None:
                self.leave()
                self._evidence.events.append(event)
                return True
        marker = self._reader.sentence(message.text) if message.fields is None else None
        if marker is not None and _is_cut(message.text, marker):
            self._evidence.unread(line, CUT, message.text)
            return True
        if marker is not None and is_unescaped(message.text, marker):
            self._evidence.unread(line, UNESCAPED, message.text)
            return True
        return False

    def _intruding(self, reading: Reading, message: Message, line: int, above: Above) -> bool:
        """Whether a bare record stands in somebody's text: in quotes that opened above, or unlike those before it."""
        kind, source = reading.kind, message.source
        if not reading.bare or message.structured:
            self._dressed.add(kind, source)
            return False
        if is_quoted_above(above):
            return True
        if self._dressed.has(kind, source):
            self._evidence.unread(line, BARE, message.text)
            return True
        return False


def _is_cut(text: str, marker: int) -> bool:
    """Whether the marker is the message of a JSON record that does not end."""
    before, brace, rest = text.partition("{")
    whole = json_record(brace + rest) is not None
    return not whole and judged(before) is Prefix.SURE and _CUT.match(text[:marker]) is not None
