"""What one message says: is it a record, of which kind, and which ids stand on its own line."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from wscheck.sources.logs.envelopes import MESSAGE_KEYS, Message
from wscheck.sources.logs.pairs import balance, pairs, quotes_around, something, unquoted
from wscheck.sources.logs.prefixes import Prefix, bare, judged
from wscheck.sources.logs.sentences import LEADING, follows, worded_ids
from wscheck.sources.logs.stamps import without_tail
from wscheck.sources.logs.under import NOT_OURS
from wscheck.sources.logs.wording import (
    CONNECTED,
    RESTARTED,
    TAKEN,
    WANTED,
    Wording,
    plain,
)

_SIGNS = re.compile(r"^\W*$")


MOST_KEYS = 5_000


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


class Detail(NamedTuple):
    """A line that may belong to a record: what stands before its first key (None: it has no key), and its ids."""

    before: str | None
    ids: dict[str, str]
    bullet: bool
    value: str


class Reader:
    """Reads messages by a wording."""

    def __init__(self, wording: Wording) -> None:
        self._sentences, self._roles = wording.sentences(), wording.roles()
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
        return match.start() if match is not None else None

    def read(self, message: Message) -> Reading | None:
        """The record that a message begins, None when it begins none."""
        return self._text(message.text) if message.fields is None else self._structured(message)

    # --- structured ------------------------------------------------------------------------------------------------

    def _structured(self, message: Message) -> Reading | None:
        """A JSON record: its message must be the marker, its ids are its fields, or stand in its message."""
        reading = self._text(message.text)
        if reading is None or message.fields is None:
            return None
        said = self.of_fields(reading.kind, message.fields)
        # Further lines come only to an envelope that holds a line of text: a record with ids of its own is whole.
        structured = any(key not in MESSAGE_KEYS and self.role(key) for key in message.fields) or bool(said)
        reading.ids = {**reading.ids, **{role: value for role, value in said.items() if role not in reading.ids}}
        reading.closed = reading.closed or structured
        reading.bare = reading.bare and not structured
        reading.before = message.before + reading.before
        return reading

    def of_fields(self, kind: str, fields: dict[str, Any]) -> dict[str, str]:
        """The ids in a structured record, wherever they are nested: the outermost counts."""
        found: dict[str, str] = {}
        level: list[Any] = [fields]
        for _ in range(4):
            deeper: list[Any] = []
            for item in level:
                self._fields_of(kind, item, found, deeper)
            if all(role in found for role in WANTED[kind]):
                break
            level = deeper[:50]
        return found

    def _fields_of(self, kind: str, item: Any, found: dict[str, str], deeper: list[Any]) -> None:
        if isinstance(item, list):
            deeper.extend(item[:20])
        if not isinstance(item, dict):
            return
        for key, value in item.items():
            role = self.role(key)
            if isinstance(value, dict | list) and key.lower() not in NOT_OURS:
                deeper.append(value)
            if role is not None and role in TAKEN[kind] and role not in found:
                said = identity(value) if isinstance(value, dict) else scalar(value)
                found |= {role: said} if said is not None else {}

    # --- text ------------------------------------------------------------------------------------------------------

    def _text(self, text: str) -> Reading | None:
        first, _, rest = text.partition("\n")
        for match in self._sentences.finditer(first):
            kind = match.lastgroup or CONNECTED
            reading = self._at(first, match.start(), match.end(), kind)
            if reading is not None:
                if rest:
                    self._lines(reading, rest.split("\n"))
                    reading.closed = reading.closed or bool(reading.ids)
                return reading
        return None

    def _at(self, line: str, begin: int, end: int, kind: str) -> Reading | None:
        quotes = quotes_around(line, begin)
        if quotes is not None:
            return self._quoted(line, kind, *quotes)
        before = line[:begin]
        standing = judged(before)
        if standing is Prefix.PROSE or before.count('"') % 2 or self._is_detail(before):
            return None
        reading = self._after(kind, line[end:])
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
        if judged(before.rstrip("{ ")) is not Prefix.SURE:
            return None
        reading = self._text(unquoted(line[begin:end]))
        if reading is None or reading.kind != kind:
            return None
        for pair in said:
            role = self.role(pair.key)
            if role in TAKEN[kind] and role is not None and (value := something(pair.value)) is not None:
                reading.ids.setdefault(role, value)
        reading.before, reading.bare = before, False
        # Alone on its line it is one of the keys of an object over several lines.
        reading.block = len(said) == 1 and own.depth == 0 and line[end:].strip() in {"", ",", "+"}
        reading.closed = not reading.block
        return reading

    def _after(self, kind: str, rest: str) -> Reading | None:
        """What follows the marker on its line: nothing, ids, or words that make it another sentence."""
        rest, tail = without_tail(rest.rstrip())
        body = LEADING.sub("", rest)
        if not body or _SIGNS.match(body):
            return Reading(kind, {}, behind=tail, opens=body.endswith("{"))
        inline = self.inline(kind, rest)
        worded = worded_ids(kind, rest)
        if not follows(kind, rest, body, worded):
            return None
        ids = {**worded, **inline} if kind != RESTARTED else {}
        opens = "{" in rest and balance(rest) > 0
        return Reading(kind, ids, behind=tail, opens=opens, closed=not opens and (bool(ids) or "}" in rest))

    def inline(self, kind: str, rest: str) -> dict[str, str]:
        """The ids that stand with their keys in `rest`, the outermost of each."""
        found: dict[str, str] = {}
        best: dict[str, int] = {}
        for pair in pairs(rest):
            role = self.role(pair.key)
            if role is None or role not in TAKEN[kind] or (value := something(pair.value)) is None:
                continue
            if role not in found or pair.depth < best[role]:
                found[role], best[role] = value, pair.depth
        return found

    # --- the lines after it ----------------------------------------------------------------------------------------

    def _lines(self, reading: Reading, lines: Iterable[str]) -> None:
        for line in lines:
            for role, value in self.details(reading.kind, line).ids.items():
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
            if bullet and not value.startswith(("'", '"', "`")):
                said = something(value)
                return Detail(before, {role: said} if said is not None else {}, True, value)
            return Detail(before, self.inline(kind, line[match.start() :]), bullet, value)
        return Detail(line[: first.start()] if first is not None else None, {}, False, "")


_NAME = r"[A-Za-z_][\w.-]*"
KEY = re.compile(rf"""(?<![\w'"`.])(?P<key>{_NAME}(?:[ ]id)?|"{_NAME}"|'{_NAME}')\s*[:=]\s*""")


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
