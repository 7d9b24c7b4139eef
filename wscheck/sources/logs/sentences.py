"""What may follow a marker in words: ids without keys, and words that make it another sentence."""

import re

from wscheck.sources.logs.pairs import something
from wscheck.sources.logs.wording import CONNECTED, NEW, OLD, REPLACED, RESTARTED, SID, USER

_ID = r"[^\s(){}\[\],;:'\"`]+"
_SOCKET_ID = re.compile(r"(?<![\w-])[A-Za-z0-9_-]{20}(?![\w-])")
_ARROW = re.compile(r"([\w-]{4,})\s*(?:->|→|=>|➜)\s*([\w-]{4,})")
_REPLACED_OF = re.compile(rf"""^\s*[:=]?\s*["'`]?(?P<user>(?=\S*\w){_ID})["'`]?\s*(?:$|[:;,.|({{\[-]|\w+\s*[:=])""")
_OF_USER = re.compile(rf"""(?i)\b(?:for|from|by|of|as)\s+user(?:\s?_?id)?\b\s*[:=]?\s*["'`]?(?P<user>{_ID})""")
_ALONE = re.compile(rf"^\s*[:–—-]\s*(?P<id>{_ID})$")
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


def worded_ids(kind: str, rest: str) -> dict[str, str]:
    """Ids without keys: "for user ID: X", "for user X: OLD -> NEW", a socket's id."""
    ids: dict[str, str] = {}
    if kind == REPLACED:
        arrow = _ARROW.search(rest)
        if arrow is not None:
            ids[OLD], ids[NEW] = arrow[1], arrow[2]
            rest = rest[: arrow.start()]
        user = _REPLACED_OF.match(rest)
    else:
        socket = _SOCKET_ID.search(rest)
        if socket is not None:
            ids[SID] = socket[0]
        user = _OF_USER.search(rest)
        alone = _ALONE.match(rest) if socket is None and user is None else None
        if alone is not None and not alone["id"].isalpha() and kind == CONNECTED:
            ids[USER] = alone["id"]
    if user is not None and (value := something(user["user"])) is not None:
        ids[USER] = value
    return ids
