"""Suggested options for lines that may describe connections in an unknown wording: a hint, never evidence.

Each suggestion is tested first: a reader with the suggested markers must find user ids or socket ids, and must not read
lines about anything else. If the ids of the connections are known, only lines with these ids count.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wscheck.model.events import Connected, Disconnected, Event, Replaced
from wscheck.model.report import MarkerSuggestion
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line, unwrap
from wscheck.observe.logs.formats.key_values import find_key_values
from wscheck.observe.logs.formats.line_prefix import is_level
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.suggest.column_roles import (
    CandidateRecord,
    ConnectionIds,
    in_connect_order,
    infer_ids,
    role_keys,
)
from wscheck.observe.logs.suggest.phrases import (
    LIKELY_VERBS,
    CandidateLine,
    Phrase,
    candidate_line,
    describes_event,
    event_kind,
    find_phrases,
    is_about_connections,
    records_in_order,
)
from wscheck.observe.logs.vocabulary import (
    ALLOWED_ROLES,
    CONNECTED,
    DISCONNECTED,
    REPLACED,
    LogVocabulary,
    key_name_error,
    marker_error,
)
from wscheck.observe.tailing.gzip_log import GZIP_MAGIC

MAX_PROPOSED = 2
"""Maximum number of suggestions for one kind of event."""

Read = Callable[[bytes, LogVocabulary], Sequence[Event]]
"""Function that reads a log with a vocabulary and returns its events."""

_EVENTS = {CONNECTED: Connected, DISCONNECTED: Disconnected, REPLACED: Replaced}


class MarkerProposal(NamedTuple):
    """Suggested marker for events of `kind`.

    text     the marker
    keys     pairs of role and key for the ids that the marker's lines contain
    lines    number of lines that the marker reads
    example  one of these lines
    """

    kind: str
    text: str
    keys: tuple[tuple[str, str], ...]
    lines: int
    example: str

    def add_to(self, wording: LogVocabulary) -> LogVocabulary:
        """Return the vocabulary with this marker and its keys added."""
        return LogVocabulary((*wording.markers, (self.kind, self.text)), (*wording.keys, *self.keys))

    def to_report(self) -> MarkerSuggestion:
        """Return the suggestion in the form that reports contain."""
        keys = [f"{role}={name}" for role, name in self.keys]
        return MarkerSuggestion(kind=self.kind, marker=self.text, keys=keys, lines=self.lines, example=self.example)


class SuggestionTrial(NamedTuple):
    """Test of suggested markers on a log. `others` are the numbers of lines that a marker must not read."""

    log: bytes
    wording: LogVocabulary
    read: Read
    about: ConnectionIds
    others: frozenset[int]

    def run(self, proposed: MarkerProposal) -> "TrialResult | None":
        """Return the result of a suggestion, None if it finds no id or reads a line about something else."""
        each = (proposed._replace(keys=()), proposed) if proposed.keys else (proposed,)
        results = [
            TrialResult(one, *self._count_ids(self.read(self.log, one.add_to(self.wording)), one.kind)) for one in each
        ]
        best = max(results, key=lambda one: one.ids)
        if not best.ids or not best.lines.isdisjoint(self.others):
            return None
        return best._replace(suggestion=best.suggestion._replace(lines=len(best.lines)))

    def _count_ids(self, events: Iterable[Event], kind: str) -> tuple[int, frozenset[int]]:
        """Return the number of ids in the events of a kind, and the numbers of the lines with these ids."""
        wanted = {*self.about.sids, *self.about.users}
        ids_by_line = [
            (event.line or 0, filter(None, _ids(event))) for event in events if isinstance(event, _EVENTS[kind])
        ]
        counts = [(line, sum(not wanted or each in wanted for each in ids)) for line, ids in ids_by_line]
        return sum(count for _, count in counts), frozenset(line for line, count in counts if count)


class TrialResult(NamedTuple):
    """Suggestion, number of ids that it finds, and numbers of the lines that it reads."""

    suggestion: MarkerProposal
    ids: int
    lines: frozenset[int]


def best_suggestions(proposed: Iterable[MarkerProposal], trial: SuggestionTrial) -> list[MarkerProposal]:
    """Return the suggestions that find the most ids, sorted by the number of lines that they read.

    Each suggestion reads some lines that no other suggestion reads.
    """
    tried = filter(None, map(trial.run, proposed))
    chosen, read = list[MarkerProposal](), frozenset[int]()
    for each in sorted(tried, key=lambda each: (-each.ids, -len(each.lines))):
        if len(chosen) < MAX_PROPOSED and not each.lines <= read:
            chosen.append(each.suggestion)
            read |= each.lines
    return sorted(chosen, key=lambda suggestion: -suggestion.lines)


def _ids(event: Event) -> tuple[str | None, ...]:
    return event.user, getattr(event, "sid", None), getattr(event, "old_sid", None), getattr(event, "new_sid", None)


MAX_TRIED = 4
"""Maximum number of messages that are tried for one kind of event; the most frequent messages come first."""
PIECE_SIZE, START_SIZE = 1 << 16, 1 << 20
"""Size of the pieces in which a file is read, and size of the part at the file's start that is read, in bytes."""
MAX_LINE = 1 << 12
MAX_LINES_BELOW = 6
"""Maximum number of lines below a message that may belong to its record."""
EXCERPT = 120

NO_IDS = ConnectionIds()
_WORD = r"[A-Za-z]+(?:[_.:/'-][A-Za-z]+)*"
_RUN = lazy_pattern(rf"(?<![\w.:/-]){_WORD}(?: {_WORD})*(?![\w/-])")
_PART = lazy_pattern(rb"[\s*|-]|\xe2\x80\xa2")
"""Start of a line that continues a record."""


class SuggestionReader(Protocol):
    """New log reader, used for reading a part of a log and for finding suggestions in it."""

    def feed(self, data: Any) -> list[Event]: ...
    def suggestions(self, kinds: Collection[str], about: ConnectionIds = ...) -> list[MarkerProposal]: ...


def find_suggestions(
    log: bytes, wording: LogVocabulary, kinds: Collection[str], read: Read, about: ConnectionIds = NO_IDS
) -> list[MarkerProposal]:
    """Return suggested options for events of `kinds` that `wording` does not read, the most frequent first.

    `about` contains the ids of the connections, if they are known.
    """
    roles, lines = wording.key_roles(), list(_likely(log))
    records = [record for record in _records(lines) if not about or _names(about, record)]
    found = find_phrases(lines, about)
    certain = records_in_order(phrase for phrase in found if phrase.describes_connection)
    ids = about or _ids_in_log(records, certain, roles)
    made = list[MarkerProposal]()
    for kind in kinds:
        proposed = [*_keyed_proposals(records, kind, roles, ids), *_sentence_proposals(found, kind, ids)]
        others = frozenset(line.number for line in lines if line.kind not in {"", kind})
        made += best_suggestions(proposed, SuggestionTrial(log, wording, read, about, others))
    return made


def _ids_in_log(
    records: Sequence[CandidateRecord], certain: Sequence[CandidateRecord], roles: Mapping[str, str]
) -> ConnectionIds:
    """Return the ids with and without keys, sorted by the start of their connections."""
    pairs = zip(infer_ids(records, roles), infer_ids(certain, roles), strict=True)
    ids = ConnectionIds(*(tuple(dict.fromkeys((*keyed, *unkeyed))) for keyed, unkeyed in pairs))
    return in_connect_order(ids, [*records, *certain])


def _keyed_proposals(
    records: Sequence[CandidateRecord], kind: str, roles: Mapping[str, str], ids: ConnectionIds
) -> Iterator[MarkerProposal]:
    """Yield suggestions for messages that contain ids as values of keys (`userId=42`), the most frequent first."""
    by_text: dict[str, list[CandidateRecord]] = {}
    for record in records:
        if record.kind == kind:
            by_text.setdefault(record.text, []).append(record)
    for some in sorted(by_text.values(), key=lambda each: -len(each))[:MAX_TRIED]:
        yield _suggestion(some[0], some[0].text, tuple(role_keys(some, roles, ids)))


def _sentence_proposals(found: Sequence[Phrase], kind: str, ids: ConnectionIds) -> Iterator[MarkerProposal]:
    """Yield suggestions for messages that contain ids between words (`user 42 connected`), the most frequent first."""
    matching = (phrase for phrase in found if phrase.kind == kind)
    markers = ((phrase.records[0], marker) for phrase in matching for marker in phrase.markers(ids))
    valid = ((record, marker) for record, marker in markers if not marker_error(kind, marker, ALLOWED_ROLES[kind]))
    yield from islice((_suggestion(record, marker, ()) for record, marker in valid), MAX_TRIED)


def suggestions_from_start(
    pieces: Iterable[bytes], reader: SuggestionReader, kinds: Collection[str], about: ConnectionIds = NO_IDS
) -> list[MarkerProposal]:
    """Return suggestions for the first lines of a log, which a new `reader` reads; none for compressed input."""
    looked_at = 0
    for piece in pieces:
        reader.feed(piece)
        looked_at += len(piece)
        found = reader.suggestions(kinds, about)
        if found or looked_at >= START_SIZE or piece.startswith(GZIP_MAGIC):
            return found
    return []


def file_pieces(path: Path) -> Iterator[bytes]:
    """Yield a file in pieces from its start; nothing if it was deleted."""
    with suppress(OSError), path.open("rb") as file:
        yield from iter(lambda: file.read(PIECE_SIZE), b"")


def _names(about: ConnectionIds, record: CandidateRecord) -> bool:
    return not {*about.sids, *about.users}.isdisjoint(record.values.values()) or any(
        sid in record.line for sid in about.sids
    )


def _suggestion(like: CandidateRecord, marker: str, keys: tuple[tuple[str, str], ...]) -> MarkerProposal:
    return MarkerProposal(like.kind, marker, keys, 0, Redactor().redact(like.line)[:EXCERPT])


def _likely(log: bytes) -> Iterator[CandidateLine]:
    """Yield the lines that may describe a connection event."""
    timestamps, lines = TimestampParser(""), log.splitlines()
    for at, raw in enumerate(lines):
        if len(raw) < MAX_LINE and LIKELY_VERBS.search(raw):
            text = decode_line(raw)
            below = takewhile(_PART.match, lines[at + 1 : at + 1 + MAX_LINES_BELOW])
            yield candidate_line(
                at + 1, text.strip(), unwrap(text, timestamps), [LogMessage(decode_line(p[:MAX_LINE])) for p in below]
            )


def _records(lines: Iterable[CandidateLine]) -> Iterator[CandidateRecord]:
    """Yield the possible records of each line, with the keys on it and on the lines below that continue it."""
    for line in lines:
        sentences = [sentence for sentence in _sentences(line.message.text) if line.kind in {"", sentence[0]}]
        if sentences:
            values = dict(chain.from_iterable(_values(part) for part in reversed([line.message, *line.below])))
            yield from (CandidateRecord(kind, text, line.text, values) for kind, text in sentences)


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    """Yield (kind, words) of each event that a message may describe, with few words, because names may follow."""
    for run in _RUN.finditer(text):
        words = run[0].split(" ")
        while words and is_level(words[0]):
            del words[0]
        shortest = next((words[:count] for count in range(1, len(words) + 1) if describes_event(words[:count])), None)
        if shortest is not None and not (shortest == words and text.startswith("=", run.end())):
            kind = event_kind(shortest)
            if kind != REPLACED or is_about_connections(shortest):  # keys of a cache are evicted too
                yield kind, " ".join(shortest)


def _values(message: LogMessage) -> Iterator[tuple[str, str]]:
    """Yield (key, value) for each pair in a message whose key can be given to the option --key."""
    yield from ((pair.key, pair.value) for pair in find_key_values(message.text))
    for key, value in (message.fields or {}).items():
        if isinstance(value, str | int) and not isinstance(value, bool) and not key_name_error(key):
            yield key, str(value)
