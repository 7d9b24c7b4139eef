"""Export formats of log collectors and clouds, with one or many records on a line.

An application's record can contain data from users under any key. Therefore a format is identified by all the keys
around the logged record, and no other object is searched for records.

Formats: Splunk (HTTP event collector, `search/jobs/export`, Docker's driver), Azure Monitor (resource logs, tables),
Datadog (logs API v1 and v2), Loki (`logcli -o jsonl`, `query_range`), Grafana's download, OpenTelemetry (OTLP/JSON),
CloudWatch Logs (`filter-log-events`, also as text; subscriptions, also concatenated by Firehose), Elasticsearch
(`_search`), Google Cloud's `entries`, Fluent Bit (`stdout` with `format json`).
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from wscheck.observe.logs.lazy_pattern import lazy_pattern

Fields = dict[str, Any]


class Export(NamedTuple):
    """Export format with the logged record under the key `inner`.

    beside  other keys that the format always has
    also    other keys that the format may have, None if it may have any
    stream  key whose value must be "stdout" or "stderr", None if the format has no such key
    within  keys that the logged record must have
    """

    inner: str
    beside: frozenset[str]
    also: frozenset[str] | None = None
    stream: str | None = None
    within: frozenset[str] = frozenset()

    def fits(self, fields: Fields) -> bool:
        keys, inner = fields.keys(), fields.get(self.inner)
        return (
            (not self.within or (isinstance(inner, dict) and self.within <= inner.keys()))
            and self.beside <= keys
            and (self.also is None or keys <= self.beside | self.also | {self.inner})
            and (self.stream is None or fields.get(self.stream) in ("stdout", "stderr"))
        )


def _key_set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_EXPORT_SHAPES = (
    Export("event", _key_set("time host"), _key_set("source sourcetype index fields")),
    Export("line", _key_set("source tag"), _key_set("attrs"), stream="source"),
    Export("result", _key_set("preview"), _key_set("offset lastrow")),
    Export("_raw", _key_set("_time")),
    Export("line", _key_set("labels timestamp"), frozenset()),
    Export("line", _key_set("date fields timestamp"), frozenset()),
    Export("resultDescription", _key_set("category resourceId time")),
    Export("properties", _key_set("category resourceId time")),
    Export("attributes", _key_set("id type"), frozenset(), within=_key_set("message service timestamp")),
    Export("Log", _key_set("Stream"), stream="Stream"),
    *(Export(column, _key_set("TimeGenerated")) for column in ("LogMessage", "LogEntry", "Log_s", "ResultDescription")),
)
_WRITERS = ("labels", "stream", "kubernetes", "resource", "logStreamName", "PodName", "ContainerName", "host")
"""Keys that identify the writer of a record."""

_FLUENT_BIT = lazy_pattern(
    r"""\[\d+\]\ (?P<tag>[^\s:"]+):\ \[\[?(?P<at>\d+(?:\.\d+)?)(?:,\ \{[^{}"]*\}\])?,\ \{
    (?:"(?:time|date|stream|_p|logtag|source|container_id|container_name)"=>"?[^",{}]*"?,\ )*
    "(?:log|message|msg|MESSAGE)"=>"(?P<text>.*)""",
    re.VERBOSE | re.DOTALL,
)
_FIELDS = lazy_pattern(r"""\[\d+\] [^\s:"]+: \[""")
_AWS_TEXT = lazy_pattern(r"EVENTS\t(?:\d+\t\d{13}\t(?P<tag>[^\t]+)|\d{13})\t(?P<text>.*)\t(?P<at>\d{13})\s*", re.DOTALL)
"""Text output of the AWS CLI. Columns are sorted by name: eventId, ingestionTime, logStreamName, message, timestamp."""
_NEXT_PAIR = lazy_pattern(r"""",\ "[\w.@-]+"=>|"\}\]\s*$""")


def exported_message(fields: Fields) -> tuple[str | Fields, str] | None:
    """Return the logged message and a label for its writer, None if the record has no export format."""
    for export in _EXPORT_SHAPES:
        value = fields.get(export.inner)
        if isinstance(value, str | dict) and export.fits(fields):
            return value, writer_labels(fields) or f"|{export.inner}"
    return None


def writer_labels(fields: Fields) -> str:
    """Return the labels that name the writer of a record, "" if the record has none."""
    return "".join(f"|{fields[name]}" for name in _WRITERS if fields.get(name))


def is_collected_line(fields: Fields) -> bool:
    """Return whether the collector, not the application, added the fields to a line of text."""
    return "textPayload" in fields or "logStreamName" in fields or isinstance(fields.get("kubernetes"), dict)


class PrintedRecord(NamedTuple):
    """Record that a tool printed as text: writer, time as printed, and message."""

    tag: str
    at: str
    text: str


def parse_printed(line: str) -> PrintedRecord | None:
    """Return the record on a line of a tool that prints records without quoting their content, None for other lines."""
    if line.startswith("EVENTS\t") and (match := _AWS_TEXT.fullmatch(line)) is not None:
        return PrintedRecord(match["tag"] or "", match["at"], match["text"])
    return _fluent_bit(line)


def _fluent_bit(line: str) -> PrintedRecord | None:
    """Return the record on a line of Fluent Bit's `stdout` output.

    Fluent Bit quotes nothing, so only the first field can be read reliably.
    """
    match = _FLUENT_BIT.match(line) if line.startswith("[") else None
    if match is None:
        return None
    stop = _NEXT_PAIR.search(match["text"])
    return PrintedRecord(match["tag"], match["at"], match["text"][: stop.start() if stop is not None else None])


def is_unescaped(line: str, sentence: int) -> bool:
    """Return whether Fluent Bit printed the line, and the message of its record starts at the offset `sentence`.

    Fluent Bit does not escape quotes in a message.
    """
    return _FIELDS.match(line) is not None and line[:sentence].endswith(('"msg"=>"', '"message"=>"'))


# --- several records on one line --------------------------------------------------------------------------------------


def split_records(text: str) -> list[Fields]:
    """Return the records of a line that contains a list of records, an empty list for other lines."""
    try:
        values = list(_values(text))
    except (ValueError, RecursionError):
        return []
    found = [_batch_records(value) for value in values]
    return [record for records in found for record in records] if all(found) else []


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values on a line. White space may separate them."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value
        while at < len(text) and text[at] in " \t\r\n":
            at += 1


def _batch_records(value: Any) -> list[Fields]:
    if isinstance(value, list):
        return (
            _objects_with(value, "insertId", "timestamp")
            or _objects_with(value, "date", "log")
            or _objects_with(value, "line", "fields")
        )
    if not isinstance(value, dict):
        return []
    hits, data = value.get("hits"), value.get("data")
    if "logEvents" in value and "logGroup" in value:
        stream = {"logStreamName": value.get("logStream")}
        return [{**stream, **event} for event in _objects_with(value["logEvents"], "id", "timestamp", "message")]
    if isinstance(hits, dict):
        return _objects_with(hits.get("hits"), "_source")
    if isinstance(data, dict) and data.get("resultType") == "streams":
        return list(_loki_records(_objects_with(data.get("result"), "stream", "values")))
    return (
        list(_otlp_records(_objects_with(value.get("resourceLogs"), "scopeLogs")))
        or _objects_with(value.get("events"), "ingestionTime", "message")
        or _objects_with(value.get("records"), "category", "time")
        or _objects_with(value.get("entries"), "insertId", "timestamp")
        or [
            each["content"]
            for each in _objects_with(value.get("logs"), "id", "content")
            if _is_datadog_record(each["content"])
        ]
        or [
            each["attributes"]
            for each in _objects_with(data, "id", "type", "attributes")
            if _is_datadog_record(each["attributes"])
        ]
    )


def _objects_with(items: Any, *keys: str) -> list[Fields]:
    """Return `items` if all of them are objects with these keys, otherwise an empty list."""
    whole = isinstance(items, list) and all(isinstance(each, dict) and all(k in each for k in keys) for each in items)
    return items if whole else []


def _is_datadog_record(logged: Any) -> bool:
    return isinstance(logged, dict) and {"message", "service", "timestamp"} <= logged.keys()


def _loki_records(streams: Iterable[Fields]) -> Iterator[Fields]:
    for stream in streams:
        for entry in stream["values"] if isinstance(stream["values"], list) else ():
            if isinstance(entry, list) and len(entry) >= 2:
                yield {"labels": stream["stream"], "line": entry[1], "timestamp": entry[0]}


# --- OpenTelemetry ----------------------------------------------------------------------------------------------------


def _otlp_records(resources: Iterable[Fields]) -> Iterator[Fields]:
    for resource in resources:
        resource_id = json.dumps(resource.get("resource"), sort_keys=True)
        for scope in _objects_with(resource["scopeLogs"], "logRecords"):
            for logged in _objects_with(scope["logRecords"], "body"):
                yield {**logged, "source": resource_id}


def from_opentelemetry(fields: Fields) -> Fields | None:
    """Return an OTLP/JSON log record with plain values, None if `fields` is something else."""
    body = fields.get("body")
    if not isinstance(body, dict) or len(body) != 1 or not {"timeUnixNano", "observedTimeUnixNano"} & fields.keys():
        return None
    times = (fields.get(key) for key in ("timeUnixNano", "observedTimeUnixNano"))
    at, content = next((time for time in times if time not in {None, "", "0", 0}), None), _plain(body)
    fields_of_body = content if isinstance(content, dict) else {"body": content}
    return {
        "time": at,
        "attributes": _pairs(fields.get("attributes")),
        "source": fields.get("source"),
        **fields_of_body,
    }


def _pairs(items: Any) -> Fields:
    return {str(item["key"]): _plain(item.get("value")) for item in _objects_with(items, "key")}


def _plain(value: Any) -> Any:
    """Return the value of an OTLP AnyValue."""
    if not isinstance(value, dict) or len(value) != 1:
        return None
    kind, inner = next(iter(value.items()))
    if kind == "kvlistValue":
        return _pairs(inner.get("values") if isinstance(inner, dict) else None)
    if kind == "arrayValue":
        values = inner.get("values") if isinstance(inner, dict) else None
        return [_plain(each) for each in values] if isinstance(values, list) else []
    return inner if kind in {"stringValue", "intValue", "doubleValue", "boolValue"} else None
