"""Search of a log's first lines, and of samples of its later lines, for the wording in which it reports connections."""

from collections.abc import Iterator, Sequence

import stringzilla

from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line, unwrap
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import CONNECTED, LogVocabulary
from wscheck.observe.logs.wording.learner import is_bare, learn
from wscheck.observe.logs.wording.messages import parse
from wscheck.observe.logs.wording.statements import Reading, Row, Statement, Wording

HEAD = 1 << 20
"""Bytes at the start of a log that are searched completely."""
SAMPLE = 1 << 15
"""Bytes that are searched of each later sample. The distance between two samples doubles each time."""
MAX_LINE = 1 << 12
MAX_ROWS = 4_000
MAX_VAIN = 100
"""Lines with words for a replacement that report none, after which a log with known markers is left alone."""
MAX_KNOWN = 50
"""Largest number of lines with a known marker that are searched for ids."""

_LIKELY = (
    b"onnect", b"oin", b"pen", b"nline", b"stablish", b"ccept", b"ttach", b"los", b"eft", b"eav", b"ffline",
    b"gone", b"lost", b"Lost", b"rop", b"erminat", b"nded", b"egist", b"reat", b"dded", b"uth", b"ubscri",
    b"tart", b" up", b"ew ", b"ogged", b"emov", b"estroy", b"inish", b"own", b"CONNECT", b"JOIN", b"OPEN",
    b"CLOSE", b"etach", b"xit", b"uit", b"ssign", b"ssoci", b"ound", b"apped", b"nter", b"rriv", b"ncoming",
    b"igned", b"dentif", b"andshak", b"ello", b"eady", b"bye", b"ogout", b"xpir", b"eleas", b"top", b"elet",
    b"urg", b"leanup", b"bort", b"omplet",
)  # fmt: skip
"""Parts of words that report events, without their first letter, which may be a capital."""
_MESSAGE_LINE = lazy_pattern(
    r"""\s+["']?(?:msg|message|event)["']?:\s(?P<mark>["'])(?P<message>[\w .:-]{4,80})(?P=mark),?\s*"""
)
"""Message in an object over several lines."""

_UNUSUAL = (
    b"eplac", b"upersed", b"icking", b"icked", b"vict", b"isplac", b"umped", b"usted", b"lready ", b"uplic",
    b"favo", b"umping", b"kick", b"xisting", b"revious ", b" old ", b"verrid", b"taken over", b"took over", b"akeover",
    b"isconnecting ", b"losing ", b"nother ", b"econd ",
)  # fmt: skip
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
        self._known_lines = self._vain = 0
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
        is_known = self._is_known(piece)
        found = self._candidates(piece, line, _UNUSUAL if is_known else (*_LIKELY, *_UNUSUAL))
        unknown = sum(is_unknown for _, _, is_unknown in found)
        if not unknown or (is_known and self._vain > MAX_VAIN):
            return []
        new = list(self._rows_in(found[:MAX_VAIN] if is_known else found))
        self._vain = self._vain + unknown if all(row.is_read for row in new) else 0
        earlier = len(self._rows)
        self._rows += new
        if {row.message.statement for row in new} <= self._evaluated:
            return []
        return self._learn(earlier)

    def _is_known(self, piece: bytes) -> bool:
        """Return whether known markers report the openings of connections in this log."""
        for match in self._known.finditer(piece) if CONNECTED not in self._kinds else ():
            end = piece.find(b"\n", match.start())
            begin = piece.rfind(b"\n", 0, match.start()) + 1
            found = self._markers.search(decode_line(piece[begin : end if end >= 0 else None]))
            if found is not None and found.lastgroup is not None:
                self._kinds.add(found.lastgroup)
            if CONNECTED in self._kinds:
                break
        return CONNECTED in self._kinds

    def _candidates(self, piece: bytes, line: int, words: Sequence[bytes]) -> list[tuple[int, bytes, bool]]:
        """Return the lines with one of `words`: number, text, and whether no known marker reads the line."""
        places = sorted(at for word in words for at in _places(piece, word))
        found, end, counted = list[tuple[int, bytes, bool]](), 0, 0
        for at in places:
            if at < end:
                continue
            begin = piece.rfind(b"\n", 0, at) + 1
            end = piece.find(b"\n", at) + 1 or len(piece)
            line, counted = line + piece.count(b"\n", counted, begin), begin
            raw = piece[begin:end].rstrip(b"\n")
            if len(raw) <= MAX_LINE and len(found) < MAX_ROWS:
                found.append((line, raw, self._known.search(raw) is None))
        return found

    def _rows_in(self, candidates: Sequence[tuple[int, bytes, bool]]) -> Iterator[Row]:
        """Yield the candidates with a message about an event."""
        for line, raw, unknown in candidates:
            self._known_lines += not unknown
            if len(self._rows) >= MAX_ROWS or (not unknown and self._known_lines > MAX_KNOWN):
                continue
            text = decode_line(raw)
            if (below := _MESSAGE_LINE.fullmatch(text)) is not None:
                self._add_marker(below["message"])
                continue
            parsed = parse(unwrap(text, self._timestamps))
            if parsed is not None:
                yield Row(line, parsed, text, not unknown)

    def _add_marker(self, message: str) -> None:
        """Add the message of an object over several lines as a marker if it reports an event without ids."""
        parsed = parse(LogMessage(message))
        if parsed is None or not parsed.meaning.is_plain or not is_bare(parsed.pattern):
            return
        if parsed.meaning.kind not in self._kinds and message == parsed.text:
            self.markers.setdefault(message, parsed.meaning.kind)

    def _learn(self, earlier: int) -> list[Row]:
        found = learn(self._rows, self._kinds | self._own_kinds)
        self._evaluated = {row.message.statement for row in self._rows}
        chosen = {each: reading for each, reading in found.items() if reading.certain or self.guesses}
        self.likely = {each: reading for each, reading in found.items() if each not in chosen}
        new = chosen.keys() - self.wording.readings.keys()
        self.wording = Wording(
            {**chosen, **{each: self.wording.readings[each] for each in self.wording.readings if each in chosen}}
        )
        return [row for row in self._rows[:earlier] if row.message.statement in new and not row.is_read]


def _places(piece: bytes, word: bytes) -> Iterator[int]:
    """Yield one position of a word for each line that contains it."""
    at = 0
    while (at := stringzilla.find(piece, word, at)) >= 0:
        yield at
        at = piece.find(b"\n", at) + 1 or len(piece)
