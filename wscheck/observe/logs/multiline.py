"""Records over several lines: which lines belong to which marker, and when a record is complete.

A record may also start before its marker: with the first keys of an object, or the first parts of a split line.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator

import msgspec
import stringzilla

from wscheck.observe.logs.formats.envelopes import MESSAGE_KEYS, LogMessage, decode_line, unwrap
from wscheck.observe.logs.formats.key_values import bracket_balance, find_key_values, unquote
from wscheck.observe.logs.formats.line_prefix import (
    PrefixKind,
    classify_prefix,
    indentation,
    introduces_payload,
    is_continuation,
    prefix_shape,
)
from wscheck.observe.logs.formats.timestamps import STAMP, TimestampParser
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.matcher import FOREIGN_KEYS, KEY, DetailLine, RecordMatcher, RecordStart
from wscheck.observe.logs.vocabulary import REQUIRED_ROLES

_OPENING = lazy_pattern(r"^(?P<before>.*\s\s)(?P<key>(?:[^\W\d]|\$)[\w$.-]*): (?P<bracket>[{\[])$")
_CLOSING = lazy_pattern(r"^(?P<before>.*?)[}\]],?$")


class NestedObject(msgspec.Struct):
    """Object over several lines under a key of a record. pino-pretty writes `data: {`, and then lines of JSON.

    prefix_shape       prefix of the marker's line, without timestamps
    key_indentation    indentation of the object's key
    is_foreign         ids in the object do not belong to the connection
    inner_indentation  indentation of the keys directly inside the object
    """

    prefix_shape: str
    key_indentation: int
    is_foreign: bool
    inner_indentation: int | None = None

    def accepts(self, before: str, text: str) -> bool:
        """Return whether a line is a key directly inside the object, so that it may contain an id of the record.

        Such a key is in quotes. An object with unquoted keys was logged separately, after the record.
        """
        depth = indentation(before)
        if self.inner_indentation is None and depth > self.key_indentation:
            self.inner_indentation = depth
        return depth == self.inner_indentation and not self.is_foreign and text.startswith('"', len(before))

    def is_closed_by(self, text: str) -> bool:
        """Return whether the line `text`, which contains no key, closes the object."""
        closing = _CLOSING.match(text)
        if closing is None or not is_continuation(closing["before"], self.prefix_shape):
            return False
        return indentation(closing["before"]) <= self.key_indentation


def nested_object_opened_by(text: str, shape: str) -> NestedObject | None:
    """Return the object that starts at the end of a line under a key of a record, None if no object starts there.

    shape  prefix of the marker's line, without timestamps
    """
    opening = _OPENING.match(text)
    if opening is None or not is_continuation(opening["before"], shape):
        return None
    foreign = opening["bracket"] == "[" or opening["key"].lower() in FOREIGN_KEYS
    return NestedObject(shape, indentation(opening["before"]), foreign)


MAX_IDLE_LINES = 40
"""Number of lines without an id for a record, after which the record is closed."""

_CLOSING_LINE = lazy_pattern(r"^(?P<before>(?:[^}\])\n]|[}\])][}\])\s,;]*+(?!$))*+)[}\])][}\])\s,;]*+$")
_LITERAL = lazy_pattern(r"""^\s*(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\s*+[+,]?\s*+$""")


class OpenRecord(msgspec.Struct, eq=False):
    """Record that may still receive ids from further lines.

    line, start_offset   line number of the marker (from 1), and number of bytes in front of the record
    prefix_shape         prefix of the marker's line, without timestamps
    key_indentation      indentation of the object's keys, if the record is an object
    idle_lines           number of lines since the last line that belonged to the record
    awaits_object        the writer wrote nothing after the marker, so an object on the next line may belong to it
    superseded           the same logger wrote another message, so lines without prefix belong to that message
    object_is_separate   the object started on a line of its own and may belong to something else
    nested_object        object inside the record that is not closed yet
    has_unclear_id       an id was left out because its end is ambiguous
    opens                the record of a replacement is also that of the newer connection's opening
    contested_roles      roles of ids on lines that could also belong to other open records
    competitors          the other records to which these lines could belong
    """

    kind: str
    ids: dict[str, str]
    line: int
    start_offset: int
    at: float | None
    source: str
    prefix_shape: str
    has_time: bool
    in_object: bool
    maybe_prose: bool
    complete: bool
    key_indentation: int | None = None
    has_bullet: bool | None = None
    nested_ids: dict[str, str] = msgspec.field(default_factory=dict)
    idle_lines: int = 0
    awaits_object: bool = True
    superseded: bool = False
    object_is_separate: bool = False
    nested_object: NestedObject | None = None
    has_unclear_id: bool = False
    opens: bool = False
    contested_roles: set[str] = msgspec.field(default_factory=set)
    competitors: list["OpenRecord"] = msgspec.field(default_factory=list)

    @property
    def has_required_ids(self) -> bool:
        return all(role in self.ids for role in REQUIRED_ROLES[self.kind])

    @property
    def ambiguous(self) -> bool:
        """Return whether ids of this record may belong to another record that was open at the same time."""
        return bool(self.contested_roles) and any(
            rival.contested_roles & self.contested_roles & set(rival.ids) for rival in self.competitors
        )

    def close(self) -> None:
        """Mark the record as complete."""
        self.complete = True
        for role, value in self.nested_ids.items():
            self.ids.setdefault(role, value)


class OpenRecords:
    """Records that are not complete, in the order of their markers."""

    def __init__(self, matcher: RecordMatcher, timestamps: TimestampParser) -> None:
        self._matcher, self._timestamps = matcher, timestamps
        self._open: deque[OpenRecord] = deque()

    def __bool__(self) -> bool:
        return bool(self._open)

    @property
    def start_offset(self) -> int | None:
        """Return the number of bytes before the first record that is not complete."""
        return self._open[0].start_offset if self._open else None

    def start_record(self, record_start: RecordStart, message: LogMessage, line: int, start: int) -> OpenRecord:
        """Add the record that starts at a marker, and return it."""
        record = OpenRecord(
            kind=record_start.kind,
            ids=dict(record_start.ids),
            line=line,
            start_offset=start,
            at=message.at,
            source=message.writer,
            prefix_shape=prefix_shape(record_start.prefix),
            has_time=STAMP.search(record_start.prefix) is not None,
            in_object=record_start.opens_object or record_start.in_object,
            maybe_prose=record_start.maybe_prose,
            has_unclear_id=record_start.has_unclear_id,
            opens=record_start.opens,
            complete=record_start.complete,
        )
        if record.has_required_ids and not record.in_object:
            record.complete = True
        self._open.append(record)
        return record

    def add_line(self, message: LogMessage) -> None:
        """Add the ids on a further line to the open record to which the line belongs."""
        text = message.text if message.fields is None or message.writer else ""
        lines = text.split("\n") if "\n" in text else (text,)
        waiting = [record for record in self._open if not record.complete]
        for line in lines:
            self._line(message.prefix + line, message.writer, waiting)

    def _line(self, text: str, source: str, waiting: list[OpenRecord]) -> None:
        details: dict[str, DetailLine] = {}
        best_fit: OpenRecord | None = None
        fitting: list[OpenRecord] = []
        for record in reversed(waiting):
            if record.complete:
                continue
            record.idle_lines += 1
            if record.source == source:
                detail = details.get(record.kind) or details.setdefault(record.kind, self._detail(record.kind, text))
                if self._fits(record, detail, text):
                    fitting.append(record)
                else:
                    _check_end(record, text)
            if record.idle_lines > MAX_IDLE_LINES:
                record.close()
        for record in fitting:
            detail = details[record.kind]
            if best_fit is not None and not set(detail.ids) & set(details[best_fit.kind].ids):
                continue
            if best_fit is None:
                best_fit = record
                _add_ids(record, detail)
                if record.in_object and _ends_object(record, text):
                    record.close()
            else:
                _mark_contested(best_fit, record, set(detail.ids))

    def _detail(self, kind: str, text: str) -> DetailLine:
        literal = _LITERAL.match(text)
        return self._matcher.match_detail(kind, unquote(literal["text"]) if literal is not None else text)

    def _fits(self, record: OpenRecord, detail: DetailLine, text: str) -> bool:
        """Return whether the line contains ids that may belong to the record."""
        if record.awaits_object and not record.in_object and not record.ids and record.nested_object is None:
            if self._object_below(record, text):
                return False
            record.awaits_object = not _same_writer(record, text)
        if detail.prefix is None or not is_continuation(detail.prefix, record.prefix_shape):
            return False
        if record.in_object:
            return self._fits_object(record, detail, text)
        if record.nested_object is not None:
            record.idle_lines = 0
            return record.nested_object.accepts(detail.prefix, text) and bool(detail.roles)
        if record.prefix_shape and not detail.has_bullet:
            record.nested_object = nested_object_opened_by(text, record.prefix_shape)
        return _fits_lines(record, detail, text)

    def _object_below(self, record: OpenRecord, text: str) -> bool:
        """Process a line of an object that was logged separately after the marker: `console.log(m); console.dir(ids)`.

        Return whether such an object starts on the line.
        """
        before, brace, rest = text.partition("{")
        if not brace or not is_continuation(before, record.prefix_shape):
            return False
        if not rest.strip():
            record.in_object = record.object_is_separate = True
        elif rest.rstrip().endswith("}") and not _is_message(rest):
            ids, unclear = self._matcher.inline_ids(record.kind, find_key_values(brace + rest))
            record.ids.update(ids)
            record.has_unclear_id |= bool(unclear)
            record.close()
        return True

    def _fits_object(self, record: OpenRecord, detail: DetailLine, text: str) -> bool:
        before = detail.prefix or ""
        if detail.has_bullet and detail.ids and not before.strip():
            return False
        if record.key_indentation is None:
            record.key_indentation = indentation(before)
        if record.object_is_separate and indentation(before) == record.key_indentation and _is_message(text):
            record.close()
            record.ids.clear()
            return False
        if record.at is None and indentation(before) == record.key_indentation:
            record.at = self._stamp(text)
        return bool(detail.roles)

    def _stamp(self, text: str) -> float | None:
        """Return the time in the key-value pairs on a line of an object."""
        return self._timestamps.from_fields({pair.key: pair.value for pair in find_key_values(text)})

    def pop_complete(self) -> Iterator[OpenRecord]:
        """Yield and remove the complete records in front of the first record that is not complete."""
        while self._open and self._open[0].complete:
            yield self._open.popleft()

    def close(self) -> None:
        """Mark all records as complete, because no more lines follow."""
        for record in self._open:
            if not record.complete:
                record.close()


def _add_ids(record: OpenRecord, detail: DetailLine) -> None:
    record.idle_lines = 0
    if (
        record.in_object
        and record.key_indentation is not None
        and indentation(detail.prefix or "") > record.key_indentation
    ):
        for role, value in detail.ids.items():
            record.nested_ids.setdefault(role, value)
        return
    record.has_unclear_id |= bool(detail.unclear_roles - record.ids.keys())
    record.has_bullet = detail.has_bullet if record.nested_object is None else record.has_bullet
    for role, value in detail.ids.items():
        record.ids.setdefault(role, value)
    if record.has_required_ids:
        record.close()


def _fits_lines(record: OpenRecord, detail: DetailLine, text: str) -> bool:
    """Return whether the line contains ids that may belong to a record with one id on each line."""
    if detail.roles <= record.ids.keys():
        return False
    if record.has_bullet is not None and record.has_bullet != detail.has_bullet:
        return False
    return not _is_object_key(detail, text) and not (
        record.superseded and prefix_shape(detail.prefix or "") != record.prefix_shape
    )


def _same_writer(record: OpenRecord, text: str) -> bool:
    """Return whether the process that wrote the marker also wrote the line, according to the prefixes of both lines."""
    process, _, last = record.prefix_shape.rpartition(" ")
    sign = not any(char.isalnum() for char in last)  # "bot-1 | 🔌": the sign belongs to the message
    return prefix_shape(text).startswith(process if sign and process else "" if sign else record.prefix_shape)


def _is_object_key(detail: DetailLine, text: str) -> bool:
    """Return whether a line contains a key of an object that was logged separately."""
    return not detail.has_bullet and (text.rstrip().endswith((",", "{")) or detail.value.startswith("'"))


def _is_message(text: str) -> bool:
    """Return whether a line of an object contains a message, which means that the object is a separate record."""
    return any(pair.key in MESSAGE_KEYS for pair in find_key_values(text))


def _mark_contested(best_fit: OpenRecord, other: OpenRecord, roles: set[str]) -> None:
    for one, rival in ((best_fit, other), (other, best_fit)):
        one.contested_roles |= roles
        if rival not in one.competitors:
            one.competitors.append(rival)


def _check_end(record: OpenRecord, text: str) -> None:
    """Close the record if the line ends it, or if the same logger starts another message on the line."""
    if record.in_object:
        closing = _CLOSING_LINE.match(text)
        ends = _ends_object(record, text) if closing is None else _closes_object(record, closing["before"])
        if ends:
            record.close()
    elif record.nested_object is not None and record.nested_object.is_closed_by(text):
        record.nested_object = None
    elif record.prefix_shape and record.has_time and prefix_shape(text).startswith(record.prefix_shape):
        record.superseded, record.nested_object = True, None


def _closes_object(record: OpenRecord, before: str) -> bool:
    """Return whether a closing bracket after the text `before` closes the record's own object, not a nested one."""
    return (record.key_indentation is None or indentation(before) < record.key_indentation) and is_continuation(
        before, record.prefix_shape
    )


def _ends_object(record: OpenRecord, text: str) -> bool:
    """Return whether a line with the last key of a record also closes the record's object: "  reason: undefined }"."""
    key = KEY.search(text)
    return key is not None and indentation(text[: key.start()]) == record.key_indentation and bracket_balance(text) < 0


MAX_LINES_ABOVE = 60
MAX_QUOTATION_BYTES = 2048
"""Number of bytes above a record that are searched for the start of a quotation."""

LinesAbove = Callable[[], Iterator[tuple[bytes, int]]]
"""Function that yields the lines above the marker's line with their offsets, the nearest line first."""

_OBJECT = lazy_pattern(r"(?:(?:Object|\[Object: null prototype\])(?:\(\d+\))? ?)?\{$")
_OPENER = lazy_pattern(rb"""[\s=:(,\[{]"[^"]*$""")


def complete_from_lines_above(
    record_start: RecordStart,
    message: LogMessage,
    above: LinesAbove,
    matcher: RecordMatcher,
    timestamps: TimestampParser,
) -> int | None:
    """Add to `message` the ids on the lines above it, if its text is a value of an object over several lines.

    Return the offset of the start of the object.

    Return None if the marker is not the message of the record: the object belongs to another message, is nested in
    another object, or contains another key whose value is the message.
    """
    rank = min(map(_rank, KEY.finditer(message.text)), default=0)
    indent, prefix = indentation(record_start.prefix), prefix_shape(record_start.prefix)
    deep: dict[str, str] = {}
    for count, (raw, start) in enumerate(above()):
        line = unwrap(decode_line(raw), timestamps)
        text = line.text
        if line.writer != message.writer or not prefix_shape(text).startswith(prefix):
            continue  # a line of another process
        key = KEY.search(text)
        depth = indentation(text[: key.start()]) if key is not None else -1
        if depth < indent:
            if _opens(text, record_start.prefix):
                record_start.ids = {**deep, **record_start.ids}
                message.at = message.at or timestamps.find(text)
                return start
            if count > MAX_LINES_ABOVE or key is not None or not _may_be_inside(text):
                return None
            continue
        if depth == indent and key is not None and _rank(key) < rank:
            return None
        detail = matcher.match_detail(record_start.kind, text)
        record_start.has_unclear_id |= bool(detail.unclear_roles)
        for role, value in detail.ids.items():
            (record_start.ids if depth == indent else deep).setdefault(role, value)
        if message.at is None and depth == indent:
            message.at = timestamps.from_fields({pair.key: pair.value for pair in find_key_values(text)})
    return None


def _opens(text: str, before: str) -> bool:
    """Return whether a line starts a record that is an object: only a line prefix is in front of its bracket."""
    bracket = _OBJECT.search(text.rstrip())
    if bracket is None:
        return False
    prefix = text[: bracket.start()]
    if classify_prefix(prefix) is not PrefixKind.SURE or introduces_payload(prefix):
        return False
    return is_continuation(before, prefix_shape(prefix)) or is_continuation(prefix, prefix_shape(before))


def _rank(key: re.Match[str]) -> int:
    name = key["key"].strip("\"'")
    return MESSAGE_KEYS.index(name) if name in MESSAGE_KEYS else len(MESSAGE_KEYS)


def _may_be_inside(text: str) -> bool:
    """Return whether a line without a key may be inside an object over several lines.

    Such a line is empty, or starts with a closing bracket, a quote or "+" (the rest of a string).
    """
    return text.strip()[:1] in {"}", "]", ")", "'", '"', "+", ""} and not text.rstrip().endswith(("{", "["))


def join_parts_above(message: LogMessage, above: LinesAbove, timestamps: TimestampParser) -> tuple[str, int | None]:
    """Return the whole text of a line that a container runtime split into parts, and the offset of the first part."""
    text, begin = message.text, None
    for count, (raw, start) in enumerate(above()):
        part = unwrap(decode_line(raw), timestamps)
        if part.writer != message.writer:
            if count > MAX_LINES_ABOVE:
                break
            continue
        if not part.partial:
            break
        text, begin = part.text + text, start
    return text, begin


def is_inside_quotation(above: LinesAbove) -> bool:
    """Return whether a quotation that started in one of the lines directly above is still open."""
    lines: list[bytes] = []
    room = MAX_QUOTATION_BYTES
    for raw, _ in above():
        room -= len(raw)
        if room < 0:
            break
        lines.append(raw)
    lines.reverse()
    text = b"".join(lines)
    return ends_in_quotation(text, 0, len(text))


def ends_in_quotation(text: bytes | bytearray, begin: int, end: int) -> bool:
    """Return whether a quotation is open at the end of text[begin:end].

    Only the last line with an unpaired quote is considered.
    """
    while (quote := stringzilla.rfind(text, b'"', begin, end)) >= 0:
        line = stringzilla.rfind(text, b"\n", begin, quote) + 1 or begin
        if stringzilla.count(text, b'"', line, quote) % 2 == 0:
            line_end = text.find(b"\n", quote, end)
            return _OPENER.search(bytes(text[line : line_end if line_end >= 0 else end]).rstrip(b"\r")) is not None
        end = line
    return False
