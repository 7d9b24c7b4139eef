"""Regular expressions and fixed texts for the words and keys of a log, in a form that every engine reads.

The expressions use only what RE2, PCRE, Java and Oniguruma have in common, and contain no quote, slash, backtick,
dollar or percent sign from the configuration: such characters are written as codes (`\\x22`). So a word of the
configuration cannot end the quoted text of a query.
"""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

from wscheck.observe.logs.vocabulary import MAX_FURTHER_WORDS, MAX_ID_LENGTH, REASON, USER, split_placeholders

VALUE = "(?P<VALUE>"
"""Start of the one group of an expression that finds an id. Words of the configuration never contain this text."""

WORD_START, WORD_END = r"(?:^|[^\w-])", r"(?:[^\w-]|$)"

_PLAIN = re.compile(r"[A-Za-z0-9 _,:=@#-]")
_WORDS = re.compile(r"[\w ]+")
_ESCAPED_IN_JSON = "<>&'"
_DOCUMENTED_LETTER = re.compile(r"\[(\w)(\w)\]")
_BETWEEN_PARTS = re.compile(r"[\s_-]+|(?<=[a-z0-9])(?=[A-Z])")


def text_pattern(text: str) -> str:
    """Return an expression that finds `text` in plain log lines and, with JSON's escapes, inside of JSON strings."""
    return "".join(map(_character_pattern, text))


def _character_pattern(character: str) -> str:
    """Return an expression that finds a character as it is, and as an escape in JSON or in JSON within JSON."""
    if _PLAIN.fullmatch(character):
        return character
    code = ord(character)
    if character == ".":
        return r"\."
    if character == "\\":
        return r"\x5c{1,4}"
    own = f"\\x{code:02x}" if code < 0x80 else character if character.isprintable() else f"\\x{{{code:x}}}"
    if character in '"/':
        return rf"\x5c{{0,3}}{own}"
    if character.isascii() and character.isprintable() and character not in _ESCAPED_IN_JSON:
        return own
    spellings = {f"\\u{code:04x}"} if character.isascii() else set()
    spellings.add(json.dumps(character)[1:-1])
    escaped = [each.replace("\\", r"\x5c{1,2}") for each in sorted(spellings) if each != character]
    return f"(?:{own}|(?i:{'|'.join(escaped)}))"


class Sentence(NamedTuple):
    """A sentence that reports an event.

    text      the sentence as the configuration or the documentation contains it
    pattern   expression that finds it
    variants  for each spelling, the fixed texts of the sentence in their order; ids or other text stand between them
    ids       dict of role (user, sid, ...) to an expression with the group VALUE around the id within the sentence
    """

    text: str
    pattern: str
    variants: tuple[tuple[str, ...], ...]
    ids: dict[str, str]


def documented_sentence(pattern: str) -> Sentence:
    """Return the sentence for an expression of the documentation. `[Ww]` in it means "W" or "w"."""
    pieces = _DOCUMENTED_LETTER.split(pattern)
    texts = ("".join(each) for each in product(*_choices(pieces)))
    variants = tuple((text,) for text in texts)
    return Sentence(variants[0][0], _bounded(pattern, pattern[-1].isalnum(), pattern[-1].isalnum()), variants, {})


def _choices(pieces: Sequence[str]) -> Iterable[Sequence[str]]:
    for at in range(0, len(pieces), 3):
        yield [pieces[at]]
        if at + 1 < len(pieces):
            yield [pieces[at + 1], pieces[at + 2]]


def configured_sentence(marker: str) -> Sentence:
    """Return the sentence of a marker, a text that the user configured for an event, with placeholders or not."""
    texts, roles = split_placeholders(marker)
    if not roles:
        whole = texts[0]
        pattern = _bounded(text_pattern(whole), whole[:1].isalnum(), whole[-1:].isalnum())
        return Sentence(marker, pattern, _spellings((whole,)), {})
    named = [role for role in roles if role and role != REASON]
    ids = {role: _placeholders_pattern(texts, roles, role) for role in named}
    pieces = tuple(text for text in texts if text.strip())
    return Sentence(marker, _placeholders_pattern(texts, roles, None), _spellings(pieces), ids)


def _spellings(pieces: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the fixed texts as they are, and with the codes that JSON may write for letters outside of ASCII."""
    return tuple(dict.fromkeys((pieces, tuple(_ascii(piece) for piece in pieces))))


def _ascii(text: str) -> str:
    return "".join(each if each.isascii() else json.dumps(each)[1:-1] for each in text)


def _placeholders_pattern(texts: Sequence[str], roles: Sequence[str], captured: str | None) -> str:
    """Return the expression for a marker that consists of `texts` with a placeholder for each of `roles` between them.

    The group VALUE contains the id of the role `captured`.
    """
    pieces = [_blanks_around(texts[0])]
    for at, role in enumerate(roles):
        is_last = at == len(roles) - 1 and not texts[at + 1]
        value = _placeholder(role, texts[at], is_last=is_last, has_text=bool(texts[at + 1].strip()))
        group = VALUE if captured is not None and role == captured else "(?:"
        pieces += [f"{group}{value})", _blanks_around(texts[at + 1])]
    begin = WORD_START if texts[0][:1].isalnum() else "" if texts[0] else r"(?:^|[\s\x22\x27\x60])"
    return begin + "".join(pieces) + (WORD_END if texts[-1][-1:].isalnum() else "")


def _placeholder(role: str, before: str, *, is_last: bool, has_text: bool) -> str:
    """Return the expression for the text that replaces a placeholder.

    `before` is the fixed text in front of the placeholder. If it ends with an opening bracket, the id contains no such
    bracket. `is_last`: the placeholder ends the marker. `has_text`: more than blanks follow the placeholder.
    """
    lazy = "" if is_last else "?"
    if role == REASON:
        return rf"[^\n]{{1,{MAX_ID_LENGTH}}}{lazy}"
    bracket = rf"\x{ord(before[-1]):02x}" if before[-1:] and before[-1] in "[(<{" else ""
    word = rf"[^\s\x22\x60\x5c{bracket}]{{1,{MAX_ID_LENGTH}}}{lazy}"
    further = rf"(?: {word}){{0,{MAX_FURTHER_WORDS}}}{lazy}" if role == USER and has_text else ""
    return f"{word}{further}"


def _blanks_around(text: str) -> str:
    """Return the expression for the fixed text beside an id. A blank at its start or end means one or more blanks."""
    inner = text.strip()
    if not inner:
        return "[ \\t]+" if text else ""
    before, behind = ("[ \\t]+" if blank else "" for blank in (text[0].isspace(), text[-1].isspace()))
    return f"{before}{text_pattern(inner)}{behind}"


def _bounded(pattern: str, starts_with_letter: bool, ends_with_letter: bool) -> str:
    """Return `pattern`, with a word boundary at its start or end if the text there starts or ends with a letter."""
    return (WORD_START if starts_with_letter else "") + pattern + (WORD_END if ends_with_letter else "")


def key_patterns(names: Iterable[str]) -> tuple[str, str]:
    """Return two expressions for the value of a key, in quotes and without, each with the group VALUE around it.

    Case, "_", "-" and blanks between the words of a key make no difference: userId, user_id, "user id".
    """
    either = "|".join(dict.fromkeys(map(_key_pattern, names)))
    before = rf"(?:^|[^\w])(?i:{either})(?:\x5c{{0,3}}[\x22\x27])?\s*[:=]\s*"
    return (
        rf"{before}\x5c{{0,3}}[\x22\x27]{VALUE}[^\x22\x27\x5c]+)",
        rf"{before}{VALUE}[^\s\x22\x27\x5c,;&{{}}()\[\]]+)",
    )


def _key_pattern(name: str) -> str:
    parts = filter(None, _BETWEEN_PARTS.split(name))
    return "[_ -]*".join(text_pattern(part.lower()) for part in parts)


def any_of(patterns: Iterable[str]) -> str:
    """Return an expression that finds a text which at least one of `patterns` finds."""
    found = list(dict.fromkeys(patterns))
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"


def named(pattern: str, name: str, style: str = "P") -> str:
    """Return `pattern` with its group VALUE named `name`. `style`: "P" for (?P<name>...), "" for (?<name>...)."""
    return pattern.replace(VALUE, f"(?{style}<{name}>")


def plain_pieces(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the parts of `texts` that consist only of letters, digits, underscores and blanks.

    A search for all these parts finds every line that contains all `texts`, and perhaps other lines.
    """
    parts = (part.strip() for text in texts for part in _WORDS.findall(text))
    return tuple(dict.fromkeys(part for part in parts if len(part) > 1))
