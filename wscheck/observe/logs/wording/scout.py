"""Search of a log's first lines, and of samples of its later lines, for the wording in which it reports connections."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import stringzilla

from wscheck.model.secrets import Redactor
from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line, unwrap
from wscheck.observe.logs.formats.tables import Table, parse_table_header
from wscheck.observe.logs.formats.timestamps import TIME_WITHIN, TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import (
    ALLOWED_ROLES,
    CONNECTED,
    DISCONNECTED,
    NEW,
    SID,
    USER,
    LogVocabulary,
    key_name_error,
    marker_error,
    normalize_key,
)
from wscheck.observe.logs.wording.id_places import Ids
from wscheck.observe.logs.wording.learner import is_bare, learn
from wscheck.observe.logs.wording.messages import ParsedMessage, parse
from wscheck.observe.logs.wording.pairing import Pairing
from wscheck.observe.logs.wording.pieces import SLOT
from wscheck.observe.logs.wording.records import MAX_LINE, record_lines, with_fields_below
from wscheck.observe.logs.wording.server_words import EveryWord, fixed_words
from wscheck.observe.logs.wording.statements import Reading, Row, Statement, Wording, fit, ids_in
from wscheck.observe.logs.wording.structure import learn_structure

HEAD = 1 << 20
"""Bytes at the start of a log that are searched completely."""
SAMPLE = 1 << 15
"""Bytes that are searched of each later sample. The distance between two samples doubles each time."""
MAX_ROWS = 4_000
MAX_VAIN = 100
"""Lines with words for a replacement that report none, after which a log with known markers is left alone."""
MAX_KNOWN = 50
"""Largest number of lines with a known marker that are searched for ids."""

MAX_STEPS = 100
"""Number of lines by which the direction of time in a log is recognised."""

MAX_STRUCTURE = 2_000
"""Number of lines at the start of a log whose structure is searched if its words do not tell of connections."""
MIN_AGREEMENT = 0.9
"""Smallest share of the openings that words and structure show in common if they are about the same connections."""
FIRST_STRUCTURE = 12
"""Number of lines after which a log that is being written is searched for its structure, and again at each doubling."""

_LIKELY = (
    b"onnect", b"oin", b"pen", b"nline", b"stablish", b"ccept", b"ttach", b"los", b"eft", b"eav", b"ffline",
    b"gone", b"lost", b"Lost", b"rop", b"erminat", b"nded", b"egist", b"reat", b"dded", b"uth", b"ubscri",
    b"tart", b" up", b"ew ", b"ogged", b"emov", b"estroy", b"inish", b"own", b"CONNECT", b"JOIN", b"OPEN",
    b"CLOSE", b"etach", b"xit", b"uit", b"ssign", b"ssoci", b"ound", b"apped", b"nter", b"rriv", b"ncoming",
    b"igned", b"dentif", b"andshak", b"ello", b"eady", b"bye", b"ogout", b"xpir", b"eleas", b"top", b"elet",
    b"urg", b"leanup", b"bort", b"omplet", b"egin", b"egan", b" end", b"/end", b".end", b"_end", b"-end",
)  # fmt: skip
"""Parts of words that report events, without their first letter, which may be a capital."""
_INDENTATION = (b" ", b"\t")
_BOTH = frozenset((CONNECTED, DISCONNECTED))
_OVER_LINES = "(over several lines)"
"""Addition to the prefix of a statement whose values are on the lines below its message."""
_MESSAGE_LINE = lazy_pattern(
    r"""\s+["']?(?:msg|message|event)["']?:\s(?P<mark>["'])(?P<message>[\w .:-]{4,80})(?P=mark),?\s*"""
)
"""Message in an object over several lines."""

_UNUSUAL = (
    b"eplac", b"upersed", b"icking", b"icked", b"vict", b"isplac", b"umped", b"usted", b"lready ", b"uplic",
    b"favo", b"umping", b"kick", b"xisting", b"revious ", b" old ", b"verrid", b"taken over", b"took over", b"akeover",
    b"isconnecting ", b"losing ", b"nother ", b"econd ", b"ejected", b"ejecting",
)  # fmt: skip
"""Words for replacements, for which a log is searched even if its other events are known."""


_REQUEST = lazy_pattern(rb'"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS)(?: /\S* HTTP/\d|",)')
"""HTTP request in an access log, which is read without its structure."""

_RECORDS = rb"log[ ](?:messages?|lines?|entries|records?|events?)"
_MISSING = rb"(?:suppressed|dropped|dropping|discarded|lost|skipped|omitted)"
_LOSS = lazy_pattern(
    rb"""(?ix)
    \blog[ -]?sampl(?:ing|er)\b(?![^\n]{0,20}\b(?:off|disabled|inactive)\b)
    |\b%(missing)s\b[^\n]{0,30}\b(?:%(records)s|messages?[ ]from[ ][\w@.-]+\.(?:service|scope|slice))\b
    |\b%(records)s\b[^\n]{0,30}\b%(missing)s\b
    |\b(?:imuxsock|imjournal|journald?|rsyslogd?|syslogd?)\b[^\n]{0,60}\b%(missing)s\b
    """
    % {b"records": _RECORDS, b"missing": _MISSING}
)
"""Report of the logger that records are missing: it samples them, or dropped some of them."""

_LOSS_WORDS = tuple(
    spelling.encode()
    for word in ("sampl", "suppressed", "dropp", "discarded", "lost", "skipped", "omitted")
    for spelling in (word, word.title(), word.upper())
)
"""Words, one of which is in each such report. To search for them takes a fraction of the time of the pattern."""


class Candidate(NamedTuple):
    """Line that may report an event: its number and text, and the lines below it if they are indented.

    is_unknown  the line contains no known marker
    above       line above, if the line is indented; empty if it is not
    """

    line: int
    raw: bytes
    is_unknown: bool
    below: Sequence[bytes]
    above: bytes


class WordingScout:
    """Collector of the lines that may report connections. It learns the wording again whenever it finds new statements.

    wording   statements (logging calls of the server) from whose lines events are read
    likely    statements that probably report connections, but from whose lines no events are read
    markers   dict of text to kind of event: messages of records over several lines, whose ids are on other lines
    keys      roles and names of the ids on these other lines, if the vocabulary does not contain them
    guesses   statements to read events from: True for all, None for those whose reading is certain, False for none
    redactor  redactor of the lines that a report quotes
    loss      line of the log which reports that records are missing, "" if none was found
    """

    def __init__(self, vocabulary: LogVocabulary, *, guesses: bool | None, redactor: Redactor | None = None) -> None:
        self.vocabulary, self.redactor = vocabulary, redactor or Redactor()
        self._known = vocabulary.needle_pattern()
        self._markers = vocabulary.marker_pattern()
        self._keys = {normalize_key(key): role for role, key in vocabulary.keys}
        self._own_kinds = {kind for kind, _ in vocabulary.markers}
        self._timestamps = TimestampParser("", vocabulary.time_key_names())
        self._table: Table | None = None
        self.guesses = guesses
        self.wording = Wording({})
        self.likely: dict[Statement, Reading] = {}
        self.markers: dict[str, str] = {}
        self.keys: list[tuple[str, str]] = []
        self.loss = ""
        self._rows: list[Row] = []
        self._evaluated = set[Statement]()
        self._kinds = set[str]()
        self._known_lines = self._vain = 0
        self._beyond: Wording | None = None
        self._likely_rows: Sequence[Row] = ()
        self._lines, self._next_structure = list[tuple[int, str]](), FIRST_STRUCTURE
        self._searched, self._next_sample = 0, 2 * HEAD

    def search(self, data: bytearray, begin: int, end: int, line: int) -> list[Row]:
        """Search data[begin:end], which starts with line number `line`, for statements about connections.

        Return those lines of earlier calls that can be read as events only now, because of what this call has learned.
        """
        first = self._searched
        self._searched += end - begin
        if not first:
            self._table = parse_table_header(decode_line(data[begin : min(end, begin + MAX_LINE)].partition(b"\n")[0]))
        if first >= HEAD:
            if self._searched < self._next_sample:
                return []
            self._next_sample = 2 * self._searched
            end = min(end, begin + SAMPLE)
        if len(self._rows) >= MAX_ROWS:
            return []
        piece = bytes(data[begin : min(end, begin + HEAD)])
        self.loss = self.loss or _loss_in(piece)
        is_known = self._is_known(piece)
        found = self._candidates(piece, line, _UNUSUAL if is_known else (*_LIKELY, *_UNUSUAL))
        before = len(self._lines)
        if not is_known and first < HEAD:
            self._lines += _lines_in(piece, line)[: MAX_STRUCTURE - before]
        earlier = self._learn_words(found, is_known=is_known)
        is_due = len(self._lines) >= self._next_structure if before else len(self._lines) > 0
        if not is_due or self.wording.words is not None or CONNECTED in self._kinds | self._own_kinds:
            return earlier
        self._next_structure = 2 * len(self._lines)
        return [*earlier, *self._learn_structure(before)]

    def _learn_words(self, found: Sequence[Candidate], *, is_known: bool) -> list[Row]:
        """Learn the wording from the lines `found`; return the earlier lines that can be read now.

        is_known  known markers report the connections of this log, so that few further lines are examined
        """
        unknown = sum(each.is_unknown for each in found)
        if not unknown or (is_known and self._vain > MAX_VAIN):
            return []
        new = list(self._rows_in(found[:MAX_VAIN] if is_known else found))
        self._vain = self._vain + unknown if all(row.is_read for row in new) else 0
        earlier = len(self._rows)
        self._rows += new
        if self.wording.words is not None or {row.message.statement for row in new} <= self._evaluated:
            return []
        return self._learn(earlier)

    def _is_explained(self, readings: Mapping[Statement, Reading]) -> bool:
        """Return whether statements in known words report the connections of users and also the ends of connections."""
        sure = [reading for reading in readings.values() if reading.certain]
        kinds = {reading.kind for reading in sure if not reading.places.keys().isdisjoint((SID, USER))}
        users = any(reading.kind == CONNECTED and USER in reading.places for reading in sure)
        return users and DISCONNECTED in kinds | self._kinds | self._own_kinds

    def _learn_structure(self, before: int) -> list[Row]:
        """Learn from the structure of the log which statements start and end connections.

        Return those of the first `before` lines that can be read now.
        """
        messages = [(line, text, unwrap(text, self._timestamps, self._table)) for line, text in self._lines]
        first = [parsed for _, _, message in messages if (parsed := parse(message, EveryWord())) is not None]
        words = fixed_words(first)
        rows, times, texts = list[Row](), list[float | None](), dict(self._lines)
        for line, text, message in messages:
            if (parsed := parse(message, words)) is not None:
                header = texts.get(line - 1, "") if text[:1].isspace() else ""
                rows.append(Row(line, parsed, text, header=header))
                at = message.at if message.at is not None else self._timestamps.find(parsed.stamp)
                times.append(at if at is not None or not header else self._timestamps.find(header[:TIME_WITHIN]))
        learned = learn_structure(Pairing(rows, times, words))
        found = {each: reading for each, reading in learned.items() if reading.needles}
        new = self._use_structure(found, rows, words) if found else {}
        start = self._lines[before][0]
        return [row for row in rows if row.message.statement in new and row.line < start]

    def _use_structure(
        self, found: Mapping[Statement, Reading], rows: Sequence[Row], words: frozenset[str]
    ) -> Mapping[Statement, Reading]:
        """Use the readings that were learned from the order of ids, if they are certain enough. Return the new ones.

        If the readings that were learned from words already explain both openings and ends, add only statements that
        the words did not explain, and only if words and order agree about the openings.
        """
        told = {
            row.line: reading
            for row in self._rows
            if (reading := self.wording.readings.get(row.message.statement)) is not None and reading.certain
        }
        openings = {line: reading for line, reading in told.items() if reading.kind == CONNECTED}
        shown = {
            row.line: each for row in rows if (each := found.get(row.message.statement)) and each.kind == CONNECTED
        }
        common = [line for line, reading in openings.items() if line in shown and _same_roles(reading, shown[line])]
        agrees = bool(common) and len(common) >= MIN_AGREEMENT * max(len(openings), len(shown))
        if self.guesses is False:
            if not self._is_explained(self.likely):
                self.likely, self._likely_rows = dict(found), rows
            return {}
        if self._is_explained(self.wording.readings) and not _names_more(found, self.wording.readings, rows):
            known = {row.message.statement for row in rows if row.line in told}
            further = {each: reading for each, reading in found.items() if agrees and each not in known}
            further = {each: reading for each, reading in further.items() if not self._repeats(each, reading, rows)}
            ended = self._ended_ids()
            further = {
                each: reading
                for each, reading in further.items()
                if reading.kind != DISCONNECTED or not _end_otherwise(each, reading, rows, ended)
            }
            self._beyond = Wording(further, words) if further else self._beyond
            self.wording = Wording(self.wording.readings, beyond=self._beyond)
            return further
        if agrees or self.guesses or any(reading.certain for reading in found.values()):
            self.wording, self.likely = Wording(found, words), {}
            return found
        self.likely, self._likely_rows = dict(found), rows
        return {}

    def _repeats(self, statement: Statement, reading: Reading, rows: Sequence[Row]) -> bool:
        """Return whether most lines of a statement only repeat an event that a line near them reports in known words.

        A web framework logs the request of a WebSocket when the WebSocket ends, next to the line of the application.
        """
        told = set[tuple[int, str]]()
        for row in self._rows:
            known = self.wording.readings.get(row.message.statement)
            if known is not None and known.kind == reading.kind:
                told.update((row.line, value) for _, value in ids_in(row.message, known))
        own = [row for row in rows if row.message.statement == statement]
        again = sum(
            any(
                (row.line + away, value) in told for _, value in ids_in(row.message, reading) for away in (-2, -1, 1, 2)
            )
            for row in own
        )
        return again > len(own) / 2

    def _ended_ids(self) -> set[str]:
        """Return the ids of the connections whose end is reported in known words."""
        return {
            value
            for row in self._rows
            if (known := self.wording.readings.get(row.message.statement)) is not None and known.kind == DISCONNECTED
            for role, value in ids_in(row.message, known)
            if role == SID
        }

    def _is_known(self, piece: bytes) -> bool:
        """Return whether known markers report both the openings and the ends of connections in this log.

        `piece` is the part of the log that was read last; what earlier parts contained is remembered.
        """
        for match in self._known.finditer(piece) if not self._kinds >= _BOTH else ():
            end = piece.find(b"\n", match.start())
            begin = piece.rfind(b"\n", 0, match.start()) + 1
            found = self._markers.search(decode_line(piece[begin : end if end >= 0 else None]))
            if found is not None and found.lastgroup is not None:
                self._kinds.add(found.lastgroup)
            if self._kinds >= _BOTH:
                break
        return self._kinds >= _BOTH

    def _candidates(self, piece: bytes, line: int, words: Sequence[bytes]) -> list[Candidate]:
        """Return the lines of `piece`, a part of the log, that contain one of `words`.

        `line` is the number of the first line of `piece`.
        """
        places = sorted(at for word in words for at in _places(piece, word))
        found, end, counted = list[Candidate](), 0, 0
        for at in places:
            if at < end:
                continue
            begin = piece.rfind(b"\n", 0, at) + 1
            end = piece.find(b"\n", at) + 1 or len(piece)
            line, counted = line + piece.count(b"\n", counted, begin), begin
            raw = piece[begin:end].rstrip(b"\n")
            if len(raw) <= MAX_LINE and len(found) < MAX_ROWS:
                below = piece[end : end + MAX_LINE] if piece[end : end + 1] in _INDENTATION else b""
                above = piece[piece.rfind(b"\n", 0, max(begin - 1, 0)) + 1 : begin] if raw[:1] in _INDENTATION else b""
                is_unknown = self._known.search(raw) is None
                found.append(Candidate(line, raw, is_unknown, below.split(b"\n"), above[:MAX_LINE]))
        return found

    def _rows_in(self, candidates: Sequence[Candidate]) -> Iterator[Row]:
        """Yield a row (line and parsed message) for each of the lines whose message reports an event."""
        for line, raw, is_unknown, below, above in candidates:
            self._known_lines += not is_unknown
            if len(self._rows) >= MAX_ROWS or (not is_unknown and self._known_lines > MAX_KNOWN):
                continue
            text = decode_line(raw)
            if (told := _MESSAGE_LINE.fullmatch(text)) is not None:
                self._add_marker(told["message"])
                continue
            message = unwrap(text, self._timestamps, self._table)
            parsed = parse(message)
            if parsed is None:
                continue
            if is_unknown and len(record := list(record_lines(raw, below))) > 1 and not _has_values(parsed):
                whole = parse(with_fields_below(message, record[1:]))
                if whole is not None and whole.fields:
                    parsed = whole._replace(prefix=f"{whole.prefix} {_OVER_LINES}")
                    text = "\n".join(map(decode_line, record))
            yield Row(line, parsed, text, not is_unknown, decode_line(above))

    def _add_marker(self, message: str) -> None:
        """Add `message`, which an object over several lines contains, as a marker if this text reports an event."""
        parsed = parse(LogMessage(message))
        if parsed is None or not parsed.meaning.is_plain or not is_bare(parsed.pattern):
            return
        if self.guesses is not False and parsed.meaning.kind not in self._kinds and message == parsed.text:
            self.markers.setdefault(message, parsed.meaning.kind)

    def _learn(self, earlier: int) -> list[Row]:
        newest_first = self._is_newest_first()
        found = learn(self._rows, self._kinds | self._own_kinds, Ids(keys=self._keys), newest_first=newest_first)
        self._evaluated = {row.message.statement for row in self._rows}
        found = _without_other_connections(found, self._rows)
        chosen = {each: reading for each, reading in found.items() if self._is_to_be_read(reading)}
        self.likely = {each: reading for each, reading in found.items() if each not in chosen}
        self._likely_rows = self._rows
        new = chosen.keys() - self.wording.readings.keys()
        for statement in new:
            if statement[0].endswith(_OVER_LINES):
                self._use_record(chosen[statement])
        self.wording = Wording(
            {**chosen, **{each: self.wording.readings[each] for each in self.wording.readings if each in chosen}},
            beyond=self._beyond,
        )
        new = {each for each in new if not each[0].endswith(_OVER_LINES)}
        return [row for row in self._rows[:earlier] if row.message.statement in new and not row.is_read]

    def _is_newest_first(self) -> bool:
        """Return whether a later line is usually earlier in time."""
        sample = self._rows[:: max(1, len(self._rows) // MAX_STEPS)]
        found = [self._timestamps.find(row.message.stamp) for row in sample]
        times = [at for at in found if at is not None]
        return sum((before > after) - (before < after) for before, after in combinations(times, 2)) > 0

    def _use_record(self, reading: Reading) -> None:
        """Add a marker and keys for records over several lines: their message, and the names of the ids below it."""
        text, known = reading.template.strip(), self.vocabulary.key_roles()
        if marker_error(reading.kind, text, ALLOWED_ROLES[reading.kind]):
            return
        self.markers.setdefault(text, reading.kind)
        found = (pair for pair in reading.keys if known.get(normalize_key(pair[1])) != pair[0])
        self.keys += (pair for pair in found if pair not in self.keys and not key_name_error(pair[1]))

    def _is_to_be_read(self, reading: Reading) -> bool:
        return reading.certain if self.guesses is None else self.guesses

    def likely_lines(self) -> list[tuple[Reading, list[Row]]]:
        """Return the readings in `likely`, each with its lines. The reading with the most lines comes first."""
        found = [(reading, self._statement_rows(statement)) for statement, reading in self.likely.items()]
        return sorted(found, key=lambda pair: -pair[0].lines)

    def _statement_rows(self, statement: Statement) -> list[Row]:
        fitted = (row if row.message.statement == statement else _fitted(row, statement) for row in self._likely_rows)
        return [row for row in fitted if row is not None]


def _has_values(parsed: ParsedMessage) -> bool:
    """Return whether the line of a message contains values."""
    return SLOT in parsed.pattern or bool(parsed.fields)


def _fitted(row: Row, statement: Statement) -> Row | None:
    prefix, pattern = statement
    if row.message.prefix != prefix or len(row.message.pattern) != len(pattern):
        return None
    message = fit(row.message, pattern)
    return row._replace(message=message) if message is not None else None


def _end_otherwise(statement: Statement, reading: Reading, rows: Sequence[Row], ended: set[str]) -> bool:
    """Return whether other statements, in known words, report the ends of most connections that a statement names.

    A connection ends once, so the statement reports something else that happens to it.

    ended  ids of the connections whose end is reported in known words
    """
    own = {
        value
        for row in rows
        if row.message.statement == statement
        for role, value in ids_in(row.message, reading)
        if role == SID
    }
    return bool(own) and 2 * len(own & ended) > len(own)


def _names_more(found: Mapping[Statement, Reading], by_words: Mapping[Statement, Reading], rows: Sequence[Row]) -> bool:
    """Return whether the certain readings in `found` name the connections, and those in `by_words` only the users.

    Each opening in `rows` must then name another connection.

    found     readings that were learned from the order of ids
    by_words  readings that were learned from words
    """
    openings = [each for each in found.values() if (each.kind == CONNECTED or each.opens) and each.certain]
    told_lines = sum(each.lines for each in by_words.values() if each.kind == CONNECTED)
    are_all = sum(each.lines for each in openings) >= MIN_AGREEMENT * told_lines
    if not openings or not are_all or any(SID in each.places for each in by_words.values()):
        return False
    own = ((row, found.get(row.message.statement)) for row in rows)
    opened = [dict(ids_in(row.message, each)) for row, each in own if each is not None and each in openings]
    sids = [ids.get(NEW if NEW in ids else SID) for ids in opened if USER in ids]
    return None not in sids and len(sids) == len(opened) and len(set(sids)) >= MIN_AGREEMENT * len(sids)


def _same_roles(one: Reading, other: Reading) -> bool:
    return one.places.keys() == other.places.keys()


MIN_OPENED, MIN_LINES = 10, 3
"""Smallest number of known connections, and of lines about the end of others, to tell these apart."""


def _without_other_connections(readings: Mapping[Statement, Reading], rows: Sequence[Row]) -> dict[Statement, Reading]:
    """Return `readings` without the ends of things that are called connections and are none of a user.

    For example those of a pool of a database, or the counts of a statistic. None of their ids belongs to a connection
    that was opened, although the ids of another statement about ends do.
    """
    ids, lines = defaultdict[Statement, set[str]](set), Counter[Statement]()
    for row in rows:
        reading = readings.get(row.message.statement)
        sid = dict(ids_in(row.message, reading)).get(SID) if reading is not None else None
        if sid is not None:
            ids[row.message.statement].add(sid)
            lines[row.message.statement] += 1
    opened = {sid for each in ids if readings[each].kind == CONNECTED for sid in ids[each]}
    ends = [each for each in ids if readings[each].kind == DISCONNECTED]
    others = {each for each in ends if lines[each] >= MIN_LINES and opened.isdisjoint(ids[each])}
    if len(opened) < MIN_OPENED or len(others) == len(ends):
        return dict(readings)
    return {each: reading for each, reading in readings.items() if each not in others}


def _lines_in(piece: bytes, line: int) -> list[tuple[int, str]]:
    """Return the number and the text of each line of `piece` that is not too long and reports no HTTP request."""
    return [
        (number, decode_line(raw))
        for number, raw in enumerate(piece.splitlines(), start=line)
        if raw.strip() and len(raw) <= MAX_LINE and _REQUEST.search(raw) is None
    ]


def _loss_in(piece: bytes) -> str:
    """Return the first line which reports that records are missing, "" if there is none."""
    end = 0
    for at in sorted(at for word in _LOSS_WORDS for at in _places(piece, word)):
        if at < end:
            continue
        begin, end = piece.rfind(b"\n", 0, at) + 1, piece.find(b"\n", at) + 1 or len(piece)
        if _LOSS.search(piece, begin, end) is not None:
            return decode_line(piece[begin:end].rstrip(b"\r\n")[:MAX_LINE])
    return ""


def _places(piece: bytes, word: bytes) -> Iterator[int]:
    """Yield one position of a word for each line that contains it."""
    at = 0
    while (at := stringzilla.find(piece, word, at)) >= 0:
        yield at
        at = piece.find(b"\n", at) + 1 or len(piece)
