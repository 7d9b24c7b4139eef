"""Fast reader for records of a known shape. The general reader reads everything else.

Records have the same shape if their bytes differ only in ids and times. The first record of a shape provides a template
(byte pattern), which reads later records ten times as fast. A template is trusted after it has read further records
with the same result as the general reader. The tests compare the results of both readers for every log.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from wscheck.observe.logs.event_builder import EventBuilder, PrefixMemory
from wscheck.observe.logs.fast_reader import templates
from wscheck.observe.logs.fast_reader.templates import MARKER, RecordFacts, Template, VariablePart
from wscheck.observe.logs.formats.browser_console import NEEDLES
from wscheck.observe.logs.formats.envelopes import (
    MESSAGE_KEYS,
    SOURCE_KEYS,
    LogMessage,
    decode_line,
    parse_json_object,
    strip_colors,
    unwrap,
)
from wscheck.observe.logs.formats.line_prefix import strip_bullet
from wscheck.observe.logs.formats.timestamps import STAMP, TimeReader, TimestampParser
from wscheck.observe.logs.general_reader import record_time
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import RecordMatcher, RecordStart
from wscheck.observe.logs.multiline import MAX_QUOTATION_BYTES, OpenRecords, ends_in_quotation
from wscheck.observe.logs.vocabulary import (
    CONNECTED,
    DISCONNECTED,
    EVENT_ROLES,
    REPLACED,
    REQUIRED_ROLES,
    RESTARTED,
    TIME,
)

MAX_RECORD_BYTES = 1 << 16
"""Maximum size of a record that the fast reader reads, in bytes."""

MAX_SHAPES = 500
MAX_FAILURES = 3
"""Number of records of one shape without a possible template, after which no further template is tried."""

# The markers differ in the byte at this offset from the start of the needle: "ocket client [c]onnected".
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
"""Kind, line number and time of a record, and its values of `EVENT_ROLES`."""

NO_TEMPLATE = Template("", lambda data, begin, end: None, ())
"""Template that matches nothing."""

MAX_LEARNED_LINES, MAX_LEARNED_BYTES = 12, 1 << 12
"""Maximum lines and bytes of a record from which a template is learned."""

REQUIRED_PROOFS = 2
"""Number of further records that a template must read like the general reader before the template is trusted."""

MAX_ATTEMPTS = 30
"""Number of records of one shape without a trusted template, after which learning the shape is given up."""

MAX_LEARNED_SHAPES = 200

_WORDS = lazy_pattern(rb"[\w.:@+-]+")
_NUMBER = lazy_pattern(r"(?<![\w.:/+-])\d{1,9}(?![\w.:/+-])")
_LINE_ENDS = ("\n", "\r\n", '\\n"')
_BEGINS = r"(?:(?<![\w-])|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm))"
"""Start of a word, also directly after a colour code."""
_KEY = lazy_pattern(
    r"""(?<![\w.-])(?:(?![A-Za-z_])[\w.-])*+(?P<key>[A-Za-z_][\w.-]*+)\\*["']?\s*[:=]\s*(?P<quote>\\*["']?)$"""
)

_CONSOLES = (b"nified WebSocket", *NEEDLES)


class RecordShape(msgspec.Struct):
    """JSON records that have the same keys.

    template       reads these records, None if none has been made yet
    attempts_left  number of records from which a template may still be made
    """

    template: Template | None = None
    attempts_left: int = MAX_FAILURES


class FastReader:
    """Reader of whole records that have the same bytes as earlier ones, except ids and times (a known shape).

    `note` stores a record; `flush` builds the events of the stored records.

    floor        position at which the retained bytes of the log start
    event_count  number of events built so far, each from a record that contains all ids
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
        """Number of stored records for which no event was built yet."""
        return len(self._noted)

    def flush(self) -> None:
        """Build the events of the stored records."""
        if self._noted:
            noted, self._noted, builders = self._noted, [], self._builders
            self.event_count += len(noted)
            for kind, line, at, ids in noted:
                builders[kind](line, at, *map(_text, ids))

    def note(self, data: bytearray, needle: int, begin: int, end: int, line: int) -> int:
        """Store the record that starts at data[begin], to build its event later.

        Return the end of the record, or 0 if only the general reader can read it.

        needle  position in `data` of the marker (text that identifies the event)
        end     position at which the known bytes end
        line    number of the record's first line
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
        """Return whether a record without line prefix may be part of text that a user sent."""
        if self._prefix_memory.contains(template.kind, template.source):
            return True
        lowest = begin - MAX_QUOTATION_BYTES
        first = data.find(b"\n", lowest - 1, begin) + 1 if lowest > self.floor else self.floor
        return ends_in_quotation(data, first, begin)

    def _find_template(self, data: bytearray, begin: int, end: int) -> Template | None:
        """Return the template for the record at data[begin], None if there is none."""
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
        """Return the template for a record of several lines: a marker, then lines with a bullet and an id each.

        `match` is the match of a pattern for such records. Return None if there is no template for it.
        """
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
        """Return the template for a JSON record on one line with its ids in top-level fields."""
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
        """Return whether the application itself wrote the record, with its message under `msg` or `message`.

        A record that a log collector wrapped around the application's line is not such a record.
        """
        messages = [key for key in MESSAGE_KEYS if key in fields]
        return messages[0] in {"msg", "message"} and not any(key in fields for key in SOURCE_KEYS)

    def _new_json_template(self, kind: str, raw: bytes, fields: dict[str, Any], message: str) -> Template | None:
        keys = self._matcher.id_keys(kind, fields)
        if not set(keys) >= set(REQUIRED_ROLES[kind]):
            return None  # the general reader may find the missing ids in nested objects
        time, moment = self._timestamps.field_reader(fields)
        roles = {key: role for role, key in keys.items()} | {message: MARKER}
        return templates.object_template(kind, raw, fields, {time: TIME, **roles}, moment)


def read_single_record(
    data: bytearray, begin: int, end: int, matcher: RecordMatcher, timestamps: TimestampParser
) -> RecordFacts | None:
    """Return the content of the record at data[begin] as the general reader reads it.

    Return None if no record starts there, or if the record needs more than the lines that directly follow.
    """
    lines = _lines(data, begin, end)
    first = next(lines, b"")
    message = unwrap(decode_line(first), timestamps)
    record_start = _read(message, matcher, timestamps) if first else None
    if record_start is None:
        return None
    records, size = OpenRecords(matcher, timestamps), len(first)
    record = records.start_record(record_start, message, 0, 0)
    for raw in lines:
        below = unwrap(decode_line(raw), timestamps) if not record.complete else None
        if below is None or _is_another(below, raw, message, matcher):
            break
        records.add_line(below)
        size += len(raw)
    if (
        not record.complete
        or record.has_unclear_id
        or not record.has_required_ids
        or (record_start.opens_object and size == len(first))
    ):
        return None
    ids = tuple(record.ids.get(role, "") for role in EVENT_ROLES[record.kind])
    bare, until = record_start.unprefixed and not message.structured, len(first) if message.at is not None else size
    return RecordFacts(record.kind, ids, record.at, bare, message.writer, size, until)


def _read(message: LogMessage, matcher: RecordMatcher, timestamps: TimestampParser) -> RecordStart | None:
    """Return the start of the record in `message`, and store the record's time in `message`.

    Return None if there is no record, or if its content depends on other lines.
    """
    record_start = matcher.match(message) if not message.partial else None
    if (
        record_start is None
        or record_start.kind == RESTARTED
        or record_start.is_learned
        or record_start.has_unclear_id
        or record_start.trailing_time
        or record_start.in_object
    ):
        return None
    if message.at is None:
        message.at = record_time(record_start, message, timestamps)
    return record_start


def _is_another(below: LogMessage, raw: bytes, of: LogMessage, matcher: RecordMatcher) -> bool:
    """Return whether the line `below` may start another record than the line `of`, or has another writer.

    `raw` contains the bytes of the line `below`.
    """
    odd = below.writer != of.writer or below.partial or bool(below.batch)
    return odd or any(needle in raw for needle in _CONSOLES) or matcher.find_marker(below.text) is not None


def _lines(data: bytearray, begin: int, end: int) -> Iterator[bytes]:
    """Yield the complete lines of data[begin:end], up to the maximum number and size for making a template."""
    least = begin
    for _ in range(MAX_LEARNED_LINES):
        stop = data.find(b"\n", begin, end) + 1
        if not stop or stop - least > MAX_LEARNED_BYTES:
            return
        yield bytes(data[begin:stop])
        begin = stop


class TemplateTrial(msgspec.Struct):
    """Candidate templates from one record, which differ only in the position of the time.

    proofs  number of further records that these templates read as the general reader did
    """

    templates: list[Template]
    proofs: int = 0

    @property
    def trusted(self) -> bool:
        return self.proofs >= REQUIRED_PROOFS and len(self.templates) == 1


class LearnedShape(msgspec.Struct):
    """Trials of templates for records whose first lines have the same skeleton (their bytes without words).

    attempts  number of such records that were read while no template was trusted
    """

    trials: list[TemplateTrial] = msgspec.field(default_factory=list)
    attempts: int = 0


class TemplateLearner:
    """Maker of templates for the records of one log, which also checks each template on further records."""

    def __init__(self, matcher: RecordMatcher, timestamps: TimestampParser) -> None:
        self._matcher, self._timestamps = matcher, timestamps
        self._shapes: dict[bytes, LearnedShape] = {}

    def find_template(self, data: bytearray, begin: int, stop: int, end: int) -> Template | None:
        """Return a trusted template for the record at data[begin], whose first line ends at `stop`.

        If no template is trusted yet, learn from the record and return None.
        """
        if stop - begin > MAX_LEARNED_BYTES:
            return None
        shape = self._shape(_WORDS.sub(b"", data[begin:stop]))
        if shape is None:
            return None
        trial = next((trial for trial in shape.trials if trial.templates[0].match(data, begin, end)), None)
        if trial is not None and trial.trusted:
            return trial.templates[0]
        if shape.attempts < MAX_ATTEMPTS:
            shape.attempts += 1
            self._learn_from(data, begin, end, shape, trial)
        return None

    def _shape(self, skeleton: bytes) -> LearnedShape | None:
        """Return the trials for records with this `skeleton`: the bytes of the first line without words.

        Return None if too many skeletons are stored already.
        """
        if skeleton not in self._shapes and len(self._shapes) >= MAX_LEARNED_SHAPES:
            # User text can have any shape. The server's own records have few shapes, all with candidate templates.
            self._shapes = {known: shape for known, shape in self._shapes.items() if shape.trials}
            if len(self._shapes) >= MAX_LEARNED_SHAPES:
                return None
        return self._shapes.setdefault(skeleton, LearnedShape())

    def _learn_from(
        self, data: bytearray, begin: int, end: int, shape: LearnedShape, trial: TemplateTrial | None
    ) -> None:
        facts = read_single_record(data, begin, end, self._matcher, self._timestamps)
        if trial is not None:
            same = facts._replace(until=0) if facts is not None else None
            trial.templates = [each for each in trial.templates if _read_by(each, data, begin, end) == same]
            trial.proofs += 1
        elif facts is not None:
            shape.trials.append(
                TemplateTrial(list(self._templates_for(bytes(data[begin : begin + facts.size]), facts)))
            )
        shape.trials = [trial for trial in shape.trials if trial.templates]

    def _templates_for(self, raw: bytes, facts: RecordFacts) -> Iterator[Template]:
        """Yield the possible templates of a record: one for each timestamp that may be the record's time."""
        text = raw.decode("latin-1")  # one character per byte
        known_ids = {role: value for role, value in zip(EVENT_ROLES[facts.kind], facts.ids, strict=True) if value}
        ids = [hole for role, value in known_ids.items() for hole in self._id_part(text, role, value)]
        if len(ids) < len(known_ids):
            return
        # In a record of several lines, a number may identify the writer of each line, so it stays fixed.
        single = text.index("\n") == len(text) - 1
        numbers = (
            [VariablePart(*number.span(), templates.NUMBER) for number in _NUMBER.finditer(text)] if single else []
        )
        stamps = list(_stamps(text))
        for time in self._times(stamps, facts):
            holes = [VariablePart(*stamp.span(), templates.time_pattern(stamp, stamp is time)) for stamp in stamps]
            moment = self._time_reader(time) if time is not None else None
            yield templates.text_template(facts, raw, [*ids, *holes, *numbers], moment)

    def _times(self, stamps: list[re.Match[str]], facts: RecordFacts) -> list[re.Match[str] | None]:
        """Return the timestamps that may be the record's time; [None] for a record without time."""
        moments = [self._time_reader(stamp)(stamp[0].encode()) if stamp[0].isascii() else None for stamp in stamps]
        clock = any(stamp.lastgroup == "clock" for stamp in stamps)
        if None in moments or (clock and len(stamps) > 1):
            # This is unclear: the time may be invalid only here, or be combined from several timestamps.
            return []
        if facts.at is None:
            return [None]
        first = [(stamp, at) for stamp, at in zip(stamps, moments, strict=True) if stamp.start() < facts.until]
        return [stamp for stamp, at in first if at == facts.at]

    def _id_part(self, text: str, role: str, value: str) -> Iterator[VariablePart]:
        """Yield the part of the line `text` that is the id `value`, with a pattern for other ids of this `role`.

        Yield nothing unless the id occurs exactly once, and directly after its key.
        """
        found = list(re.finditer(rf"{_BEGINS}{re.escape(value)}(?![\w-])", text))
        if len(found) != 1:
            return
        begin, end = found[0].span()
        before = strip_colors(text[max(0, begin - 100) : begin])
        key = _KEY.search(before)
        if key is None or role not in (
            self._matcher.key_role(key["key"]),
            self._matcher.key_role(key["key"].removeprefix("_")),
        ):
            return
        whole = bool(key["quote"]) or (strip_bullet(before[: key.start()])[1] and text.startswith(_LINE_ENDS, end))
        pattern = templates.id_pattern(role, value, whole=whole, end=text[end])
        if pattern is not None:
            yield VariablePart(begin, end, pattern)

    def _time_reader(self, stamp: re.Match[str]) -> TimeReader:
        kind = stamp.lastgroup or ""
        return lambda raw: self._timestamps.parse(kind, raw.decode())


def _stamps(text: str) -> Iterator[re.Match[str]]:
    """Yield the timestamps in `text`, line by line."""
    begin = 0
    for line in text.split("\n"):
        yield from STAMP.finditer(text, begin, begin + len(line))
        begin += len(line) + 1


def _read_by(template: Template, data: bytearray, begin: int, end: int) -> RecordFacts | None:
    match = template.match(data, begin, end)
    if match is None:
        return None
    at = template.moment(match[template.time]) if template.moment is not None else None
    ids = tuple(map(bytes.decode, match.group(*template.ids)))
    return RecordFacts(template.kind, ids, at, template.bare, template.source, match.end() - begin)
