"""How a marker writes the places where ids stand: `user {user} came on {sid}`, `{}` for what is of no interest."""

import re
from collections.abc import Collection, Sequence

SHORTEST = 4
"""Bytes: four letters, or two of a script like Chinese. With less to look for, a sentence could be any line."""

_PART = re.compile(r"\{\{|\}\}|\{(?P<place>[^{}]*)\}|[{}]")
_ODD = re.compile(r"""["'`\\<>&]""")
"""Signs that JSON may write otherwise, and quotes: what is within them is looked for within them."""

_Parts = tuple[list[str], list[str]]


def parts(text: str) -> _Parts:
    """The texts of a marker, and the roles of the places between them, "" for one of no interest."""
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


def has_places(text: str) -> bool:
    """Whether ids have their places in a marker."""
    return bool(parts(text)[1])


def needle_of(text: str) -> str:
    """What to look for in a log: the longest of a marker's texts that every logger writes as it stands here."""
    texts, roles = parts(text)
    if not roles:
        return texts[0]
    pieces = (piece.strip() for each in texts for piece in _ODD.split(each))
    return max(pieces, key=lambda piece: len(piece.encode()))


def literally(text: str) -> str:
    """A text as a marker writes it."""
    return text.replace("{", "{{").replace("}", "}}")


def wrong_as_marker(kind: str, text: str, taken: Collection[str]) -> str:
    """What is wrong with a marker, "" where nothing is. `taken`: the roles of the ids that its kind has."""
    alone = next((match[0] for match in _PART.finditer(text) if len(match[0]) == 1), "")
    if alone:
        return f"`{alone}` stands alone"
    texts, roles = parts(text)
    for role in filter(None, roles):
        if role not in taken:
            return f"`{{{role}}}` is no place that {kind} has"
        if roles.count(role) > 1:
            return f"`{{{role}}}` stands in it twice"
    return _too_little(texts, roles, text) if roles else ""


def _too_little(texts: Sequence[str], roles: Sequence[str], text: str) -> str:
    """What of the text around its places is not enough to tell where ids end, or to be looked for."""
    for between, one, other in zip(texts[1:], roles, roles[1:], strict=False):
        if not between or (not between.strip() and "reason" in (one, other)):
            return f"`{{{one}}}{between}{{{other}}}`: nothing tells where the one ends and the other begins"
    if len(needle_of(text).encode()) < SHORTEST:
        return "it has too little text to be looked for, four letters in a row at least"
    return ""
