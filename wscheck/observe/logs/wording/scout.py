"""Search of a log's first lines, and of samples of its later lines, for the wording in which it reports connections."""

import re
from collections.abc import Iterator

from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line, unwrap
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import CONNECTED, DISCONNECTED, LogVocabulary
from wscheck.observe.logs.wording.learner import Reading, Row, Statement, Wording, is_bare, learn
from wscheck.observe.logs.wording.sentences import parse

HEAD = 1 << 20
"""Bytes at the start of a log that are searched completely."""
SAMPLE = 1 << 15
"""Bytes that are searched of each later sample. The distance between two samples doubles each time."""
MAX_LINE = 1 << 12
MAX_ROWS = 4_000
MAX_KNOWN = 100
"""Largest number of lines with a known marker that are searched for ids."""

_LIKELY = lazy_pattern(
    rb"(?i)connect|join|open|online|establish|accept|attach|clos|left|leave|offline|gone|lost|drop|terminat|ended|regist|"
    rb"creat|added|auth|subscri|start|\bup\b|new |logged|remov|destroy|finish|down|replac|supersed|kick|evict|displac|"
    rb"bump|oust|already|duplic|favou?r"
)
_MESSAGE_LINE = lazy_pattern(
    r"""\s+["']?(?:msg|message|event)["']?:\s(?P<mark>["'])(?P<message>[\w .:-]{4,80})(?P=mark),?\s*"""
)
"""Message in an object over several lines."""

_UNUSUAL = lazy_pattern(
    rb"(?i)replac|supersed|kick|evict|displac|bump|oust|already |duplic|favou?r|(?:old|previous|existing|other) "
    rb"(?:web)?(?:socket|connection|session|client)|take|took"
)
"""Words for replacements, for which a log is searched even if its other events are known."""


class WordingScout:
    """Collector of the lines that may report connections. It learns the wording again whenever it finds new statements.

    wording   the statements that are read
    markers   dict of text to kind of event: messages of records over several lines, whose ids are on other lines
    guesses   read also the statements whose meaning is only likely
    """

    def __init__(self, vocabulary: LogVocabulary, *, guesses: bool) -> None:
        self._known = vocabulary.needle_pattern()
        self._markers = vocabulary.marker_pattern()
        self._own_kinds = {kind for kind, _ in vocabulary.markers}
        self._timestamps = TimestampParser("", vocabulary.time_key_names())
        self.guesses = guesses
        self.wording = Wording({})
        self.likely: dict[Statement, Reading] = {}
        self.markers: dict[str, str] = {}
        self._rows: list[Row] = []
        self._evaluated = set[Statement]()
        self._kinds = set[str]()
        self._known_lines = 0
        self._searched, self._next_sample = 0, 2 * HEAD

    def search(self, data: bytearray, begin: int, end: int, line: int) -> list[Row]:
        """Search data[begin:end], which starts with line number `line`.

        Return the earlier lines, from former calls, that can be read now.
        """
        first = self._searched
        self._searched += end - begin
        if first >= HEAD:
            if self._searched < self._next_sample:
                return []
            self._next_sample = 2 * self._searched
            end = min(end, begin + SAMPLE)
        if len(self._rows) >= MAX_ROWS:
            return []
        piece = bytes(data[begin : min(end, begin + HEAD)])
        pattern = _UNUSUAL if self._is_known(piece) else _LIKELY
        new = list(self._rows_in(piece, line, pattern))
        earlier = len(self._rows)
        self._rows += new
        if {row.sentence.statement for row in new} <= self._evaluated:
            return []
        return self._learn(earlier)

    def _is_known(self, piece: bytes) -> bool:
        """Return whether known markers report openings and ends of connections in this log."""
        if not {CONNECTED, DISCONNECTED} <= self._kinds:
            for match in self._known.finditer(piece):
                end = piece.find(b"\n", match.start())
                begin = piece.rfind(b"\n", 0, match.start()) + 1
                found = self._markers.search(decode_line(piece[begin : end if end >= 0 else None]))
                if found is not None and found.lastgroup is not None:
                    self._kinds.add(found.lastgroup)
                if {CONNECTED, DISCONNECTED} <= self._kinds:
                    break
        return {CONNECTED, DISCONNECTED} <= self._kinds

    def _rows_in(self, piece: bytes, line: int, pattern: re.Pattern[bytes]) -> Iterator[Row]:
        """Yield the lines with a sentence about an event."""
        at = 0
        while len(self._rows) < MAX_ROWS and (match := pattern.search(piece, at)) is not None:
            begin = piece.rfind(b"\n", 0, match.start()) + 1
            end = piece.find(b"\n", match.end())
            end = len(piece) if end < 0 else end
            line += piece.count(b"\n", at, begin)
            raw, at = piece[begin:end], end
            if len(raw) > MAX_LINE:
                continue
            is_known = self._known.search(raw) is not None
            self._known_lines += is_known
            if is_known and self._known_lines > MAX_KNOWN:
                continue
            text = decode_line(raw)
            if (below := _MESSAGE_LINE.fullmatch(text)) is not None:
                self._add_marker(below["message"])
                continue
            sentence = parse(unwrap(text, self._timestamps))
            if sentence is not None:
                yield Row(line, sentence, text, is_known)

    def _add_marker(self, message: str) -> None:
        """Add the message of an object over several lines as a marker if it reports an event without ids."""
        sentence = parse(LogMessage(message))
        if sentence is None or not sentence.meaning.is_plain or not is_bare(sentence.pattern):
            return
        if sentence.meaning.kind not in self._kinds and message == sentence.text:
            self.markers.setdefault(message, sentence.meaning.kind)

    def _learn(self, earlier: int) -> list[Row]:
        found = learn(self._rows, self._kinds | self._own_kinds)
        self._evaluated = {row.sentence.statement for row in self._rows}
        chosen = {each: reading for each, reading in found.items() if reading.certain or self.guesses}
        self.likely = {each: reading for each, reading in found.items() if each not in chosen}
        new = chosen.keys() - self.wording.readings.keys()
        self.wording = Wording(
            {**chosen, **{each: self.wording.readings[each] for each in self.wording.readings if each in chosen}}
        )
        return [row for row in self._rows[:earlier] if row.sentence.statement in new and not row.is_read]
