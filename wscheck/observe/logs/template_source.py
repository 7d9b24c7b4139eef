"""What the careful way says of one record by itself: of its marker's line, and of those after it as far as it takes."""

from collections.abc import Iterator
from typing import NamedTuple

from wscheck.observe.logs.browser_console import NEEDLES
from wscheck.observe.logs.envelopes import Message, decoded, opened
from wscheck.observe.logs.matched import Reading
from wscheck.observe.logs.matcher import Reader
from wscheck.observe.logs.multiline import Records
from wscheck.observe.logs.timestamps import Calendar
from wscheck.observe.logs.vocabulary import RESTARTED, TOLD

LINES, LONGEST = 12, 1 << 12
"""A record that takes more is not told here."""

_CONSOLES = (b"nified WebSocket", *NEEDLES)


class Said(NamedTuple):
    """What a record says: `ids` in the order of `TOLD`, "" for one that it does not tell; `size` is that of its lines.

    bare    nothing stands before its marker: it may be somebody's text
    source  who wrote it, where an envelope says
    until   its time stands in so many of its first bytes
    """

    kind: str
    ids: tuple[str, ...]
    at: float | None
    bare: bool
    source: str
    size: int
    until: int = 0


def said(held: bytearray, begin: int, end: int, reader: Reader, calendar: Calendar) -> Said | None:
    """What the record says that begins at held[begin]; None where it is none, or does not say all within its lines."""
    lines = _lines(held, begin, end)
    first = next(lines, b"")
    message = opened(decoded(first), calendar)
    reading = _read(message, reader, calendar) if first else None
    if reading is None:
        return None
    records, size = Records(reader, calendar), len(first)
    record = records.begin(reading, message, 0, 0)
    for raw in lines:
        below = opened(decoded(raw), calendar) if not record.done else None
        if below is None or _is_another(below, raw, message, reader):
            break
        records.take(below)
        size += len(raw)
    if not record.done or record.unclear or not record.whole or (reading.opens and size == len(first)):
        return None
    ids = tuple(record.ids.get(role, "") for role in TOLD[record.kind])
    bare, until = reading.bare and not message.structured, len(first) if message.at is not None else size
    return Said(record.kind, ids, record.at, bare, message.source, size, until)


def _read(message: Message, reader: Reader, calendar: Calendar) -> Reading | None:
    """The record that the message begins, its time in the message; None for one that is more than its lines say."""
    reading = reader.read(message) if not message.partial else None
    if reading is None or reading.kind == RESTARTED or reading.unclear or reading.behind or reading.block:
        return None
    if message.at is None:
        message.at = calendar.read(reading.before)
    return reading


def _is_another(below: Message, raw: bytes, of: Message, reader: Reader) -> bool:
    """Whether a line may be read for itself, or is another writer's."""
    odd = below.source != of.source or below.partial or bool(below.parts)
    return odd or any(needle in raw for needle in _CONSOLES) or reader.sentence(below.text) is not None


def _lines(held: bytearray, begin: int, end: int) -> Iterator[bytes]:
    """The first lines of held[begin:end] that end."""
    least = begin
    for _ in range(LINES):
        stop = held.find(b"\n", begin, end) + 1
        if not stop or stop - least > LONGEST:
            return
        yield bytes(held[begin:stop])
        begin = stop
