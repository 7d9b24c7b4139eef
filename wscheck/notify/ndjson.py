"""A growing recording: each event and each change of an incident as one JSON line."""

from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident
from wscheck.model.events import Event, RecordingHeader

BATCH_BYTES = 1 << 16


class NdjsonStream:
    """A recording written to `out`. Without a `header`, the stream continues an existing recording."""

    def __init__(self, out: BinaryIO, header: RecordingHeader | None) -> None:
        self._out, self._encoder = out, msgspec.json.Encoder()
        self._unwritten = bytearray()
        if header is not None:
            self._add(header)
            self._flush()

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Add the event as one line."""
        self._add(event)

    def on_incident(self, incident: Incident) -> None:
        """Add the incident as one line of type "finding"."""
        self._add(incident)

    def on_poll_end(self, now: float | None) -> bool:
        """Write the collected lines."""
        self._flush()
        return False

    def _add(self, value: msgspec.Struct) -> None:
        self._unwritten += self._encoder.encode(value) + b"\n"
        if len(self._unwritten) > BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._unwritten:
            self._out.write(self._unwritten)
            self._out.flush()
            self._unwritten.clear()
