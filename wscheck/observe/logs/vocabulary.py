"""Vocabulary of a log: its markers (texts that identify an event) and its keys (names of ids and other values).

It contains the documented markers and keys, variants in common use, and those that a user adds. A marker may contain
placeholders for ids, as in `user {user} came on {sid}`; `{}` stands for text that is ignored.
"""

import json
import re
from collections.abc import Collection, Sequence

import msgspec

from wscheck.observe.logs.lazy_pattern import lazy_pattern

SHORTEST = 4
"""Minimum size of a needle in bytes: four letters, or two Chinese ones. A shorter text would be in too many lines."""

_PART = lazy_pattern(r"\{\{|\}\}|\{(?P<place>[^{}]*)\}|[{}]")
_ODD = lazy_pattern(r"""["'`\\<>&]""")
"""Quotes, and characters that JSON may escape. A needle contains none of them."""

_Parts = tuple[list[str], list[str]]


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
    """Return the needle of a marker: its longest fixed text that every logger writes unchanged, for a fast search."""
    texts, roles = split_placeholders(text)
    if not roles:
        return texts[0]
    pieces = (piece.strip() for each in texts for piece in _ODD.split(each))
    return max(pieces, key=lambda piece: len(piece.encode()))


def escape_braces(text: str) -> str:
    """Return a text with its braces escaped, as a marker requires."""
    return text.replace("{", "{{").replace("}", "}}")


def marker_error(kind: str, text: str, allowed: Collection[str]) -> str:
    """Return a message about the error in `text`, the text of a marker for events of `kind`; "" if there is no error.

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
    """Return the reason why the text around the placeholders is too short to find or delimit ids, "" if it is not."""
    for between, one, other in zip(texts[1:], roles, roles[1:], strict=False):
        if not between or (not between.strip() and "reason" in (one, other)):
            return f"`{{{one}}}{between}{{{other}}}`: there is no text between the two to separate them"
    if len(needle_for(text).encode()) < SHORTEST:
        return "it has too little fixed text to search for: at least four letters in a row are needed"
    return ""


CONNECTED, REPLACED, DISCONNECTED = "connected", "replaced", "disconnected"
RESTARTED = "restarted"
KINDS = (CONNECTED, REPLACED, DISCONNECTED, RESTARTED)

USER, SID, OLD, NEW, REASON, TIME = "user", "sid", "old", "new", "reason", "time"
NAMESPACE, PAGE = "namespace", "page"
ROLES = (USER, SID, OLD, NEW, REASON, TIME, NAMESPACE, PAGE)

REQUIRED_ROLES = {
    CONNECTED: (SID, USER),
    REPLACED: (USER, OLD, NEW),
    DISCONNECTED: (SID, REASON),
    RESTARTED: (),
}
"""Roles (user, sid, ...) that complete a record of each kind. Further ids are read until the record ends."""

ALLOWED_ROLES = {
    CONNECTED: frozenset((SID, USER, NAMESPACE, PAGE)),
    REPLACED: frozenset((USER, OLD, NEW)),
    DISCONNECTED: frozenset((SID, USER, REASON)),
    RESTARTED: frozenset[str](),
}

EVENT_ROLES = {
    CONNECTED: (USER, SID, NAMESPACE, PAGE),
    REPLACED: (USER, OLD, NEW),
    DISCONNECTED: (USER, SID, REASON),
    RESTARTED: (),
}
"""Roles of the values of an event of each kind, in the order of the values."""

# Keys are compared without case, "_", "-" and blanks: socketId, socket_id, SocketID and "socket id" are equal.
_KEYS = {
    USER: ("userid", "user", "userkey", "clerkuserid", "accountid"),
    SID: ("socketid", "sid", "socket", "clientid"),
    OLD: ("oldsocketid", "oldsid", "oldsocket", "oldid", "old", "existingsocketid", "previoussocketid", "replaced"),
    NEW: ("newsocketid", "newsid", "newsocket", "newid", "new", "replacement"),
    NAMESPACE: ("nsp", "namespace", "nspname"),
    PAGE: ("tabid", "tab", "deviceid", "pageid"),
    REASON: ("reason", "disconnectreason", "closereason"),
}

_PORT = r"(?:(?:TCP )?[Pp]ort:? ?\d+|:\d+|[a-z]+:/|\d{1,3}(?:\.\d{1,3}){3}|localhost|\*|\[::|\d{2,5})"
_START_LINE = "|".join(
    (
        # Node.js, Go, Puma, gunicorn, ASP.NET Core
        rf"(?:[\w.-]+ )?(?:is |[Nn]ow )?[Ll]istening (?:now )?(?:on|at):? {_PORT}",
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
    )
)
"""Sentences with which common frameworks report that the server started."""

START_NEEDLES = (
    *(b"unning on", b"unning at", b".Endpoint with", b"erver start", b"erver is ", b"erver has ", b"erver ready"),
    *(b"erver up ", b"pplication s", b" seconds (", b"tarting server", b"istening "),
)
"""Short texts, one of which is in every such sentence; the most common one is the last."""

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


class LogVocabulary(msgspec.Struct, frozen=True):
    """Markers (kind, text) and keys (role, name) that a user adds for a log. A marker may contain placeholders."""

    markers: tuple[tuple[str, str], ...] = ()
    keys: tuple[tuple[str, str], ...] = ()

    def custom_needles(self) -> list[bytes]:
        """Return the needles of the user's markers, in plain form and in the form that JSON may escape."""
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
        """Return a dict of each known key, in the form of `normalize_key`, to its role (user, sid, ...)."""
        known = {key: role for role, keys in _KEYS.items() for key in keys}
        return known | {normalize_key(key): role for role, key in self.keys if role != TIME}

    def time_key_names(self) -> tuple[str, ...]:
        """Return the user's keys for the time of a structured record."""
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


def word_set(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())
