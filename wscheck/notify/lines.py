"""Output line by line: text for a terminal without a live view, and NDJSON for a recording that grows."""

import errno
from collections.abc import Sequence
from typing import BinaryIO, TextIO

import msgspec

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.model.disconnect_reasons import EXPIRED_STALE
from wscheck.model.event_counts import MAX_SHOWN_UNREADABLE
from wscheck.model.events import ConnectionExpired, Event, RecordingHeader, ServerRestarted, Unreadable
from wscheck.model.secrets import Redactor
from wscheck.report import json_text
from wscheck.report.formatting import format_clock_time, format_duration, format_rate, one_line, plural

BATCH_BYTES = 1 << 16


def incident_summary(incident: Incident) -> str:
    """Return one line about the change of an incident, without its time: `opened connection-replaced ada: ...`."""
    user = f" {incident.user}" if incident.user is not None else ""
    return one_line(f"{incident.state} {incident.rule}{user}: {_change_text(incident)}")


def _change_text(incident: Incident) -> str:
    if incident.state is IncidentState.OPENED:
        return f"{incident.message}{_probable_cause(incident)}"
    rate = f" ({format_rate(incident.rate)})" if incident.rate and incident.count > 2 else ""
    times = f"{'once' if incident.count == 1 else plural(incident.count, 'time')}{_time_span(incident)}{rate}"
    if incident.state is IncidentState.GREW:
        return f"{times}; {incident.message}{_probable_cause(incident)}"
    return f"{times}, quiet since {format_clock_time(incident.last_at)[:8]}" if incident.last_at else times


def _probable_cause(incident: Incident) -> str:
    return f" (probably {incident.cause.name})" if incident.cause else ""


def _time_span(incident: Incident) -> str:
    if incident.first_at is None or incident.last_at is None or incident.last_at <= incident.first_at:
        return ""
    return f" in {format_duration(incident.last_at - incident.first_at)}"


def expiry_message(event: Event, changes: Sequence[LedgerChange]) -> str:
    """Return a sentence about connections that count as ended without a logged end, "" for any other event."""
    if isinstance(event, ServerRestarted):
        node = f" {event.node}" if event.node else ""
        expired = plural(len(changes), "open connection")
        return f"the server{node} restarted: {expired} expired ({log_location(event)})"
    if isinstance(event, ConnectionExpired):
        return f"{event.user or 'unknown user'}: connection {event.sid} {EXPIRED_STALE}"
    return ""


class UnreadableMessages:
    """Messages about the first unreadable lines that look like events, with location and reason."""

    def __init__(self) -> None:
        self._count = 0

    def message_for(self, event: Event) -> str:
        """Return the message about an unreadable line, "" for other events and after the first few unreadable lines."""
        if not isinstance(event, Unreadable) or self._count == MAX_SHOWN_UNREADABLE:
            return ""
        self._count += 1
        more = "; further such lines are only counted" if self._count == MAX_SHOWN_UNREADABLE else ""
        return f"{log_location(event)} looks like an event and cannot be read: {event.reason}{more}"


class IncidentPrinter:
    """The printer of one line per change of an incident, with the time of the change, to `out`."""

    def __init__(self, out: TextIO, redactor: Redactor) -> None:
        self._out, self._redactor = out, redactor
        self._unreadable = UnreadableMessages()

    def on_event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Print a line if the event is unreadable, or if connections count as ended without a logged end."""
        if text := expiry_message(event, changes) or self._unreadable.message_for(event):
            self._print(event.at, text)

    def on_incident(self, incident: Incident) -> None:
        """Print one line."""
        self._print(incident.resolved_at or incident.last_at, incident_summary(incident))

    def _print(self, at: float | None, text: str) -> None:
        line = f"{format_clock_time(at)} {text}" if at is not None else text
        try:
            print(one_line(self._redactor.redact(line)), file=self._out, flush=True)
        except OSError as error:
            if error.errno != errno.EIO:  # of a terminal that was closed, which SIGHUP reports
                raise

    def on_poll_end(self, now: float | None) -> bool:
        """Do nothing: every line was printed immediately."""
        return False


def log_location(event: Event) -> str:
    """Return the path and line of the event in its log."""
    return f"{event.path}:{event.line}" if event.line else event.path or "the log"


class NdjsonStream:
    """Writer of a recording to `out`, one JSON object per line. If `header` is None, `out` already has a header."""

    def __init__(self, out: BinaryIO, header: RecordingHeader | None, redactor: Redactor) -> None:
        self._out, self._redactor = out, redactor
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
        """Write the lines that were added since the last write. Return False, because no early poll is needed."""
        self._flush()
        return False

    def _add(self, value: msgspec.Struct) -> None:
        self._unwritten += json_text.encode(self._redactor.redact_data(value)) + b"\n"
        if len(self._unwritten) > BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._unwritten:
            self._out.write(self._unwritten)
            self._out.flush()
            self._unwritten.clear()
