"""The run as NDJSON: the output that is also an input (`sources/recording.py` reads it; docs/recording.md)."""

from collections.abc import Sequence

import msgspec

from wscheck import __version__
from wscheck.model.events import RECORDING_SCHEMA, AnyEvent, RecordingHeader
from wscheck.model.report import Report


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """The header that `report` calls for, then one line for each event."""
    header = RecordingHeader(
        schema=RECORDING_SCHEMA,
        wscheck=__version__,
        target=report.target,
        client=str(getattr(report, "client", "")),
        started_at=report.started_at,
        interrupted=report.interrupted,
        options=report.options,
    )
    return write(header, events)


def write(header: RecordingHeader, events: Sequence[AnyEvent]) -> bytes:
    """One JSON object a line, UTF-8: `header` with the number of events filled in, then the events in order."""
    whole = msgspec.structs.replace(header, events=len(events))
    return msgspec.json.Encoder().encode_lines([whole, *events])
