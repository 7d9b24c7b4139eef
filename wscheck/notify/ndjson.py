"""A recording that grows: each event, and each change of an incident, as one line as soon as it is known."""

from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident
from wscheck.model.events import Event, RecordingHeader

BATCH = 1 << 16


class NdjsonStream:
    """Writes to `out`. A `header` of None goes on with a recording that has one."""

    def __init__(self, out: BinaryIO, header: RecordingHeader | None) -> None:
        self._out, self._encoder = out, msgspec.json.Encoder()
        self._waiting = bytearray()
        if header is not None:
            self._line(header)
            self.settled(None)

    def event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """One line."""
        self._line(event)

    def incident(self, incident: Incident) -> None:
        """One line of type "finding"."""
        self._line(incident)

    def settled(self, now: float | None) -> None:
        """Hand out what waits."""
        if self._waiting:
            self._out.write(self._waiting)
            self._out.flush()
            self._waiting.clear()

    def _line(self, value: msgspec.Struct) -> None:
        self._waiting += self._encoder.encode(value) + b"\n"
        if len(self._waiting) > BATCH:
            self.settled(None)
