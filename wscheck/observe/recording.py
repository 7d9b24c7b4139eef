"""A recorded run as evidence: the inverse of `reporters/recording.py` (schema `wscheck.events/1`, docs/recording.md).

Kind to a newer minor version, strict about everything else: unknown fields are ignored, an event of an unknown type
becomes `Unreadable` (never silently nothing), and a file that is cut short or something else entirely is refused.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import msgspec

from wscheck.model.errors import BadEvidence
from wscheck.model.events import RECORDING_SCHEMA, AnyEvent, RecordingHeader, Unreadable

CONCLUDED = b'{"type":"finding",'
"""How a line begins that tells what was concluded while events came: a replay concludes anew."""

_header = msgspec.json.Decoder(RecordingHeader)
_event: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)
_TYPES = {cls.__struct_config__.tag for cls in get_args(AnyEvent)}


def load(path: Path) -> tuple[RecordingHeader, list[AnyEvent]]:
    """Read the recording at `path`. Raises BadEvidence when it is missing, cut short, or not a recording."""
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        problem = f"The recording {path} cannot be read: {error.strerror}."
        raise BadEvidence(problem, "Write one with `wscheck verify --format ndjson=run.ndjson`.") from error
    return read(lines, str(path))


def read(lines: Iterable[bytes], path: str = "<stdin>") -> tuple[RecordingHeader, list[AnyEvent]]:
    """The header and the events of a recording's `lines`; `path` only names it in errors."""
    numbered = enumerate(lines, start=1)
    header = _read_header(next(numbered, (1, b""))[1], path)
    events = [
        _read_event(line, path, number) for number, line in numbered if line.strip() and not line.startswith(CONCLUDED)
    ]
    if header.events is not None and len(events) != header.events:
        problem = f"{path} is cut short: its first line promises {header.events} events and it holds {len(events)}."
        raise BadEvidence(problem, "Copy the whole file again, or record the run anew.")
    return header, events


def _read_header(line: bytes, path: str) -> RecordingHeader:
    what = "Give a file that `wscheck verify --format ndjson=FILE` wrote."
    if not line.strip():
        raise BadEvidence(f"{path} is empty: a recording begins with a header line.", what)
    found = _object(line)
    schema = found.get("schema") if found is not None else None
    if not isinstance(schema, str) or not schema.startswith("wscheck."):
        raise BadEvidence(f"{path}:1 is not the header of a recording (`{RECORDING_SCHEMA}`).", what)
    if not schema.startswith("wscheck.events/"):
        raise BadEvidence(f"{path} is a `{schema}` document, not a recording (`{RECORDING_SCHEMA}`).", what)
    if schema.removeprefix("wscheck.events/").split(".")[0] != RECORDING_SCHEMA.removeprefix("wscheck.events/"):
        problem = (
            f"{path} is a recording of another major version: `{schema}`, and this wscheck reads `{RECORDING_SCHEMA}`."
        )
        raise BadEvidence(problem, "Read it with the wscheck that wrote it, or record the run anew.")
    try:
        return _header.decode(line)
    except msgspec.ValidationError as error:
        raise BadEvidence(f"{path}:1 is not a readable header: {error}.", what) from error


def _read_event(line: bytes, path: str, number: int) -> AnyEvent:
    try:
        return _event.decode(line)
    except msgspec.ValidationError as error:
        found = _object(line)
        if found is not None and isinstance(found.get("type"), str) and found["type"] not in _TYPES:
            return _unknown(found, path, number)
        reason = str(error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        reason = "the line is cut short" if not line.endswith(b"\n") else str(error)
    problem = f"{path}:{number} is not an event: {reason.rstrip('.')}."
    raise BadEvidence(problem, "Copy the whole file again, or record the run anew.")


def _unknown(found: dict[str, Any], path: str, number: int) -> Unreadable:
    """An event that a newer minor version knows. What it means is unknown here, so it is kept as seen, not read."""
    at, source = found.get("at"), found.get("source")
    return Unreadable(
        at=float(at) if isinstance(at, int | float) else None,
        source=source if isinstance(source, str) else "",
        path=path,
        line=number,
        reason=f"unknown event type {found['type'][:40]!r}: recorded by a newer wscheck",
    )


def _object(line: bytes) -> dict[str, Any] | None:
    """The JSON object on `line`, None when there is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
