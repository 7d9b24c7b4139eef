"""Search for log messages that may contain ids without keys, such as `user 42 connected`.

Words that differ between similar lines may be ids. For such lines, markers with placeholders are created.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from wscheck.observe.logs.formats.envelopes import LogMessage
from wscheck.observe.logs.formats.line_prefix import is_level
from wscheck.observe.logs.formats.timestamps import STAMP
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.suggest.column_roles import CandidateRecord, ConnectionIds, role_keys
from wscheck.observe.logs.vocabulary import CONNECTED, DISCONNECTED, OLD, REPLACED, SID, escape_braces, word_set

_REPLACE_VERBS = word_set(
    "replace replaced replaces replacing supersede superseded supersedes superseding kick kicked kicks kicking evict "
    "evicted evicts evicting displaced displacing bumped ousted takeover duplicate"
)
_TAKE_VERBS = word_set("take takes taken taking took")
_END_VERBS = word_set(
    "close closes closed closing disconnect disconnecting disconnected terminate terminating terminated"
)
_END_VERBS |= word_set("drop dropping dropped end ending ended remove removing removed logout")
_OLDER_WORDS = word_set("old older previous prior existing earlier duplicate other")
"""Words for a connection that ended because another one opened."""
_VERBS = {
    DISCONNECTED: word_set("disconnect disconnected disconnection closed left offline gone lost dropped terminated"),
    CONNECTED: word_set("connect connected connection joined opened online established accepted attached"),
}
"""Verbs for each kind of event. The first verb of a message determines its kind."""
_NOUNS = word_set(
    "socket sockets websocket ws io client user peer session connection channel player member device login sid new"
)
_FILLER_WORDS = word_set(
    "a an and as at be because been being by due for from had has have he her his in into is it its it's of off on out "
    "over s she the their they this through to via was were which with again another anew back came first following "
    "just now once one same second so successfully then went id address browser error favor favour host ip "
    "keep keeping kept namespace normal page ping polling port reason server side ssl stale tab tabs timeout tls "
    "transport version logged signed"
)
"""Further words that may occur in a message that is only about a connection."""

LIKELY_VERBS = lazy_pattern(
    rb"(?i)connect|join|open|online|establish|accept|attach|clos|left|offline|gone|lost|drop|terminat|end|remov|"
    rb"replac|supersed|kick|evict|displac|bump|oust|take|took|duplicat"
)
"""Parts of words; a line without any of them does not describe a connection event."""

_CONNECTION_WORDS = _REPLACE_VERBS | _TAKE_VERBS | _END_VERBS | _OLDER_WORDS | _NOUNS - {"channel"} | _FILLER_WORDS
_CONNECTION_WORDS |= _VERBS[DISCONNECTED] | _VERBS[CONNECTED]

_WORD_PART = lazy_pattern(r"[A-Z]?[a-z]+|[A-Z]+")


def event_kind(words: Iterable[str]) -> str:
    """Return the kind of event that words describe, "" if none."""
    plain = _lower_words(words)
    if not _REPLACE_VERBS.isdisjoint(plain) or ("over" in plain and not _TAKE_VERBS.isdisjoint(plain)):
        return REPLACED
    if not _END_VERBS.isdisjoint(plain) and not _OLDER_WORDS.isdisjoint(plain):
        return REPLACED
    return next((kind for kind, verbs in _VERBS.items() if not verbs.isdisjoint(plain)), "")


def describes_event(words: Sequence[str]) -> bool:
    """Return whether words describe an event and its subject (socket, user, ...)."""
    kind = event_kind(words)
    verbs = _VERBS.get(kind, _REPLACE_VERBS | _END_VERBS)
    return kind != "" and not _NOUNS.isdisjoint(_lower_words(words) - verbs)


def is_connection_noun(word: str) -> bool:
    """Return whether a word names the subject of a connection event."""
    return word.lower() in _NOUNS


def is_about_connections(words: Iterable[str]) -> bool:
    """Return whether all words are about connections, because users also join rooms and close tickets."""
    return _lower_words(words) <= _CONNECTION_WORDS


def _lower_words(words: Iterable[str]) -> set[str]:
    return {part.lower() for word in words for part in _WORD_PART.findall(word)}


MAX_WORDS = 16
"""Maximum number of words in a message of the server; a longer one is assumed to contain text from a user."""

LEVEL_POSITIONS = 3
"""Number of words at the start of a line that may be a log level. Later, "out" and "start" are ordinary words."""

_TOKEN = lazy_pattern(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+|\S+""")
_PARTS = lazy_pattern(
    r"""(?P<before>[("'`\[{<#]*(?:(?P<key>[A-Za-z_][\w.-]*)[=:](?=.))?["'`\[{<#(]*)
    (?P<core>.*?)
    (?P<behind>["'`)\]}>,;:.|]*)$""",
    re.VERBOSE | re.DOTALL,
)
_WORD = lazy_pattern(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_LABEL = lazy_pattern(r"([A-Za-z]+)\W*$")


class PhraseToken(NamedTuple):
    """Word with the punctuation around it, its key (or ""), and the white space in front of it."""

    before: str
    core: str
    behind: str
    key: str
    gap: str = " "

    @property
    def differs(self) -> bool:
        """Return whether the token contains letters or digits but is not an ordinary word: it may be an id."""
        return bool(self.core) and _WORD.fullmatch(self.core) is None and any(map(str.isalnum, self.core))


class CandidateLine(NamedTuple):
    """Line that may describe a connection event.

    text     the line as it is in the log
    below    following lines that continue it
    tokens   words of its message
    kind     kind of event, "" if its words describe none
    """

    number: int
    text: str
    message: LogMessage
    below: Sequence[LogMessage]
    tokens: Sequence[PhraseToken]
    kind: str


class Phrase:
    """Group of similar lines: they have the same number of words and report the same kind of event.

    known  known ids; a position with such an id is not a fixed word of the phrase
    """

    def __init__(self, kind: str, lines: Sequence[CandidateLine], known: Collection[str]) -> None:
        self.kind, self._lines = kind, lines
        tokens = [line.tokens for line in lines]
        self._first = first = tokens[0]
        columns = [{token.core for token in column} for column in zip(*tokens, strict=True)]
        self._open = [
            at for at, cores in enumerate(columns) if first[at].differs or len(cores) > 1 or not cores.isdisjoint(known)
        ]
        self._fixed = [at for at in range(len(first)) if at not in self._open]
        self.words = [first[at].core for at in self._fixed]
        self.names = self._position_names()

    @property
    def records(self) -> list[CandidateRecord]:
        """Return the record of each line. Its values are named after their positions."""
        return [self._record(line) for line in self._lines]

    @property
    def describes_connection(self) -> bool:
        """Return whether the fixed words are enough to show that the lines are about a connection."""
        spoken = (
            at for at in self._fixed if event_kind([self._first[at].core]) or is_connection_noun(self._first[at].core)
        )
        begin = self._begin(min([*self._open, *islice(spoken, 1)]))
        words = [self._first[at].core for at in self._fixed if at >= begin]
        keys = (token.key for token in self._first if token.key)
        return describes_event([*self.words, *keys]) and is_about_connections(words)

    def _record(self, line: CandidateLine) -> CandidateRecord:
        values = {name: line.tokens[at].core for at, name in self.names.items()}
        return CandidateRecord(self.kind, " ".join(self.words), line.text, values)

    def numbered(self) -> Iterator[tuple[int, CandidateRecord]]:
        """Yield the records with their line numbers."""
        yield from ((line.number, self._record(line)) for line in self._lines)

    def _position_names(self) -> dict[int, str]:
        """Return a dict of each position without a fixed word to its name: its key, or the word in front of it."""
        labels = {at: self._first[at].key or self._label(at) for at in self._open}
        names = list(labels.values())
        return {at: label if label and names.count(label) == 1 else f"place {at}" for at, label in labels.items()}

    def _label(self, at: int) -> str:
        before = self._first[at - 1] if at and at - 1 in self._fixed else None
        label = _LABEL.search(before.core) if before is not None else None
        return label[1] if label is not None else ""

    def markers(self, ids: ConnectionIds) -> Iterator[str]:
        """Yield markers that may read the lines with `ids`: one with as few words as possible, and one with all."""
        at = {name: place for place, name in self.names.items()}
        role_of = {at[name]: role for role, name in role_keys(self.records, {}, ids)}
        if not role_of:
            return
        if SID not in role_of.values() and OLD not in role_of.values() and not self.describes_connection:
            return
        begin, end = min(*role_of, self._verb()), max(*role_of, self._verb()) + 1
        begin = self._begin(begin)
        for stop in dict.fromkeys((end, len(self._first))):
            pieces = (self._text(place, role_of, last=place == stop - 1) for place in range(begin, stop))
            yield "".join(pieces).strip()

    def _begin(self, at: int) -> int:
        """Return the first position of the fixed words directly in front of position `at`."""
        while at and at - 1 in self._fixed and _is_word(self._first[at - 1]):
            at -= 1
        return at

    def _verb(self) -> int:
        """Return the position of the word that determines the kind of event."""
        positions = (at for at in range(len(self._first)) if event_kind(self._before(at + 1)) == self.kind)
        return next(positions, 0)

    def _before(self, end: int) -> list[str]:
        return [self._first[at].core for at in self._fixed if at < end]

    def _text(self, at: int, role_of: Mapping[int, str], *, last: bool) -> str:
        token = self._first[at]
        core = f"{{{role_of.get(at, '')}}}" if at in self.names else escape_braces(token.core)
        behind = token.behind.rstrip(".,;:|") if last else token.behind
        return f"{token.gap}{escape_braces(token.before)}{core}{escape_braces(behind)}"


def candidate_line(number: int, text: str, message: LogMessage, below: Sequence[LogMessage]) -> CandidateLine:
    """Return a line with its tokens and kind."""
    tokens = tokenize(message.text)
    return CandidateLine(number, text, message, below, tokens, event_kind(sentence_words(tokens)))


def find_phrases(lines: Iterable[CandidateLine], about: ConnectionIds) -> list[Phrase]:
    """Return the phrases in `lines`, the most frequent first. With `about`, return only phrases with these ids."""
    alike: dict[tuple[str, ...], list[CandidateLine]] = {}
    known = {*about.sids, *about.users}
    for line in lines:
        if known and known.isdisjoint(token.core for token in line.tokens):
            continue
        words = sentence_words(line.tokens)
        if line.kind and len(line.tokens) <= MAX_WORDS:
            verb = next(word for at, word in enumerate(words) if event_kind(words[: at + 1]) == line.kind)
            alike.setdefault((line.kind, verb, *map(_shape, line.tokens)), []).append(line)
    frequent = sorted(alike.items(), key=lambda each: -len(each[1]))
    return [Phrase(kind, alike_lines, known) for (kind, *_), alike_lines in frequent]


def records_in_order(phrases: Iterable[Phrase]) -> list[CandidateRecord]:
    """Return the records of several phrases, sorted by line number."""
    numbered = (each for phrase in phrases for each in phrase.numbered())
    return [record for _, record in sorted(numbered, key=lambda each: each[0])]


def sentence_words(tokens: Iterable[PhraseToken]) -> list[str]:
    """Return the tokens that may be ordinary words, without ids."""
    return [token.core for token in tokens if _is_word(token)]


def tokenize(message: str) -> list[PhraseToken]:
    """Return the words of a message without times and levels."""
    found = (match[0] for match in _TOKEN.finditer(STAMP.sub(" ", message)))
    words = (word for at, word in enumerate(found) if at >= LEVEL_POSITIONS or not is_level(word.strip("[]()")))
    return [token for word in words for token in _tokens(word)]


def _tokens(word: str) -> Iterator[PhraseToken]:
    """Yield the token of a word; for "ann@web-1", one token for the user and one for the host."""
    match = _PARTS.match(word)
    if match is None:
        yield PhraseToken("", word, "", "")
        return
    before, behind, key = match["before"], match["behind"], match["key"] or ""
    who, at, host = match["core"].rpartition("@")
    if who and "." not in host:
        yield PhraseToken(before, who, at, key)
        yield PhraseToken("", host, behind, "", gap="")
    else:
        yield PhraseToken(before, match["core"], behind, key)


def _shape(token: PhraseToken) -> str:
    """Return the parts that all tokens at a position of a phrase share: punctuation, and a noun such as "socket"."""
    return f"{token.before} {token.core if is_connection_noun(token.core) else ''} {token.behind}"


def _is_word(token: PhraseToken) -> bool:
    return not token.differs and bool(token.core) and not token.before and not token.key
