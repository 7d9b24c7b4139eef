"""What one message says: is it a record, of which kind, and which ids stand on its own line."""

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from wscheck.observe.logs.formats.envelopes import MESSAGE_KEYS, Message
from wscheck.observe.logs.formats.key_values import (
    NAME,
    Pair,
    balance,
    is_quoted,
    pairs,
    quotes_around,
    something,
    unbracketed,
    unquoted,
)
from wscheck.observe.logs.formats.line_prefix import Prefix, bare, carries, judged
from wscheck.observe.logs.formats.timestamps import without_tail
from wscheck.observe.logs.placeholders import TRIED, Form, forms_of
from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    NAMESPACE,
    NEW,
    OLD,
    REASON,
    REPLACED,
    RESTARTED,
    SID,
    TAKEN,
    USER,
    WANTED,
    Wording,
    plain,
)

NOT_OURS = frozenset(("req", "res", "request", "response", "err", "error", "headers", "_logmeta", "_meta", "query"))
"""Keys of what a record carries along: ids in there are somebody else's."""


class Reading(msgspec.Struct):
    """A record's marker as read.

    ids     what its own line says, by role
    before  what stands before the marker on its line
    behind  the time that stands at the end of the line, where one does
    bare    nothing but the marker's own words is on its line before it
    opens   an object begins at the end of the line: its keys follow until it is closed
    closed  nothing that belongs to it can follow
    block   the marker is one of the keys of an object over several lines
    doubt   it may be prose: without ids it does not count
    unclear it has an id of which cannot be told where it ends, and which was left out
    """

    kind: str
    ids: dict[str, str]
    before: str = ""
    behind: str = ""
    bare: bool = False
    opens: bool = False
    closed: bool = False
    block: bool = False
    doubt: bool = False
    unclear: bool = False


class Detail(NamedTuple):
    """A line that may belong to a record: what stands before its first key (None: it has no key), and its ids.

    unclear  the roles of ids of which cannot be told where they end
    """

    before: str | None
    ids: dict[str, str]
    bullet: bool
    value: str
    unclear: frozenset[str] = frozenset()

    @property
    def roles(self) -> set[str]:
        """What the line gives, whether it can be told or not."""
        return {*self.ids, *self.unclear}


_SOCKET_ID = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{20}(?![\w-])")
_END = r"(?=[.,;]?(?:\s|$|[)\]}'\"`]))"
_ARROW = re.compile(rf"(?<![^\s:=(\[{{'\"`])([\w-]{{4,}})\s*(?:->|→|=>|➜)\s*([\w-]{{4,}}){_END}")
_LITERAL = r"""(?P<mark>["'`])(?P<quoted>[^"'`]+)(?P=mark)[:;,.|]?(?=\s|$)"""
_WORD = r"(?P<bare>\S+)"
_REPLACED_OF = re.compile(rf"^\s*[:=]?\s*(?P<user>{_LITERAL}|{_WORD})(?P<behind>.*)$", re.DOTALL)
_OF_USER = re.compile(rf"""(?i)\b(?:for|from|by|of|as)\s+user(?:\s?_?id)?\b\s*[:=]?\s*(?P<user>{_LITERAL}|{_WORD})""")
_ALONE = re.compile(r"^\s*[:–—-]\s*(?P<id>[^\s(){}\[\],;:'\"`]+)$")
_TORN = re.compile(r"[(){}\[\],;\"`=]|^'|:$|'$|^[^\W\d]\w*:")
"""Signs in a word that leave open what of it is an id."""
_GOES_ON = re.compile(r"\s*(?:$|[:;,.|({\[]|[–—-]\s|\w+\s*[:=]\s*\S)")
_HAS_WORD = re.compile(r"\w")
_KEY = re.compile(rf"{NAME}=")
TAKEN_OUT = "\0"
"""Stands for what was taken out of a sentence: an id with its key."""
LEADING = re.compile(r"^[\s:,;.!|=>–—-]+")
_ALLOWED = re.compile(r"(?i)(?:successfully|for|from|of|with|by|user|userid|socket|socketid|id|sid|as|via)\b")
_KEYED = re.compile(r"[\w$.@-]+(?: id)?\s*[:=]\s*\S")


def follows(kind: str, rest: str, body: str, worded: dict[str, str]) -> bool:
    """Whether `rest` goes on as a record does; words of another sentence make a near miss."""
    if kind == RESTARTED:
        return True  # "... on port 8000", "... at http://localhost:8000"
    if not body[0].isalnum() or rest[0] not in " \t" or rest.lstrip()[0] in ":-–—|,(=":
        return True
    return bool(_ALLOWED.match(body) or _KEYED.match(body) or _SOCKET_ID.match(body) or (kind == REPLACED and worded))


def worded_ids(kind: str, rest: str) -> tuple[dict[str, str], set[str]]:
    """Ids without keys ("for user ID: X", "for user X: OLD -> NEW", a socket's id), and the roles of those torn."""
    ids: dict[str, str] = {}
    torn: set[str] = set()
    if kind == REPLACED:
        arrow = _ARROW.search(rest)
        if arrow is not None:
            ids[OLD], ids[NEW] = arrow[1], arrow[2]
            rest = rest[: arrow.start()]
        user = _REPLACED_OF.match(rest)
    else:
        user = _OF_USER.search(rest)
        unsaid = rest if user is None else f"{rest[: user.start('user')]} {rest[user.end('user') :]}"
        socket = _SOCKET_ID.search(unsaid)
        if socket is not None:
            ids[SID] = socket[0]
        alone = _ALONE.match(rest) if socket is None and user is None else None
        if alone is not None and not alone["id"].isalpha() and kind == CONNECTED:
            ids[USER] = alone["id"]
    if user is not None:
        said, clear = _user(user)
        ids |= {USER: said} if said is not None else {}
        torn |= set() if clear else {USER}
    return ids, torn


def _user(match: re.Match[str]) -> tuple[str | None, bool]:
    """The user that a sentence names, None where it names none, and whether it can be told what its id is."""
    if match["quoted"] is not None:
        return something(match["quoted"]), True
    word = match["bare"]
    bare = word[:-1] if word[-1] in ":;,.|" else word
    behind = match.groupdict().get("behind")
    if not _HAS_WORD.search(bare) or _KEY.match(word) or TAKEN_OUT in word:
        return None, True
    if bare == word and behind is not None and not _GOES_ON.match(behind):
        return None, True  # another sentence
    return (None, False) if _TORN.search(bare) else (something(bare), True)


LEVELS = 4
"""So deep ids are looked for."""

Role = Callable[[str], str | None]


def ids_in(fields: dict[str, Any], kind: str, role_of: Role) -> dict[str, str]:
    """The ids of a record of `kind`, by role; of several for one role the outermost counts."""
    found: dict[str, str] = {}
    level: list[Any] = [fields]
    for _ in range(LEVELS):
        deeper: list[Any] = []
        for item in level:
            _ids_of(item, kind, role_of, found, deeper)
        if all(role in found for role in WANTED[kind]):
            break
        level = deeper[:50]
    return found


def _ids_of(item: Any, kind: str, role_of: Role, found: dict[str, str], deeper: list[Any]) -> None:
    if isinstance(item, list):
        deeper.extend(item[:20])
    if not isinstance(item, dict):
        return
    for key, value in item.items():
        role = role_of(key)
        if isinstance(value, dict | list) and key.lower() not in NOT_OURS:
            deeper.append(value)
        if role is not None and role in TAKEN[kind] and role not in found:
            said = identity(value) if isinstance(value, dict) else scalar(value)
            found |= {role: said} if said is not None else {}


def identity(value: dict[str, Any]) -> str | None:
    """The id of something that was logged whole: user: {id: 7, name: ...}, socket: {id: ...}."""
    return next((scalar(value[key]) for key in ("id", "_id") if key in value), None)


def scalar(value: Any) -> str | None:
    """An id as text, whatever type it was logged as; None for what is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return something(value) if isinstance(value, str) else None


_SIGNS = re.compile(r"^\W*$")


MOST_KEYS = 5_000


class Reader:
    """Reads messages by a wording."""

    def __init__(self, wording: Wording) -> None:
        self._sentences, self._roles = wording.sentences(), wording.roles()
        self._forms = forms_of(wording.markers)
        self._known: dict[str, str | None] = {}

    def role(self, key: str) -> str | None:
        """What a key stands for, None for one that is of no interest."""
        if key not in self._known:
            if len(self._known) > MOST_KEYS:
                self._known.clear()
            self._known[key] = self._roles.get(plain(key)) or self._role_of_path(key)
        return self._known[key]

    def _role_of_path(self, key: str) -> str | None:
        """What "user.id" or "socket.userId" stands for, as flattened groups write them."""
        *path, name = key.split(".")
        if not path or not NOT_OURS.isdisjoint(map(str.lower, path)):
            return None
        return self._roles.get(plain(path[-1] + name)) or self._roles.get(plain(name))

    def _role_of(self, pair: Pair) -> str | None:
        """What a pair on a line stands for: also "user: { id: 7 }", but nothing in what a record carries along."""
        if not NOT_OURS.isdisjoint(map(str.lower, pair.owners)):
            return None
        role = self.role(pair.owners[-1] if pair.owners and pair.key in ("id", "_id") else pair.key)
        return role if role != NAMESPACE or pair.value[:1] == "/" else None

    def keys_of(self, kind: str, fields: Iterable[str]) -> dict[str, str]:
        """The keys that give a record's ids, by role: of several for one role the first."""
        found: dict[str, str] = {}
        for key in fields:
            role = self.role(key)
            if role is not None and role in TAKEN[kind]:
                found.setdefault(role, key)
        return found

    def sentence(self, text: str) -> int | None:
        """Where the first marker stands, whether it is a record's or not."""
        match = self._sentences.search(text)
        places = [match.start()] if match is not None else []
        return min([*places, *(at for form in self._forms for at in form.places(text))], default=None)

    def read(self, message: Message) -> Reading | None:
        """The record that a message begins, None when it begins none."""
        return self._text(message.text) if message.fields is None else self._structured(message)

    # --- structured ------------------------------------------------------------------------------------------------

    def _structured(self, message: Message) -> Reading | None:
        """A JSON record: its message must be the marker, its ids are its fields, or stand in its message."""
        reading = self._text(message.text)
        if reading is None or message.fields is None:
            return None
        said = ids_in(message.fields, reading.kind, self.role)
        # Further lines come only to an envelope that holds a line of text: a record with ids of its own is whole.
        structured = any(key not in MESSAGE_KEYS and self.role(key) for key in message.fields) or bool(said)
        reading.ids = {**reading.ids, **{role: value for role, value in said.items() if role not in reading.ids}}
        reading.closed = reading.closed or structured
        reading.bare = reading.bare and not structured
        reading.before = message.before + reading.before
        return reading

    # --- text ------------------------------------------------------------------------------------------------------

    def _text(self, text: str) -> Reading | None:
        first, _, rest = text.partition("\n")
        reading = self._line(first)
        if reading is not None and rest:
            self._lines(reading, rest.split("\n"))
            reading.closed = reading.closed or bool(reading.ids)
        return reading

    def _line(self, line: str) -> Reading | None:
        """The first record of a line; what the sentences with places say goes before the others."""
        unclear: Reading | None = None
        for form in self._forms:
            for at in form.places(line):
                reading = self._formed(line, form, at)
                if reading is not None and not reading.unclear:
                    return reading
                unclear = unclear or reading
        found = islice(self._sentences.finditer(line), TRIED)
        readings = (self._at(line, m.start(), m.end(), m.lastgroup or CONNECTED) for m in found)
        return next(filter(None, readings), unclear)

    def _formed(self, line: str, form: Form, at: int) -> Reading | None:
        """The record of a sentence with places for its ids, the needle of which stands at `at`."""
        quotes = quotes_around(line, at)
        if quotes is not None:
            return self._quoted(line, form.kind, *quotes)
        said, behind = without_tail(line.rstrip())
        told = form.read(said, at)
        reading = self._standing(said, told.begin, told.end, form.kind, told.ids) if told is not None else None
        if told is not None and reading is not None:
            torn = told.unclear - reading.ids.keys()
            reading.unclear, reading.behind = reading.unclear or bool(torn), behind or reading.behind
            reading.doubt = reading.doubt or bool(torn)
        return reading

    def _at(self, line: str, begin: int, end: int, kind: str) -> Reading | None:
        quotes = quotes_around(line, begin)
        if quotes is not None:
            return self._quoted(line, kind, *quotes)
        return self._standing(line, begin, end, kind, {})

    def _standing(self, line: str, begin: int, end: int, kind: str, told: dict[str, str]) -> Reading | None:
        """A marker that no quotes are around. `told`: the ids within it."""
        before = line[:begin]
        standing = judged(before)
        if standing is Prefix.PROSE or before.count('"') % 2 or self._is_detail(before):
            return None
        reading = self._after(kind, unbracketed(before, line[end:]), told)
        if reading is not None:
            reading.before, reading.doubt = before, standing is Prefix.DOUBTFUL
            reading.bare = not before.strip()
        return reading

    def _is_detail(self, before: str) -> bool:
        """Whether `before` begins a line of a record, so that what follows is an id: "• userId: "."""
        key = KEY.search(before)
        return key is not None and self.role(key["key"]) is not None and bare(before[: key.start()])[1]

    def _quoted(self, line: str, kind: str, key: str | None, begin: int, end: int) -> Reading | None:
        """A marker in quotes counts only as the message of a record: msg="...", message: '...'."""
        if key is None or key not in MESSAGE_KEYS:
            return None
        said = list(pairs(line))
        own = next((pair for pair in said if pair.begin == begin), None)
        messages = [pair for pair in said if pair.key in MESSAGE_KEYS]
        first = min(messages, key=lambda p: (p.depth, MESSAGE_KEYS.index(p.key)), default=None)
        if own is None or first is not own:
            return None
        if own.depth > 1:
            return None  # a key of something that the record carries
        before = line[: line.find("{")] if own.depth else line[: _key_begin(line, _first_pair(line, begin))]
        if judged(before.rstrip("{ ")) is not Prefix.SURE or (own.depth and carries(before)):
            return None
        reading = self._text(unquoted(line[begin:end]))
        if reading is None or reading.kind != kind:
            return None
        for pair in said:
            role = self._role_of(pair)
            if role in TAKEN[kind] and role is not None and (value := something(pair.value)) is not None:
                sure = role == REASON or (pair.sure and _is_one(role, pair))
                reading.unclear |= not sure
                reading.ids |= {role: value} if sure and role not in reading.ids else {}
        reading.before, reading.bare = before, False
        # Alone on its line it is one of the keys of an object over several lines.
        reading.block = len(said) == 1 and own.depth == 0 and line[end:].strip() in {"", ",", "+"}
        reading.closed = not reading.block
        return reading

    def _after(self, kind: str, rest: str, told: dict[str, str]) -> Reading | None:
        """What follows the marker on its line: nothing, ids, or words that make it another sentence."""
        rest, tail = without_tail(rest.rstrip())
        body = LEADING.sub("", rest)
        if not body or _SIGNS.match(body):
            opens = body.endswith("{")
            return Reading(kind, dict(told), behind=tail, opens=opens, closed=bool(told) and not opens)
        if kind == RESTARTED:
            return Reading(kind, {}, behind=tail, opens=_opens(rest), closed=not _opens(rest) and "}" in rest)
        said = list(pairs(rest))
        inline, unclear = self.inline(kind, said)
        worded, torn = worded_ids(kind, self._without_known(rest, said)) if not told else ({}, set())
        if not follows(kind, rest, body, worded):
            return None
        ids = {**{role: value for role, value in worded.items() if role not in unclear}, **inline, **told}
        opens = _opens(rest)
        closed = not opens and (bool(ids.keys() - {NAMESPACE}) or "}" in rest)
        return Reading(kind, ids, behind=tail, opens=opens, closed=closed, unclear=bool(unclear | (torn - ids.keys())))

    def inline(self, kind: str, said: Iterable[Pair]) -> tuple[dict[str, str], set[str]]:
        """The ids among the pairs of a line, the outermost of each, and the roles of those that are torn."""
        found: dict[str, str] = {}
        best: dict[str, int] = {}
        unclear: set[str] = set()
        for pair in said:
            role = self._role_of(pair)
            if role is None or role not in TAKEN[kind] or (value := something(pair.value)) is None:
                continue
            if role != REASON and not (pair.sure and _is_one(role, pair)):
                unclear.add(role)
            elif role not in found or pair.depth < best[role]:
                found[role], best[role] = value, pair.depth
        return {role: value for role, value in found.items() if role not in unclear}, unclear

    def _without_known(self, rest: str, said: Iterable[Pair]) -> str:
        """`rest` without the values of keys that are known: what is left may hold ids in words."""
        parts, end = list[str](), 0
        for pair in said:
            if self.role(pair.key) is not None:
                parts += rest[end : pair.begin], TAKEN_OUT
                end = pair.end
        return "".join(parts) + rest[end:]

    # --- the lines after it ----------------------------------------------------------------------------------------

    def _lines(self, reading: Reading, lines: Iterable[str]) -> None:
        for line in lines:
            detail = self.details(reading.kind, line)
            reading.unclear |= bool(detail.unclear)
            for role, value in detail.ids.items():
                reading.ids.setdefault(role, value)

    def details(self, kind: str, line: str) -> Detail:
        """The ids on a line that may follow a marker."""
        first: re.Match[str] | None = None
        for match in KEY.finditer(line):
            first = first or match
            role = self.role(match["key"].strip("\"'"))
            if role is None or role not in TAKEN[kind]:
                continue
            before, bullet = bare(line[: match.start()])
            value = line[match.end() :].strip()
            if bullet and not is_quoted(value):
                said = something(value)
                return Detail(before, {role: said} if said is not None else {}, True, value)
            ids, unclear = self.inline(kind, pairs(line[match.start() :]))
            return Detail(before, ids, bullet, value, frozenset(unclear))
        return Detail(line[: first.start()] if first is not None else None, {}, False, "")


_NAME = r"[^\W\d][\w.-]*"
KEY = re.compile(rf"""(?<![\w'"`.])(?<![\w.-]-)(?P<key>{_NAME}(?:[ ]id)?|"{_NAME}"|'{_NAME}')\s*[:=]\s*""")


def _first_pair(line: str, begin: int) -> int:
    """Where the value of the first key=value of a line begins, `begin` where there is none."""
    return next((pair.begin for pair in pairs(line) if line[: pair.begin].rstrip().endswith("=")), begin)


def _key_begin(line: str, value_begin: int) -> int:
    """Where the key of the value at `value_begin` begins."""
    match = None
    for match in KEY.finditer(line, 0, value_begin + 1):
        if match.end() >= value_begin:
            break
    return match.start() if match is not None else 0


def _is_one(role: str, pair: Pair) -> bool:
    """Whether a value may be one id: a user's may have blanks in it ("Ana María"), a socket's never has."""
    return pair.quoted or " " not in pair.value or (role == USER and " -> " not in pair.value)


def _opens(rest: str) -> bool:
    """Whether an object begins on a line and goes on after it."""
    return "{" in rest and balance(rest) > 0
