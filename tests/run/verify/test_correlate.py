"""Tests of the correlation of a page's connections with those of the server's log."""

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
from wscheck.run.verify.run import own_events
from wscheck.run.verify.scoring import score_scenarios

T0 = 1795000000.0
HIDDEN = "(token 2c1415)"
PAGE: dict[str, Any] = {"source": "browser", "user": HIDDEN, "page": "tab 1"}
LOG: dict[str, Any] = {"source": "server-log", "user": "ann", "path": "server.log"}
AS_LOGGED = "server namespace disconnect"


def broken_page(*logged: Event, user: str = HIDDEN) -> list[AnyEvent]:
    """Return events of a page with two hooks. The browser observes everything some time after the server logged it."""
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


ENDED_THEN_CONNECTED: tuple[Event, ...] = (
    Connected(at=T0 + 0.02, sid="a", line=1, **LOG),
    Disconnected(at=T0 + 0.085, sid="a", reason=AS_LOGGED, line=2, **LOG),
    Connected(at=T0 + 0.086, sid="b", line=3, **LOG),
)
"""Log of a server that ends the old connection before it logs the new one, so that they do not overlap."""


def test_a_replacement_is_found_if_the_log_ends_the_old_connection_first() -> None:
    result = judged(broken_page(*ENDED_THEN_CONNECTED))
    found = {finding.rule: finding for finding in result.findings}
    assert {"multiple-connections", "connection-replaced"} <= found.keys(), result
    assert "useBoard" in found["multiple-connections"].message and "useChat" in found["multiple-connections"].message
    assert any(event.line == 2 for event in found["connection-replaced"].evidence), "the log's line is evidence"


def test_the_log_names_a_user_whom_the_page_shows_as_a_token() -> None:
    result = judged(broken_page(*ENDED_THEN_CONNECTED))
    assert {finding.user for finding in result.findings} == {"ann"}


def test_a_user_name_of_the_page_stays() -> None:
    """The log may name the same user differently, and neither name is known to be the better one."""
    result = judged(broken_page(*ENDED_THEN_CONNECTED, user="7"))
    assert {finding.user for finding in result.findings} == {"7"}


def test_a_replacement_belongs_to_the_page_whatever_user_the_log_names() -> None:
    ours = Replaced(at=T0 + 0.084, old_sid="a", new_sid="b", **LOG)
    colleague = Replaced(at=T0 + 0.084, old_sid="x", new_sid="y", **LOG)
    kept = [event for event in broken_page(ours, colleague, *ENDED_THEN_CONNECTED) if isinstance(event, Replaced)]
    assert kept == [ours]


def test_a_replacement_logged_before_the_new_connection_names_both_openers() -> None:
    old, *rest = ENDED_THEN_CONNECTED
    result = judged(broken_page(old, Replaced(at=T0 + 0.084, old_sid="a", new_sid="b", line=2, **LOG), *rest))
    found = {finding.rule: finding for finding in result.findings}
    assert (
        found["connection-replaced"].message
        == "the server replaced one of the connections of useBoard and useChat by the other"
    )
    assert found["connection-replaced"].count == 1 and "multiple-connections" in found
