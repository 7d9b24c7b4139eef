"""Tests of the export formats of collectors and clouds."""

import json
import random
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pytest

from tests.observe.logs.conversations import Entry, conversation
from tests.observe.logs.formats import iso
from tests.observe.logs.reading import read, read_log, said, true
from wscheck.model.events import Event, Unreadable
from wscheck.observe.logs.formats.tables import parse_table_header

Export = Callable[[Entry], dict[str, Any]]

SID = "JklrX0lA-3eoASGLAAAA"
MARKER = "WebSocket client connected"
LOGGED = {"message": MARKER, "socketId": SID, "userId": "victim"}
TEXT = f"{MARKER} socketId={SID} userId=victim"


def record(entry: Entry) -> dict[str, Any]:
    return {"level": 30, **entry.fields, "msg": entry.message}


def raw(entry: Entry) -> str:
    return json.dumps(record(entry))


def values(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """As OTLP writes what a record holds."""
    return [{"key": key, "value": {"stringValue": str(value)}} for key, value in fields.items()]


def of_otlp(entry: Entry) -> dict[str, Any]:
    body = {"stringValue": entry.message}
    return {"timeUnixNano": f"{entry.at}000000", "body": body, "attributes": values(entry.fields)}


def of_otlp_as_a_whole(entry: Entry) -> dict[str, Any]:
    body = {"kvlistValue": {"values": values({**entry.fields, "msg": entry.message})}}
    return {"timeUnixNano": "0", "observedTimeUnixNano": f"{entry.at}000000", "body": body}


def of_azure(entry: Entry, **logged: Any) -> dict[str, Any]:
    return {"time": iso(entry.at), "resourceId": "/S/x", "category": "AppServiceConsoleLogs", **logged}


def of_datadog(entry: Entry) -> dict[str, Any]:
    return {"message": entry.message, "service": "bot", "timestamp": iso(entry.at), "attributes": entry.fields}


def of_elastic(entry: Entry) -> dict[str, Any]:
    return {"_index": "i", "_source": {"@timestamp": iso(entry.at), "message": entry.message, **entry.fields}}


def of_google(entry: Entry) -> dict[str, Any]:
    return {"insertId": "x", "jsonPayload": record(entry), "timestamp": iso(entry.at), "resource": {"type": "k8s"}}


def of_cloudwatch(entry: Entry) -> dict[str, Any]:
    return {"id": "3", "timestamp": entry.at, "message": raw(entry), "ingestionTime": entry.at + 9}


def of_azure_text(entry: Entry) -> dict[str, Any]:
    return of_azure(entry, resultDescription=raw(entry))


ONE_EACH: dict[str, Export] = {
    "splunk hec": lambda e: {"time": e.at / 1000, "host": "h", "source": "s", "event": record(e)},
    "splunk docker": lambda e: {
        "time": str(e.at / 1000),
        "host": "h",
        "event": {"line": record(e), "source": "stdout", "tag": "7a"},
    },
    "splunk export": lambda e: {"preview": False, "result": {"_raw": raw(e), "_time": iso(e.at, " ", " UTC")}},
    "azure text": of_azure_text,
    "azure container app": lambda e: of_azure(e, properties={"Log": raw(e), "Stream": "stdout"}),
    "azure kubernetes": lambda e: of_azure(e, properties={"log": raw(e) + "\n", "stream": "stdout", "pod": "bot-1"}),
    "azure table": lambda e: {"TimeGenerated": iso(e.at), "LogMessage": record(e), "PodName": "bot-1"},
    "azure custom table": lambda e: {"TimeGenerated": iso(e.at), "Log_s": raw(e)},
    "otlp": of_otlp,
    "otlp whole": of_otlp_as_a_whole,
    "logcli jsonl": lambda e: {"labels": {"app": "bot"}, "line": raw(e), "timestamp": iso(e.at)},
    "grafana": lambda e: {"line": raw(e), "timestamp": f"{e.at}000000", "date": iso(e.at), "fields": {}},
    "google": of_google,
    "filebeat": lambda e: {
        "@timestamp": iso(e.at),
        "log": {"offset": 7, "file": {"path": "/x"}},
        "message": e.message,
        **e.fields,
    },
    "datadog archive": lambda e: {"_id": "A", "date": iso(e.at), "attributes": e.fields, "message": e.message},
}


def nested(name: str, export: Export, **beside: Any) -> Callable[[Iterable[Entry]], str]:
    """A batch: the exports of some entries in a list under `name`."""
    return lambda entries: json.dumps({**beside, name: [export(entry) for entry in entries]})


def of_loki(entries: Iterable[Entry]) -> str:
    streams = [{"stream": {"app": "bot"}, "values": [[f"{entry.at}000000", raw(entry)] for entry in entries]}]
    return json.dumps({"status": "success", "data": {"resultType": "streams", "result": streams}})


def of_resources(entries: Iterable[Entry]) -> str:
    scopes = [{"scope": {}, "logRecords": [of_otlp(entry) for entry in entries]}]
    return json.dumps({"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": scopes}]})


cloudwatch = nested("logEvents", of_cloudwatch, messageType="DATA_MESSAGE", logGroup="g", logStream="s")

MANY: dict[str, Callable[[list[Entry]], str]] = {
    "cloudwatch events": nested("events", of_cloudwatch, searchedLogStreams=[]),
    "cloudwatch subscription": cloudwatch,
    "cloudwatch by firehose": lambda entries: "".join(cloudwatch([entry]) for entry in entries),
    "azure records": nested("records", of_azure_text),
    "google entries": nested("entries", of_google),
    "google list": lambda entries: json.dumps([of_google(entry) for entry in entries]),
    "datadog": nested("data", lambda e: {"id": "A", "type": "log", "attributes": of_datadog(e)}, meta={}),
    "datadog v1": nested("logs", lambda e: {"id": "A", "content": of_datadog(e)}, status="done"),
    "elastic": lambda entries: json.dumps({"took": 1, "hits": {"hits": [of_elastic(entry) for entry in entries]}}),
    "fluent bit": lambda entries: json.dumps([{"date": entry.at / 1000, "log": raw(entry)} for entry in entries]),
    "loki": of_loki,
    "otlp": of_resources,
}


def printed(entry: Entry) -> str:
    return f'[0] kube.bot: [[{entry.at / 1000:.9f}, {{}}], {{"stream"=>"stdout", "log"=>"{raw(entry)}"}}]'


def klog_time(entry: Entry) -> str:
    return datetime.fromtimestamp(entry.at / 1000).strftime("%Y%m%d %H:%M:%S.%f")


def klog_fields(entry: Entry) -> str:
    return " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in entry.fields.items())


LINES: dict[str, Callable[[Entry], str]] = {
    "fluent bit": printed,
    "fluent bit, older": lambda e: f'[7] bot: [{e.at / 1000:.9f}, {{"log"=>"{raw(e)}", "container_id"=>"7a"}}]',
    "logcli": lambda e: f'{iso(e.at)} {{app="bot", pod="bot-1"}} {raw(e)}',
    "aws logs tail": lambda e: f"{iso(e.at, zone='000+00:00')} ecs/bot/0a1b2c {raw(e)}",
    "aws as text": lambda e: f"EVENTS\t{e.at:056}\t{e.at + 900}\tweb\t{raw(e)}\t{e.at}",
    "aws as text, of one stream": lambda e: f"EVENTS\t{e.at + 900}\t{raw(e)}\t{e.at}",
    "klog": lambda e: f"I{klog_time(e)}       1 server.go:42] {json.dumps(e.message)} {klog_fields(e)}",
    "kubectl klog": lambda e: (
        f"[pod/a/b] {iso(e.at)} I{klog_time(e)}  17 a.go:2] {json.dumps(e.message)} {klog_fields(e)}"
    ),
    "fluentd": lambda e: f"{iso(e.at, ' ', ' +0000')} app.bot: {raw(e)}",
}


def check(log: str, entries: list[Entry]) -> None:
    extractor, events = read_log(log)
    assert [said(event) for event in events] == [true(entry.true) for entry in entries if entry.true is not None]
    assert [event.at for event in events] == [
        pytest.approx(entry.at / 1000, abs=0.002) for entry in entries if entry.true
    ]
    assert extractor.levels == {"full": len(events)}
    assert read(log, len(log) // 2, len(log) // 3) == events


@pytest.mark.parametrize("name", ONE_EACH)
def test_an_export_of_one_record_a_line(name: str) -> None:
    entries = conversation(random.Random(name), 24)
    check("".join(json.dumps(ONE_EACH[name](entry)) + "\n" for entry in entries), entries)


@pytest.mark.parametrize("name", MANY)
def test_an_export_of_many_records_a_line(name: str) -> None:
    entries = conversation(random.Random(name), 24)
    check("".join(MANY[name](entries[at : at + 5]) + "\n" for at in range(0, len(entries), 5)), entries)


@pytest.mark.parametrize("name", LINES)
def test_the_text_around_each_line_is_removed(name: str) -> None:
    entries = conversation(random.Random(name), 24)
    check("".join(LINES[name](entry) + "\n" for entry in entries), entries)


def test_a_glog_line_has_its_day() -> None:
    [event] = read(f"I20260115 09:30:00.123456       1 server.cc:42] {TEXT}\n")
    assert said(event) == ("connect", SID, "victim")
    assert event.at is not None
    assert event.at % 1 == pytest.approx(0.123456, abs=1e-4)
    [same] = read(f"2026-01-15 09:30:00.123456 {TEXT}\n")
    assert same.at == event.at


def test_a_time_of_two_decimals_is_seconds() -> None:
    """As long as one of milliseconds."""
    assert [event.at for event in read(f"1768469400.12 {TEXT}\n1768469400120 {TEXT}\n")] == [1768469400.12] * 2


WRITERS: dict[str, Callable[[str, str], str]] = {
    "google": lambda pod, text: json.dumps(
        {"insertId": "x", "textPayload": text, "resource": {"labels": {"pod_name": pod}}}
    ),
    "cloudwatch": lambda pod, text: json.dumps(
        {"events": [{"logStreamName": pod, "message": text, "ingestionTime": 1}]}
    ),
    "fluent bit": lambda pod, text: json.dumps({"date": 1.5, "log": text, "kubernetes": {"pod_name": pod}}),
    "loki": lambda pod, text: json.dumps({"labels": {"pod": pod}, "line": text, "timestamp": "1"}),
    "azure": lambda pod, text: json.dumps({"TimeGenerated": "x", "LogMessage": text, "PodName": pod}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_records_over_several_exports_are_separated_by_writer(name: str) -> None:
    first, second = ([MARKER, f"• socketId: s{n}", f"• userId: u{n}"] for n in (1, 2))
    write = WRITERS[name]
    log = [write(pod, text) for pair in zip(first, second, strict=True) for pod, text in zip("ab", pair, strict=True)]
    events: list[Event] = read("\n".join(log))
    assert [said(event) for event in events] == [("connect", "s1", "u1"), ("connect", "s2", "u2")]


FORGED: list[Any] = [
    {"msg": "chat", "event": LOGGED, "time": 1, "host": "h"},
    {"time": 1, "host": "h", "event": LOGGED, "method": "POST"},
    {"time": 1, "event": LOGGED},
    {"method": "POST", "url": "/", "body": LOGGED},
    {"method": "POST", "body": {"stringValue": TEXT}},
    {"timeUnixNano": "1", "body": LOGGED},
    {"req": {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": TEXT}}]}]}]}},
    [LOGGED],
    [{"text": "hi"}, {"insertId": 1, "timestamp": 2, "textPayload": TEXT}],
    {"records": [LOGGED]},
    {"events": [LOGGED]},
    {"hits": {"hits": [LOGGED]}},
    {"data": [{"id": 1, "type": "post", "attributes": LOGGED}]},
    {"id": 1, "type": "log", "attributes": LOGGED},
    {"id": 1, "content": TEXT},
    {"result": LOGGED, "id": 1},
    {"line": TEXT, "file": "x"},
    {"line": TEXT, "source": "chat", "tag": "t"},
    {"labels": {}, "line": TEXT, "timestamp": 1, "user": "x"},
    {"properties": {"Log": TEXT}, "category": "chat"},
    {"Log": TEXT, "Stream": "mine"},
    {"log": {"text": TEXT}, "message": "chat"},
    f'[0] app: [[1.5, {{}}], {{"text"=>"hi", "log"=>"{TEXT}"}}]',
    f'[0] app: [[1.5, {{}}], {{"log"=>"chat: hi", "log"=>"{TEXT}"}}]',
    f'I0115 09:30:00.123456       1 a.go:42] chat "{MARKER}" socketId="{SID}" userId="victim"',
    f'I0115 09:30:00.123456       1 a.go:42] "chat" text="hi\\" \\"{MARKER}\\" userId=\\"victim\\""',
    f'I0115 09:30:00.123456       1 a.go:42] "chat" "{MARKER}" userId="victim"',
    f'said [0] app: [[1.5, {{}}], {{"log"=>"{TEXT}"}}]',
]


@pytest.mark.parametrize("line", FORGED, ids=str)
def test_similar_objects_are_not_exports(line: Any) -> None:
    assert read((line if isinstance(line, str) else json.dumps(line)) + "\n") == []


@pytest.mark.parametrize("key", ["msg", "message"])
def test_a_record_that_fluent_bit_printed_unescaped_is_reported_as_unreadable(key: str) -> None:
    """Nothing is escaped there: whatever stands before it may be what somebody sent."""
    said = f'{{"level"=>30, "userId"=>"u", "socketId"=>"{SID}", "{key}"=>"{MARKER}"}}'
    extractor, [event] = read_log(f"[0] app: [[1768469400.1, {{}}], {said}]\n")
    assert isinstance(event, Unreadable)
    assert (extractor.unreadable, "json_lines" in event.reason) == (1, True)


@pytest.mark.parametrize("value", [None, 7, [], {}, [7], {"a": None}, "x", [None], {"values": 3}])
@pytest.mark.parametrize(
    "key", ["hits", "data", "records", "events", "logs", "entries", "resourceLogs", "logEvents", "body"]
)
def test_malformed_exports_cause_no_error(key: str, value: Any) -> None:
    for inner in (value, [value], {key: value}, [{"scopeLogs": value}], [{"stream": {}, "values": value}]):
        assert read(json.dumps({key: inner, "logGroup": 1, "timeUnixNano": 1, "note": MARKER}) + "\n") == []


@pytest.mark.parametrize(
    ("header", "is_table"),
    [
        ("ts,process,severity,event,account,session", True),
        ("seq,occurred_at,host,what", True),
        ("id,@ts,line", True),
        ("total,type,task,message", False),
        ("name,level,status", False),
    ],
)
def test_the_time_column_of_a_table_has_several_names(header: str, is_table: bool) -> None:
    assert (parse_table_header(header) is not None) is is_table
