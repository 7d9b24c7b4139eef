"""The counts of events, and the line about a change of an incident."""

import msgspec
import pytest

from wscheck.detect.incidents import Incident, IncidentState
from wscheck.model.event_counts import MAX_SHOWN_UNREADABLE, EventCounter
from wscheck.model.events import Connected, Unreadable
from wscheck.model.findings import Confidence, Severity
from wscheck.notify.lines import incident_summary

T = 1_795_000_000.0
INCIDENT = Incident(
    state=IncidentState.GREW,
    rule="connection-replaced",
    severity=Severity.ERROR,
    confidence=Confidence.HIGH,
    user="ada",
    message="replaced",
    first_at=T,
    last_at=T + 2,
)


def test_the_first_unreadable_lines_are_stored_and_not_untimed() -> None:
    seen = EventCounter()
    broken = [Unreadable(at=None, source="server-log", reason=str(n)) for n in range(MAX_SHOWN_UNREADABLE + 2)]
    assert seen.add([*broken, Connected(at=None, source="server-log", sid="a", user="ada")], []) is None
    assert seen.add([*broken, Connected(at=T, source="server-log", sid="b", user="ada")], [T]) == T
    assert ([event.reason for event in seen.unreadable], seen.untimed) == (["0", "1", "2", "3", "4"], 1)
    assert seen.by_type == {"unreadable": 2 * (MAX_SHOWN_UNREADABLE + 2), "connected": 2}


@pytest.mark.parametrize(
    ("state", "count", "rate", "text"),
    [
        (IncidentState.OPENED, 1, None, "opened connection-replaced ada: replaced"),
        (IncidentState.GREW, 10, 4.5, "grew connection-replaced ada: 10 times in 2.0 s (4.5/s); replaced"),
        (IncidentState.GREW, 2, 0.5, "grew connection-replaced ada: 2 times in 2.0 s; replaced"),
        (IncidentState.RESOLVED, 1, None, "resolved connection-replaced ada: once in 2.0 s, quiet since 11:06:42"),
    ],
)
def test_two_occurrences_have_no_rate(state: IncidentState, count: int, rate: float | None, text: str) -> None:
    assert incident_summary(msgspec.structs.replace(INCIDENT, state=state, count=count, rate=rate)) == text
