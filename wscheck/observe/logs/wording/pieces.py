"""Words, values and signs of a message, and the parts of a sentence: ids, count of connections, reason."""

import re
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from wscheck.observe.logs.formats.key_values import value_or_none
from wscheck.observe.logs.formats.timestamps import STAMP
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import label_stem, normalize_key, word_set
from wscheck.observe.logs.wording.words import (
    CONNECTION_NOUNS,
    COUNT_WORDS,
    EVENT_VERBS,
    HOLDER_NOUNS,
    is_ordinary,
    word_parts,
)

MAX_PIECES = 60
SLOT = "\0"
"""The place of a value in a pattern."""
WORD, VALUE, SIGN = "word", "value", "sign"
PIECE = lazy_pattern(
    r"""(?P<quoted>(?<!\w)(?:"[^"\n]{1,128}"|'[^'\n]{1,128}'|`[^`\n]{1,128}`))
    |(?P<arrow>[-=]{1,2}>|[→➜])
    |(?P<label>[A-Za-z_][\w-]*):(?=[^\s:/\\])
    |(?P<bare>[^\s"`()\[\]{}<>|,;=]+)
    |(?P<sign>\S)""",
    re.VERBOSE,
)
_NUMBERED = lazy_pattern(r"(?P<number>\d{1,9}):(?P<name>[^\W\d_][\w.-]*)")
"""Number of a connection and the name of its user: "12:ann"."""
_BARE = lazy_pattern(r"""[^\s"`()\[\]{}<>|,;=]+""")
_COMPOSED = lazy_pattern(r"/[^/]")
_PARTS = lazy_pattern(r"[/?&]|[^/?&]+")
_KEY = lazy_pattern(r"[A-Za-z_$][\w.$-]*")
_LETTERS = lazy_pattern(r"[^\W\d_]+(?:[-_'’.][^\W\d_]+)*")
_NO_ID = lazy_pattern(
    r"""(?ix)(?:::ffff:)?(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|\[?[0-9a-f]*:[0-9a-f:.]+\]?(?::\d+)?|[a-z]+://(?!\S{0,200}/users?/[\w.@-]{0,40}\d[\w.@-]{0,40}(?:/[\w-]{1,40})?$).*|/.*(?<!\#[\w-]{20})
    |localhost(?::\d+)?|:?\d{2,5}/\w*|true|false|null|none|undefined
    |[\d.,]+\s?(?:ms|µs|us|s|sec|secs|m|min|h|%|b|kb|mb|gb|kib|mib)|v?\d+(?:\.\d+)+|mozilla/.*|\w+/\d[\d.]*|[a-z]+\s/.*"""
)
"""Values that are no ids: addresses, URLs, durations, sizes, versions, user agents.

A URL that ends with a user (https://site.example/users/7/notices) is the id of this user.
"""
_NAME_PART = lazy_pattern(r"[A-ZÀ-Þ][^\W\d_]{0,15}\d{0,2}")
"""Part of a person's name: "Ann"."""
_OWN_ROOM = lazy_pattern(r"(?=[\w-]*[A-Z\d_-])[\w-]{20}")
"""Room that has the id of a socket as its name."""
_TWO_NUMBERS = lazy_pattern(r"\d{3,12}\.\d{3,12}")
_HEXADECIMAL = lazy_pattern(r"[0-9a-f]{2,64}")
_OWN_NUMBERS = word_set("pid tid port line code status attempt retry version room")
"""Labels of numbers that are no ids."""
_COUNT_LABELS = word_set(
    "total count counts size online active current currently now num sockets clients connections users sessions"
)
"""Labels of numbers of connections or users."""
AROUND_REASON = " \t-–—:;,.|()[]"
"""Characters around the reason of a disconnect that do not belong to it."""
REASON_SIGNS = frozenset(":(-–—")
_CLOSE_CODE = lazy_pattern(r"[1-4]\d{3}")
_NAMING_WORDS = HOLDER_NOUNS | CONNECTION_NOUNS | word_set("for by as of from")
"""Words in front of a name."""


class Slot(NamedTuple):
    """Variable value in a message.

    label  word or key in front of the value, as `normalize_key` returns it, "" if there is none
    keyed  ":" or "=" is between the label and the value
    """

    label: str
    value: str
    keyed: bool = False


class Piece(NamedTuple):
    """Word, sign or value of a message, with its position."""

    text: str
    kind: str
    begin: int
    end: int


def split_pieces(text: str, words: Container[str] | None = None) -> list[Piece]:
    """Return the first `MAX_PIECES` pieces of a message.

    words  additional words of the server. If they are given, paths and quotations are divided into words
    """
    return list(islice(_with_whole_names(_parse(text, words), text), MAX_PIECES))


def _parse(text: str, words: Container[str] | None = None, begin: int = 0, stop: int | None = None) -> Iterator[Piece]:
    """Yield the words, values and signs of text[begin:stop]."""
    certain, label = False, ""
    at, stop = begin, len(text) if stop is None else stop
    while (match := PIECE.search(text, at, stop)) is not None:
        begin, end = match.span()
        at = end
        if match["quoted"] and words is not None and not {" ", "/"}.isdisjoint(match[0]):
            yield Piece(match[0][0], SIGN, begin, begin + 1)
            yield from _parse(text, words, begin + 1, end - 1)
            yield Piece(match[0][0], SIGN, end - 1, end)
        elif match["quoted"]:
            yield Piece(match[0][1:-1], VALUE, begin, end)
        elif match["arrow"]:
            yield Piece("->", SIGN, begin, end)
        elif match["sign"]:
            yield Piece(match[0], SIGN, begin, end)
        elif match["label"] and (words is None or is_ordinary(match["label"])):
            at = match.end("label")
            yield Piece(match["label"], WORD, begin, at)
            yield Piece(":", SIGN, at, at + 1)
            at += 1
        elif words is not None and _COMPOSED.match(match[0]) is not None:
            yield from _parse_path(match[0], begin, words)
        else:
            if match["label"]:  # "sip:1001" is one id
                match = _BARE.match(text, begin, stop) or match
            bare = match[0].rstrip(":.!?…")
            at = begin + len(bare)
            if bare and not certain and text.startswith("=", at) and _KEY.fullmatch(bare) is not None:
                yield Piece(bare, WORD, begin, at)
            elif bare:
                yield from _bare_pieces(bare, begin, words, certain=certain)
            for sign in match[0][len(bare) :]:
                yield Piece(sign, SIGN, at, at + 1)
                at += 1
        is_event_key = words is not None and f"{normalize_key(label)}=" in words
        certain, label = match[0] == "=" and not is_event_key, match[0]


def _parse_path(text: str, begin: int, words: Container[str]) -> Iterator[Piece]:
    """Yield the names in the path `text`, which starts at `begin`, and the signs ("/", "?", "&") between them.

    `words` are additional words of the server; other names that are not in the vocabulary are values.
    """
    for part in _PARTS.finditer(text):
        if part[0] in "/?&":
            yield Piece(part[0], SIGN, begin + part.start(), begin + part.end())
        else:
            yield _bare_piece(part[0], begin + part.start(), words, certain=False)


def _bare_pieces(bare: str, begin: int, words: Container[str] | None, *, certain: bool) -> Iterator[Piece]:
    """Yield the text `bare`, which starts at `begin`, as one piece, or as two values with a colon between them.

    certain  the text follows "=", so it is a value even if it is an ordinary word
    """
    numbered = _NUMBERED.fullmatch(bare)
    if numbered is None:
        yield _bare_piece(bare, begin, words, certain=certain)
        return
    colon = begin + numbered.end("number")
    yield Piece(numbered["number"], VALUE, begin, colon)
    yield Piece(":", SIGN, colon, colon + 1)
    yield Piece(numbered["name"], VALUE, colon + 1, begin + len(bare))


def _bare_piece(bare: str, begin: int, words: Container[str] | None, *, certain: bool) -> Piece:
    """Return the text `bare`, which starts at `begin`, as a word, a value or a sign.

    certain  the text follows "=", so it is a value even if it is an ordinary word
    """
    end = begin + len(bare)
    if not any(map(str.isalnum, bare)):
        return Piece(bare, SIGN, begin, end)
    if bare[0] == "#" and len(bare) > 1:
        return Piece(bare[1:], VALUE, begin + 1, end)
    if not certain and _LETTERS.fullmatch(bare) is not None and (is_ordinary(bare) or _is_among(bare, words)):
        return Piece(bare, WORD, begin, end)
    return Piece(bare, VALUE, begin, end)


def _is_among(bare: str, words: Container[str] | None) -> bool:
    return words is not None and bare.lower() in words


def _with_whole_names(pieces: Iterable[Piece], text: str) -> Iterator[Piece]:
    """Yield the pieces, with the parts of a person's name joined to one piece: "Ann Example"."""
    name: Piece | None = None
    for piece in pieces:
        is_part = (
            piece.kind == VALUE and _NAME_PART.fullmatch(piece.text) is not None and text[piece.begin] not in "\"'`"
        )
        if name is not None and is_part and text[name.end : piece.begin] == " ":
            name = Piece(text[name.begin : piece.end], VALUE, name.begin, piece.end)
            continue
        if name is not None:
            yield name
        name = piece if is_part else None
        if name is None:
            yield piece
    if name is not None:
        yield name


def event_words(pieces: Sequence[Piece]) -> list[str]:
    """Return the lower-case parts of the words. Names in a path are left out: they say nothing about the event."""
    spoken = _without_own_room(pieces)
    before = ["", *(piece.text for piece in spoken)]
    return [
        part
        for sign, piece in zip(before, spoken, strict=False)
        if piece.kind == WORD and sign != "/"
        for part in word_parts(piece.text)
    ]


def _without_own_room(pieces: Sequence[Piece]) -> list[Piece]:
    """Return the pieces without the word "room" if the room is named after a socket: each socket joins its own room."""
    return [
        piece
        for piece, behind in zip(pieces, [*pieces[1:], None], strict=False)
        if not (piece.text == "room" and behind is not None and _OWN_ROOM.fullmatch(behind.text) is not None)
    ]


def slot_at(pieces: Sequence[Piece], at: int) -> Slot:
    """Return the value at a position with its label: the word in front of the value or in front of its ":" or "="."""
    keyed, before = False, at - 1
    if before >= 1 and pieces[before].text == ":" and pieces[before - 1].text.isdigit():
        return Slot("", pieces[at].text)  # "12:ann"
    if before >= 0 and pieces[before].text in {":", "="}:
        keyed, before = True, before - 1
    elif before >= 1 and pieces[before].text in {"[", "(", "<"} and pieces[before - 1].end == pieces[before].begin:
        before -= 1
    if before < 0 or pieces[before].kind != WORD:
        return Slot("", pieces[at].text, keyed)
    label = pieces[before].text
    if label.lower() in {"id", "ids"} and before and pieces[before - 1].kind == WORD:
        label = f"{pieces[before - 1].text} {label}"
    elif keyed and before and label.lower() in EVENT_VERBS and pieces[before - 1].text.lower() in _COUNT_LABELS:
        label = pieces[before - 1].text  # "total connected: 7"
    return Slot(normalize_key(label), pieces[at].text, keyed)


def may_be_id(slot: Slot) -> bool:
    """Return whether a value may identify a user or a connection, because it is no address, no count and no time."""
    return (
        slot.label not in _COUNT_LABELS
        and not (slot.label in _OWN_NUMBERS and slot.value.isdigit())
        and value_or_none(slot.value) is not None
        and len(slot.value) <= 128
        and (_NO_ID.fullmatch(slot.value) is None or _is_id_of_connection(slot))
        and STAMP.fullmatch(slot.value) is None
    )


def _is_id_of_connection(slot: Slot) -> bool:
    """Return whether a value looks like a size ("378b") or a decimal number, but is the id of a connection.

    The noun in front of it is then one for a connection. A Pusher server makes ids of two numbers: 669338447.714930259.
    """
    is_of_connection = label_stem(slot.label) in CONNECTION_NOUNS
    return is_of_connection and any(form.fullmatch(slot.value) for form in (_HEXADECIMAL, _TWO_NUMBERS))


def core_length(pieces: Sequence[Piece]) -> int:
    """Return the number of pieces at the start of a message that report the event.

    The last of them is the last id or the last verb, whichever is later. A noun for a connection between this piece and
    a reason is included ("ann lost connection: timed out"). The pieces after them may differ from line to line: a
    reason, or the number of open connections.
    """
    end, spoken = 0, False
    for at, piece in enumerate(pieces):
        counted = at + 1 < len(pieces) and pieces[at + 1].text.lower() in COUNT_WORDS and piece.text.isdigit()
        if piece.kind == VALUE and may_be_id(slot_at(pieces, at)) and not counted:
            end = at + 1
        elif piece.kind == WORD and not EVENT_VERBS.isdisjoint(word_parts(piece.text)):
            end = end if spoken and is_connection_count(pieces[end : at + 1]) else at + 1
            spoken = True
    behind = pieces[end + 1].text if end + 1 < len(pieces) else ":"
    if spoken and end < len(pieces) and pieces[end].text.lower() in CONNECTION_NOUNS and behind in REASON_SIGNS:
        end += 1
    while end < len(pieces) and pieces[end].text in {")", "]", ">", "}"}:
        end += 1
    return end


def reason_position(pieces: Sequence[Piece]) -> int:
    """Return the number of pieces in front of the reason of a disconnect, or of all pieces if there is no reason.

    A reason follows an id and a sign: "ann left stream s_17: app in background", "s_17 closed (no pong within 45s)".
    """
    spoken, fewest = False, 0
    for at, piece in enumerate(pieces):
        if spoken and fewest and piece.text in REASON_SIGNS and _is_reason_text(pieces[at + 1 :], fewest):
            return at
        spoken |= piece.kind == WORD and not EVENT_VERBS.isdisjoint(word_parts(piece.text))
        if piece.kind == VALUE and may_be_id(slot_at(pieces, at)):
            fewest = 1 if fewest == 1 or any(map(str.isdigit, piece.text)) else 2
    return len(pieces)


def _is_reason_text(pieces: Sequence[Piece], fewest: int) -> bool:
    """Return whether the pieces are a phrase without ids: words, numbers with a unit, or a close code.

    fewest  smallest number of words in the phrase that must be in the vocabulary
    """
    while pieces and pieces[-1].text in AROUND_REASON:
        pieces = pieces[:-1]
    if len(pieces) > 2 and _EXCEPTION.fullmatch(pieces[0].text) is not None and pieces[1].text == ":":
        pieces = pieces[2:]
    words = 0
    for at, piece in enumerate(pieces):
        if piece.kind == WORD:
            words += 1
        elif piece.text in {"=", ":"}:
            return False
        elif piece.kind == VALUE:
            is_number = _CLOSE_CODE.fullmatch(piece.text) is not None or _NO_ID.fullmatch(piece.text) is not None
            is_verb = piece.text.endswith(("n't", "n’t"))
            is_name = not is_verb and at > 0 and pieces[at - 1].text.lower() in _NAMING_WORDS
            if not is_number and (is_name or _PHRASE_WORD.fullmatch(piece.text) is None):
                return False
    return 0 < words == len(pieces) or (words >= fewest and len(pieces) > 1)


_EXCEPTION = lazy_pattern(r"(?:\w+\.)*\w+(?:Exception|Error)")
_PHRASE_WORD = lazy_pattern(r"[^\W\d_]+(?:[-'’/][^\W\d_]+)*-?")


def is_connection_count(pieces: Sequence[Piece]) -> bool:
    """Return whether the pieces report how many connections are open: ", total: 3", "(3 clients)"."""
    words = [piece.text.lower() for piece in pieces if piece.kind == WORD]
    numbers = [piece for piece in pieces if piece.kind == VALUE]
    return all(word in COUNT_WORDS for word in words) and all(piece.text.isdigit() for piece in numbers)
