"""Keys and values in a line of text: key=value, key: 'value', "key": "value". Quoted text contains no keys."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from wscheck.observe.logs.lazy_pattern import lazy_pattern

_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)"""
KEY_NAME = r"(?:[^\W\d]|[@$])[\w.@$-]*"
"""Name of a key: it starts with a letter of any script."""


TOKEN = lazy_pattern(
    rf"""(?P<open>[{{\[(])|(?P<close>[}}\])])
    |(?<![\w'"`])(?<![\w.@$-][.@$-])(?P<key>{KEY_NAME}(?:[ ]id)?|"{KEY_NAME}"|'{KEY_NAME}')
        \s*(?P<sign>:?=|:(?![/\\]))\s*
        (?:(?P<quoted>{_QUOTED})|(?P<bare>(?:(?<==)|(?!{KEY_NAME}=[^=\s]))[^\s,;{{}}\[\]()'"`]))?
    |(?P<text>(?<![\w\\]){_QUOTED})
    """,
    re.VERBOSE | re.DOTALL,
)

_BLANKS = r"(?<!\s)\s++"  # possessive, so that many blanks cannot make matching slow
_NEXT = rf"{_BLANKS}(?={KEY_NAME}=|\|\s)"
_NEXT_COLON = rf"{_BLANKS}(?={KEY_NAME}[:=]\s|{KEY_NAME}=|\|\s)"
_NEXT_JOINED_COLON = rf"{_BLANKS}(?={KEY_NAME}(?:=|:(?![/\\]))|\|\s)"
"""Start of the next key after a pair without a blank, as in "userId:7 socketId:x"."""
_STOP_EQUALS = lazy_pattern(rf"[,;{{}}\[\]()\n]|{_NEXT}")
_STOP_COLON = lazy_pattern(rf"[,;{{}}\[\]()\n]|{_NEXT_COLON}")
_STOP_JOINED_COLON = lazy_pattern(rf"[,;{{}}\[\]()\n]|{_NEXT_JOINED_COLON}")
"""Latest end of an unquoted value after "=" or ":", if quoted text follows."""

_JOINED = rf"""(?P<joined>[,;|](?=(?P<mark>['"]?){KEY_NAME}(?P=mark)[:=]))"""
_SIGNS = rf"\n|[,;](?=\s|$)|{_JOINED}|{_BLANKS}(?=[{{}}()\[\]])|[{{}}()\[\]]"
_POINTS_EQUALS = lazy_pattern(f"{_SIGNS}|{_NEXT}")
_POINTS_COLON = lazy_pattern(f"{_SIGNS}|{_NEXT_COLON}")
_POINTS_JOINED_COLON = lazy_pattern(f"{_SIGNS}|{_NEXT_JOINED_COLON}")
"""Possible ends of an unquoted value after "=" or ":"."""

_SPACED = lazy_pattern(rf"\s{KEY_NAME}\s*[:=]")
CLOSERS = {"{": "}", "[": "]", "(": ")"}
_CLOSED = lazy_pattern(r"[}\])]+(?=[.,;:!]*(?:\s|$)|['\"`|])")
_LITERAL = lazy_pattern(rf"{_QUOTED},?", re.DOTALL)
_BLANK = lazy_pattern(r"\s\S")
_CLEAN = lazy_pattern(r"\s|[,;.:!|+}\])]|$")
_OPENED = lazy_pattern(r"""[\[("'`](?!(?:[Oo]bject|Array|Function|Getter|Circular|undefined)\b)(?=[^\s\])])""")
"""Start of a value with a bracket or a quote that is not closed. Object placeholders such as [Object] are excluded."""
_SPACE = lazy_pattern(r"\s")
MAX_PARENTS = 64
"""Maximum number of keys in `KeyValue.parents`. If there are more, it has the outermost and the innermost keys."""
MAX_UNCLEAR = 1 << 10
"""Largest length of a value that starts with an unclosed bracket or quote. The rest is left out: no id is so long."""
_ESCAPE = lazy_pattern(r"\\(u\{[0-9a-fA-F]+\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}

NOTHING = frozenset(("", "undefined", "null", "none", "[undefined]", "nil", "nan", "[object object]", "<nil>"))


class KeyValue(NamedTuple):
    """One key with its value.

    depth       number of brackets around the pair
    start, end  position of the value
    is_certain  the end of the value is unambiguous: true for "a=x", false for "a=x)y"
    parents     keys of the objects around the pair, outermost first, "" for an object without a key
    """

    key: str
    value: str
    quoted: bool
    depth: int
    start: int
    end: int
    is_certain: bool
    parents: tuple[str, ...] = ()


def find_key_values(text: str) -> Iterator[KeyValue]:
    """Yield each key of the text with its value, in order. Keys of whole objects and lists are left out."""
    for token in _tokens(text):
        if isinstance(token, KeyValue):
            yield token


def bracket_balance(text: str) -> int:
    """Return the number of opening brackets in `text` minus the number of closing brackets."""
    return sum(token for token in _tokens(text) if isinstance(token, int))


def _tokens(text: str) -> Iterator[KeyValue | int]:
    """Yield each key with its value, and 1 or -1 for each bracket that opens or closes."""
    around, owners = list[str](), list[str]()
    position, name, spaced, word_end = 0, "", None, 0
    while (match := TOKEN.search(text, position)) is not None:
        owner, name = name if match.start() == position else "", ""
        position = match.end()
        if match["open"]:
            around.append(CLOSERS[match["open"]])
            owners.append(owner)
            yield 1
        elif match["close"]:
            del around[-1:], owners[-1:]
            yield -1
        elif match["key"]:
            name = match["key"].strip("\"'")
            if match["quoted"]:
                begin, end = match.span("quoted")
                sure = _CLEAN.match(text, end) is not None
                yield KeyValue(name, unquote(match["quoted"]), True, len(around), begin, end, sure, _parents(owners))
            elif match["bare"]:
                spaced = _is_spaced(text) if spaced is None else spaced
                begin = match.start("bare")
                position, sure = _end(text, begin, match["sign"][-1], around, spaced)
                value = text[begin:position].strip()
                yield KeyValue(name, value, False, len(around), begin, position, sure, _parents(owners))
            elif _OPENED.match(text, position) is not None:
                # An id may start with such a character, but its end is ambiguous. The next keys are often in the same
                # word, so the word is not searched for its end again.
                if word_end < position:
                    word_end = space.start() if (space := _SPACE.search(text, position)) is not None else len(text)
                value, owned = text[position : min(word_end, position + MAX_UNCLEAR)], _parents(owners)
                yield KeyValue(name, value, False, len(around), position, word_end, False, owned)


def _parents(owners: list[str]) -> tuple[str, ...]:
    half = MAX_PARENTS // 2
    return tuple(owners) if len(owners) <= MAX_PARENTS else (*owners[:half], *owners[-half:])


def _is_spaced(text: str) -> bool:
    """Return whether blanks separate the key-value pairs of a text, so that a comma alone does not end a value."""
    first = _SPACED.search(text)
    return first is not None and _SPACED.search(text, first.end()) is not None


def _end(text: str, begin: int, sign: str, around: list[str], spaced: bool) -> tuple[int, bool]:
    """Return the end of the unquoted value that starts at `begin`, and whether this end is unambiguous.

    A value ends before the next key ("a=1 b=2", "a: 1, b: 2"), before a comma with a blank, and before the bracket that
    closes the object or list around the value. Other punctuation is part of the value. Brackets are part of the value
    only in pairs, and only if no brackets are around the value.

    sign    "=" or ":", the sign between key and value
    around  closing brackets of the objects and lists around the value, the innermost last
    spaced  blanks separate the pairs, so a comma without a blank is part of a value
    """
    inside: list[str] = []
    sure = True
    joined = _POINTS_JOINED_COLON if text[begin - 1] == ":" else _POINTS_COLON
    for point in (_POINTS_EQUALS if sign == "=" else joined).finditer(text, begin):
        what = point[0][0]
        if what in "([{":
            inside.append(CLOSERS[what])
            sure = sure and not around
        elif what not in ")]}":
            if not point["joined"] or point["mark"] or around or not spaced:
                return point.start(), sure and not inside
        elif inside and inside[-1] == what:
            inside.pop()
        elif around:
            return point.start(), sure and not inside and _closes(text, point.start(), around)
        else:
            sure = False
    # Further words may be part of the sentence ("userId=42 over polling") or of a name ("userId=Ana da Silva").
    whole = sign == ":" or _BLANK.search(text, begin) is None or is_person_name(text[begin:].split())
    return len(text), sure and not inside and whole


def is_person_name(words: list[str]) -> bool:
    """Return whether the words look like a person's name.

    The first and the last word are capitalised, if their script has upper case. Short words between them need not be.
    """

    def begins(word: str) -> bool:
        return word.isalpha() and (word.istitle() or word.lower() == word.upper())

    return begins(words[0]) and begins(words[-1]) and all(begins(w) or (w.isalpha() and len(w) <= 3) for w in words)


def _closes(text: str, at: int, around: list[str]) -> bool:
    """Return whether the text at `at` closes the innermost brackets `around` a value, and no word directly follows."""
    closing = _CLOSED.match(text, at)
    return closing is not None and list(closing[0]) == around[: -len(closing[0]) - 1 : -1]


def enclosing_quotes(text: str, position: int) -> tuple[str | None, int, int] | None:
    """Return (key, start, end) for the quoted string that contains `position`, None if no quotes are around it.

    The key is the one whose value is the string, or None if the string is no value of a key.
    """
    at = 0
    while (match := TOKEN.search(text, at)) is not None and match.start() <= position:
        at = match.end()
        for group in ("quoted", "text"):
            if match[group] and match.start(group) <= position < match.end(group):
                key = match["key"].strip("\"'") if group == "quoted" else None
                return key, match.start(group), match.end(group)
        if match["bare"]:
            begin = match.start("bare")
            joined = _STOP_JOINED_COLON if text[begin - 1] == ":" else _STOP_COLON
            stop = (_STOP_EQUALS if match["sign"][-1] == "=" else joined).search(text, begin)
            at = stop.start() if stop is not None else len(text)
    return None


def without_enclosing_bracket(before: str, rest: str) -> str:
    """Return `rest` without its last bracket if `before` ends with the bracket that opens it.

    For the line "connected (userId=42)", divided into "connected (" and "userId=42)", return "userId=42".
    """
    closer = CLOSERS.get(before.rstrip()[-1:])
    body = rest.rstrip(" .\r")
    alone = closer is not None and body.endswith(closer) and body.count(closer) == body.count(before.rstrip()[-1]) + 1
    return body[:-1] if alone else rest


def unquote(text: str) -> str:
    """Return the value of a quoted literal."""
    inner = text[1:-1]
    return _ESCAPE.sub(_unescaped, inner) if "\\" in inner else inner


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "ux" and len(code) > 1:
        number = int(code[1:].strip("{}"), 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _NAMED.get(code, code)


def is_quoted(text: str) -> bool:
    """Return whether the text is one quoted literal, with or without a comma after it."""
    return _LITERAL.fullmatch(text) is not None


def value_or_none(value: str) -> str | None:
    """Return the value, None for a text that means "no value" ("null", "undefined", ...)."""
    value = value.strip()
    return None if value.lower() in NOTHING else value
