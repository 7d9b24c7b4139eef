"""What may follow a marker in words: ids without keys, and words that make it another sentence."""

import re

from wscheck.observe.logs.key_values import CLOSERS, NAME, something
from wscheck.observe.logs.vocabulary import CONNECTED, NEW, OLD, REPLACED, RESTARTED, SID, USER

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


def unbracketed(before: str, rest: str) -> str:
    """`rest` without the bracket at its end that closes one right before the marker: "(WebSocket ... userId=42)"."""
    closer = CLOSERS.get(before.rstrip()[-1:])
    body = rest.rstrip(" .\r")
    alone = closer is not None and body.endswith(closer) and body.count(closer) == body.count(before.rstrip()[-1]) + 1
    return body[:-1] if alone else rest


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
