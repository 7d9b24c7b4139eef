"""What is wrapped around a message, and taken off here: colours, CRI and JSON envelopes, also JSON in JSON."""

import re
from typing import Any

import msgspec

from wscheck.observe.logs.formats.key_values import unquote
from wscheck.observe.logs.formats.line_prefix import PrefixKind, classify_prefix, introduces_payload
from wscheck.observe.logs.formats.timestamps import TimestampParser
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

MESSAGE_KEYS = ("MESSAGE", "log", "msg", "message", "@message", "event", "body", "short_message", "textPayload", "_msg")
"""Where a structured record keeps its message; where several of them are there, only the first counts."""

_NESTED = ("jsonPayload", "log", "log_processed", "message", "msg", "fields")
_HOLDERS = ("jsonPayload", "log_processed", "_source")
"""Where Google Cloud, Fluent Bit and Elasticsearch keep the record that was logged."""
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
"""What tells writers apart whose lines a runtime put into one log."""

_CRI = lazy_pattern(r"(\d{4}-\d\d-\d\dT\S+) (stdout|stderr) ([FP]) ?")
_KLOG = lazy_pattern(
    r"""(?P<head>[^"'`{]*?\b[IWEF](?:\d{4})?\d{4}[ ]\d\d:\d\d:\d\d\.\d+[ ]+\d+[ ][\w.-]+:\d+\][ ])
    (?P<message>"(?:[^"\\]|\\.)*")(?=\s|$)""",
    re.VERBOSE,
)
"""A structured record of klog has its message in quotes, without a key; what it goes on with has keys."""
_DEEP = 6

decode_json = msgspec.json.Decoder().decode


class LogMessage(msgspec.Struct):
    """A line's message with its envelopes off.

    text    the message, or the whole line where it has no envelope
    prefix  what stood before a JSON record on its line
    writer  who wrote it, where an envelope says: only lines of one source belong together
    at      seconds since the epoch
    fields  the structured record that held the message, if one did
    partial more of this line follows in the next one of its source
    from_container a container's runtime wrapped it, which splits long lines
    batch   the records that were exported together on one line
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
        """Whether the application wrote a structured record, not only what wraps it."""
        return self.fields is not None and not self.writer


def decode_line(raw: bytes | bytearray) -> str:
    """A line as text: colours and control characters off, what is no UTF-8 replaced."""
    text = raw.decode("utf-8", "replace").rstrip("\r\n").lstrip("\ufeff")
    return strip_colors(text)


def strip_colors(text: str) -> str:
    """Without colours, NULs and bells."""
    return ANSI.sub("", text) if "\x1b" in text or "\x00" in text or "\x07" in text else text


def unwrap(text: str, timestamps: TimestampParser) -> LogMessage:
    """Take the envelopes off a decoded line."""
    message = LogMessage(text)
    while (cri := _CRI.match(message.text)) is not None:
        message.at = timestamps.parse("iso", cri[1])
        message.writer += cri[2]
        message.partial, message.from_container = cri[3] == "P", True
        message.text = message.text[cri.end() :]
    if '] "' in message.text and (klog := _KLOG.match(message.text)) is not None:
        message.text = klog["head"] + unquote(klog["message"]) + message.text[klog.end() :]
    _unwrap_structured(message, timestamps)
    return message


def unwrap_joined(message: LogMessage, timestamps: TimestampParser) -> None:
    """Take off what a line has that was put together from its parts."""
    message.fields = None
    _unwrap_structured(message, timestamps)


def split_batch(message: LogMessage, timestamps: TimestampParser) -> list[LogMessage]:
    """The records on a line that holds many, each as on a line of its own."""
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
    if fields is not None and _has_message(fields):
        message.prefix = before
        if message.at is None and message.prefix:
            message.at = timestamps.find(message.prefix)
        _unwrap(message, fields, timestamps, _DEEP)
    elif text[0] in "{[":
        message.batch = split_records(text)


def _has_message(fields: dict[str, Any]) -> bool:
    """Whether there is a message in it."""
    own = _application_fields(fields)
    return _inner_message(own) is not None or exported_message(own) is not None


def parse_json_object(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object that `text` is, None when it is none."""
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


def _set_text(message: LogMessage, text: str, timestamps: TimestampParser, deep: int) -> None:
    """The text of an envelope, which may be a record itself."""
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
    """As the application logged it: GELF puts "_" in front of that, and of nothing else; OTLP names the types."""
    if "short_message" in fields:
        return {key.removeprefix("_"): value for key, value in fields.items()}
    return from_opentelemetry(fields) or fields


def _is_name(value: Any) -> bool:
    return isinstance(value, str | int) and value != ""


def _inner_message(fields: dict[str, Any]) -> str | dict[str, Any] | None:
    """The message of a structured record: text, or a record of its own."""
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
    """log4js and consola keep what they were called with as a list, tslog under the numbers of the arguments."""
    called = fields.get("data", fields.get("args"))
    if isinstance(called, list) and called and isinstance(called[0], str):
        return called[0]
    first = fields.get("0")
    return first if isinstance(first, str) else None


def _from_bytes(numbers: list[Any]) -> str:
    """journald gives a message that is no plain text as the list of its bytes."""
    try:
        return bytes(numbers).decode("utf-8", "replace")
    except (TypeError, ValueError):
        return ""
