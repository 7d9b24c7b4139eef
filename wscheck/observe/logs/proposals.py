"""Proposed options (--marker, --key) for lines that report connections but are not read by default.

The package `wording` finds such lines and decides what they mean: lines of the same logging call are one statement, and
its meaning is a reading. Here the readings are written as options, for the report, the live view and wscheck.toml. Each
proposal is tried: with it, a reader must find the same ids in the lines of the statement.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from wscheck.model.events import Connected, Disconnected, Event, Replaced
from wscheck.model.report import AssumedSentence, MarkerSuggestion
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.formats.envelopes import decode_line, unwrap
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import (
    ALLOWED,
    ALLOWED_ROLES,
    CONNECTED,
    DISCONNECTED,
    ENDPOINT,
    KINDS,
    NEW,
    OLD,
    REPLACED,
    SID,
    USER,
    LogVocabulary,
    escape_braces,
    key_name_error,
    marker_error,
    normalize_key,
    split_placeholders,
)
from wscheck.observe.logs.wording.id_places import Ids
from wscheck.observe.logs.wording.learner import learn
from wscheck.observe.logs.wording.messages import parse
from wscheck.observe.logs.wording.pieces import SLOT
from wscheck.observe.logs.wording.records import (
    CONTINUATION,
    MAX_LINE,
    MAX_LINES_BELOW,
    record_lines,
    with_fields_below,
)
from wscheck.observe.logs.wording.scout import WordingScout
from wscheck.observe.logs.wording.statements import Reading, Row, ids_in

EXCERPT = 120
"""Longest example in a report, in characters."""
MOST_LOGS = 10
"""The most logs for which options are proposed: the logs of one application use the same wording."""
MAX_TRIED = 20
"""Largest number of lines of a statement on which a proposal is tried."""
MAX_LINES = 4_000
"""Largest number of lines with known ids that are examined."""

Read = Callable[[bytes, LogVocabulary], Sequence[Event]]
"""Function that reads a log with a vocabulary and returns its events."""

_EVENTS = {CONNECTED: Connected, DISCONNECTED: Disconnected, REPLACED: Replaced}
_IDS = {USER: "user", SID: "sid", OLD: "old_sid", NEW: "new_sid"}
_LAST_KEY = lazy_pattern(
    r"""(?<![\w$.@-])(?:(?![A-Za-z_$])[\w.@-])*+(?P<name>[A-Za-z_$][\w$.@-]*+)["']?\s*[:=]\s*["'(\[]?\Z"""
)


class MarkerProposal(NamedTuple):
    """Marker for the events that a statement (the lines of one logging call) reports.

    text     the marker
    keys     pairs of role and key for the ids in these lines
    lines    number of lines of the statement
    example  one of these lines
    """

    kind: str
    text: str
    keys: tuple[tuple[str, str], ...]
    lines: int
    example: str

    def add_to(self, vocabulary: LogVocabulary) -> LogVocabulary:
        """Return the vocabulary with this marker and its keys added."""
        return LogVocabulary((*vocabulary.markers, (self.kind, self.text)), (*vocabulary.keys, *self.keys))

    def to_report(self) -> MarkerSuggestion:
        """Convert the proposal to the form in which a report contains it, with each key as "role=name"."""
        keys = [f"{role}={name}" for role, name in self.keys]
        return MarkerSuggestion(kind=self.kind, marker=self.text, keys=keys, lines=self.lines, example=self.example)


def propose(
    readings: Iterable[tuple[Reading, Sequence[Row]]], vocabulary: LogVocabulary, read: Read, redactor: Redactor
) -> list[MarkerProposal]:
    """Return options for those statements (lines of one logging call) that a marker can describe.

    readings  each reading (meaning of a statement) with some lines of this statement
    read      function that reads lines with a vocabulary
    redactor  redactor of the example lines
    """
    found = list[MarkerProposal]()
    for reading, rows in readings:
        if reading.kind not in KINDS:
            continue
        for text, keys in dict.fromkeys(_candidates(reading, rows[0], vocabulary)):
            example = excerpt(reading.example, redactor)
            proposal = MarkerProposal(reading.kind, text, keys, reading.lines, example)
            if _reads(proposal, reading, rows[:MAX_TRIED], vocabulary, read):
                found.append(proposal)
                break
    return found


def proposals(scouts: Iterable[WordingScout], read: Read) -> list[MarkerSuggestion]:
    """Return options for the logging calls that probably report connections and whose lines are not read."""
    found: dict[tuple[str, str], MarkerSuggestion] = {}
    for scout in islice(scouts, MOST_LOGS):
        for each in propose(scout.likely_lines(), scout.vocabulary, read, scout.redactor):
            known = found.setdefault((each.kind, each.text), suggestion := each.to_report())
            known.lines += each.lines if known is not suggestion else 0
    return list(found.values())


def guessable(scouts: Iterable[WordingScout]) -> list[AssumedSentence]:
    """Return the logging calls whose lines `--guess` would read. Logs read with `--no-guess` are left out."""
    return sentences((scout.redactor, scout.likely.values()) for scout in scouts if scout.guesses is not False)


def sentences(readings: Iterable[tuple[Redactor, Iterable[Reading]]]) -> list[AssumedSentence]:
    """Return the logging calls of several logs as sentences, each once, those with most lines first.

    readings  for each log, its redactor and the meanings of its logging calls
    """
    found: dict[tuple[str, str], AssumedSentence] = {}
    for redactor, reading in ((redactor, each) for redactor, of_log in readings for each in of_log):
        each = AssumedSentence(
            kind=reading.kind,
            sentence=reading.described,
            lines=reading.lines,
            example=excerpt(reading.example, redactor),
            ids=dict(reading.ids),
        )
        known = found.setdefault((reading.kind, reading.described), each)
        known.lines += reading.lines if known is not each else 0
    return sorted(found.values(), key=lambda each: -each.lines)


def excerpt(line: str, redactor: Redactor) -> str:
    """Return the start of a line without secrets. They are replaced first, so that none is cut in two."""
    return redactor.redact(line.strip())[:EXCERPT]


def _candidates(
    reading: Reading, row: Row, vocabulary: LogVocabulary
) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Yield possible markers for a statement (the lines of one logging call), each with the keys that it needs.

    The marker is the text in front of the first id if all ids have keys, and otherwise has placeholders for the ids.
    """
    known, message = vocabulary.key_roles(), row.message
    values = [begin for (begin, _), piece in zip(message.spans, message.pattern, strict=True) if piece == SLOT]
    places = {role: place for role, place in reading.places.items() if role not in {ALLOWED, ENDPOINT}}
    inside = {role: values[int(place)] for role, place in places.items() if place.isdigit()}
    placed = [role for role in split_placeholders(reading.template)[1] if role]
    named = {role: found for role, at in inside.items() if (found := _LAST_KEY.search(message.text[:at])) is not None}
    fields = tuple((role, name) for role, name in reading.keys if known.get(normalize_key(name)) != role)
    pairs = tuple((role, found["name"]) for role, found in named.items())
    keys = (*(pair for pair in pairs if known.get(normalize_key(pair[1])) != pair[0]), *fields)
    if any(key_name_error(name) for _, name in keys) or len(placed) + len(reading.keys) < len(places):
        return
    first = min((found.start() for found in named.values()), default=len(message.text))
    if len(named) == len(placed) and all(begin >= first for begin in values):
        yield escape_braces(message.text[:first]).strip(" \t|,;({[-:"), keys
    if not marker_error(reading.kind, reading.template, ALLOWED_ROLES[reading.kind]):
        yield reading.template.strip(), fields


def _reads(
    proposal: MarkerProposal, reading: Reading, rows: Sequence[Row], vocabulary: LogVocabulary, read: Read
) -> bool:
    """Return whether a reader that uses the proposal finds in each of `rows` the ids of `reading`, and no other ids."""
    log = "\n".join(row.text for row in rows).encode() + b"\n"
    events = {event.line: event for event in read(log, proposal.add_to(vocabulary))}
    if len(events) > len(rows):
        return False
    number = 1
    for row in rows:
        event, expected = events.get(number), dict(ids_in(row.message, reading))
        number += row.text.count("\n") + 1
        if not isinstance(event, _EVENTS[reading.kind]):
            return False
        if any(getattr(event, name, None) != expected.get(role) for role, name in _IDS.items()):
            return False
    return bool(reading.places) or not any(map(_has_ids, events.values()))


def _has_ids(event: Event) -> bool:
    return any(getattr(event, name, None) is not None for name in _IDS.values())


def readings_about(
    log: bytes, ids: Ids, vocabulary: LogVocabulary, kinds: Collection[str]
) -> list[tuple[Reading, list[Row]]]:
    """Return the meaning of each logging call whose lines contain known ids, together with these lines.

    The known ids decide which values are users and sockets. The keys of the values do not matter.

    kinds  kinds of events; logging calls about other events are left out
    """
    known, is_known = {*ids.sids, *ids.users}, vocabulary.needle_pattern()
    needles = re.compile(b"|".join(re.escape(each.encode()) for each in known)) if known else None
    rows, timestamps, lines = list[Row](), TimestampParser(""), log.split(b"\n")
    for at, raw in enumerate(lines):
        below = lines[at + 1 : at + 1 + MAX_LINES_BELOW]
        if needles is None or len(raw) > MAX_LINE or len(rows) >= MAX_LINES or is_known.search(raw):
            continue
        record = list(record_lines(raw, below))
        if needles.search(b"\n".join(record)) is None or CONTINUATION.match(raw):
            continue
        text = decode_line(raw)
        parsed = parse(with_fields_below(unwrap(text, timestamps), record[1:]))
        if parsed is not None and not known.isdisjoint(slot.value for _, slot in parsed.values):
            rows.append(Row(at + 1, parsed, "\n".join(map(decode_line, record))))
    found = [
        (reading, [row for row in rows if row.message.statement == statement])
        for statement, reading in learn(rows, known=ids).items()
        if reading.kind in kinds
    ]
    return [(reading, own) for reading, own in found if all(_are_known(row, reading, known) for row in own)]


def _are_known(row: Row, reading: Reading, known: Collection[str]) -> bool:
    """Return whether all words of a line that `reading` takes for ids are known ids. If not, the reading is wrong."""
    return all(value in known for role, value in ids_in(row.message, reading) if role in _IDS)
