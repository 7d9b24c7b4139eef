"""Reader for records of a known shape, straight from the bytes. The general reader reads everything else.

The first record of a shape makes a template; the template reads the records after it. The tests compare the result
with the general reader's for every log.
"""

import re
from typing import Any

import msgspec

from wscheck.observe.logs.event_builder import EventBuilder, PrefixMemory
from wscheck.observe.logs.fast_reader import templates
from wscheck.observe.logs.fast_reader.learner import TemplateLearner
from wscheck.observe.logs.fast_reader.templates import MARKER, Template
from wscheck.observe.logs.formats.envelopes import MESSAGE_KEYS, SOURCE_KEYS, parse_json_object
from wscheck.observe.logs.formats.timestamps import TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import RecordMatcher
from wscheck.observe.logs.multiline import MAX_QUOTATION_BYTES, ends_in_quotation
from wscheck.observe.logs.vocabulary import CONNECTED, DISCONNECTED, REPLACED, REQUIRED_ROLES, TIME

MAX_RECORD_BYTES = 1 << 16
"""Longer records are left to the general reader."""

MAX_SHAPES = 500
MAX_FAILURES = 3
"""After this many records of a shape that allow no template, none is tried any more."""

# The markers differ at this offset from the needle: "ocket client [c]onnected".
DISTINCTIVE_OFFSET = len("ocket client ")

BRACE = ord("{")

_BULLET = r"((?:•|-|\*) ([A-Za-z_]+): )[^\n]+\n"
_MARKER = "(WebSocket client (?:dis)?connected|Replacing existing socket for user)"
_BLOCK = lazy_pattern(f"{_MARKER}\n{_BULLET}{_BULLET}(?:{_BULLET})?".encode())

_KINDS = {
    "WebSocket client connected": CONNECTED,
    "WebSocket client disconnected": DISCONNECTED,
    "Replacing existing socket for user": REPLACED,
}

_text = bytes.decode

NotedRecord = tuple[str, int, float | None, tuple[bytes, ...]]
"""Kind, line and time of a record, and its values of `EVENT_ROLES`."""

NO_TEMPLATE = Template("", lambda data, begin, end: None, ())
"""Template that matches nothing."""


class RecordShape(msgspec.Struct):
    """Template of the records that have the same keys."""

    template: Template | None = None
    attempts_left: int = MAX_FAILURES


class FastReader:
    """Reader of whole records of known shapes. Records are noted first; `flush` makes events of them.

    floor        start of the retained bytes of the log
    event_count  number of events; all of them are complete
    """

    def __init__(
        self,
        matcher: RecordMatcher,
        timestamps: TimestampParser,
        event_builder: EventBuilder,
        prefix_memory: PrefixMemory,
        *,
        learns: bool,
    ) -> None:
        self._learns = learns
        self.floor = self.event_count = 0
        self._matcher, self._timestamps = matcher, timestamps
        self._builders, self._prefix_memory = event_builder.builders, prefix_memory
        self._learner = TemplateLearner(matcher, timestamps)
        self._noted: list[NotedRecord] = []
        self._latest: dict[int, Template] = {}
        self._objects: dict[tuple[str, ...], RecordShape] = {}
        self._blocks: dict[tuple[bytes, ...], RecordShape] = {}

    @property
    def pending(self) -> int:
        """Return the number of records that are noted and not flushed."""
        return len(self._noted)

    def flush(self) -> None:
        """Make events of the noted records."""
        if self._noted:
            noted, self._noted, builders = self._noted, [], self._builders
            self.event_count += len(noted)
            for kind, line, at, ids in noted:
                builders[kind](line, at, *map(_text, ids))

    def note(self, data: bytearray, needle: int, begin: int, end: int, line: int) -> int:
        """Note the record at data[begin] with its marker at data[needle].

        Return its end, 0 if the general reader must read it.
        """
        sign = data[needle + DISTINCTIVE_OFFSET] if needle + DISTINCTIVE_OFFSET < end else 0
        template = self._latest.get(sign, NO_TEMPLATE)
        match = template.match(data, begin, end)
        if match is None:
            template = self._find_template(data, begin, end) or NO_TEMPLATE
            match = template.match(data, begin, end)
            if match is None:
                return 0
            self._latest[sign] = template
        kind, _, ids, time, moment, bare, _ = template
        at, stop = None, match.end()
        if moment is not None:
            at = moment(match[time])
            if at is None:
                return 0
        if stop - begin > MAX_RECORD_BYTES or (bare and self._may_be_quoted_text(template, data, begin)):
            return 0
        self._noted.append((kind, line, at, match.group(*ids)))
        return stop

    def _may_be_quoted_text(self, template: Template, data: bytearray, begin: int) -> bool:
        """Return whether a record without prefix may be part of a text that a user sent."""
        if self._prefix_memory.contains(template.kind, template.source):
            return True
        lowest = begin - MAX_QUOTATION_BYTES
        first = data.find(b"\n", lowest - 1, begin) + 1 if lowest > self.floor else self.floor
        return ends_in_quotation(data, first, begin)

    def _find_template(self, data: bytearray, begin: int, end: int) -> Template | None:
        """Return the template for the record at data[begin]."""
        if not self._learns:
            return None
        block = _BLOCK.match(data, begin, end)
        if block is not None:
            return self._block_template(block)
        stop = data.find(b"\n", begin, end) + 1
        if not 0 < stop - begin < MAX_RECORD_BYTES:
            return None
        raw = bytes(data[begin:stop])
        return (self._json_template(raw) if raw[0] == BRACE else None) or self._learner.find_template(
            data, begin, stop, end
        )

    def _block_template(self, match: re.Match[bytes]) -> Template | None:
        """Return the template for a marker at the start of a line with its ids after bullets on the next lines."""
        marker, *_ = parts = match.group(1, 2, 4, 6)
        shape = self._blocks.get(parts)
        if shape is None:
            if len(self._blocks) >= MAX_SHAPES:
                return None
            kind = _KINDS[marker.decode()]
            wanted = REQUIRED_ROLES[kind]
            befores, keys = parts[1 : 1 + len(wanted)], match.group(3, 5, 7)[: len(wanted)]
            roles = [self._matcher.key_role(key.decode()) or "" if key is not None else "" for key in keys]
            shape = RecordShape()
            if set(roles) == set(wanted):
                shape.template = templates.lines_template(kind, marker, zip(befores, roles, strict=True))
            self._blocks[parts] = shape
        return shape.template

    def _json_template(self, raw: bytes) -> Template | None:
        """Return the template for a JSON record on one line, with the ids among its own fields."""
        fields = parse_json_object(raw) or {}
        message = next((key for key in ("msg", "message") if fields.get(key) is not None), "")
        text = fields.get(message)
        kind = _KINDS.get(text) if isinstance(text, str) else None
        if kind is None:
            return None
        keys = (kind, *fields)
        shape = self._objects.get(keys)
        if shape is None:
            if len(self._objects) >= MAX_SHAPES:
                return None
            shape = self._objects[keys] = RecordShape(attempts_left=MAX_FAILURES if self._is_own_record(fields) else 0)
        if shape.template is None and shape.attempts_left:
            shape.attempts_left -= 1
            shape.template = self._new_json_template(kind, raw, fields, message)
            if shape.template is not None:
                self._prefix_memory.add(kind, "")
        return shape.template

    def _is_own_record(self, fields: dict[str, Any]) -> bool:
        """Return whether the message is under `msg` or `message` and no collector wrapped the record."""
        messages = [key for key in MESSAGE_KEYS if key in fields]
        return messages[0] in {"msg", "message"} and not any(key in fields for key in SOURCE_KEYS)

    def _new_json_template(self, kind: str, raw: bytes, fields: dict[str, Any], message: str) -> Template | None:
        keys = self._matcher.id_keys(kind, fields)
        if not set(keys) >= set(REQUIRED_ROLES[kind]):
            return None  # the general reader may find the missing ids in nested objects
        time, moment = self._timestamps.field_reader(fields)
        roles = {key: role for role, key in keys.items()} | {message: MARKER}
        return templates.object_template(kind, raw, fields, {time: TIME, **roles}, moment)
