"""Lines that may tell of connections in other words, and the options that would read them."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wscheck.model.events import Connected, Disconnected, Event, Replaced
from wscheck.model.report import MarkerSuggestion
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.formats.envelopes import Message, decoded, opened
from wscheck.observe.logs.formats.key_values import pairs
from wscheck.observe.logs.formats.line_prefix import is_level
from wscheck.observe.logs.formats.timestamps import Calendar
from wscheck.observe.logs.suggest.column_roles import Ids, Record, as_they_came, ids_in, keys_for
from wscheck.observe.logs.suggest.phrases import (
    LIKELY,
    Line,
    Phrase,
    in_order,
    is_of_connections,
    is_told,
    kind_of,
    line_of,
    phrases,
)
from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    REPLACED,
    TAKEN,
    Wording,
    wrong_as_key,
    wrong_as_marker,
)
from wscheck.observe.tailing.gzip_log import GZIP_MAGIC

MOST = 2
"""Wordings proposed for one kind of event."""

Read = Callable[[bytes, Wording], Sequence[Event]]
"""Reads a log by a wording."""

_EVENTS = {CONNECTED: Connected, DISCONNECTED: Disconnected, REPLACED: Replaced}


class Suggestion(NamedTuple):
    """What may be an event of `kind`: its words, what it may call its ids, by role, how many lines, and one of them."""

    kind: str
    text: str
    keys: tuple[tuple[str, str], ...]
    lines: int
    example: str

    def added_to(self, wording: Wording) -> Wording:
        """The wording by which these lines are read."""
        return Wording((*wording.markers, (self.kind, self.text)), (*wording.keys, *self.keys))

    def told(self) -> MarkerSuggestion:
        """As a report tells it."""
        keys = [f"{role}={name}" for role, name in self.keys]
        return MarkerSuggestion(kind=self.kind, marker=self.text, keys=keys, lines=self.lines, example=self.example)


class Trial(NamedTuple):
    """Where suggestions are tried: `about` as in `suggestions`, `others` are lines that speak of something else."""

    log: bytes
    wording: Wording
    read: Read
    about: Ids
    others: frozenset[int]

    def of(self, proposed: Suggestion) -> "Tried | None":
        """What a suggestion reads; None where it tells nobody's connection, or takes another line for one."""
        each = (proposed._replace(keys=()), proposed) if proposed.keys else (proposed,)
        told = [Tried(one, *self._told(self.read(self.log, one.added_to(self.wording)), one.kind)) for one in each]
        tried = max(told, key=lambda one: one.ids)
        if not tried.ids or not tried.lines.isdisjoint(self.others):
            return None
        return tried._replace(suggestion=tried.suggestion._replace(lines=len(tried.lines)))

    def _told(self, events: Iterable[Event], kind: str) -> tuple[int, frozenset[int]]:
        """How many ids events of a kind tell, and the lines of those that tell any."""
        wanted = {*self.about.sids, *self.about.users}
        told = [(event.line or 0, filter(None, _ids(event))) for event in events if isinstance(event, _EVENTS[kind])]
        named = [(line, sum(not wanted or each in wanted for each in ids)) for line, ids in told]
        return sum(count for _, count in named), frozenset(line for line, count in named if count)


class Tried(NamedTuple):
    """A suggestion, how many ids it tells, and the lines that it reads."""

    suggestion: Suggestion
    ids: int
    lines: frozenset[int]


def best(proposed: Iterable[Suggestion], trial: Trial) -> list[Suggestion]:
    """Those that tell most, as far as each reads lines that the others do not; the most frequent first."""
    tried = filter(None, map(trial.of, proposed))
    chosen, read = list[Suggestion](), frozenset[int]()
    for each in sorted(tried, key=lambda each: (-each.ids, -len(each.lines))):
        if len(chosen) < MOST and not each.lines <= read:
            chosen.append(each.suggestion)
            read |= each.lines
    return sorted(chosen, key=lambda suggestion: -suggestion.lines)


def _ids(event: Event) -> tuple[str | None, ...]:
    return event.user, getattr(event, "sid", None), getattr(event, "old_sid", None), getattr(event, "new_sid", None)


PROPOSED = 4
"""Wordings tried for one kind of event, the most frequent first."""
PIECE, BEGINNING = 1 << 16, 1 << 20
"""So much of a file's beginning is looked at, a piece after the other."""
LONGEST = 1 << 12
BELOW = 6
"""Lines below a sentence that may be of its record."""
EXCERPT = 120

NOBODY = Ids()
_WORD = r"[A-Za-z]+(?:[_.:/'-][A-Za-z]+)*"
_RUN = re.compile(rf"(?<![\w.:/-]){_WORD}(?: {_WORD})*(?![\w/-])")
_PART = re.compile(rb"[\s*|-]|\xe2\x80\xa2")
"""How a line begins that goes on with a record."""


class Proposer(Protocol):
    """A reader of its own, which has read nothing yet."""

    def feed(self, data: Any) -> list[Event]: ...
    def suggestions(self, kinds: Collection[str], about: Ids = ...) -> list[Suggestion]: ...


def suggestions(
    log: bytes, wording: Wording, kinds: Collection[str], read: Read, about: Ids = NOBODY
) -> list[Suggestion]:
    """What in these lines may be events of `kinds`, though `wording` does not read them; the most frequent first.

    `about`: the ids of the connections that are asked for, where they are known.
    """
    roles, lines = wording.roles(), list(_likely(log))
    records = [record for record in _records(lines) if not about or _names(about, record)]
    worded = phrases(lines, about)
    telling = in_order(phrase for phrase in worded if phrase.telling)
    ids = about or _both(records, telling, roles)
    made = list[Suggestion]()
    for kind in kinds:
        proposed = [*_named(records, kind, roles, ids), *_placed(worded, kind, ids)]
        others = frozenset(line.number for line in lines if line.kind not in {"", kind})
        made += best(proposed, Trial(log, wording, read, about, others))
    return made


def _both(records: Sequence[Record], telling: Sequence[Record], roles: Mapping[str, str]) -> Ids:
    """The ids that are told with names and without."""
    told = zip(ids_in(records, roles), ids_in(telling, roles), strict=True)
    ids = Ids(*(tuple(dict.fromkeys((*named, *placed))) for named, placed in told))
    return as_they_came(ids, [*records, *telling])


def _named(records: Sequence[Record], kind: str, roles: Mapping[str, str], ids: Ids) -> Iterator[Suggestion]:
    """Words with ids that have names, the most frequent first."""
    said: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == kind:
            said.setdefault(record.text, []).append(record)
    for some in sorted(said.values(), key=lambda each: -len(each))[:PROPOSED]:
        yield _proposed(some[0], some[0].text, tuple(keys_for(some, roles, ids)))


def _placed(worded: Sequence[Phrase], kind: str, ids: Ids) -> Iterator[Suggestion]:
    """Sentences with ids in them, the most frequent first."""
    of_kind = (phrase for phrase in worded if phrase.kind == kind)
    markers = ((phrase.records[0], marker) for phrase in of_kind for marker in phrase.markers(ids))
    told = ((record, marker) for record, marker in markers if not wrong_as_marker(kind, marker, TAKEN[kind]))
    yield from islice((_proposed(record, marker, ()) for record, marker in told), PROPOSED)


def in_the_beginning(
    pieces: Iterable[bytes], reader: Proposer, kinds: Collection[str], about: Ids = NOBODY
) -> list[Suggestion]:
    """What in a log's first lines may be such events, as a `reader` of its own sees them; none in what is packed."""
    looked_at = 0
    for piece in pieces:
        reader.feed(piece)
        looked_at += len(piece)
        found = reader.suggestions(kinds, about)
        if found or looked_at >= BEGINNING or piece.startswith(GZIP_MAGIC):
            return found
    return []


def pieces_of(path: Path) -> Iterator[bytes]:
    """A file from its beginning on; nothing where it is gone by now: what was read of it is told without a hint."""
    with suppress(OSError), path.open("rb") as file:
        yield from iter(lambda: file.read(PIECE), b"")


def _names(about: Ids, record: Record) -> bool:
    return not {*about.sids, *about.users}.isdisjoint(record.values.values()) or any(
        sid in record.line for sid in about.sids
    )


def _proposed(like: Record, marker: str, keys: tuple[tuple[str, str], ...]) -> Suggestion:
    return Suggestion(like.kind, marker, keys, 0, Redactor().redact(like.line)[:EXCERPT])


def _likely(log: bytes) -> Iterator[Line]:
    """The lines that may tell of a connection."""
    calendar, lines = Calendar(""), log.splitlines()
    for at, raw in enumerate(lines):
        if len(raw) < LONGEST and LIKELY.search(raw):
            text = decoded(raw)
            below = takewhile(_PART.match, lines[at + 1 : at + 1 + BELOW])
            yield line_of(at + 1, text.strip(), opened(text, calendar), [Message(decoded(p[:LONGEST])) for p in below])


def _records(lines: Iterable[Line]) -> Iterator[Record]:
    """What each line may tell, with the keys on it and on those below that go on with it."""
    for line in lines:
        sentences = [said for said in _sentences(line.message.text) if line.kind in {"", said[0]}]
        if sentences:
            values = dict(chain.from_iterable(_values(part) for part in reversed([line.message, *line.below])))
            yield from (Record(kind, text, line.text, values) for kind, text in sentences)


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    """The kinds and words of what a message may tell: of a run of words as many as it takes, for names may follow."""
    for run in _RUN.finditer(text):
        words = run[0].split(" ")
        while words and is_level(words[0]):
            del words[0]
        told = next((words[:count] for count in range(1, len(words) + 1) if is_told(words[:count])), None)
        if told is not None and not (told == words and text.startswith("=", run.end())):
            kind = kind_of(told)
            if kind != REPLACED or is_of_connections(told):  # keys of a cache are evicted, too
                yield kind, " ".join(told)


def _values(message: Message) -> Iterator[tuple[str, str]]:
    """Its keys that may be named by an option, with their values."""
    yield from ((pair.key, pair.value) for pair in pairs(message.text))
    for key, value in (message.fields or {}).items():
        if isinstance(value, str | int) and not isinstance(value, bool) and not wrong_as_key(key):
            yield key, str(value)
