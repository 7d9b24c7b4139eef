"""Reader of recorded runs, the inverse of `report/recording.py` (schema `wscheck.events/1`, docs/recording.md).

A recording of a newer minor version is readable: unknown fields are ignored, and an event of an unknown type becomes
`Unreadable`. A truncated file, or a file of another format, is refused.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec

from wscheck.model.errors import BadEvidence
from wscheck.model.events import RECORDING_SCHEMA, AnyEvent, RecordingHeader, Unreadable

FINDING_PREFIX = b'{"type":"finding",'
"""Start of a line with a finding of the recorded run. Such lines are ignored, because a replay evaluates the events."""

_header_decoder = msgspec.json.Decoder(RecordingHeader)
_event_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_EVENT_TYPES = {cls.__struct_config__.tag for cls in get_args(AnyEvent)}


def load_recording(path: Path) -> tuple[RecordingHeader, list[AnyEvent]]:
    """Read the recording at `path`.

    Raises:
        BadEvidence: The file is missing, truncated or not a recording.
    """
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        problem = f"The recording {path} cannot be read: {error.strerror}."
        raise BadEvidence(problem, "Write one with `wscheck verify --format ndjson=run.ndjson`.") from error
    return read_recording(lines, str(path))


def read_recording(lines: Iterable[bytes], path: str = "<stdin>") -> tuple[RecordingHeader, list[AnyEvent]]:
    """Return the header and the events of a recording's lines; `path` is its name in errors.

    Raises:
        BadEvidence: The lines are truncated or not a recording.
    """
    numbered = enumerate(lines, start=1)
    header = _decode_header(next(numbered, (1, b""))[1], path)
    events = [
        _decode_event(line, path, number)
        for number, line in numbered
        if line.strip() and not line.startswith(FINDING_PREFIX)
    ]
    if header.events is not None and len(events) != header.events:
        problem = f"{path} is cut short: its first line promises {header.events} events and it contains {len(events)}."
        raise BadEvidence(problem, "Copy the whole file again, or record the run again.")
    return header, events


def _decode_header(line: bytes, path: str) -> RecordingHeader:
    next_step = "Give a file that `wscheck verify --format ndjson=FILE` wrote."
    if not line.strip():
        raise BadEvidence(f"{path} is empty: a recording starts with a header line.", next_step)
    value = _json_object(line)
    schema = value.get("schema") if value is not None else None
    if not isinstance(schema, str) or not schema.startswith("wscheck."):
        raise BadEvidence(f"{path}:1 is not the header of a recording (`{RECORDING_SCHEMA}`).", next_step)
    if not schema.startswith("wscheck.events/"):
        raise BadEvidence(f"{path} is a `{schema}` document, not a recording (`{RECORDING_SCHEMA}`).", next_step)
    if schema.removeprefix("wscheck.events/").split(".")[0] != RECORDING_SCHEMA.removeprefix("wscheck.events/"):
        problem = (
            f"{path} is a recording of another major version: `{schema}`, and this wscheck reads `{RECORDING_SCHEMA}`."
        )
        raise BadEvidence(problem, "Read it with the wscheck that wrote it, or record the run again.")
    try:
        return _header_decoder.decode(line)
    except msgspec.ValidationError as error:
        raise BadEvidence(f"{path}:1 is not a readable header: {error}.", next_step) from error


def _decode_event(line: bytes, path: str, number: int) -> AnyEvent:
    try:
        return _event_decoder.decode(line)
    except msgspec.ValidationError as error:
        value = _json_object(line)
        if value is not None and isinstance(value.get("type"), str) and value["type"] not in _EVENT_TYPES:
            return _unknown_event(value, path, number)
        reason = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = "the line is cut short" if not line.endswith(b"\n") else str(error)
    problem = f"{path}:{number} is not an event: {reason.rstrip('.')}."
    raise BadEvidence(problem, "Copy the whole file again, or record the run again.")


def _unknown_event(value: dict[str, Any], path: str, number: int) -> Unreadable:
    """Return an `Unreadable` event in place of an event whose type only a newer minor version knows."""
    at, source = value.get("at"), value.get("source")
    return Unreadable(
        at=float(at) if isinstance(at, int | float) else None,
        source=source if isinstance(source, str) else "",
        path=path,
        line=number,
        reason=f"unknown event type {value['type'][:40]!r}: recorded by a newer wscheck",
    )


def _json_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object on a line, None if there is none."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
