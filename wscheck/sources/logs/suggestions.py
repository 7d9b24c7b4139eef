"""Lines that may tell of connections in other words, and the options that would read them: a hint, never evidence.

What looks like one is only proposed: the reader, given the proposed words, must find whose or which connection it is.
Where it is known whose connections there were, and which, only what tells of these counts.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, takewhile
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wscheck.events import Connected, Disconnected, Event, Replaced
from wscheck.following.packed import SIGN
from wscheck.redaction import Redactor
from wscheck.report import Suggested
from wscheck.sources.logs.envelopes import Message, decoded, opened
from wscheck.sources.logs.identifying import Ids, Record, ids_in, keys_for
from wscheck.sources.logs.pairs import pairs
from wscheck.sources.logs.prefixes import is_level
from wscheck.sources.logs.stamps import Calendar
from wscheck.sources.logs.wording import CONNECTED, DISCONNECTED, REPLACED, Wording, vocabulary, wrong_as_key

MOST = 2
"""Wordings proposed for one kind of event."""
PROPOSED = 4
"""Wordings tried for one kind of event, the most frequent first."""
PIECE, BEGINNING = 1 << 16, 1 << 20
"""So much of a file's beginning is looked at, a piece after the other."""
LONGEST = 1 << 12
BELOW = 6
"""Lines below a sentence that may be of its record."""
EXCERPT = 120

NOBODY = Ids()

Read = Callable[[bytes, Wording], Sequence[Event]]
"""Reads a log by a wording."""


_EVENTS = {CONNECTED: Connected, DISCONNECTED: Disconnected, REPLACED: Replaced}

_VERBS = {
    REPLACED: vocabulary("replace replaced replacing superseded kick kicked kicking evict evicted evicting"),
    DISCONNECTED: vocabulary("disconnect disconnected disconnection closed left offline gone lost dropped"),
    CONNECTED: vocabulary("connect connected connection joined opened online established accepted"),
}
"""The first that a sentence has tells its kind."""
_NOUNS = vocabulary(
    "socket sockets websocket ws io client user peer session connection channel player member device new"
)
_LIKELY = re.compile(
    rb"(?i)connect|join|open|online|establish|accept|close|left|gone|lost|drop|replac|supersed|kick|evict"
)

_WORD = r"[A-Za-z]+(?:[_.:/'-][A-Za-z]+)*"
_RUN = re.compile(rf"(?<![\w.:/-]){_WORD}(?: {_WORD})*(?![\w/-])")
_PLAIN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_PART = re.compile(rb"[\s*|-]|\xe2\x80\xa2")
"""How a line begins that goes on with a record."""


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

    def told(self) -> Suggested:
        """As a report tells it."""
        keys = [f"{role}={name}" for role, name in self.keys]
        return Suggested(kind=self.kind, marker=self.text, keys=keys, lines=self.lines, example=self.example)


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
    records = [record for record in _records(log) if not about or _names(about, record)]
    ids, roles = about or ids_in(records, wording.roles()), wording.roles()
    said: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        said.setdefault((record.kind, record.text), []).append(record)
    frequent = sorted(said.items(), key=lambda each: -len(each[1]))
    made = list[Suggestion]()
    for kind in kinds:
        of_kind = [some for words, some in frequent if words[0] == kind][:PROPOSED]
        proposed = (_proposed(some, tuple(keys_for(some, roles, ids))) for some in of_kind)
        tried = (_tried(log, wording, each, read, about) for each in proposed)
        made += sorted(filter(None, tried), key=lambda suggestion: -suggestion.lines)[:MOST]
    return made


def in_the_beginning(
    pieces: Iterable[bytes], reader: Proposer, kinds: Collection[str], about: Ids = NOBODY
) -> list[Suggestion]:
    """What in a log's first lines may be such events, as a `reader` of its own sees them; none in what is packed."""
    looked_at = 0
    for piece in pieces:
        reader.feed(piece)
        looked_at += len(piece)
        found = reader.suggestions(kinds, about)
        if found or looked_at >= BEGINNING or piece.startswith(SIGN):
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


def _proposed(records: Sequence[Record], keys: tuple[tuple[str, str], ...]) -> Suggestion:
    first = records[0]
    return Suggestion(first.kind, first.text, keys, 0, Redactor().clean(first.line)[:EXCERPT])


def _records(log: bytes) -> Iterator[Record]:
    """What each line may tell, with the keys on it and on those below that go on with it."""
    calendar, lines = Calendar(""), log.splitlines()
    for at, raw in enumerate(lines):
        if len(raw) >= LONGEST or not _LIKELY.search(raw):
            continue
        line = decoded(raw)
        message = opened(line, calendar)
        sentences = list(_sentences(message.text))
        if sentences:
            below = takewhile(_PART.match, lines[at + 1 : at + 1 + BELOW])
            parts = [message, *(Message(decoded(part[:LONGEST])) for part in below)]
            values = dict(chain.from_iterable(_values(part) for part in reversed(parts)))
            yield from (Record(kind, text, line.strip(), values) for kind, text in sentences)


def _sentences(text: str) -> Iterator[tuple[str, str]]:
    """The kinds and words of what a message may tell: of a run of words as many as it takes, for names may follow."""
    for run in _RUN.finditer(text):
        words = run[0].split(" ")
        while words and is_level(words[0]):
            del words[0]
        told = next((words[:count] for count in range(1, len(words) + 1) if _is_told(words[:count])), None)
        if told is not None and not (told == words and text.startswith("=", run.end())):
            yield _kind(told), " ".join(told)


def _kind(words: Iterable[str]) -> str:
    plain = {part.lower() for word in words for part in _PLAIN.findall(word)}
    return next((kind for kind, verbs in _VERBS.items() if not verbs.isdisjoint(plain)), "")


def _is_told(words: Sequence[str]) -> bool:
    """Whether words say that something happened, and to what."""
    plain = {part.lower() for word in words for part in _PLAIN.findall(word)}
    kind = _kind(words)
    return kind != "" and not _NOUNS.isdisjoint(plain - _VERBS[kind])


def _tried(log: bytes, wording: Wording, proposed: Suggestion, read: Read, about: Ids) -> Suggestion | None:
    """The suggestion, None where a reader that follows it would not know whose connection it is, nor which."""
    each = (proposed._replace(keys=()), proposed) if proposed.keys else (proposed,)
    told = [(_told(read(log, one.added_to(wording)), one.kind, about), one) for one in each]
    (ids, lines), best = max(told, key=lambda pair: pair[0][0])
    return best._replace(lines=lines) if ids else None


def _told(events: Iterable[Event], kind: str, about: Ids) -> tuple[int, int]:
    """How many ids events of a kind tell, and how many such events tell any."""
    wanted = {*about.sids, *about.users}
    told = [filter(None, _ids(event)) for event in events if isinstance(event, _EVENTS[kind])]
    named = [sum(not wanted or each in wanted for each in ids) for ids in told]
    return sum(named), len(named) - named.count(0)


def _ids(event: Event) -> tuple[str | None, ...]:
    return event.user, getattr(event, "sid", None), getattr(event, "old_sid", None), getattr(event, "new_sid", None)


def _values(message: Message) -> Iterator[tuple[str, str]]:
    """Its keys that may be named by an option, with their values."""
    yield from ((pair.key, pair.value) for pair in pairs(message.text))
    for key, value in (message.fields or {}).items():
        if isinstance(value, str | int) and not isinstance(value, bool) and not wrong_as_key(key):
            yield key, str(value)
