"""Gaps in the evidence of pages, in a run and in its recording."""

from typing import Any

import pytest

from tests.counted_calls import counted_calls
from wscheck.detect.engine import RuleOptions
from wscheck.model.events import AnyEvent, Connected, Delivered, Disconnected, PhaseEnded, Refused
from wscheck.model.findings import Bar, Verdict
from wscheck.observe.traffic.inconclusive import unknown_owners
from wscheck.run.page_report import evaluate_pages, summarize_connections
from wscheck.run.verify.scoring import evaluate_observed

APP, WIDGET = "http://app/socket.io/", "http://chat.example.com/socket.io/"
KICK, LEFT = "io server disconnect", "io client disconnect"


def opened(at: float, sid: str, user: str, page: str = "tab 1", url: str = APP) -> Connected:
    return Connected(at=float(at), source="browser", sid=sid, eio=f"e{sid}", user=user, page=page, url=url)


def ended(at: float, sid: str, user: str, reason: str) -> Disconnected:
    return Disconnected(at=float(at), source="browser", sid=sid, user=user, page="tab 1", reason=reason)


def verdict(*events: AnyEvent) -> tuple[Verdict, str]:
    """Return the verdict and the reason of the run, which are also those of its recording."""
    seen = [*events, PhaseEnded(at=100.0, source="browser")]
    live = evaluate_pages(seen, RuleOptions(), Bar(), target="page")
    findings, decision = evaluate_observed(seen, RuleOptions(), Bar())
    assert findings == live.findings == []
    assert (decision.verdict, decision.reason) == (live.verdict, live.reason)
    return live.verdict, live.reason


def unknown_user(number: int, **more: Any) -> Connected:
    return opened(number, f"s{number}", f"(user of tab {number})", page=f"tab {number}", **more)


def test_two_pages_with_unknown_users_may_belong_to_one_user() -> None:
    told, reason = verdict(unknown_user(1), unknown_user(2))
    assert told is Verdict.INCONCLUSIVE
    assert reason.startswith("tab 1 and tab 2 may belong to one user: the user of tab 1, tab 2 is unknown; say where")


def test_an_unknown_user_may_be_the_known_user_of_another_page() -> None:
    told, reason = verdict(opened(1, "s1", "ann"), unknown_user(2))
    assert (told, "the user of tab 2 is unknown" in reason) == (Verdict.INCONCLUSIVE, True)


def test_one_page_with_an_unknown_user_passes() -> None:
    assert verdict(unknown_user(1)) == (Verdict.PASSED, "")


def test_a_server_without_known_users_is_ignored_if_another_has_them() -> None:
    widgets = unknown_user(1, url=WIDGET), unknown_user(2, url=WIDGET)
    apps = opened(3, "s3", "ann"), opened(4, "s4", "bob", page="tab 2")
    assert verdict(*widgets, *apps) == (Verdict.PASSED, "")


def test_an_unexplained_end_of_the_only_connection_is_inconclusive() -> None:
    told, reason = verdict(opened(1, "s1", "ann"), ended(5, "s1", "ann", KICK))
    assert told is Verdict.INCONCLUSIVE
    assert reason.startswith("the server ended the only connection of ann, and no observed connection replaced it")


@pytest.mark.parametrize(
    "events",
    [
        [opened(1, "s1", "ann"), ended(5, "s1", "ann", LEFT)],
        [opened(1, "s1", "ann"), ended(5, "s1", "ann", KICK), opened(9, "s2", "ann")],
        [
            opened(1, "s1", "ann"),
            ended(5, "s1", "ann", KICK),
            opened(9, "s2", "ann"),
            ended(10, "s2", "ann", LEFT),
        ],
    ],
    ids=["the page left", "it is connected again", "and left after that"],
)
def test_a_user_that_left_or_reconnected_passes(events: list[AnyEvent]) -> None:
    assert verdict(*events) == (Verdict.PASSED, "")


def test_a_page_whose_connection_was_refused_is_noted() -> None:
    refused = Refused(at=2.0, source="browser", user="ann", page="tab 2", eio="e2", reason="refused", message="full")
    notes = evaluate_pages([opened(1, "s1", "ann"), refused], RuleOptions(), Bar(), target="page").notes
    assert notes == ["tab 2 was refused its connection: full."]


def test_a_single_connection_that_closed_before_any_event_proves_nothing() -> None:
    told, reason = verdict(opened(1, "a", "ann"), ended(2, "a", "ann", LEFT))
    assert told is Verdict.INCONCLUSIVE and "before any event arrived" in reason and "--for" in reason


@pytest.mark.parametrize("used", [True, False], ids=["an event arrived", "another connection"])
def test_a_page_whose_connections_all_closed_passes_with_a_note(used: bool) -> None:
    first: list[AnyEvent] = [opened(1, "a", "ann"), ended(3, "a", "ann", LEFT)]
    more: list[AnyEvent] = [opened(4, "b", "ann"), ended(5, "b", "ann", LEFT)]
    if used:
        more = [Delivered(at=2.0, source="browser", sid="a", user="ann", page="tab 1", name="moved", digest="d")]
    events: list[AnyEvent] = [first[0], *more, first[1]] if used else [*first, *more]
    assert verdict(*events)[0] is Verdict.PASSED
    report = evaluate_pages([*events, PhaseEnded(at=9.0, source="browser")], RuleOptions(), Bar(), target="page")
    assert any(note.startswith("No connection was open at the end") for note in report.notes)


def test_each_of_many_endpoints_and_users_is_read_once() -> None:
    counts = list[int]()
    for size in (200, 400):
        events = [opened(n, f"s{n}", f"u{n}", url=f"http://h{n}/socket.io/") for n in range(size)]
        with counted_calls() as count:
            assert unknown_owners(events) == []
        counts.append(count.calls)
        assert len(summarize_connections(events)) == size
    assert counts[1] < 3 * counts[0]
