"""Records that began before their marker: an object's earlier keys, and the earlier parts of a split line."""

import re
from collections.abc import Callable, Iterator

import stringzilla

from wscheck.observe.logs.envelopes import MESSAGE_KEYS, Message, decoded, opened
from wscheck.observe.logs.key_values import pairs
from wscheck.observe.logs.line_prefix import Prefix, carries, continues, indentation, judged, shape
from wscheck.observe.logs.matched import Reading
from wscheck.observe.logs.matcher import KEY, Reader
from wscheck.observe.logs.timestamps import Calendar

LINES = 60
QUOTED = 2048
"""So many bytes above a record are searched for the beginning of a quotation."""

Above = Callable[[], Iterator[tuple[bytes, int]]]
"""The lines above the marker's, the nearest first, each with the bytes fed before it."""

_OBJECT = re.compile(r"(?:(?:Object|\[Object: null prototype\])(?:\(\d+\))? ?)?\{$")
_OPENER = re.compile(rb"""[\s=:(,\[{]"[^"]*$""")


def object_above(reading: Reading, message: Message, above: Above, reader: Reader, calendar: Calendar) -> int | None:
    """Complete a marker that is a key of an object over several lines by the keys above it.

    Returns the bytes fed before the object, None when the marker is no record's message: the object belongs to
    another message, is nested in another, or has a message that goes before this one.
    """
    rank = min(map(_rank, KEY.finditer(message.text)), default=0)
    indent, prefix = indentation(reading.before), shape(reading.before)
    deep: dict[str, str] = {}
    for count, (raw, start) in enumerate(above()):
        line = opened(decoded(raw), calendar)
        text = line.text
        if line.source != message.source or not shape(text).startswith(prefix):
            continue  # another process'
        key = KEY.search(text)
        depth = indentation(text[: key.start()]) if key is not None else -1
        if depth < indent:
            if _opens(text, reading.before):
                reading.ids = {**deep, **reading.ids}
                message.at = message.at or calendar.read(text)
                return start
            if count > LINES or key is not None or not _between(text):
                return None
            continue
        if depth == indent and key is not None and _rank(key) < rank:
            return None
        detail = reader.details(reading.kind, text)
        reading.unclear |= bool(detail.unclear)
        for role, value in detail.ids.items():
            (reading.ids if depth == indent else deep).setdefault(role, value)
        if message.at is None and depth == indent:
            message.at = calendar.of_fields({pair.key: pair.value for pair in pairs(text)})
    return None


def _opens(text: str, before: str) -> bool:
    """Whether a line opens the record itself: nothing stands before its bracket but what a logger writes."""
    bracket = _OBJECT.search(text.rstrip())
    if bracket is None:
        return False
    prefix = text[: bracket.start()]
    if judged(prefix) is not Prefix.SURE or carries(prefix):
        return False
    return continues(before, shape(prefix)) or continues(prefix, shape(before))


def _rank(key: re.Match[str]) -> int:
    name = key["key"].strip("\"'")
    return MESSAGE_KEYS.index(name) if name in MESSAGE_KEYS else len(MESSAGE_KEYS)


def _between(text: str) -> bool:
    """Whether a line without a key of the object may stand in it: the end of a nested one, a string that goes on."""
    return text.strip()[:1] in {"}", "]", ")", "'", '"', "+", ""} and not text.rstrip().endswith(("{", "["))


def parts_above(message: Message, above: Above, calendar: Calendar) -> tuple[str, int | None]:
    """The text of a line with its earlier parts in front, and the bytes fed before the first of them."""
    text, begin = message.text, None
    for count, (raw, start) in enumerate(above()):
        part = opened(decoded(raw), calendar)
        if part.source != message.source:
            if count > LINES:
                break
            continue
        if not part.partial:
            break
        text, begin = part.text + text, start
    return text, begin


def is_quoted_above(above: Above) -> bool:
    """Whether a quotation that began in one of the lines just above goes on here."""
    lines: list[bytes] = []
    room = QUOTED
    for raw, _ in above():
        room -= len(raw)
        if room < 0:
            break
        lines.append(raw)
    lines.reverse()
    text = b"".join(lines)
    return quotation_open(text, 0, len(text))


def quotation_open(text: bytes | bytearray, begin: int, end: int) -> bool:
    """Whether a quotation is open where the lines text[begin:end] end: the last line with a quote of its own opens."""
    while (quote := stringzilla.rfind(text, b'"', begin, end)) >= 0:
        line = stringzilla.rfind(text, b"\n", begin, quote) + 1 or begin
        if stringzilla.count(text, b'"', line, quote) % 2 == 0:
            line_end = text.find(b"\n", quote, end)
            return _OPENER.search(bytes(text[line : line_end if line_end >= 0 else end]).rstrip(b"\r")) is not None
        end = line
    return False
