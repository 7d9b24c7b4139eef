"""A recording is read as it was written; other files are refused by name and line."""

from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wscheck.model.errors import BadEvidence, ExitCode
from wscheck.model.events import RECORDING_SCHEMA, AnyEvent, CodeLocation, Connected, RecordingHeader, Unreadable
from wscheck.observe.recording import load_recording, read_recording
from wscheck.report.recording import encode_recording

HEADER = RecordingHeader(
    schema=RECORDING_SCHEMA, wscheck="0.1.0", target="http://127.0.0.1:1", client="unified", options={"grace_s": 0.25}
)
EVENT = Connected(
    at=12.5, source="client", user="user_123", sid="abc", opener=CodeLocation("page.tsx", 42, 9, "useSocket")
)

events = st.lists(st.one_of(*(st.from_type(kind) for kind in get_args(AnyEvent))), max_size=8)


def _lines(*events: AnyEvent) -> list[bytes]:
    return encode_recording(HEADER, events).splitlines(keepends=True)


def _finite(event: AnyEvent) -> bool:
    return all(value == value and abs(value) != float("inf") for value in _floats(msgspec.structs.astuple(event)))


def _floats(values: object) -> list[float]:
    return [value for value in values if isinstance(value, float)]  # type: ignore[attr-defined]


@given(events)
def test_a_written_recording_is_read(events: list[AnyEvent]) -> None:
    finite = [event for event in events if _finite(event)]
    header, found = read_recording(encode_recording(HEADER, finite).splitlines(keepends=True))
    assert found == finite
    assert header == msgspec.structs.replace(HEADER, events=len(finite))


def test_the_first_line_names_the_schema_first() -> None:
    assert _lines(EVENT)[0].startswith(b'{"schema":"wscheck.events/1","wscheck":"0.1.0","target":"http://127.0.0.1:1"')


def test_unknown_fields_of_a_newer_minor_version_are_ignored() -> None:
    header, line = _lines(EVENT)
    assert read_recording([header, line.replace(b"{", b'{"invented_later":[1],', 1)])[1] == [EVENT]


def test_an_unknown_event_type_becomes_unreadable() -> None:
    header, line = _lines(EVENT)
    (found,) = read_recording([header, line.replace(b'"connected"', b'"teleported"')], "run.ndjson")[1]
    assert isinstance(found, Unreadable)
    assert (found.at, found.path, found.line) == (12.5, "run.ndjson", 2)
    assert "teleported" in found.reason


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "run.ndjson is empty"),
        ([b"WebSocket client connected\n"], "run.ndjson:1 is not the header"),
        ([b'{"type":"connected"}\n'], "run.ndjson:1 is not the header"),
        ([b'[{"schema":"wscheck.events/1"}]\n'], "run.ndjson:1 is not the header"),
        ([b"\xff\xfe\x00\n"], "run.ndjson:1 is not the header"),
        ([b'{"schema":"wscheck.verify/1"}\n'], "`wscheck.verify/1` document, not a recording"),
        ([b'{"schema":"wscheck.events/2","wscheck":"9"}\n'], "another major version: `wscheck.events/2`"),
        ([b'{"schema":"wscheck.events/1","wscheck":7}\n'], "run.ndjson:1 is not a readable header"),
        ([*_lines(EVENT), b'{"type":"connected","at":"noon"}\n'], "run.ndjson:3 is not an event"),
        ([*_lines(EVENT), b"\xff\n"], "run.ndjson:3 is not an event"),
        ([*_lines(EVENT), b"[]\n"], "run.ndjson:3 is not an event"),
        ([*_lines(EVENT), b'{"type":"conn'], "run.ndjson:3 is not an event: the line is cut short"),
        (_lines(EVENT, EVENT)[:-1], "run.ndjson is cut short: its first line promises 2 events and it contains 1"),
    ],
)
def test_other_files_are_refused(lines: list[bytes], said: str) -> None:
    with pytest.raises(BadEvidence) as refused:
        read_recording(lines, "run.ndjson")
    assert said in refused.value.problem
    assert refused.value.next_step
    assert refused.value.exit_code is ExitCode.COULD_NOT_CHECK


def test_a_newer_minor_version_is_read() -> None:
    header, line = _lines(EVENT)
    assert read_recording([header.replace(b"events/1", b"events/1.3"), line])[1] == [EVENT]


def test_a_recording_without_a_count_is_read_to_its_end() -> None:
    header, line = _lines(EVENT)
    assert read_recording([header.replace(b'"events":1', b'"events":null'), line, b"\n"])[1] == [EVENT]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadEvidence, match=r"gone\.ndjson cannot be read: No such file"):
        load_recording(tmp_path / "gone.ndjson")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.ndjson"
    path.write_bytes(encode_recording(HEADER, [EVENT]))
    assert load_recording(path)[1] == [EVENT]
