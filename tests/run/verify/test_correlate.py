"""A page and the server's log that saw the same connections: one story, under the name that the log knows."""

from typing import Any

from wscheck.detect.engine import RuleOptions
from wscheck.model.events import (
    AnyEvent,
    Connected,
    Connecting,
    Disconnected,
    Event,
    PhaseEnded,
    PhaseStarted,
    Replaced,
)
from wscheck.model.findings import Bar, Severity
from wscheck.model.report import ScenarioResult
from wscheck.run.verify.scoring import score_scenarios
from wscheck.run.verify.server_logs import own_events

T0 = 1795000000.0
HIDDEN = "(token 2c1415)"
PAGE: dict[str, Any] = {"source": "browser", "user": HIDDEN, "page": "tab 1"}
LOG: dict[str, Any] = {"source": "server-log", "user": "ann", "path": "server.log"}
AS_LOGGED = "server namespace disconnect"


def broken_page(*logged: Event, user: str = HIDDEN) -> list[AnyEvent]:
    """Two hooks of one page ask at once; the browser hears of everything a while after the server logged it."""
    page = PAGE | {"user": user}
    seen = [
        Connecting(at=T0, eio="e1", component="useBoard", **page),
        Connecting(at=T0 + 0.001, eio="e2", component="useChat", **page),
        Connected(at=T0 + 0.08, sid="a", eio="e1", component="useBoard", **page),
        Connected(at=T0 + 0.10, sid="b", eio="e2", component="useChat", **page),
        Disconnected(at=T0 + 0.19, sid="a", eio="e1", component="useBoard", reason="io server disconnect", **page),
    ]
    here: dict[str, Any] = {"source": "scenario", "scenario": "single-connection"}
    return [PhaseStarted(at=T0 - 1, **here), *own_events([*logged, *seen]), PhaseEnded(at=T0 + 2, **here)]  # type: ignore[list-item]


def judged(events: list[AnyEvent]) -> ScenarioResult:
    (result,) = score_scenarios(events, RuleOptions(), Bar(Severity.ERROR, False))
    return result


KICKED_THEN_JOINED: tuple[Event, ...] = (
    Connected(at=T0 + 0.02, sid="a", line=1, **LOG),
    Disconnected(at=T0 + 0.085, sid="a", reason=AS_LOGGED, line=2, **LOG),
    Connected(at=T0 + 0.086, sid="b", line=3, **LOG),
)
"""A server that says goodbye to the old one before it greets the new one: read alone, one after the other."""


def test_a_log_that_ends_the_old_before_it_begins_the_new_hides_no_replacement() -> None:
    result = judged(broken_page(*KICKED_THEN_JOINED))
    found = {finding.rule: finding for finding in result.findings}
    assert {"multiple-connections", "connection-replaced"} <= found.keys(), result
    assert "useBoard" in found["multiple-connections"].message and "useChat" in found["multiple-connections"].message
    assert any(event.line == 2 for event in found["connection-replaced"].evidence), "the log's line is evidence"


def test_whom_a_page_shows_as_a_token_is_called_as_the_log_calls_them() -> None:
    result = judged(broken_page(*KICKED_THEN_JOINED))
    assert {finding.user for finding in result.findings} == {"ann"}


def test_a_name_that_the_page_shows_is_kept() -> None:
    """The log may call the same user something else, and which of the two is known elsewhere nobody can tell."""
    result = judged(broken_page(*KICKED_THEN_JOINED, user="7"))
    assert {finding.user for finding in result.findings} == {"7"}


def test_a_replacement_of_the_pages_connections_is_the_pages_whatever_the_log_calls_its_user() -> None:
    ours = Replaced(at=T0 + 0.084, old_sid="a", new_sid="b", **LOG)
    colleague = Replaced(at=T0 + 0.084, old_sid="x", new_sid="y", **LOG)
    kept = [event for event in broken_page(ours, colleague, *KICKED_THEN_JOINED) if isinstance(event, Replaced)]
    assert kept == [ours]


def test_a_replacement_that_is_logged_before_the_new_connection_still_names_both_openers() -> None:
    old, *rest = KICKED_THEN_JOINED
    result = judged(broken_page(old, Replaced(at=T0 + 0.084, old_sid="a", new_sid="b", line=2, **LOG), *rest))
    found = {finding.rule: finding for finding in result.findings}
    assert found["connection-replaced"].message == "the server replaced the connection of useBoard by that of useChat"
    assert found["connection-replaced"].count == 1 and "multiple-connections" in found
