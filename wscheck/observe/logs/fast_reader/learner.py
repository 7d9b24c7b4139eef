"""Templates that are learned from records of any form.

A template reads a record ten times as fast as the general reader. It is made of one record that the general reader
read: wherever an id, a time or a number was found, another one may follow in the next record. A template is trusted
after it agreed with the general reader on further records.
"""

import re
from collections.abc import Iterator

import msgspec

from wscheck.observe.logs.fast_reader import templates
from wscheck.observe.logs.fast_reader.templates import RecordFacts, Template, VariablePart
from wscheck.observe.logs.formats.browser_console import NEEDLES
from wscheck.observe.logs.formats.envelopes import LogMessage, decode_line, strip_colors, unwrap
from wscheck.observe.logs.formats.line_prefix import strip_bullet
from wscheck.observe.logs.formats.timestamps import STAMP, TimeReader, TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import RecordMatcher, RecordStart
from wscheck.observe.logs.multiline import OpenRecords
from wscheck.observe.logs.vocabulary import EVENT_ROLES, RESTARTED

MAX_RECORD_LINES, MAX_RECORD_BYTES = 12, 1 << 12
"""Longer records are not learned."""

_CONSOLES = (b"nified WebSocket", *NEEDLES)


def read_single_record(
    data: bytearray, begin: int, end: int, matcher: RecordMatcher, timestamps: TimestampParser
) -> RecordFacts | None:
    """Return the content of the record at data[begin], as the general reader finds it.

    None if it is no record, or if its own lines do not contain all of it.
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
    """Return the start of the record, with its time in the message; None if it depends on other lines."""
    record_start = matcher.match(message) if not message.partial else None
    if (
        record_start is None
        or record_start.kind == RESTARTED
        or record_start.has_unclear_id
        or record_start.trailing_time
        or record_start.in_object
    ):
        return None
    if message.at is None:
        message.at = timestamps.find(record_start.prefix)
    return record_start


def _is_another(below: LogMessage, raw: bytes, of: LogMessage, matcher: RecordMatcher) -> bool:
    """Return whether a line may be a record of its own or has another writer."""
    odd = below.writer != of.writer or below.partial or bool(below.batch)
    return odd or any(needle in raw for needle in _CONSOLES) or matcher.find_marker(below.text) is not None


def _lines(data: bytearray, begin: int, end: int) -> Iterator[bytes]:
    """Yield the first complete lines of data[begin:end]."""
    least = begin
    for _ in range(MAX_RECORD_LINES):
        stop = data.find(b"\n", begin, end) + 1
        if not stop or stop - least > MAX_RECORD_BYTES:
            return
        yield bytes(data[begin:stop])
        begin = stop


REQUIRED_PROOFS = 2
"""Further records that a template must read as the general reader does before it is trusted."""

MAX_ATTEMPTS = 30
"""After this many records of a shape that no template read, the shape is not learned any more."""

MAX_SHAPES = 200

_WORDS = lazy_pattern(rb"[\w.:@+-]+")
_NUMBER = lazy_pattern(r"(?<![\w.:/+-])\d{1,9}(?![\w.:/+-])")
_LINE_ENDS = ("\n", "\r\n", '\\n"')
_BEGINS = r"(?:(?<![\w-])|(?<=\x1b\[\dm)|(?<=\x1b\[\d\dm))"
"""Start of a word, also after a colour code."""
_KEY = lazy_pattern(r"""(?P<key>[A-Za-z_][\w.-]*)\\*["']?\s*[:=]\s*(?P<quote>\\*["']?)$""")


class TemplateTrial(msgspec.Struct):
    """Templates that differ only in the position of the time, and the number of records that they read correctly."""

    templates: list[Template]
    proofs: int = 0

    @property
    def trusted(self) -> bool:
        return self.proofs >= REQUIRED_PROOFS and len(self.templates) == 1


class LearnedShape(msgspec.Struct):
    """Templates of the lines that are equal except for their words."""

    trials: list[TemplateTrial] = msgspec.field(default_factory=list)
    attempts: int = 0


class TemplateLearner:
    """Learner for the records of one log."""

    def __init__(self, matcher: RecordMatcher, timestamps: TimestampParser) -> None:
        self._matcher, self._timestamps = matcher, timestamps
        self._shapes: dict[bytes, LearnedShape] = {}

    def find_template(self, data: bytearray, begin: int, stop: int, end: int) -> Template | None:
        """Return a trusted template for the record at data[begin], whose first line ends at `stop`.

        None if there is none yet. The record then counts as a sample for one.
        """
        if stop - begin > MAX_RECORD_BYTES:
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
        """Return the shape with this skeleton, None if there are too many shapes already."""
        if skeleton not in self._shapes and len(self._shapes) >= MAX_SHAPES:
            # Text of users may have any shape. The server's own records have few shapes, and those have trials.
            self._shapes = {known: shape for known, shape in self._shapes.items() if shape.trials}
            if len(self._shapes) >= MAX_SHAPES:
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
        """Yield the possible templates of a record: one for each position of its time."""
        text = raw.decode("latin-1")  # one character per byte
        known_ids = {role: value for role, value in zip(EVENT_ROLES[facts.kind], facts.ids, strict=True) if value}
        ids = [hole for role, value in known_ids.items() for hole in self._id_part(text, role, value)]
        if len(ids) < len(known_ids):
            return
        # In a record of several lines, a number may identify the writer of each line.
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
            # The next record may have a valid time here, or date and fraction may come from different timestamps.
            return []
        if facts.at is None:
            return [None]
        first = [(stamp, at) for stamp, at in zip(stamps, moments, strict=True) if stamp.start() < facts.until]
        return [stamp for stamp, at in first if at == facts.at]

    def _id_part(self, text: str, role: str, value: str) -> Iterator[VariablePart]:
        """Yield the part of an id that occurs exactly once and follows its key."""
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
    """Yield the timestamps of each line."""
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
