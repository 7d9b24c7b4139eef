"""Causes that a page shows, and similar pages with another cause."""

from typing import Any

import pytest

from tests.conversation import START
from wscheck.detect.engine import Judge
from wscheck.detect.rules import BROWSER
from wscheck.model.code_facts import CallContext, Cleanup, OpenerCode
from wscheck.model.events import (
    ActionPerformed,
    CodeLocation,
    Connected,
    Connecting,
    Disconnected,
    Event,
    HandlersRegistered,
    Refused,
    Replaced,
)
from wscheck.model.findings import Finding

IO = CodeLocation("node_modules/socket.io-client/build/esm/index.js", 29, 25, "lookup")
SHARED, ONE, TWO = (
    CodeLocation("src/open.ts", 7, 10),
    CodeLocation("src/one.tsx", 5, 3),
    CodeLocation("src/two.tsx", 9, 3),
)
REACT = "node_modules/react-dom/cjs/react-dom-client.development.js"
EFFECT, RENDER = CodeLocation(REACT, 1, 1, "commitHookEffectListMount"), CodeLocation(REACT, 2, 1, "renderWithHooks")
WRAPPED = CodeLocation("http://h/page.js", 410, 1, "(app-pages-browser)/./src/one.tsx")
UPDATED = CodeLocation("http://h/webpack/page.a56e.hot-update.js", 18, 1, "(app-pages-browser)/./src/one.tsx")
TWICE = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.CLOSES, mounted=2)
INITIAL, AGAIN = CodeLocation(REACT, 3, 1, "mountMemo"), CodeLocation(REACT, 5, 1, "updateMemo")
DOUBLED = CodeLocation(REACT, 4, 1, "doubleInvokeEffectsOnFiber")


def opened(sid: str, at: float, *frames: CodeLocation, **more: Any) -> Connected:
    own = next((place for place in frames if place.file.startswith("src/")), None)
    where = {"page": "tab 1", "user": "u", "eio": f"e{sid}", "source": "browser", "url": "http://h/socket.io/"}
    return Connected(at=START + at, sid=sid, opener=own, stack=(IO, *frames), **{**where, **more})


def closed(sid: str, at: float, reason: str) -> Disconnected:
    return Disconnected(at=START + at, sid=sid, user="u", eio=f"e{sid}", page="tab 1", reason=reason, source="browser")


def registered(at: float, *places: CodeLocation, **more: Any) -> HandlersRegistered:
    return HandlersRegistered(at=START + at, sid="s", user="u", page="tab 1", name="sync", handlers=places, **more)


def judged(*events: Event) -> list[Finding]:
    judge = Judge(rules=BROWSER)
    for event in events:
        judge.feed(event)
    return judge.finish(START + 10)


def causes(*events: Event) -> set[str | None]:
    return {finding.cause.id if finding.cause else None for finding in judged(*events)}


@pytest.mark.parametrize(
    ("first", "second", "cause"),
    [
        (opened("a", 0, ONE, EFFECT), opened("b", 1, TWO, EFFECT), "two-openers"),
        (opened("a", 0, SHARED, ONE, EFFECT), opened("b", 1, SHARED, TWO, EFFECT), "two-openers"),
        (opened("a", 0, ONE, RENDER), opened("b", 1, ONE, RENDER), "io-in-render"),
        (opened("a", 0, ONE, INITIAL, RENDER), opened("b", 1, ONE, INITIAL, RENDER), "unmount-without-cleanup"),
        (opened("a", 0, ONE, INITIAL, RENDER), opened("b", 1, ONE, AGAIN, RENDER), "io-in-render"),
        (opened("a", 0, ONE, EFFECT), opened("b", 1, ONE, EFFECT), "unmount-without-cleanup"),
        (opened("a", 0, ONE, EFFECT), opened("b", 0.004, ONE, EFFECT), "unmount-without-cleanup"),
        (opened("a", 0, ONE, EFFECT, code=TWICE), opened("b", 1, ONE, EFFECT, code=TWICE), "two-openers"),
        (opened("a", 0, ONE, DOUBLED, code=TWICE), opened("b", 1, ONE, DOUBLED, code=TWICE), "two-openers"),
        (opened("a", 0, ONE, EFFECT), opened("b", 0.004, ONE, DOUBLED), "effect-without-cleanup"),
        (opened("a", 0, ONE, EFFECT), opened("b", 1, ONE, DOUBLED), "effect-without-cleanup"),
        (opened("a", 0, SHARED, ONE, DOUBLED), opened("b", 0.004, SHARED, TWO, DOUBLED), "two-openers"),
        (
            opened("a", 0, ONE, EFFECT, url="http://h/socket.io/?view=~1"),
            opened("b", 0.004, ONE, EFFECT, url="http://h/socket.io/?view=~2"),
            "forced-new-connection",
        ),
        (opened("a", 0, ONE, fingerprint="x"), opened("b", 1, ONE, fingerprint="y"), "token-refresh"),
        (
            opened("a", 0, ONE, script="http://h/m.js?~1", client="http://h/v.js"),
            opened("b", 1, ONE, script="http://h/m.js?~2", client="http://h/v.js"),
            "hot-reload",
        ),
        (
            opened("a", 0, ONE, script="http://h/m.1.js", client="http://h/v.js"),
            opened("b", 1, ONE, script="http://h/m.2.js", client="http://h/v.js"),
            "hot-reload",
        ),
        (
            opened("a", 0, ONE, WRAPPED, script="webpack-internal:/one", client="c"),
            opened("b", 1, ONE, UPDATED, script="webpack-internal:/one", client="c"),
            "hot-reload",
        ),
        (
            opened("a", 0, ONE, client="http://h/a.js", namespace="/a"),
            opened("b", 1, TWO, client="http://h/b.js", namespace="/b"),
            "two-bundles",
        ),
        (opened("a", 0, ONE, EFFECT), opened("b", 1, ONE, EFFECT, page="tab 2"), "several-tabs"),
    ],
)
def test_the_cause_of_two_connections_of_a_page(first: Connected, second: Connected, cause: str) -> None:
    assert causes(first, second) == {cause}


def requested(sid: str, at: float) -> Event:
    return Connecting(at=START + at, user="u", page="tab 1", eio=f"e{sid}", stack=(IO, ONE, EFFECT), source="browser")


@pytest.mark.parametrize("apart", [0.01, 0.9])
def test_requests_before_the_first_answer_may_be_two_components_if_the_code_is_unknown(apart: float) -> None:
    answers = (opened("a", 1, ONE, EFFECT), opened("b", 3, ONE, EFFECT))
    (found,) = judged(requested("a", 0), requested("b", apart), *answers)
    assert found.cause is not None and (found.cause.id, found.cause.confidence) == ("two-openers", "medium")


@pytest.mark.parametrize("kept_up", [("a", "b"), ("b", "a")], ids=lambda order: order[0])
def test_a_page_that_stalled_between_two_components_received_no_answer_meanwhile(kept_up: tuple[str, str]) -> None:
    """In either order of the acknowledgements."""
    first, second = kept_up
    started = (requested("a", 0), requested("b", 0.3))
    answers = (opened(first, 0.31, ONE, EFFECT), opened(second, 0.32, ONE, EFFECT))
    assert {(f.cause and f.cause.id, f.cause and f.cause.confidence) for f in judged(*started, *answers)} == {
        ("two-openers", "medium")
    }


def test_a_page_that_received_an_answer_opened_the_next_connection_in_a_later_run() -> None:
    """A component that is shown again is not mistaken for two components, on a slow or a fast machine."""
    events = (requested("a", 0), opened("a", 0.01, ONE, EFFECT), requested("b", 0.02), opened("b", 0.03, ONE, EFFECT))
    assert causes(*events) == {"unmount-without-cleanup"}


def test_a_framework_component_created_twice_is_not_two_openers() -> None:
    later = CodeLocation("src/timer.ts", 3, 1)
    assert causes(opened("a", 0, ONE, RENDER), opened("b", 1, ONE, RENDER, later)) == {"io-in-render"}


def swaps(count: int, answered_after: float = 0.01, requested_after: float = 0.001) -> list[Event]:
    """The client closes its connection and opens the next at once, several times."""
    events: list[Event] = [opened("s0", 0, ONE, EFFECT)]
    for n in range(1, count + 1):
        events += [closed(f"s{n - 1}", n, "io client disconnect"), requested(f"s{n}", n + requested_after)]
        events.append(opened(f"s{n}", n + answered_after, ONE, EFFECT))
    return events


def test_visits_by_wscheck_are_no_effect_that_runs_again() -> None:
    visits = [ActionPerformed(at=START + n, page="tab 1", action="visit /gate") for n in range(1, 8)]
    healthy = sorted([*swaps(6), *visits], key=lambda event: event.at or 0.0)
    leak = (opened("t0", 9, TWO, EFFECT), opened("t1", 10, TWO, EFFECT))
    assert "unstable-dependency" not in causes(*healthy, *leak)
    assert "unstable-dependency" in causes(*swaps(6), *leak), "without the visits it is one"


def test_a_request_at_the_time_of_the_close_follows_the_close() -> None:
    """A busy page may send both in the same millisecond. An action after it is not the reason for the request."""
    events = swaps(6, answered_after=0.6, requested_after=0.0)
    actions = [ActionPerformed(at=START + n + 0.3, page="tab 1", action="visit /gate") for n in range(1, 7)]
    assert causes(*sorted([*events, *actions], key=lambda event: event.at or 0.0)) == {"unstable-dependency"}
    (found,) = judged(*swaps(6, answered_after=0.0, requested_after=0.0))
    assert found.cause is not None and "6 times" in found.cause.because


@pytest.mark.parametrize("answered_after", [0.01, 0.6], ids=["fast", "a busy server"])
def test_an_effect_that_runs_again_and_again(answered_after: float) -> None:
    (found,) = judged(*swaps(6, answered_after))
    assert (found.rule, found.cause and found.cause.id) == ("excessive-attempts", "unstable-dependency")
    assert found.cause is not None and "6 times" in found.cause.because
    assert judged(*swaps(3)) == [], "few enough"


def test_a_loop_is_recognised_at_any_intervals() -> None:
    events: list[Event] = [opened("s0", 0, ONE, EFFECT)]
    for n, at in enumerate((0.3, 1.9, 2.2, 5.0, 5.1, 7.7, 8.0), start=1):
        events += [
            opened(f"s{n}", at, (ONE, TWO)[n % 2], EFFECT),
            closed(f"s{n - 1}", at + 0.01, "io server disconnect"),
        ]
    attempts = next(finding for finding in judged(*events) if finding.rule == "excessive-attempts")
    assert attempts.cause is not None and attempts.cause.id == "reconnect-on-kick"


def test_a_loop_of_components_without_a_call_site_is_recognised_at_any_intervals() -> None:
    """The simulated client knows its components, and the server's log tells each replacement."""
    events: list[Event] = []
    for n, at in enumerate((0.0, 0.3, 1.9, 2.2, 5.0, 5.1, 7.7)):
        component = ("Header", "Chat")[n % 2]
        events.append(Connected(at=at, source="client", user="A", sid=f"s{n}", page="tab-1", component=component))
        if n:
            ids: dict[str, Any] = {"old_sid": f"s{n - 1}", "new_sid": f"s{n}"}
            events.append(Replaced(at=at + 0.01, source="server-log", user="A", **ids))
            reason = "io server disconnect"
            events.append(Disconnected(at=at + 0.02, source="client", user="A", sid=f"s{n - 1}", reason=reason))
    attempts = next(finding for finding in judged(*events) if finding.rule == "excessive-attempts")
    assert attempts.cause is not None and attempts.cause.id == "reconnect-on-kick"
    assert attempts.cause.because.startswith("5 times the server ended a connection and its opener connected again")


def test_a_connection_requested_before_the_servers_end_is_no_reconnection() -> None:
    """A memo or component opens a connection with each render, and the server ends the one before: no client loops."""
    events: list[Event] = [opened("s0", 0, ONE, EFFECT)]
    for n in range(1, 8):
        events += [requested(f"s{n}", n), closed(f"s{n - 1}", n + 0.02, "io server disconnect")]
        events.append(opened(f"s{n}", n + 0.03, ONE, EFFECT))
    events[3:5] = []  # unsteady, so that no timer can be meant
    events += [requested("s9", 7.4), closed("s7", 7.42, "io server disconnect"), opened("s9", 7.43, ONE, EFFECT)]
    attempts = next(finding for finding in judged(*events) if finding.rule == "excessive-attempts")
    assert attempts.cause is None


def test_a_cause_found_in_a_browser_does_not_propose_a_browser() -> None:
    events: list[Event] = [opened("s0", 0, ONE, EFFECT)]
    for n in range(1, 8):
        events += [opened(f"s{n}", n * 0.3, ONE, EFFECT), closed(f"s{n - 1}", n * 0.3, "io server disconnect")]
    attempts = next(finding for finding in judged(*events) if finding.rule == "excessive-attempts")
    assert attempts.cause is not None and attempts.cause.confidence == "medium" and not attempts.cause.settle_by


def test_a_refused_second_connection_of_a_page_has_the_cause_of_an_accepted_one() -> None:
    refused = Refused(
        at=START + 1, user="u", source="browser", page="tab 1", eio="eb", reason="refused", opener=TWO, stack=(IO, TWO)
    )
    assert causes(opened("a", 0, ONE, EFFECT), refused) == {"two-openers"}


def test_requests_that_reach_another_process() -> None:
    refused = [
        Refused(at=START + n / 10, user="u", source="browser", message="Session ID unknown", stack=(IO, ONE))
        for n in range(8)
    ]
    assert causes(*refused) == {"no-sticky-session"}


def test_growing_handlers_are_certain_and_handlers_added_at_once_are_not() -> None:
    grown = judged(registered(0, ONE), registered(1, ONE, ONE), registered(2, ONE, ONE, ONE))
    assert [(f.rule, f.severity, f.cause and f.cause.id) for f in grown] == [
        ("event-duplicated", "error", "handler-without-off")
    ]
    assert "3 times" in grown[0].message and str(ONE) in grown[0].message
    assert [f.severity for f in judged(registered(0, ONE, ONE))] == ["note"], "a hook of two components"
    assert judged(registered(0, ONE, TWO)) == [], "two handlers are two handlers"
    (inside,) = judged(registered(0, ONE, ONE, inside="connect"))
    assert inside.cause is not None and (inside.severity, inside.cause.id) == ("error", "handler-in-connect")
