"""Recording: the events of a run as NDJSON, for `wscheck verify --from` (docs/recording.md)."""

from collections.abc import Sequence

import msgspec

from wscheck import __version__
from wscheck.model.events import RECORDING_SCHEMA, AnyEvent, RecordingHeader
from wscheck.model.report import Report
from wscheck.report import json_text


def render(report: Report, events: Sequence[AnyEvent]) -> bytes:
    """Return a header with the facts of `report`, then one line per event."""
    header = RecordingHeader(
        schema=RECORDING_SCHEMA,
        wscheck=__version__,
        target=report.target,
        client=str(getattr(report, "client", "")),
        started_at=report.started_at,
        interrupted=report.interrupted,
        options=report.options,
    )
    return encode_recording(header, events)


def encode_recording(header: RecordingHeader, events: Sequence[AnyEvent]) -> bytes:
    """Return `header`, completed with the number of events, and the events in order.

    The result is UTF-8 text with one JSON object per line.
    """
    counted = msgspec.structs.replace(header, events=len(events))
    return b"".join(json_text.encode(line) + b"\n" for line in [counted, *events])
