"""Templates: byte patterns that read all records of one shape (equal bytes except ids and times).

A template is created from one record. All bytes of the record are fixed, except the parts that differ between records,
such as ids. Each such part matches only characters that have no other meaning at its position. The general reader reads
records that match no template.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from wscheck.observe.logs.formats.key_values import NOTHING
from wscheck.observe.logs.formats.timestamps import MILLISECONDS, TimeReader, is_milliseconds
from wscheck.observe.logs.vocabulary import DEVICE, EVENT_ROLES, NAMESPACE, REASON, TIME, USER

MARKER = "marker"

_WORD = rb"[\w.:@+/=|-]++"
_WORDS = rb"%b(?: %b)*+" % (_WORD, _WORD)
_SAID = {REASON: _WORDS, USER: _WORDS, DEVICE: _WORDS}
_NOTHING = b"|".join(
    b"".join(b"[%c%c]" % (letter, letter - 32) for letter in word.encode())  # in either case
    for word in sorted(NOTHING)
    if word.isalpha()
)
_LETTERS = rb'[^"\\\x00-\x1f]*+'
_STRING = rb'"%b(?:\\["\\/bfnrt]%b)*+"' % (_LETTERS, _LETTERS)
_INTEGER = rb"-?(?:[1-9]\d*+|0)"
_NATURAL = rb"(?:[1-9]\d{0,17}|0)"
NUMBER = rb"(?:[1-9]\d{0,8}|0)"
"""Number that cannot be mistaken for a time."""
_NAME = rb"[\w-]++"
_PATH = rb"/[\w/-]*+"
_SOCKET = rb"[\w-]{20}"
"""Socket id without a key, identified by its length."""
_CONSTANT = rb"(?:true|false|null)"
_SEPARATORS = ((b",", b":"), (b", ", b": "))


class RecordFacts(NamedTuple):
    """Content of one record.

    ids         values in the order of `EVENT_ROLES`, "" for a missing value
    size        length of the record's lines in bytes
    bare        nothing is in front of the marker, so the record may be text that a user sent
    source      writer of the record, if an envelope (added by a log collector) names it
    until       number of bytes at the start that contain the record's time: those of the first line, or all bytes
    """

    kind: str
    ids: tuple[str, ...]
    at: float | None
    bare: bool
    source: str
    size: int
    until: int = 0


class Template(NamedTuple):
    """Reader for records of one shape.

    match   method of the compiled pattern
    ids     for each role in `EVENT_ROLES`, the number of the pattern's group with its value; the group is empty if the
            records have no such value
    time    number of the group with the time, 0 if the records have no time
    moment  function that parses the time
    bare    nothing is in front of the marker, so a record may be text that a user sent
    source  writer of the records, if an envelope (added by a log collector) names it
    """

    kind: str
    match: Callable[[bytearray, int, int], re.Match[bytes] | None]
    ids: tuple[int, ...]
    time: int = 0
    moment: TimeReader | None = None
    bare: bool = False
    source: str = ""


class VariablePart(NamedTuple):
    """Part of a line that may differ in the next record, and the pattern that it matches there."""

    begin: int
    end: int
    pattern: bytes


def lines_template(kind: str, marker: bytes, lines: Iterable[tuple[bytes, str]]) -> Template:
    """Return the template for a marker on its own line and ids on the lines after it.

    `lines` contains a pair for each id: the bytes in front of the id, and its role (user, sid, ...).
    """
    ids = (re.escape(before) + _id(role, rb"\n") for before, role in lines)
    return _template(kind, re.escape(marker) + rb"\n" + b"".join(ids), bare=True)


def text_template(facts: RecordFacts, raw: bytes, holes: Iterable[VariablePart], moment: TimeReader | None) -> Template:
    """Return the template for records like the one in the lines `raw`. Only their parts `holes` may differ.

    Of overlapping parts, the first counts.

    facts   content of this record
    moment  function that parses the time of a record, None for records without a time
    """
    parts, at = list[bytes](), 0
    for hole in _apart(holes):
        parts += re.escape(raw[at : hole.begin]), hole.pattern
        at = hole.end
    pattern = b"".join(parts) + re.escape(raw[at:])
    return _template(facts.kind, pattern, moment=moment, bare=facts.bare, source=facts.source)


def id_pattern(role: str, value: str, *, whole: bool, end: str) -> bytes | None:
    """Return the pattern of an id with the same kind of characters as `value`, followed by `end`.

    Return None if these characters could also belong to the text after the id.

    whole  the id is in quotes, or is alone on its line behind a bullet and its key
    """
    bare = (_PATH,) if role == NAMESPACE else (_NATURAL, _SOCKET, _NAME)
    forms = (_SOCKET, _SAID.get(role, _WORD)) if whole else bare
    found = next((form for form in forms if re.fullmatch(form.decode(), value, re.ASCII) is not None), None)
    if found is None:
        return None
    return b"(?!(?:%b)%b)(?P<%b>%b)" % (_NOTHING, re.escape(end.encode("latin-1")), role.encode(), found)


def time_pattern(like: re.Match[str], is_time: bool) -> bytes:
    """Return a regular expression for timestamps that are written like the matched one: the same signs, other digits.

    The first two digits of a time in seconds since the epoch are fixed, so that no other number matches.

    like     match of the timestamp
    is_time  the timestamp is the time of the record, so its pattern gets a group with the name TIME
    """
    fixed = 2 if like.lastgroup == "epoch" else 0
    digits = re.sub(rb"\d", rb"\\d", re.escape(like[0][fixed:].encode("latin-1")))
    pattern = like[0][:fixed].encode() + digits
    return b"(?P<%b>%b)" % (TIME.encode(), pattern) if is_time else pattern


def object_template(
    kind: str, raw: bytes, fields: Mapping[str, Any], roles: Mapping[str, str], moment: TimeReader | None
) -> Template | None:
    """Return the template for a JSON object on one line, None if its white space or its escapes are unusual.

    The result is also None if the object is nested more than `MAX_DEPTH` levels deep.

    raw     the line
    fields  the decoded object
    roles   dict of the object's key to the role of its value (time, user, sid, ...)
    """
    if _is_deeper(fields, MAX_DEPTH):
        return None
    for comma, colon in _SEPARATORS:
        members = (_member(key, value, roles.get(key), comma, colon) for key, value in fields.items())
        template = _template(kind, rb"\{" + comma.join(members) + rb"\}\r?\n", moment=moment)
        if template.match(bytearray(raw), 0, len(raw)) is not None:
            return template
    return None


MAX_DEPTH = 32
"""Levels of nesting up to which an object has a template."""


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether a JSON value has more than `levels` levels of nested objects and lists."""
    inner = [value]
    for _ in range(levels):
        inner = [each for one in inner for each in (one.values() if isinstance(one, dict) else one) if each]
        inner = [each for each in inner if isinstance(each, dict | list)]
    return bool(inner)


def _template(
    kind: str, pattern: bytes, *, moment: TimeReader | None = None, bare: bool = False, source: str = ""
) -> Template:
    missing = [b"(?P<%b>)" % role.encode() for role in EVENT_ROLES[kind] if b"(?P<%b>" % role.encode() not in pattern]
    compiled = re.compile(pattern + b"".join(missing))
    group = compiled.groupindex
    ids = tuple(group[role] for role in EVENT_ROLES[kind])
    return Template(kind, compiled.match, ids, group.get(TIME, 0), moment, bare, source)


def _apart(holes: Iterable[VariablePart]) -> list[VariablePart]:
    separate: list[VariablePart] = []
    for hole in holes:
        if all(hole.end <= other.begin or other.end <= hole.begin for other in separate):
            separate.append(hole)
    return sorted(separate)


def _id(role: str, end: bytes) -> bytes:
    """Return a regular expression for the id of `role` (user, sid, ...), followed by `end`."""
    return b"(?!(?:%b)%b)(?P<%b>%b)%b" % (_NOTHING, end, role.encode(), _SAID.get(role, _WORD), end)


def _member(key: str, value: Any, role: str | None, comma: bytes, colon: bytes) -> bytes:
    name = re.escape(msgspec.json.encode(key) + colon)
    if role == MARKER:
        return name + re.escape(msgspec.json.encode(value))
    if role == TIME:
        time = MILLISECONDS if is_milliseconds(value) else _value(value, comma, colon)
        return name + b"(?P<time>%b)" % time
    if role is not None:
        return name + (b'"' + _id(role, b'"') if isinstance(value, str) else b"(?P<%b>%b)" % (role.encode(), _NATURAL))
    return name + _value(value, comma, colon)


def _value(value: Any, comma: bytes, colon: bytes) -> bytes:
    """Return a regular expression for every JSON value of the same type as `value`; objects must have the same keys.

    `comma` and `colon` are the patterns of these two signs with the blanks around them.
    """
    if isinstance(value, str):
        return _STRING
    if value is None or isinstance(value, bool):
        return _CONSTANT
    if isinstance(value, dict):
        return rb"\{" + comma.join(_member(k, v, None, comma, colon) for k, v in value.items()) + rb"\}"
    if isinstance(value, list):
        return rb"\[" + comma.join(_value(item, comma, colon) for item in value) + rb"\]"
    return _INTEGER + rb"\.\d++" if isinstance(value, float) else _INTEGER
