"""Lines that may tell of connections in other words, and the options that would read them: a hint, never evidence.

What looks like one is only proposed: the reader, given the proposed words, must find whose or which connection it is.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from wscheck.events import Connected, Disconnected, Event, Replaced
from wscheck.following.packed import SIGN
from wscheck.redaction import Redactor
from wscheck.sources.logs.envelopes import Message, decoded, opened
from wscheck.sources.logs.pairs import pairs
from wscheck.sources.logs.prefixes import is_level
from wscheck.sources.logs.stamps import Calendar
from wscheck.sources.logs.wording import CONNECTED, DISCONNECTED, REPLACED, SID, USER, Wording, plain

MOST = 2
"""Wordings proposed for one kind of event."""
PROPOSED = 4
"""Wordings tried for one kind of event, the most frequent first."""
PIECE, BEGINNING = 1 << 16, 1 << 20
"""So much of a file's beginning is looked at, a piece after the other."""
LONGEST = 1 << 12
EXCERPT = 120

Read = Callable[[bytes, Wording], Sequence[Event]]
"""Reads a log by a wording."""


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_EVENTS = {CONNECTED: Connected, DISCONNECTED: Disconnected, REPLACED: Replaced}

_VERBS = {
    REPLACED: _words("replace replaced replacing superseded kick kicked kicking evict evicted evicting"),
    DISCONNECTED: _words("disconnect disconnected disconnection closed left offline gone lost dropped"),
    CONNECTED: _words("connect connected connection joined opened online established accepted"),
}
"""The first that a sentence has tells its kind."""
_NOUNS = _words("socket sockets websocket ws io client user peer session connection channel player member device new")
_LIKELY = re.compile(
    rb"(?i)connect|join|open|online|establish|accept|close|left|gone|lost|drop|replac|supersed|kick|evict"
)

_WORD = r"[A-Za-z]+(?:[_.:/'-][A-Za-z]+)*"
_RUN = re.compile(rf"(?<![\w.:/-]){_WORD}(?: {_WORD})*(?![\w/-])")
_PLAIN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_USER = re.compile(r"(?i)u|uid|username|.*(?:user|account|member|customer|player|email|login|owner|subject).*|sub")
_SOCKET = re.compile(r"[A-Za-z0-9_-]{20}")


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


class Proposer(Protocol):
    """A reader of its own, which has read nothing yet."""

    def feed(self, data: Any) -> list[Event]: ...
    def suggestions(self, kinds: Collection[str]) -> list[Suggestion]: ...


def suggestions(log: bytes, wording: Wording, kinds: Collection[str], read: Read) -> list[Suggestion]:
    """What in these lines may be events of `kinds`, though `wording` does not read them; the most frequent first."""
    said: dict[tuple[str, str], list[tuple[str, Message]]] = {}
    for line, message in _messages(log):
        for found in _sentences(message.text):
            if found[0] in kinds:
                said.setdefault(found, []).append((line, message))
    frequent = sorted(said.items(), key=lambda each: -len(each[1]))
    made = list[Suggestion]()
    for kind in kinds:
        proposed = [_proposed(*words, lines, wording) for words, lines in frequent if words[0] == kind][:PROPOSED]
        tried = (_tried(log, wording, each, read) for each in proposed)
        made += sorted(filter(None, tried), key=lambda suggestion: -suggestion.lines)[:MOST]
    return made


def in_the_beginning(path: Path, reader: Proposer, kinds: Collection[str]) -> list[Suggestion]:
    """What in a file's first lines may be such events, as a `reader` of its own sees them; none in a packed one."""
    try:
        with path.open("rb") as file:
            for piece in iter(lambda: file.read(PIECE), b""):
                reader.feed(piece)
                if (found := reader.suggestions(kinds)) or file.tell() >= BEGINNING:
                    return found
                if piece.startswith(SIGN):
                    break
    except OSError:
        pass  # it is gone by now: what was read of it is told without a hint
    return []


def _proposed(kind: str, text: str, lines: Sequence[tuple[str, Message]], wording: Wording) -> Suggestion:
    example = Redactor().clean(lines[0][0])[:EXCERPT]
    return Suggestion(kind, text, tuple(_keys([message for _, message in lines], wording.roles())), 0, example)


def _messages(log: bytes) -> Iterator[tuple[str, Message]]:
    """Each line that may be of interest, as it stands there and opened."""
    calendar = Calendar("")
    for raw in log.splitlines():
        if len(raw) < LONGEST and _LIKELY.search(raw):
            line = decoded(raw)
            yield line.strip(), opened(line, calendar)


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


def _tried(log: bytes, wording: Wording, proposed: Suggestion, read: Read) -> Suggestion | None:
    """The suggestion, None where a reader that follows it would not know whose connection it is, nor which."""
    each = (proposed._replace(keys=()), proposed)
    told = [(_told(read(log, one.added_to(wording)), one.kind), one) for one in each]
    (ids, lines), best = max(told, key=lambda pair: pair[0][0])
    return best._replace(lines=lines) if ids else None


def _told(events: Iterable[Event], kind: str) -> tuple[int, int]:
    """How many ids events of a kind tell, and how many such events tell any."""
    named = [sum(map(bool, _ids(event))) for event in events if isinstance(event, _EVENTS[kind])]
    return sum(named), len(named) - named.count(0)


def _ids(event: Event) -> tuple[str | None, ...]:
    return event.user, getattr(event, "sid", None), getattr(event, "old_sid", None), getattr(event, "new_sid", None)


def _keys(messages: Sequence[Message], known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """By role, the key that may be meant: a socket's by how Socket.IO's ids look, a user's by its name."""
    values: dict[str, list[str]] = {}
    for key, value in chain.from_iterable(map(_pairs, messages)):
        if plain(key) not in known:
            values.setdefault(key, []).append(value)
    frequent = sorted(values, key=lambda key: -len(values[key]))
    sockets = [key for key in frequent if all(map(_SOCKET.fullmatch, values[key]))]
    users = [key for key in frequent if key not in sockets and _USER.fullmatch(key)]
    yield from ((role, keys[0]) for role, keys in ((USER, users), (SID, sockets)) if keys)


def _pairs(message: Message) -> Iterator[tuple[str, str]]:
    yield from ((pair.key, pair.value) for pair in pairs(message.text))
    yield from ((key, str(value)) for key, value in (message.fields or {}).items() if isinstance(value, str | int))
