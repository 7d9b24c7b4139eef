"""Tests of JSON records over several lines, as jq prints them."""

import json

import pytest

from tests.observe.logs.test_wording import read, sid, told
from wscheck.observe.logs.formats.multiline_records import MAX_PRINTED_LINES, PrintedJson

WORDS = ("open", "open", "close", "close") * 2
RECORDS = [
    {
        "ts": f"2026-04-02T10:11:{n:02}.000Z",
        "event": f"ws.{word}",
        "client": {"account": f"a{n % 2}", "channel": sid(n % 2 + 2 * (n // 4))},
    }
    for n, word in enumerate(WORDS)
]
LINES_OF_RECORD = 8
FORMS = {
    "jq": "".join(f"{json.dumps(record, indent=2)}\n" for record in RECORDS),
    "tabs": "".join(f"{json.dumps(record, indent=chr(9))}\n" for record in RECORDS),
    "Windows": "".join(f"{json.dumps(record, indent=2)}\n" for record in RECORDS).replace("\n", "\r\n"),
    "no line end": "".join(f"{json.dumps(record, indent=2)}\n" for record in RECORDS).rstrip(),
}


EXPORTS = {
    "aws logs": ("events", "message", 4),
    "a search": ("results", "line", 2),
}


@pytest.mark.parametrize("export", EXPORTS)
def test_the_list_of_an_export_is_read(export: str) -> None:
    name, key, indent = EXPORTS[export]
    texts = [f"user a{n % 2} {'connected' if word == 'open' else 'disconnected'} ({sid(n % 2 + 2 * (n // 4))})"
             for n, word in enumerate(WORDS)]  # fmt: skip
    listed = [{"timestamp": 1777561203073 + 900 * n, key: text, "id": str(n)} for n, text in enumerate(texts)]
    log = json.dumps({name: listed, "searchedLogStreams": []}, indent=indent) + "\n"
    events = read(log)
    assert [kind for kind, *_ in told(events)] == ["+" if word == "open" else "-" for word in WORDS]
    assert [event.line for event in events] == [3 + 5 * n for n in range(len(WORDS))]


def test_a_list_in_a_later_record_is_not_divided() -> None:
    sent = {"events": [{"message": f"user a1 connected ({sid(1)})"}]}
    assert told(read(json.dumps(RECORDS[0], indent=2) + "\n" + json.dumps(sent, indent=2) + "\n", guesses=True)) in (
        [],
        [("+", "a0", sid(0))],
    )


@pytest.mark.parametrize("form", FORMS)
def test_printed_records_are_read(form: str) -> None:
    events = read(FORMS[form])
    assert [kind for kind, *_ in told(events)] == ["+" if word == "open" else "-" for word in WORDS]
    assert [event.user for event in events] == ["a0", "a1"] * 4
    assert [event.line for event in events] == [1 + LINES_OF_RECORD * n for n in range(len(WORDS))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [1, 7, 300])
def test_size_and_number_of_lines_stay(form: str, size: int) -> None:
    log, printed = FORMS[form].encode(), PrintedJson()
    pieces = [log[:64], *(log[at : at + size] for at in range(64, len(log), size))]
    found = b"".join([*(bytes(printed.convert(piece)) for piece in pieces), printed.end()])
    assert (len(found), found.count(b"\n")) == (len(log), log.count(b"\n"))
    assert sum(b"account" in line and b"channel" in line for line in found.split(b"\n")) == len(RECORDS)


@pytest.mark.parametrize(
    "log",
    [
        "plain\n{\n  text\n}\n",
        "{\n" + '  "a": 1,\n' * (MAX_PRINTED_LINES + 5) + "}\n",
        '{\n  "half": 1,\n',
    ],
    ids=["text", "a document", "an incomplete record"],
)
def test_other_text_passes_unchanged(log: str) -> None:
    printed = PrintedJson()
    assert bytes(printed.convert(log.encode())) + printed.end() == log.encode()
