"""Matcher for one message: finds the start of a record, the kind of event, and the ids on the line."""

import re
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple, Protocol

import msgspec

from wscheck.observe.logs.formats.envelopes import MESSAGE_KEYS, LogMessage
from wscheck.observe.logs.formats.key_values import (
    KEY_NAME,
    KeyValue,
    bracket_balance,
    enclosing_quotes,
    find_key_values,
    is_quoted,
    unquote,
    value_or_none,
    without_enclosing_bracket,
)
from wscheck.observe.logs.formats.line_prefix import PrefixKind, classify_prefix, introduces_payload, strip_bullet
from wscheck.observe.logs.formats.timestamps import split_trailing_time
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import (
    ALLOWED_ROLES,
    CONNECTED,
    DEVICE,
    MAX_TRIES,
    NAMESPACE,
    NEW,
    OLD,
    PAGE,
    REASON,
    REPLACED,
    REQUIRED_ROLES,
    RESTARTED,
    SID,
    USER,
    LogVocabulary,
    PlaceholderMarker,
    is_user_label,
    normalize_key,
    placeholder_markers,
)

FOREIGN_KEYS = frozenset(("req", "res", "request", "response", "err", "error", "headers", "_logmeta", "_meta", "query"))
"""Keys of objects inside a record, such as a request, with ids that do not belong to the connection."""


class RecordStart(msgspec.Struct):
    """Marker of a record and the content of its line.

    ids             dict of role (user, sid, ...) to id on the line
    prefix          text in front of the marker
    trailing_time   time at the end of the line
    unprefixed      nothing is in front of the marker
    opens_object    an object starts at the end of the line; the following lines contain its keys
    complete        no further line can belong to the record
    in_object       the marker is a value in an object over several lines
    maybe_prose     the line may be an ordinary sentence, so it counts only if ids are found
    has_unclear_id  an id was left out because its end is ambiguous
    is_learned      the line contains no marker; its meaning was learned from the log (see the package `wording`)
    opens           the line about a replacement also reports the start of the newer connection
    """

    kind: str
    ids: dict[str, str]
    prefix: str = ""
    trailing_time: str = ""
    unprefixed: bool = False
    opens_object: bool = False
    complete: bool = False
    in_object: bool = False
    maybe_prose: bool = False
    has_unclear_id: bool = False
    is_learned: bool = False
    opens: bool = False


class LearnedWording(Protocol):
    """Matcher for lines without a marker that report events, as learned from the log."""

    def match(self, message: LogMessage) -> RecordStart | None: ...


class DetailLine(NamedTuple):
    """Line after a marker that may belong to the same record.

    prefix         text in front of the line's first key, None if the line has no key
    ids            dict of role (user, sid, ...) to id
    unclear_roles  roles of ids that were left out because their end is ambiguous
    """

    prefix: str | None
    ids: dict[str, str]
    has_bullet: bool
    value: str
    unclear_roles: frozenset[str] = frozenset()

    @property
    def roles(self) -> set[str]:
        """Return the roles of the ids on the line, including ids that were left out."""
        return {*self.ids, *self.unclear_roles}


_SOCKET_ID = lazy_pattern(r"(?<![\w-])[A-Za-z0-9_-]{20}(?![\w-])")
_END = r"(?=[.,;]?(?:\s|$|[)\]}'\"`]))"
_ARROW = lazy_pattern(rf"(?<![^\s:=(\[{{'\"`])([\w-]{{4,}})\s*(?:->|→|=>|➜)\s*([\w-]{{4,}}){_END}")
_LITERAL = r"""(?P<mark>["'`])(?P<quoted>[^"'`]+)(?P=mark)[:;,.|]?(?=\s|$)"""
_WORD = r"(?P<bare>\S+)"
_REPLACED_OF = lazy_pattern(rf"^\s*+[:=]?\s*+(?P<user>{_LITERAL}|{_WORD})(?P<behind>.*)$", re.DOTALL)
_OF_USER = lazy_pattern(
    rf"""(?i)\b(?:for|from|by|of|as)\s+user(?:\s?_?id)?\b\s*+[:=]?\s*+(?P<user>{_LITERAL}|{_WORD})"""
)
_SINGLE_ID = lazy_pattern(r"^\s*[:–—-]\s*(?P<id>[^\s(){}\[\],;:'\"`]+)$")
_UNCLEAR_SIGNS = lazy_pattern(r"[(){}\[\],;\"`=]|^'|:$|'$|^[^\W\d]\w*:")
"""Characters in a word that make the end of an id ambiguous."""
_RECORD_CONTINUES = lazy_pattern(r"\s*(?:$|[:;,.|({\[]|[–—-]\s|\w+\s*[:=]\s*\S)")
_HAS_WORD = lazy_pattern(r"\w")
_KEY = lazy_pattern(rf"{KEY_NAME}=")
REMOVED_ID = "\0"
"""Character that stands for an id and its key after they were removed from a message."""
LEADING_SIGNS = lazy_pattern(r"^[\s:,;.!|=>–—-]+")
_ALLOWED = lazy_pattern(r"(?i)(?:successfully|for|from|of|with|by|user|userid|socket|socketid|id|sid|as|via)\b")
_KEYED = lazy_pattern(r"[\w$.@-]+(?: id)?\s*[:=]\s*\S")


def continues_record(kind: str, rest: str, body: str, text_ids: dict[str, str]) -> bool:
    """Return whether `rest`, the text after a marker, can belong to a record of `kind`.

    If other words follow the marker, the message reports something else.

    body      `rest` without the punctuation at its start
    text_ids  ids that `free_text_ids` found in the text
    """
    if kind == RESTARTED:
        return True  # "... on port 8000", "... at http://localhost:8000"
    if not body[0].isalnum() or rest[0] not in " \t" or rest.lstrip()[0] in ":-–—|,(=":
        return True
    return bool(_ALLOWED.match(body) or _KEYED.match(body) or _SOCKET_ID.match(body) or (kind == REPLACED and text_ids))


def free_text_ids(kind: str, rest: str) -> tuple[dict[str, str], set[str]]:
    """Find the ids that have no key in `rest`, the text after a marker of an event of `kind`.

    For example, "for user 42: AbC -> XyZ" contains the user and two socket ids. A word that looks like a socket id is
    also taken for one.

    Return a dict of role (user, sid, ...) to id, and a set of roles. The set contains the role of each id that was left
    out, because it is unclear where the id ends.
    """
    ids: dict[str, str] = {}
    unclear: set[str] = set()
    if kind == REPLACED:
        arrow = _ARROW.search(rest)
        if arrow is not None:
            ids[OLD], ids[NEW] = arrow[1], arrow[2]
            rest = rest[: arrow.start()]
        user = _REPLACED_OF.match(rest)
    else:
        user = _OF_USER.search(rest)
        without_user = rest if user is None else f"{rest[: user.start('user')]} {rest[user.end('user') :]}"
        socket = _SOCKET_ID.search(without_user)
        if socket is not None:
            ids[SID] = socket[0]
        alone = _SINGLE_ID.match(rest) if socket is None and user is None else None
        if alone is not None and not alone["id"].isalpha() and kind == CONNECTED:
            ids[USER] = alone["id"]
    if user is not None:
        user_id, certain = _named_user(user)
        ids |= {USER: user_id} if user_id is not None else {}
        unclear |= set() if certain else {USER}
    return ids, unclear


def _named_user(match: re.Match[str]) -> tuple[str | None, bool]:
    """Return the user id in "for user X: ..." (None if there is none), and whether its end is unambiguous."""
    if match["quoted"] is not None:
        return value_or_none(match["quoted"]), True
    word = match["bare"]
    bare = word[:-1] if word[-1] in ":;,.|" else word
    behind = match.groupdict().get("behind")
    if not _HAS_WORD.search(bare) or _KEY.match(word) or REMOVED_ID in word:
        return None, True
    if bare == word and behind is not None and not _RECORD_CONTINUES.match(behind):
        return None, True  # another sentence
    return (None, False) if _UNCLEAR_SIGNS.search(bare) else (value_or_none(bare), True)


MAX_DEPTH = 4
"""Levels of nesting that are searched for ids."""

RoleOfKey = Callable[[str], str | None]


def structured_ids(fields: dict[str, Any], kind: str, role_of: RoleOfKey) -> dict[str, str]:
    """Return the ids of a record of `kind` as a dict of role to id. Of several ids for a role, the outermost counts."""
    found: dict[str, str] = {}
    level: list[Any] = [fields]
    for _ in range(MAX_DEPTH):
        deeper: list[Any] = []
        for item in level:
            _collect_ids(item, kind, role_of, found, deeper)
        if all(role in found for role in REQUIRED_ROLES[kind]):
            break
        level = deeper[:50]
    own = fields.get("id")
    if SID not in found and kind != REPLACED and isinstance(own, str) and _SOCKET_ID.fullmatch(own) is not None:
        found[SID] = own
    if USER not in found and USER in ALLOWED_ROLES[kind]:
        own_keys = (key for key in fields if FOREIGN_KEYS.isdisjoint(map(str.lower, key.split(".")[:-1])))
        users = [id_text(fields[key]) for key in own_keys if is_user_label(normalize_key(key))]
        found |= {USER: users[0]} if len(users) == 1 and users[0] is not None else {}
    return found


def _collect_ids(item: Any, kind: str, role_of: RoleOfKey, found: dict[str, str], deeper: list[Any]) -> None:
    if isinstance(item, list):
        deeper.extend(item[:20])
    if not isinstance(item, dict):
        return
    for key, value in item.items():
        role = role_of(key)
        if isinstance(value, dict | list) and key.lower() not in FOREIGN_KEYS:
            deeper.append(value)
        if role is not None and role in ALLOWED_ROLES[kind] and role not in found:
            found_id = object_id(value) if isinstance(value, dict) else id_text(value)
            found |= {role: found_id} if found_id is not None else {}


def object_id(value: dict[str, Any]) -> str | None:
    """Return the id in an object that stands for a user or a socket: user: {id: 7, name: ...}, socket: {id: ...}."""
    return next((id_text(value[key]) for key in ("id", "_id") if key in value), None)


def id_text(value: Any) -> str | None:
    """Return an id of any JSON type as text, None if the value is not an id."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else str(value)
    return value_or_none(value) if isinstance(value, str) else None


def _own_socket_id(pair: KeyValue) -> str:
    """Return the value of "id" at the top level of a logged object: { id: '...' }.

    Return "" for any other pair, or if the value does not look like a socket id.
    """
    is_own = pair.key == "id" and not any(pair.parents) and pair.is_certain
    return pair.value if is_own and _SOCKET_ID.fullmatch(pair.value) is not None else ""


_ONLY_SIGNS = lazy_pattern(r"^\W*$")


MAX_KEYS = 5_000


class RecordMatcher:
    """Matcher for the records of a log.

    wording  the markers and keys of the log
    learned  matcher for lines without a marker, learned from the log; used for a line in which no marker matches
    """

    def __init__(self, wording: LogVocabulary) -> None:
        self._role_cache: dict[str, str | None] = {}
        self.use_markers(wording)
        self.learned: LearnedWording | None = None

    def use_markers(self, wording: LogVocabulary) -> None:
        """Use the markers and the keys of `wording` from now on."""
        self._key_roles = wording.key_roles()
        self._role_cache.clear()
        self._marker_pattern = wording.marker_pattern()
        self._placeholder_markers = placeholder_markers(wording.markers)

    def key_role(self, key: str) -> str | None:
        """Return the role (user, sid, ...) of a key, None for an unknown key."""
        if key not in self._role_cache:
            if len(self._role_cache) > MAX_KEYS:
                self._role_cache.clear()
            self._role_cache[key] = self._key_roles.get(normalize_key(key)) or self._path_role(key)
        return self._role_cache[key]

    def _path_role(self, key: str) -> str | None:
        """Return the role of a flattened key such as "user.id" or "socket.userId"."""
        *path, name = key.split(".")
        if not path or not FOREIGN_KEYS.isdisjoint(map(str.lower, path)):
            return None
        return self._key_roles.get(normalize_key(path[-1] + name)) or self._key_roles.get(normalize_key(name))

    def _pair_role(self, pair: KeyValue) -> str | None:
        """Return the role of the value of a key-value pair, also for an object: "user: { id: 7 }".

        Pairs inside the objects of FOREIGN_KEYS have no role.
        """
        if not FOREIGN_KEYS.isdisjoint(map(str.lower, pair.parents)):
            return None
        role = self.key_role(pair.parents[-1] if pair.parents and pair.key in ("id", "_id") else pair.key)
        return role if role != NAMESPACE or pair.value[:1] == "/" else None

    def id_keys(self, kind: str, fields: Iterable[str]) -> dict[str, str]:
        """Return the keys of a record's ids as a dict of role to key. Of several keys for a role, the first is used."""
        found: dict[str, str] = {}
        for key in fields:
            role = self.key_role(key)
            if role is not None and role in ALLOWED_ROLES[kind]:
                found.setdefault(role, key)
        return found

    def find_marker(self, text: str) -> int | None:
        """Return the position of the first marker, even if this marker does not start a record."""
        match = self._marker_pattern.search(text)
        places = [match.start()] if match is not None else []
        place = min(
            [*places, *(at for form in self._placeholder_markers for at in form.needle_positions(text))], default=None
        )
        if place is None and self.learned is not None and self.learned.match(LogMessage(text)) is not None:
            return 0
        return place

    def match(self, message: LogMessage) -> RecordStart | None:
        """Return the start of a record in a message, None if no record starts there."""
        found = self._match_text(message.text) if message.fields is None else self._match_structured(message)
        return self.learned.match(message) if found is None and self.learned is not None else found

    # --- structured ---------------------------------------------------------------------------------------------------

    def _match_structured(self, message: LogMessage) -> RecordStart | None:
        """Match a JSON record: its message must be the marker; its ids are in its fields or in its message."""
        record_start = self._match_text(message.text)
        if record_start is None or message.fields is None:
            return None
        field_ids = structured_ids(message.fields, record_start.kind, self.key_role)
        # Only a text line in an envelope can continue on further lines. A structured record with ids is complete.
        structured = any(key not in MESSAGE_KEYS and self.key_role(key) for key in message.fields) or bool(field_ids)
        record_start.ids = {
            **record_start.ids,
            **{role: value for role, value in field_ids.items() if role not in record_start.ids},
        }
        record_start.complete = record_start.complete or structured
        record_start.unprefixed = record_start.unprefixed and not structured
        record_start.prefix = message.prefix + record_start.prefix
        return record_start

    # --- text ---------------------------------------------------------------------------------------------------------

    def _match_text(self, text: str) -> RecordStart | None:
        first, _, rest = text.partition("\n")
        record_start = self._match_line(first)
        if record_start is not None and rest:
            self._add_details(record_start, rest.split("\n"))
            record_start.complete = record_start.complete or bool(record_start.ids)
        return record_start

    def _match_line(self, line: str) -> RecordStart | None:
        """Return the first record of a line. Markers with placeholders are tried before other markers."""
        unclear: RecordStart | None = None
        for form in self._placeholder_markers:
            for at in form.needle_positions(line):
                record_start = self._match_placeholders(line, form, at)
                if record_start is not None and not record_start.has_unclear_id:
                    return record_start
                unclear = unclear or record_start
        found = islice(self._marker_pattern.finditer(line), MAX_TRIES)
        readings = (self._match_at(line, m.start(), m.end(), m.lastgroup or CONNECTED) for m in found)
        return next(filter(None, readings), unclear)

    def _match_placeholders(self, line: str, marker: PlaceholderMarker, at: int) -> RecordStart | None:
        """Return the record of a marker with placeholders whose needle (its searched text) is at `at`."""
        quotes = enclosing_quotes(line, at)
        if quotes is not None:
            return self._match_quoted(line, marker.kind, *quotes)
        text, trailing_time = split_trailing_time(line.rstrip())
        match = marker.match(text, at)
        record_start = (
            self._match_marker(text, match.begin, match.end, marker.kind, match.ids) if match is not None else None
        )
        if match is not None and record_start is not None:
            unclear = match.unclear - record_start.ids.keys()
            record_start.has_unclear_id, record_start.trailing_time = (
                record_start.has_unclear_id or bool(unclear),
                trailing_time or record_start.trailing_time,
            )
            record_start.maybe_prose = record_start.maybe_prose or bool(unclear)
        return record_start

    def _match_at(self, line: str, begin: int, end: int, kind: str) -> RecordStart | None:
        quotes = enclosing_quotes(line, begin)
        if quotes is not None:
            return self._match_quoted(line, kind, *quotes)
        return self._match_marker(line, begin, end, kind, {})

    def _match_marker(
        self, line: str, begin: int, end: int, kind: str, marker_ids: dict[str, str]
    ) -> RecordStart | None:
        """Return the record of the marker line[begin:end], which is not in quotes. None if no record starts there.

        `marker_ids` contains the ids within the marker, by role (user, sid, ...).
        """
        before = line[:begin]
        standing = classify_prefix(before)
        if standing is PrefixKind.PROSE or before.count('"') % 2 or self._is_detail_key(before):
            return None
        record_start = self._match_rest(kind, without_enclosing_bracket(before, line[end:]), marker_ids)
        if record_start is not None:
            record_start.prefix, record_start.maybe_prose = before, standing is PrefixKind.DOUBTFUL
            record_start.unprefixed = not before.strip()
        return record_start

    def _is_detail_key(self, before: str) -> bool:
        """Return whether `before` ends with a bullet and a known key, so that an id follows: "• userId: "."""
        key = KEY.search(before)
        return key is not None and self.key_role(key["key"]) is not None and strip_bullet(before[: key.start()])[1]

    def _match_quoted(self, line: str, kind: str, key: str | None, begin: int, end: int) -> RecordStart | None:
        """Return the record of a marker in the quoted text line[begin:end], None if no record starts there.

        A record starts there only if the quoted text is the message: msg="...", message: '...'.

        kind  kind of event that the marker identifies
        key   key of the quoted text, None if it has no key
        """
        if key is None or key not in MESSAGE_KEYS:
            return None
        found_pairs = list(find_key_values(line))
        own = next((pair for pair in found_pairs if pair.start == begin), None)
        messages = [pair for pair in found_pairs if pair.key in MESSAGE_KEYS]
        first = min(messages, key=lambda p: (p.depth, MESSAGE_KEYS.index(p.key)), default=None)
        if own is None or first is not own:
            return None
        if own.depth > 1:
            return None  # the message belongs to an object inside the record
        before = line[: line.find("{")] if own.depth else line[: _key_begin(line, _first_pair(line, begin))]
        if classify_prefix(before.rstrip("{ ")) is not PrefixKind.SURE or (own.depth and introduces_payload(before)):
            return None
        record_start = self._match_text(unquote(line[begin:end]))
        if record_start is None or record_start.kind != kind:
            return None
        for pair in found_pairs:
            role = self._pair_role(pair)
            if role in ALLOWED_ROLES[kind] and role is not None and (value := value_or_none(pair.value)) is not None:
                sure = role == REASON or (pair.is_certain and _may_be_id(role, pair))
                record_start.has_unclear_id |= not sure and role != DEVICE
                record_start.ids |= {role: value} if sure and role not in record_start.ids else {}
        record_start.prefix, record_start.unprefixed = before, False
        # A line that contains only the message is part of an object over several lines.
        record_start.in_object = len(found_pairs) == 1 and own.depth == 0 and line[end:].strip() in {"", ",", "+"}
        record_start.complete = not record_start.in_object
        return record_start

    def _match_rest(self, kind: str, rest: str, marker_ids: dict[str, str]) -> RecordStart | None:
        """Return the record of a marker if nothing or only ids follow the marker, None if other words follow."""
        rest, trailing_time = split_trailing_time(rest.rstrip())
        body = LEADING_SIGNS.sub("", rest)
        if not body or _ONLY_SIGNS.match(body):
            opens = body.endswith("{")
            return RecordStart(
                kind,
                dict(marker_ids),
                trailing_time=trailing_time,
                opens_object=opens,
                complete=bool(marker_ids) and not opens,
            )
        if kind == RESTARTED:
            return RecordStart(
                kind,
                {},
                trailing_time=trailing_time,
                opens_object=_opens_object(rest),
                complete=not _opens_object(rest) and "}" in rest,
            )
        found = list(find_key_values(rest))
        inline, unclear = self.inline_ids(kind, found)
        text_ids, text_unclear = (
            free_text_ids(kind, self._without_keyed_values(rest, found)) if not marker_ids else ({}, set())
        )
        if not continues_record(kind, rest, body, text_ids):
            return None
        ids = {**{role: value for role, value in text_ids.items() if role not in unclear}, **inline, **marker_ids}
        opens = _opens_object(rest)
        closed = not opens and (bool(ids.keys() - {NAMESPACE, PAGE, DEVICE}) or "}" in rest)
        return RecordStart(
            kind,
            ids,
            trailing_time=trailing_time,
            opens_object=opens,
            complete=closed,
            has_unclear_id=bool(unclear | (text_unclear - ids.keys())),
        )

    def inline_ids(self, kind: str, found_pairs: Iterable[KeyValue]) -> tuple[dict[str, str], set[str]]:
        """Return the ids in key-value pairs as a dict of role to id, and the roles of ids whose end is ambiguous.

        Of several ids for a role, the outermost is used.
        """
        found: dict[str, str] = {}
        best: dict[str, int] = {}
        unclear: set[str] = set()
        pairs = list(found_pairs)
        for pair in pairs:
            role = self._pair_role(pair)
            if role is None or role not in ALLOWED_ROLES[kind] or (value := value_or_none(pair.value)) is None:
                continue
            if role != REASON and not (pair.is_certain and _may_be_id(role, pair)):
                unclear |= {role} - {DEVICE}
            elif role not in found or pair.depth < best[role]:
                found[role], best[role] = value, pair.depth
        if SID not in found and SID not in unclear and kind != REPLACED:
            own = next(filter(None, map(_own_socket_id, pairs)), "")
            found |= {SID: own} if own else {}
        return {role: value for role, value in found.items() if role not in unclear}, unclear

    def _without_keyed_values(self, rest: str, found_pairs: Iterable[KeyValue]) -> str:
        """Return `rest` without the values of known keys. The remainder may contain ids in free text."""
        parts, end = list[str](), 0
        for pair in found_pairs:
            if self.key_role(pair.key) is not None:
                parts += rest[end : pair.start], REMOVED_ID
                end = pair.end
        return "".join(parts) + rest[end:]

    # --- lines after the marker ---------------------------------------------------------------------------------------

    def _add_details(self, record_start: RecordStart, lines: Iterable[str]) -> None:
        for line in lines:
            detail = self.match_detail(record_start.kind, line)
            record_start.has_unclear_id |= bool(detail.unclear_roles)
            for role, value in detail.ids.items():
                record_start.ids.setdefault(role, value)

    def match_detail(self, kind: str, line: str) -> DetailLine:
        """Return the ids on a line that may belong to the record of a marker above the line."""
        first: re.Match[str] | None = None
        for match in KEY.finditer(line):
            first = first or match
            role = self.key_role(match["key"].strip("\"'"))
            if role is None or role not in ALLOWED_ROLES[kind]:
                continue
            before, bullet = strip_bullet(line[: match.start()])
            value = line[match.end() :].strip()
            if bullet and not is_quoted(value):
                known_value = value_or_none(value)
                return DetailLine(before, {role: known_value} if known_value is not None else {}, True, value)
            ids, unclear = self.inline_ids(kind, find_key_values(line[match.start() :]))
            return DetailLine(before, ids, bullet, value, frozenset(unclear))
        return DetailLine(line[: first.start()] if first is not None else None, {}, False, "")


_NAME = r"[^\W\d][\w.-]*"
KEY = lazy_pattern(rf"""(?<![\w'"`.])(?<![\w.-]-)(?P<key>{_NAME}(?:[ ]id)?|"{_NAME}"|'{_NAME}')\s*[:=]\s*""")


def _first_pair(line: str, begin: int) -> int:
    """Return the start of the value of the first key=value pair on a line, `begin` if the line has no such pair."""
    return next((pair.start for pair in find_key_values(line) if line[: pair.start].rstrip().endswith("=")), begin)


def _key_begin(line: str, value_begin: int) -> int:
    """Return the start of the key of the value that starts at `value_begin`."""
    match = None
    for match in KEY.finditer(line, 0, value_begin + 1):
        if match.end() >= value_begin:
            break
    return match.start() if match is not None else 0


def _may_be_id(role: str, pair: KeyValue) -> bool:
    """Return whether a value may be one id. A user id may contain blanks ("Ana María"), a socket id never does."""
    return pair.quoted or " " not in pair.value or (role in (USER, DEVICE) and " -> " not in pair.value)


def _opens_object(rest: str) -> bool:
    """Return whether an object starts on a line and continues after it."""
    return "{" in rest and bracket_balance(rest) > 0
