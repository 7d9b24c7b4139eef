"""Vocabulary of a log: its markers (texts that identify an event) and its keys (names of ids and other values).

It contains the markers and keys of docs/logs.md, variants in common use, and those that a user adds. A marker may
contain placeholders for ids, as in `user {user} came on {sid}`; `{}` stands for text that is ignored. An id is the text
between the fixed texts of the marker. If it is unclear where an id ends, the id is left out.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec

from wscheck.observe.logs.formats.key_values import (
    is_person_name,
    is_quoted,
    unquote,
    value_or_none,
    without_enclosing_bracket,
)
from wscheck.observe.logs.formats.line_prefix import is_level, is_separate
from wscheck.observe.logs.formats.timestamps import STAMP
from wscheck.observe.logs.lazy_pattern import lazy_pattern

SHORTEST = 4
"""Minimum size of a needle in bytes: four letters, or two Chinese ones. A shorter text would be in too many lines."""

_PART = lazy_pattern(r"\{\{|\}\}|\{(?P<place>[^{}]*)\}|[{}]")
_ODD = lazy_pattern(r"""["'`\\<>&]""")
"""Quotes, and characters that JSON may escape. A needle contains none of them."""

_Parts = tuple[list[str], list[str]]

MAX_ID_LENGTH, MAX_FURTHER_WORDS = 128, 3
"""Maximum length of an id, and number of words after its first word: hostile input must not slow down matching."""
MAX_TRIES = 8
"""Maximum number of needle positions that are tried in one line: hostile input must not slow down matching."""

_QUOTED = rf'"(?:[^"\\]|\\.){{0,{MAX_ID_LENGTH}}}"|' + rf"'[^']{{0,{MAX_ID_LENGTH}}}'|`[^`]{{0,{MAX_ID_LENGTH}}}`"
_STOP = "[:;,.|]"
_REST = r"(\S(?:.*\S)?)\s*$"
_UNCLEAR_SIGNS = lazy_pattern(r"[(){}\[\],;]|^'|'$|(?<!=)=++(?!$)")
"""Characters that make it unclear where an id starts or ends."""
_WORD = lazy_pattern(r"\w+")


def split_placeholders(text: str) -> _Parts:
    """Return the fixed texts of a marker, and the names of the placeholders between them ("" for `{}`)."""
    texts, roles, end = [""], list[str](), 0
    for match in _PART.finditer(text):
        texts[-1] += text[end : match.start()]
        end = match.end()
        if match["place"] is None:
            texts[-1] += match[0][0]
        else:
            roles.append(match["place"])
            texts.append("")
    texts[-1] += text[end:]
    return texts, roles


def has_placeholders(text: str) -> bool:
    """Return whether a marker contains placeholders."""
    return bool(split_placeholders(text)[1])


def needle_for(text: str) -> str:
    """Return the needle of a marker, for a fast search: its longest fixed text that every logger writes unchanged."""
    texts, roles = split_placeholders(text)
    if not roles:
        return texts[0]
    pieces = (piece.strip() for each in texts for piece in _ODD.split(each))
    return max(pieces, key=lambda piece: len(piece.encode()))


def escape_braces(text: str) -> str:
    """Return a text with its braces escaped, as a marker requires."""
    return text.replace("{", "{{").replace("}", "}}")


def marker_error(kind: str, text: str, allowed: Collection[str]) -> str:
    """Return what is wrong with `text` as a marker for events of `kind`, "" if nothing is.

    `allowed` contains the placeholders that such a marker may have.
    """
    alone = next((match[0] for match in _PART.finditer(text) if len(match[0]) == 1), "")
    if alone:
        return f"`{alone}` has no matching brace"
    texts, roles = split_placeholders(text)
    for role in filter(None, roles):
        if role not in allowed:
            return f"`{{{role}}}` is not a placeholder of {kind}"
        if roles.count(role) > 1:
            return f"`{{{role}}}` occurs twice"
    return _too_little(texts, roles, text) if roles else ""


def _too_little(texts: Sequence[str], roles: Sequence[str], text: str) -> str:
    """Return why the text around the placeholders is too short to show where the ids are, "" if it is long enough."""
    for between, one, other in zip(texts[1:], roles, roles[1:], strict=False):
        if not between or (not between.strip() and "reason" in (one, other)):
            return f"`{{{one}}}{between}{{{other}}}`: there is no text between the two to separate them"
    if len(needle_for(text).encode()) < SHORTEST:
        return "it has too little fixed text to search for: at least four letters in a row are needed"
    return ""


CONNECTED, REPLACED, DISCONNECTED = "connected", "replaced", "disconnected"
RESTARTED = "restarted"
REFUSED = "refused"
"""Kind of event that is learned from a log only, and for which there is no marker."""
KINDS = (CONNECTED, REPLACED, DISCONNECTED, RESTARTED)

USER, SID, OLD, NEW, REASON, TIME = "user", "sid", "old", "new", "reason", "time"
NAMESPACE, PAGE, DEVICE = "namespace", "page", "device"
ALLOWED, ENDPOINT = "allowed", "endpoint"
"""Roles that no key or marker can name: only the learned wording of a log shows them."""
ROLES = (USER, SID, OLD, NEW, REASON, TIME, NAMESPACE, PAGE, DEVICE)

REQUIRED_ROLES = {
    CONNECTED: (SID, USER),
    REPLACED: (USER, OLD, NEW),
    DISCONNECTED: (SID, REASON),
    RESTARTED: (),
    REFUSED: (SID, USER),
}
"""Roles (user, sid, ...) that complete a record of each kind. Further ids are read until the record ends."""

ALLOWED_ROLES = {
    CONNECTED: frozenset((SID, USER, NAMESPACE, PAGE, DEVICE)),
    REPLACED: frozenset((USER, OLD, NEW)),
    DISCONNECTED: frozenset((SID, USER, REASON)),
    RESTARTED: frozenset[str](),
}

EVENT_ROLES = {
    CONNECTED: (USER, SID, NAMESPACE, PAGE, DEVICE, ALLOWED, ENDPOINT),
    REPLACED: (USER, OLD, NEW),
    DISCONNECTED: (USER, SID, REASON),
    RESTARTED: (),
    REFUSED: (USER,),
}
"""Roles of the values of an event of each kind, in the order of the values."""

DEVICE_KEYS = ("device", "devicetype", "devicekind", "devicename", "devicemodel")
"""Keys of the name or the kind of a device. The value is no id: several devices may be of one kind."""

# Keys are compared without case, "_", "-" and blanks: socketId, socket_id, SocketID and "socket id" are equal.
_KEYS = {
    USER: ("userid", "user", "userkey", "clerkuserid", "accountid"),
    SID: ("socketid", "sid", "socket", "clientid"),
    OLD: ("oldsocketid", "oldsid", "oldsocket", "oldid", "old", "existingsocketid", "previoussocketid", "replaced"),
    NEW: ("newsocketid", "newsid", "newsocket", "newid", "new", "replacement"),
    NAMESPACE: ("nsp", "namespace", "nspname"),
    PAGE: ("tabid", "tab", "deviceid", "pageid"),
    DEVICE: DEVICE_KEYS,
    REASON: ("reason", "disconnectreason", "closereason"),
}

_PORT = r"(?:(?:TCP )?[Pp]ort:? ?\d+|:\d+|[a-z]+:/|\d{1,3}(?:\.\d{1,3}){3}|localhost|\*|\[::|\d{2,5})"
_START_LINE = "|".join(
    (
        # Node.js, Go, Puma, gunicorn, ASP.NET Core
        rf"(?:(?<![\w.-])[\w.-]+ )?(?:is |[Nn]ow )?[Ll]istening (?:now )?(?:for [\w -]{{1,40}} )?(?:on|at):? {_PORT}",
        # Flask, uvicorn, Express tutorials, Phoenix
        rf"[Rr]unning (?:now )?(?:on|at):? {_PORT}",
        r"Running [\w.]+\.Endpoint with \w+",
        r"[Ss]erver (?:is |has )?(?:now )?(?:started|running|listening|ready|up)(?: and running)?(?: on| at)?:? "
        rf"{_PORT}",
        # NestJS, uvicorn and Starlette, ASP.NET Core, Spring, Laravel Reverb
        r"Nest application successfully started",
        r"Application startup complete",
        r"Application started\. Press Ctrl",
        r"Started [\w$]+ in [\d.]+ seconds(?= \()",
        rf"Starting server on {_PORT}",
        # Quarkus, Ktor, Micronaut, Jetty
        rf"[\w. ()/-]{{1,80}} started in [\d.]+ ?m?s(?:econds)?\. Listening on:? {_PORT}",
        r"Application started in [\d.]+ seconds",
        r"Startup completed in \d+ ?ms",
        r"Started (?:Server@[0-9a-f]+|@\d+ms)",
        # Daphne, Centrifugo, EMQX, Mosquitto, Nakama
        r"Listening on TCP address [\d.]+",
        r"[Ss]erving [\w, ]{1,60} on [\w.]*:\d+",
        r"[A-Z][\w ]{1,20} [\d.]+ is running now",
        r"mosquitto version [\d.]+ (?:starting|running)",
        r"Startup done",
    )
)
"""Sentences with which common frameworks report that the server started."""

START_NEEDLES = (
    *(b"tarted in ", b"tartup ", b"tarted Server@", b"tarted @", b"erving ", b" running now", b"quitto version "),
    *(b"unning on", b"unning at", b".Endpoint with", b"erver start", b"erver is ", b"erver has ", b"erver ready"),
    *(b"erver up ", b"pplication s", b" seconds (", b"tarting server", b"istening "),
)
"""Short texts to search for. Each sentence about a server start contains one of them. The most common is the last."""

_SENTENCES = {
    CONNECTED: r"[Ww]eb[Ss]ocket client connected",
    DISCONNECTED: r"[Ww]eb[Ss]ocket client disconnected",
    REPLACED: r"[Rr]eplacing existing socket for user(?:[ _]?[iI][dD])?",
    RESTARTED: r"(?:[Ww]eb[Ss]|[Ss])ocket server (?:is )?(?:now )?(?:started|listening|running|ready)|"
    rf"{_START_LINE}",
}

# The pattern leaves out letters that a log may write in upper or lower case.
_NEEDLE = rb"ocket (?:client (?:dis)?connected|for user|server )|nified WebSocket"

_NO_NAME = lazy_pattern(r"""[=,;{}\[\]"'`\x00-\x1f\x7f-\x9f]|:\s*$""")
"""Characters that a key's name cannot contain, because they end or surround names in a log."""

_SEPARATORS = lazy_pattern(r"[\s_\-]")


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


USER_STEMS = word_set(
    "user users account acct acc member customer player owner sub subject username login email mail clerkuser employee "
    "driver patient student teacher person participant subscriber viewer visitor guest operator uid principal identity "
    "who nick nickname handle author editor rider courier waiter waitress bidder buyer seller trader dealer pupil "
    "nurse doctor passenger caller clerk cashier dispatcher picker attendee spectator moderator gamer resident"
)
"""Nouns that name a user, without "id"."""


def label_stem(label: str) -> str:
    """Return a label without a final "id", "key", "name" or the like: "user" for "userid" and for "user.id"."""
    *path, last = label.split(".")
    if last in {"id", "_id", "uuid", "key", "name", "sid"} and path:
        return path[-1]
    for ending in ("uuid", "id", "key", "name", "number", "no"):
        if last.endswith(ending) and len(last) > len(ending) and last not in {"sid", "uid", "cid", "rid"}:
            return last.removesuffix(ending)
    return last


def is_user_label(label: str) -> bool:
    """Return whether a key or a word, as `normalize_key` returns it, names a user."""
    return label_stem(label) in USER_STEMS or (label.startswith("user") and not label.startswith("useragent"))


class LogVocabulary(msgspec.Struct, frozen=True):
    """Markers (kind, text) and keys (role, name) that a user adds for a log. A marker may contain placeholders."""

    markers: tuple[tuple[str, str], ...] = ()
    keys: tuple[tuple[str, str], ...] = ()

    def custom_needles(self) -> list[bytes]:
        """Return the needles of the user's markers: as they are, and with the escapes that JSON may use."""
        needles = (needle_for(sentence) for _, sentence in self.markers)
        return list(dict.fromkeys(spelling for needle in needles for spelling in (needle.encode(), _as_json(needle))))

    def needle_pattern(self) -> re.Pattern[bytes]:
        """Return the pattern that finds the needles of all markers in the bytes of a log."""
        return re.compile(b"|".join([_NEEDLE, *map(re.escape, self.custom_needles())]))

    def marker_pattern(self) -> re.Pattern[str]:
        """Return the pattern of the markers without placeholders. Its matching group has the name of the event kind."""
        alternatives = []
        for kind in KINDS:
            own = [
                re.escape(needle_for(marker))
                for marker_kind, marker in self.markers
                if marker_kind == kind and not has_placeholders(marker)
            ]
            alternatives.append(f"(?P<{kind}>{'|'.join([*sorted(own, key=len, reverse=True), _SENTENCES[kind]])})")
        return re.compile(f"(?:{'|'.join(alternatives)})(?![\\w-])")

    def key_roles(self) -> dict[str, str]:
        """Return a dict of each known key, as `normalize_key` returns it, to its role (user, sid, ...)."""
        known = {key: role for role, keys in _KEYS.items() for key in keys}
        return known | {normalize_key(key): role for role, key in self.keys if role != TIME}

    def time_key_names(self) -> tuple[str, ...]:
        """Return the configured keys for the time of a structured record."""
        return tuple(key for role, key in self.keys if role == TIME)


def _as_json(text: str) -> bytes:
    """Return the text as ASCII-only JSON writes it."""
    return json.dumps(text)[1:-1].encode()


def normalize_key(key: str) -> str:
    """Return a key in lower case without separators. A key with a leading "_" is a logger's own and stays unchanged."""
    return key if key.startswith("_") else _SEPARATORS.sub("", key).lower()


def key_name_error(name: str) -> str:
    """Return the reason why a name cannot be a key, "" if it can be one."""
    sign = _NO_NAME.search(name)
    if sign is not None:
        return f"`{name}` cannot be the name of a key: it contains `{sign[0].strip()}`"
    return (
        ""
        if any(map(str.isalnum, name))
        else f"`{name}` cannot be the name of a key: it has neither a letter nor a digit"
    )


class PlaceholderMatch(NamedTuple):
    """Ids in the text line[begin:end], which matches a marker with placeholders.

    ids      dict of role (user, sid, ...) to id
    unclear  roles of ids that were left out because their start or end is ambiguous
    """

    begin: int
    end: int
    ids: dict[str, str]
    unclear: set[str]


class PlaceholderMarker:
    """Matcher for one valid marker with placeholders (`vocabulary.marker_error` checks markers)."""

    def __init__(self, kind: str, marker: str) -> None:
        self.kind, self.needle = kind, needle_for(marker)
        self._texts, self._roles = split_placeholders(marker)
        before = next(at for at, text in enumerate(self._texts) if self.needle in text)
        self._reach = len("".join(self._texts[: before + 1])) + before * (MAX_FURTHER_WORDS + 1) * MAX_ID_LENGTH
        self._shortest, self._longest = (_pattern(self._texts, self._roles, lazy) for lazy in ("?", ""))

    def needle_positions(self, line: str) -> Iterator[int]:
        """Yield the positions of the marker's needle (its longest fixed text) in a line."""
        at = line.find(self.needle)
        for _ in range(MAX_TRIES):
            if at < 0:
                return
            yield at
            at = line.find(self.needle, at + 1)

    def match(self, line: str, at: int) -> PlaceholderMatch | None:
        """Return the ids in the text around `at` that matches the marker, None if no text matches there.

        The marker's needle (its longest fixed text) is at the position `at`.
        """
        starts = (begin for begin in self._starts(line, at) if self._shortest.match(line, begin) is not None)
        begin = next(starts, None)
        if begin is None:
            return None
        found = self._read_ids(line[:begin] + without_enclosing_bracket(line[:begin], line[begin:]), begin)
        if found is None or not self._texts[0].strip() or not any(self._includes(line, each, begin) for each in starts):
            return found
        first = self._roles[0]
        ids = {role: value for role, value in found.ids.items() if role != first}
        return found._replace(ids=ids, unclear=(found.unclear | {first}) - {""})

    def _includes(self, line: str, earlier: int, begin: int) -> bool:
        """Return whether another match starts at `earlier` and has the position `begin` in its first id.

        The match at `begin` is then ambiguous, because its first id may start before `begin`.
        """
        match = self._shortest.match(line, earlier)
        if match is None or not match.start(1) <= begin < match.end(1) or any(map(str.isspace, match[1])):
            return False
        # A time and a level in brackets are the line's prefix, and no part of an id.
        return not all(map(is_level, _WORD.findall(STAMP.sub("", line[match.start(1) : begin]))))

    def _starts(self, line: str, at: int) -> Iterator[int]:
        """Yield the positions at which a matching text may start, those nearest to the needle at `at` first."""
        lowest, first = max(0, at - self._reach), self._texts[0].rstrip()
        if not first:
            yield from (begin for begin in range(at, lowest - 1, -1) if not line[begin - 1 : begin].strip())
            return
        begin = at + 1
        while (begin := line.rfind(first, lowest, begin - 1 + len(first))) >= 0:
            yield begin

    def _read_ids(self, line: str, begin: int) -> PlaceholderMatch | None:
        shortest, longest = self._shortest.match(line, begin), self._longest.match(line, begin)
        if shortest is None or longest is None:
            return None
        ids, unclear, end = dict[str, str](), set[str](), shortest.end()
        for group, role in enumerate(self._roles, start=1):
            value = self._value(line, group, shortest)
            if not self._texts[group] and group == len(self._roles):
                end = shortest.start(group) + len(value)
            sure = role == REASON or (shortest.span(group) == longest.span(group) and self._may_be_id(group, value))
            if not sure:
                unclear.add(role)
            elif (named := value_or_none(unquote(value) if is_quoted(value) else value)) is not None:
                ids[role] = named
        unclear_start = set() if self._starts_cleanly(line[:begin], shortest) else set(self._roles)
        unclear = (unclear | unclear_start) - {""}
        return PlaceholderMatch(begin, end, {role: ids[role] for role in ids if role and role not in unclear}, unclear)

    def _value(self, line: str, group: int, match: re.Match[str]) -> str:
        """Return the text that matched a placeholder such as `{user}`, without punctuation at the end of the line."""
        begin, end = match.span(group)
        last = end == match.end()
        if last and self._roles[group - 1] == USER and is_person_name(line[begin:].split()):
            return line[begin:].rstrip()
        stops = ":;,.|" if last else ",;"
        ends = end - begin > 1 and line[end - 1] in stops and not line[end : end + 1].strip()
        return line[begin : end - ends].rstrip()

    def _may_be_id(self, group: int, value: str) -> bool:
        """Return whether the value of a placeholder (its number is `group`) may be one id.

        It may be a quoted text, a person's name, or a word without signs that make its end unclear. Between two fixed
        texts that touch it, it may be any text without blanks.
        """
        if is_quoted(value):
            return True
        if " " in value:
            return is_person_name(value.split())
        before, behind = self._texts[group - 1][-1:], self._texts[group][:1]
        return bool(before.strip() and behind.strip()) or _UNCLEAR_SIGNS.search(value) is None

    def _starts_cleanly(self, before: str, match: re.Match[str]) -> bool:
        """Return whether the whole first id is in the match.

        Return False if the end of `before`, the text in front of the match, may be the start of the id.
        """
        first = self._texts[0]
        if not first:
            odd = is_level(match[1]) or (STAMP.fullmatch(match[1]) and not STAMP.search(before))
            return not odd and is_separate(before)
        if first[0].isalnum():
            return True
        joined = re.split(r"\s", STAMP.sub("", before))[-1]
        return all(map(is_level, _WORD.findall(joined)))


def placeholder_markers(markers: Sequence[tuple[str, str]]) -> list[PlaceholderMarker]:
    """Return the markers with placeholders, the most specific (longest fixed text) first."""
    having = ((kind, marker) for kind, marker in markers if split_placeholders(marker)[1])
    return sorted(
        (PlaceholderMarker(kind, marker) for kind, marker in having), key=lambda form: -len("".join(form._texts))
    )


def _longest(texts: Sequence[str]) -> int:
    """Return the maximum length of an id in a marker with these fixed texts.

    If a word contains several placeholders ("{user}:{sid}"), the length is smaller. This limits the number of ways in
    which the pattern can divide the word.
    """
    most = joined = 1
    for between in texts[1:-1]:
        joined = 1 if any(map(str.isspace, between)) else joined + 1
        most = max(most, joined)
    return MAX_ID_LENGTH >> max(0, most - 2)


def _pattern(texts: Sequence[str], roles: Sequence[str], lazy: str) -> re.Pattern[str]:
    """Return a pattern with one group per placeholder; `lazy` ("?") makes each group match as little as possible."""
    first, last = texts[0], texts[-1]
    word = rf'[^\s"`]{{1,{_longest(texts)}}}{lazy}'
    pieces = [r"(?<![\w-])" if first[:1].isalnum() else "" if first else r"(?<!\S)", _text_pattern(first)]
    for at, role in enumerate(roles):
        words = MAX_FURTHER_WORDS if role == USER and (at or first) and texts[at + 1].strip() else 0
        pieces += _placeholder_pattern(role, word, words, lazy), _text_pattern(texts[at + 1])
    if not last:
        pieces[-2:] = [_REST] if roles[-1] == REASON else [pieces[-2], r"(?=\s|$)"]
    return re.compile("".join(pieces) + (r"(?![\w-])" if last[-1:].isalnum() else ""))


def _placeholder_pattern(role: str, word: str, words: int, lazy: str) -> str:
    if role == REASON:
        return rf"(\S(?:.{{0,{MAX_ID_LENGTH}}}{lazy}\S)?{lazy})"
    return rf"((?:{_QUOTED}){_STOP}?|{word}(?: {word}){{0,{words}}}{lazy})"


def _text_pattern(text: str) -> str:
    """Return the pattern of a fixed text. Any number of blanks may be around an id, because some logs align columns."""
    inner = text.strip()
    if not inner:
        return r"[ \t]+" if text else ""
    before, behind = (r"[ \t]+" if blank else "" for blank in (text[0].isspace(), text[-1].isspace()))
    return before + re.escape(inner) + behind
