"""Keys and their values in a line of text: key=value, key: 'value', "key": "value", and nothing inside quotes."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)"""
_NAME = r"[A-Za-z_@$][\w.@$-]*"

TOKEN = re.compile(
    rf"""(?P<open>[{{\[(])|(?P<close>[}}\])])
    |(?<![\w'"`])(?P<key>{_NAME}(?:[ ]id)?|"{_NAME}"|'{_NAME}')\s*(?P<sign>[:=])(?![/\\])\s*
        (?:(?P<quoted>{_QUOTED})|(?P<bare>(?!{_NAME}=[^=\s])[^\s,;{{}}\[\]()'"`][^,;{{}}\[\]()\n]*))?
    |(?P<text>(?<![\w]){_QUOTED})
    """,
    re.VERBOSE | re.DOTALL,
)

_NEXT = re.compile(r"\s+(?=[A-Za-z_@$][\w.@$-]*=)|\s+\|\s+")
_NEXT_COLON = re.compile(r"\s+(?=[A-Za-z_@$][\w.@$-]*[:=]\s)|\s+(?=[A-Za-z_@$][\w.@$-]*=)|\s+\|\s+")
_ESCAPE = re.compile(r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}

NOTHING = frozenset(("", "undefined", "null", "none", "[undefined]", "nil", "nan", "[object object]", "<nil>"))


class Pair(NamedTuple):
    """One key with its value: `depth` counts brackets around it; `begin`, `end` are where the value stands."""

    key: str
    value: str
    quoted: bool
    depth: int
    begin: int
    end: int


def pairs(text: str) -> Iterator[Pair]:
    """Every key with a scalar value, in order; what stands in quotes is a value or nothing."""
    depth, position = 0, 0
    while (match := TOKEN.search(text, position)) is not None:
        position = match.end()
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth = max(0, depth - 1)
        elif match["key"]:
            name = match["key"].strip("\"'")
            if match["quoted"]:
                yield Pair(name, unquoted(match["quoted"]), True, depth, match.start("quoted"), match.end("quoted"))
            elif match["bare"]:
                value = _cut(match["bare"], match["sign"])
                position = match.start("bare") + len(value)
                yield Pair(name, value.strip(), False, depth, match.start("bare"), position)


def _cut(value: str, sign: str) -> str:
    """An unquoted value ends where the next key begins: "a=1 b=2", "a: 1 b: 2"."""
    following = (_NEXT if sign == "=" else _NEXT_COLON).search(value)
    return value[: following.start()] if following is not None else value


def balance(text: str) -> int:
    """How many brackets are left open at the end of `text`, negative where it closes more than it opens."""
    return sum(1 if match["open"] else -1 if match["close"] else 0 for match in TOKEN.finditer(text))


def quotes_around(text: str, position: int) -> tuple[str | None, int, int] | None:
    """The quoted string that holds `position`: (its key or None, begin, end); None when none does."""
    at = 0
    while (match := TOKEN.search(text, at)) is not None and match.start() <= position:
        at = match.end()
        for group in ("quoted", "text"):
            if match[group] and match.start(group) <= position < match.end(group):
                key = match["key"].strip("\"'") if group == "quoted" else None
                return key, match.start(group), match.end(group)
        if match["bare"]:
            at = match.start("bare") + len(_cut(match["bare"], match["sign"]))
    return None


def unquoted(text: str) -> str:
    """The string that a quoted literal stands for."""
    inner = text[1:-1]
    return _ESCAPE.sub(_unescaped, inner) if "\\" in inner else inner


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "ux" and len(code) > 1:
        number = int(code[1:].strip("{}"), 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _NAMED.get(code, code)


def something(value: str) -> str | None:
    """The value, None where it says that there is none."""
    value = value.strip()
    return None if value.lower() in NOTHING else value
