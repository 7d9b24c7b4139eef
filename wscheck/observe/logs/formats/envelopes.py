"""Removal of envelopes around a message: colour codes, CRI headers of container runtimes, JSON, JSON inside JSON."""

import re
from typing import Any

import msgspec

from wscheck.observe.logs.formats.key_values import unquote
from wscheck.observe.logs.formats.line_prefix import PrefixKind, classify_prefix, introduces_payload
from wscheck.observe.logs.formats.tables import Table
from wscheck.observe.logs.formats.timestamps import STAMP, TimestampParser
from wscheck.observe.logs.formats.vendor_exports import (
    exported_message,
    from_opentelemetry,
    is_collected_line,
    parse_printed,
    split_records,
    writer_labels,
)
from wscheck.observe.logs.lazy_pattern import lazy_pattern

ANSI = lazy_pattern(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00\x07\x1b]")

MESSAGE_KEYS = (
    "MESSAGE",
    "log",
    "msg",
    "message",
    "@message",
    "event",
    "body",
    "short_message",
    "textPayload",
    "_msg",
    "@m",
    "@mt",
)
"""Keys that contain the message of a structured record, the most important first."""

EVENT_TYPE_KEYS = (
    *("eventType", "event_type", "eventName", "event_name", "evt", "operationName", "OperationName", "operation"),
    *("action", "type", "kind"),
)
"""Keys that contain the kind of event of a record without a message."""
_EVENT_TYPE = lazy_pattern(
    r"(?i)[$\w.: /-]{0,40}(?:connect|open|clos|attach|detach|join|lea?ve?|left|end)[$\w.: /-]{0,40}"
)
_TOPIC = lazy_pattern(r"(?P<head>.*?)(?P<topic>(?:\$|(?<![\w.@+-])(?<![\w.@+-]/))[\w.@+-]++(?:/[\w.@+-]++){2,})\s*+$")
"""Topic of a message broker, or another path, in front of a record."""

_NESTED = ("jsonPayload", "log", "log_processed", "message", "msg", "fields")
_HOLDERS = ("jsonPayload", "log_processed", "_source")
"""Keys under which Google Cloud, Fluent Bit and Elasticsearch store the logged record."""
SOURCE_KEYS = (
    "stream",
    "_PID",
    "SYSLOG_IDENTIFIER",
    "_SYSTEMD_UNIT",
    "_HOSTNAME",
    "process_id",
    "podName",
    "containerName",
    "app_name",
    "container_id",
    "container_name",
    "source",
    "type",
)
"""Keys that identify the writer of a record in a log that a container runtime combined from several logs."""

_CRI = lazy_pattern(r"(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) ([FP]) ?")
_KLOG = lazy_pattern(
    r"""(?P<head>[^"'`{]*?\b[IWEF](?:\d{4})?\d{4}[ ]\d\d:\d\d:\d\d\.\d+[ ]+\d+[ ][\w.-]+:\d+\][ ])
    (?P<message>"(?:[^"\\]|\\.)*")(?=\s|$)""",
    re.VERBOSE,
)
"""Structured klog record: the message in quotes without a key, followed by keys with values."""
_LABELS = lazy_pattern(r'(?P<head>[^{}"]*)\{(?P<labels>[\w.]+="[^"]*"(?:,\s*[\w.]+="[^"]*")*)\} (?=\s*\S)')
"""Label set of a log store in front of a line, as a query tool for Loki prints it: {app="gateway", pod="gateway-1"}."""
_SPANS = lazy_pattern(
    r"""(?P<head>[^{}"]*?)(?P<spans>(?:[A-Za-z_][\w:.-]{0,100}\{(?:[\w.]++=(?:"[^"]*"|[^\s{}"]++)\s?)+\}:)+)\s+(?P<rest>\S.*)"""
)
"""Spans with their fields in front of a message, as tracing libraries for Rust print them."""
_SPAN_FIELD = lazy_pattern(r"""(?<![\w.])([\w.]+)=("[^"]*"|[^\s{}"]+)""")
_PAIR_BEGIN = lazy_pattern(r"(?<!\S)[A-Za-z_]\w*: ")
_PAIRS_MESSAGE = lazy_pattern(r"(?<!\S)(?:msg|message|event): ")
_NEXT_PAIR = lazy_pattern(r", (?=[A-Za-z_]\w*: )")
_QUOTE = lazy_pattern(r"""["'`]|[{\[(]\s""")
_FEWEST_PAIRS = 3
_DEEP = 6

decode_json = msgspec.json.Decoder().decode


class LogMessage(msgspec.Struct):
    """Message of a line without its envelopes (text or JSON that collectors add).

    text            the message, or the whole line if it has no envelope
    prefix          text in front of a JSON record
    writer          process that the envelope names; all lines of a record have the same writer
    at              time in seconds since the epoch
    fields          structured record that contained the message
    partial         the next line of the same writer continues this line
    from_container  a container runtime wrapped the line; such runtimes split long lines
    batch           records that were exported together on one line
    """

    text: str
    prefix: str = ""
    writer: str = ""
    at: float | None = None
    fields: dict[str, Any] | None = None
    partial: bool = False
    from_container: bool = False
    batch: list[dict[str, Any]] = []

    @property
    def structured(self) -> bool:
        """Return whether the application wrote a structured record, not only the collector."""
        return self.fields is not None and not self.writer


def decode_line(raw: bytes | bytearray) -> str:
    """Return a line as text, without colours and control characters. Invalid UTF-8 is replaced."""
    text = raw.decode("utf-8", "replace").rstrip("\r\n").lstrip("\ufeff")
    return strip_colors(text)


def strip_colors(text: str) -> str:
    """Return the text without colour codes, NUL and BEL."""
    return ANSI.sub("", text) if "\x1b" in text or "\x00" in text or "\x07" in text else text


def unwrap(text: str, timestamps: TimestampParser, table: Table | None = None) -> LogMessage:
    """Return the message of a decoded line without its envelopes.

    table  columns of the log if it is a table (CSV), otherwise None
    """
    message = LogMessage(text)
    if table is not None and (row := table.fields(text)) is not None:
        _unwrap_row(message, row, timestamps)
        return message
    while (cri := _CRI.match(message.text)) is not None:
        message.at = timestamps.parse("iso", cri[1])
        message.writer += cri[2]
        message.partial, message.from_container = cri[3] == "P", True
        message.text = message.text[cri.end() :]
    if '="' in message.text and (labels := _LABELS.match(message.text)) is not None:
        message.at = timestamps.find(labels["head"]) or message.at
        message.writer += f"|{labels['labels']}"
        message.text = message.text[labels.end() :]
    if '] "' in message.text and (klog := _KLOG.match(message.text)) is not None:
        message.text = klog["head"] + unquote(klog["message"]) + message.text[klog.end() :]
    if "}: " in message.text and (span := _SPANS.fullmatch(message.text)) is not None:
        message.fields = {key: value.strip('"') for key, value in _SPAN_FIELD.findall(span["spans"])}
        message.prefix, message.text = span["head"], span["head"] + span["rest"]
        return message
    if (pairs := _unquoted_pairs(message.text)) is not None:
        message.prefix, fields = pairs
        message.at = message.at or timestamps.find(message.prefix)
        _unwrap(message, fields, timestamps, 0)
        return message
    _unwrap_structured(message, timestamps)
    return message


def _unquoted_pairs(text: str) -> tuple[str, dict[str, Any]] | None:
    """Return the prefix and the fields of a record that is printed as "key: value, key: value" without quotes.

    A value ends before the next key. One of the keys must be that of the message. Return None for other lines.
    """
    if (
        _PAIRS_MESSAGE.search(text) is None
        or _QUOTE.search(text) is not None
        or (first := _PAIR_BEGIN.search(text)) is None
    ):
        return None
    begin = first.start()
    pairs = _NEXT_PAIR.split(text[begin:])
    if len(pairs) < _FEWEST_PAIRS or classify_prefix(text[:begin]) is not PrefixKind.SURE:
        return None
    fields = dict(pair.partition(": ")[::2] for pair in pairs)
    return (text[:begin], fields) if not fields.keys().isdisjoint(MESSAGE_KEYS) else None


def unwrap_joined(message: LogMessage, timestamps: TimestampParser) -> None:
    """Remove the envelopes from `message`, whose text was joined from the parts of a line."""
    message.fields = None
    _unwrap_structured(message, timestamps)


def split_batch(message: LogMessage, timestamps: TimestampParser) -> list[LogMessage]:
    """Return the records on a line, each as if it were on its own line."""
    parts = [LogMessage("", message.prefix, message.writer, message.at) for _ in message.batch]
    for part, fields in zip(parts, message.batch, strict=True):
        _unwrap(part, fields, timestamps, _DEEP)
    return parts


def _unwrap_structured(message: LogMessage, timestamps: TimestampParser) -> None:
    collected = parse_printed(message.text)
    if collected is not None:
        message.at = timestamps.from_fields({"time": collected.at})
        message.writer += f"|{collected.tag}"
        _set_text(message, collected.text, timestamps, _DEEP)
        return
    brace, text = message.text.find("{"), message.text.rstrip()
    if brace < 0 or not text.endswith(("}", "]")):
        return
    before = message.text[:brace]
    if classify_prefix(before) is not PrefixKind.SURE:
        return
    fields = parse_json_object(text[brace:]) if not introduces_payload(before) else None
    if fields is not None and not _has_message(fields) and (topic := _TOPIC.fullmatch(before)) is not None:
        event = next((part for part in reversed(topic["topic"].split("/")) if _EVENT_TYPE.fullmatch(part)), None)
        if event is not None:
            before, fields = topic["head"], {"event": event, **fields}
    if fields is not None and (_has_message(fields) or _event_type(fields) is not None):
        message.prefix = before
        if message.at is None and message.prefix:
            message.at = timestamps.find(message.prefix)
        _unwrap(message, fields, timestamps, _DEEP)
    elif text[0] in "{[":
        message.batch = split_records(text)


def _has_message(fields: dict[str, Any]) -> bool:
    """Return whether the record contains a message."""
    own = _application_fields(fields)
    return _inner_message(own) is not None or exported_message(own) is not None


def parse_json_object(text: str | bytes) -> dict[str, Any] | None:
    """Return the JSON object in `text`, None if `text` is anything else."""
    try:
        value = decode_json(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _unwrap(message: LogMessage, fields: dict[str, Any], timestamps: TimestampParser, deep: int) -> None:
    fields = message.fields = _application_fields(fields)
    message.text = ""
    message.at = timestamps.from_fields(fields) or message.at
    inner = _inner_message(fields)
    if inner is None and (exported := exported_message(fields)) is not None:
        inner, source = exported
        message.writer += source
    inner = _event_type(fields) if inner is None else inner
    if isinstance(inner, dict):
        if deep:
            _unwrap(message, inner, timestamps, deep - 1)
        return
    if inner is None:
        return
    message.writer += "".join(f"|{fields[name]}" for name in SOURCE_KEYS if _is_name(fields.get(name)))
    message.writer += writer_labels(fields) if is_collected_line(fields) else ""
    if "log" in fields and "stream" in fields:
        message.from_container, message.partial = True, not inner.endswith("\n")
    _set_text(message, inner.rstrip("\r\n"), timestamps, deep)


def _unwrap_row(message: LogMessage, row: dict[str, str], timestamps: TimestampParser) -> None:
    """Store the message and the fields of a table's row in `message`."""
    own = {key: row[name] for name in row for key in MESSAGE_KEYS if row[name] and name.lower() == key.lower()}
    text = next(iter(own.values()), None) or _event_type(row) or max(row.values(), key=len)
    message.text, message.fields = strip_colors(text), row
    stamps = (value for value in row.values() if STAMP.match(value) is not None)
    message.at = timestamps.from_fields(row) or next(filter(None, map(timestamps.find, stamps)), None)


def _event_type(fields: dict[str, Any]) -> str | None:
    """Return the kind of event that a record without a message reports, None if it reports none."""
    values = (fields.get(key) for key in EVENT_TYPE_KEYS)
    return next((each for each in values if isinstance(each, str) and _EVENT_TYPE.fullmatch(each)), None)


def _set_text(message: LogMessage, text: str, timestamps: TimestampParser, deep: int) -> None:
    """Set the message text to `text`, or to the message in `text` if `text` is a structured record itself.

    deep  maximum number of nested records that are unwrapped
    """
    message.text = strip_colors(text)
    stripped = message.text.strip()
    if (
        deep
        and stripped.startswith("{")
        and stripped.endswith("}")
        and (nested := parse_json_object(stripped)) is not None
    ):
        _unwrap(message, nested, timestamps, deep - 1)


def _application_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as the application logged them, without the "_" that GELF adds and the types that OTLP adds."""
    if "short_message" in fields:
        return {key.removeprefix("_"): value for key, value in fields.items()}
    return from_opentelemetry(fields) or fields


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and value != ""


def _inner_message(fields: dict[str, Any]) -> str | dict[str, Any] | None:
    """Return the message of a structured record, which is text or a nested record."""
    for key in MESSAGE_KEYS:
        value = fields.get(key)
        if isinstance(value, str):
            return value
        if isinstance(value, list) and key == "MESSAGE":
            return _from_bytes(value)
        if isinstance(value, dict) and key in _NESTED and _inner_message(value) is not None:
            return value
    for key in _HOLDERS:
        if isinstance(nested := fields.get(key), dict):
            return nested
    return _from_list(fields)


def _from_list(fields: dict[str, Any]) -> str | None:
    """Return the first argument of a log call: log4js and consola log a list of arguments, tslog numbers them."""
    called = fields.get("data", fields.get("args"))
    if isinstance(called, list) and called and isinstance(called[0], str):
        return called[0]
    first = fields.get("0")
    return first if isinstance(first, str) else None


def _from_bytes(numbers: list[Any]) -> str:
    """Return the text of a journald message that is a list of bytes."""
    try:
        return bytes(numbers).decode("utf-8", "replace")
    except (TypeError, ValueError):
        return ""
