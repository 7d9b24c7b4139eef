"""Records of a shape that was met before, read straight from the bytes; everything else is left to the careful way.

The first record of a shape makes a template (`templates`), those after it are read by that alone. What a shortcut says
is what the careful way would have said: the tests read every log both ways.
"""

import re
from typing import Any

import msgspec

from wscheck.observe.logs.event_builder import Dressed, Evidence
from wscheck.observe.logs.fast_reader import templates
from wscheck.observe.logs.fast_reader.learner import Learner
from wscheck.observe.logs.fast_reader.templates import MARKER, Template
from wscheck.observe.logs.formats.envelopes import MESSAGE_KEYS, SOURCE_KEYS, record
from wscheck.observe.logs.formats.timestamps import Calendar
from wscheck.observe.logs.matcher import Reader
from wscheck.observe.logs.multiline import QUOTED, quotation_open
from wscheck.observe.logs.vocabulary import CONNECTED, DISCONNECTED, REPLACED, TIME, WANTED, Wording

SHORT = 1 << 16
"""A longer line is read with care."""

MOST_SHAPES = 500
CHANCES = 3
"""So many records of a shape may be spelled too oddly for a template before none is made any more."""

# The sentences part so many bytes after the needle that finds them: "ocket client [c]onnected".
SIGN = len("ocket client ")

BRACE = ord("{")

_BULLET = r"((?:•|-|\*) ([A-Za-z_]+): )[^\n]+\n"
_MARKER = "(WebSocket client (?:dis)?connected|Replacing existing socket for user)"
_BLOCK = re.compile(f"{_MARKER}\n{_BULLET}{_BULLET}(?:{_BULLET})?".encode())

_KINDS = {
    "WebSocket client connected": CONNECTED,
    "WebSocket client disconnected": DISCONNECTED,
    "Replacing existing socket for user": REPLACED,
}

_text = bytes.decode

Noted = tuple[str, int, float | None, tuple[bytes, ...]]
"""A record's kind, line and time, and what `wording.TOLD` names of it."""

NONE = Template("", lambda held, begin, end: None, ())
"""Reads nothing."""


class Shape(msgspec.Struct):
    """What is known of the records that have these keys."""

    template: Template | None = None
    chances: int = CHANCES


class Shortcuts:
    """Reads whole records of a known shape: first they are noted, then, before anything else is, told.

    floor  where what is held of the log begins
    told   how many it read, of which each says all that is needed
    """

    def __init__(
        self, wording: Wording, reader: Reader, calendar: Calendar, evidence: Evidence, dressed: Dressed
    ) -> None:
        """`dressed`: what was met so far."""
        self._learns = not wording.markers  # a user's sentence may stand in a documented one
        self.floor = self.told = 0
        self._reader, self._calendar = reader, calendar
        self._tell, self._dressed = evidence.tell, dressed
        self._learner = Learner(reader, calendar)
        self._noted: list[Noted] = []
        self._latest: dict[int, Template] = {}
        self._objects: dict[tuple[str, ...], Shape] = {}
        self._blocks: dict[tuple[bytes, ...], Shape] = {}

    @property
    def waiting(self) -> int:
        """How many records are noted and not told yet."""
        return len(self._noted)

    def tell(self) -> None:
        """Tell what is noted."""
        if self._noted:
            noted, self._noted, tell = self._noted, [], self._tell
            self.told += len(noted)
            for kind, line, at, said in noted:
                tell[kind](line, at, *map(_text, said))

    def note(self, held: bytearray, needle: int, begin: int, end: int, line: int) -> int:
        """Note the record that begins at held[begin], its marker at held[needle]. Gives its end; 0: it takes care."""
        sign = held[needle + SIGN] if needle + SIGN < end else 0
        template = self._latest.get(sign, NONE)
        match = template.match(held, begin, end)
        if match is None:
            template = self._learned(held, begin, end) or NONE
            match = template.match(held, begin, end)
            if match is None:
                return 0
            self._latest[sign] = template
        kind, _, ids, time, moment, bare, _ = template
        at, stop = None, match.end()
        if moment is not None:
            at = moment(match[time])
            if at is None:
                return 0
        if stop - begin > SHORT or (bare and self._is_text(template, held, begin)):
            return 0
        self._noted.append((kind, line, at, match.group(*ids)))
        return stop

    def _is_text(self, template: Template, held: bytearray, begin: int) -> bool:
        """Whether a record with nothing in front may be a part of somebody's text."""
        if self._dressed.has(template.kind, template.source):
            return True
        lowest = begin - QUOTED
        first = held.find(b"\n", lowest - 1, begin) + 1 if lowest > self.floor else self.floor
        return quotation_open(held, first, begin)

    def _learned(self, held: bytearray, begin: int, end: int) -> Template | None:
        """The template for the record that begins at held[begin]."""
        if not self._learns:
            return None
        block = _BLOCK.match(held, begin, end)
        if block is not None:
            return self._of_block(block)
        stop = held.find(b"\n", begin, end) + 1
        if not 0 < stop - begin < SHORT:
            return None
        raw = bytes(held[begin:stop])
        return (self._of_object(raw) if raw[0] == BRACE else None) or self._learner.template(held, begin, stop, end)

    def _of_block(self, match: re.Match[bytes]) -> Template | None:
        """A marker at the beginning of its line, and its ids with bullets on the lines after it."""
        marker, *_ = parts = match.group(1, 2, 4, 6)
        shape = self._blocks.get(parts)
        if shape is None:
            if len(self._blocks) >= MOST_SHAPES:
                return None
            kind = _KINDS[marker.decode()]
            wanted = WANTED[kind]
            befores, keys = parts[1 : 1 + len(wanted)], match.group(3, 5, 7)[: len(wanted)]
            roles = [self._reader.role(key.decode()) or "" if key is not None else "" for key in keys]
            shape = Shape()
            if set(roles) == set(wanted):
                shape.template = templates.of_lines(kind, marker, zip(befores, roles, strict=True))
            self._blocks[parts] = shape
        return shape.template

    def _of_object(self, raw: bytes) -> Template | None:
        """A JSON record on one line, its ids among its own fields."""
        fields = record(raw) or {}
        message = next((key for key in ("msg", "message") if fields.get(key) is not None), "")
        said = fields.get(message)
        kind = _KINDS.get(said) if isinstance(said, str) else None
        if kind is None:
            return None
        keys = (kind, *fields)
        shape = self._objects.get(keys)
        if shape is None:
            if len(self._objects) >= MOST_SHAPES:
                return None
            shape = self._objects[keys] = Shape(chances=CHANCES if self._is_plain(fields) else 0)
        if shape.template is None and shape.chances:
            shape.chances -= 1
            shape.template = self._made(kind, raw, fields, message)
            if shape.template is not None:
                self._dressed.add(kind, "")
        return shape.template

    def _is_plain(self, fields: dict[str, Any]) -> bool:
        """Whether the message is where `msg` or `message` says, and nobody wrapped the record."""
        messages = [key for key in MESSAGE_KEYS if key in fields]
        return messages[0] in {"msg", "message"} and not any(key in fields for key in SOURCE_KEYS)

    def _made(self, kind: str, raw: bytes, fields: dict[str, Any], message: str) -> Template | None:
        keys = self._reader.keys_of(kind, fields)
        if not set(keys) >= set(WANTED[kind]):
            return None  # what is missing here the careful way may find deeper
        time, moment = self._calendar.moment(fields)
        roles = {key: role for role, key in keys.items()} | {message: MARKER}
        return templates.of_object(kind, raw, fields, {time: TIME, **roles}, moment)
