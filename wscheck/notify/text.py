"""One line for each change of an incident: for a pipe, a file, or a terminal that is read later."""

from collections.abc import Sequence
from typing import TextIO

from wscheck.detect.changes import LedgerChange
from wscheck.detect.incidents import Incident, IncidentState
from wscheck.model.event_counts import MAX_SHOWN_UNREADABLE
from wscheck.model.events import Event, NotEvaluated, ServerRestarted, Unreadable
from wscheck.report.formatting import format_clock_time, format_duration, format_rate, one_line, plural


def incident_summary(incident: Incident) -> str:
    """What became of an incident, in one line without its time: `opened connection-replaced user_1: ...`."""
    who = f" {incident.user}" if incident.user is not None else ""
    return one_line(f"{incident.state} {incident.rule}{who}: {_story(incident)}")


def _story(incident: Incident) -> str:
    if incident.state is IncidentState.OPENED:
        return f"{incident.message}{_probably(incident)}"
    pace = f" ({format_rate(incident.rate)})" if incident.rate and incident.count > 2 else ""
    times = f"{'once' if incident.count == 1 else plural(incident.count, 'time')}{_span(incident)}{pace}"
    if incident.state is IncidentState.GREW:
        return f"{times}; {incident.message}{_probably(incident)}"
    return f"{times}, quiet since {format_clock_time(incident.last_at)[:8]}" if incident.last_at else times


def _probably(incident: Incident) -> str:
    return f" (probably {incident.cause.name})" if incident.cause else ""


def _span(incident: Incident) -> str:
    if incident.first_at is None or incident.last_at is None or incident.last_at <= incident.first_at:
        return ""
    return f" in {format_duration(incident.last_at - incident.first_at)}"


def expiry_message(event: Event, changes: Sequence[LedgerChange]) -> str:
    """What is to be said of an event that takes connections away without their end being written; else empty."""
    if isinstance(event, ServerRestarted):
        node = f" {event.node}" if event.node else ""
        return f"the server{node} restarted: {plural(len(changes), 'open connection')} expired ({place(event)})"
    if isinstance(event, NotEvaluated):
        return f"{event.user or 'somebody'}: connection {event.reason}"
    return ""


class UnreadableMessages:
    """What to say of the first lines that look like an event and cannot be read: where they are, and why."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, event: Event) -> str:
        """A sentence; empty for an event that was read, and for one too many."""
        if not isinstance(event, Unreadable) or self._count == MAX_SHOWN_UNREADABLE:
            return ""
        self._count += 1
        more = "; further ones are only counted" if self._count == MAX_SHOWN_UNREADABLE else ""
        return f"{place(event)} looks like an event and cannot be read: {event.reason}{more}"


class IncidentPrinter:
    """Prints to `out`, each line with the time of what it tells."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._doubts = UnreadableMessages()

    def event(self, event: Event, changes: Sequence[LedgerChange]) -> None:
        """Single events are for the recording, but what changes or weakens the evidence is said."""
        if said := expiry_message(event, changes) or self._doubts.of(event):
            self._print(event.at, said)

    def incident(self, incident: Incident) -> None:
        """One line."""
        self._print(incident.resolved_at or incident.last_at, incident_summary(incident))

    def _print(self, at: float | None, said: str) -> None:
        print(one_line(f"{format_clock_time(at)} {said}" if at is not None else said), file=self._out, flush=True)

    def settled(self, now: float | None) -> None:
        """Every line went out at once."""


def place(event: Event) -> str:
    """Where in which log it stands."""
    return f"{event.path}:{event.line}" if event.line else event.path or "the log"
