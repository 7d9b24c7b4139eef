"""The summary is one sentence about the user with the worst finding."""

import time
from typing import Any

import pytest

from wscheck.model.events import CodeLocation, Connected, Disconnected, Event
from wscheck.model.findings import Cause, Confidence, Finding, Severity
from wscheck.run.page_report import summarize, summarize_connections

SHARED, ONE, TWO = (
    CodeLocation("src/open.ts", 7, 10),
    CodeLocation("src/one.tsx", 5, 3),
    CodeLocation("src/two.tsx", 9, 3),
)


def opened(sid: str, user: str, *stack: CodeLocation) -> Connected:
    return Connected(at=1.0, source="browser", sid=sid, user=user, page="tab 1", opener=stack[0], stack=stack)


def finding(user: str, rule: str = "multiple-connections", **more: Any) -> Finding:
    fields = {
        "severity": Severity.ERROR,
        "confidence": Confidence.HIGH,
        "message": "holds 2 connections at once",
        **more,
    }
    return Finding(rule=rule, user=user, **fields)


def test_no_finding_has_no_summary() -> None:
    assert summarize([opened("a", "ann", ONE)], []) == ""


def test_only_the_user_with_the_worst_finding_is_summarized() -> None:
    events: list[Event] = [opened("a", "ann", ONE), opened("b", "ann", TWO), opened("c", "bob", SHARED)]
    summary = summarize(events, [finding("ann", connections=2), finding("bob", "connection-replaced", count=9)])
    assert summary == "ann: holds 2 connections at once, one opened by src/one.tsx:5:3, another by src/two.tsx:9:3"


def test_callers_of_shared_code_are_named() -> None:
    summary = summarize([opened("a", "ann", SHARED, ONE), opened("b", "ann", SHARED, TWO)], [finding("ann")])
    assert "one (src/one.tsx:5:3, through src/open.ts:7:10)" in summary
    assert "two (src/two.tsx:9:3, through src/open.ts:7:10)" in summary


def test_thousands_of_connections_of_one_opener_are_summarized_quickly() -> None:
    """Comparing every pair of stacks would take minutes."""
    stack = (SHARED, *(CodeLocation(f"src/deep{n}.ts", n + 1, 1) for n in range(30)))
    events: list[Event] = [opened(f"s{n}", "ann", *stack) for n in range(2_000)]
    started = time.process_time()
    summary = summarize(events, [finding("ann")])
    assert summary == "ann: 2000 connections were opened, all by src/open.ts:7:10"
    assert [one.diverges_at for one in summarize_connections(events)] == [None] * 2_000
    assert time.process_time() - started < 10, "CPU seconds; comparing every pair takes twenty minutes"


def test_connections_of_one_opener_and_replacements_are_counted() -> None:
    events: list[Event] = [opened(sid, "ann", ONE) for sid in "abc"]
    summary = summarize(events, [finding("ann"), finding("ann", "connection-replaced", count=2)])
    assert (
        summary == "ann: 3 connections were opened, all by src/one.tsx:5:3; the server replaced one by another 2 times"
    )


def test_callers_in_a_bundle_without_a_map_are_named_only_for_two_openers() -> None:
    """Otherwise one component that mounts twice would be two callers, named after functions of the framework."""
    setup, mounted, pushed = (CodeLocation("http://h/main.js", 4, column) for column in (138632, 9735, 40063))
    deep = tuple(CodeLocation("http://h/main.js", 4, column) for column in range(50, 54))
    events: list[Event] = [opened("a", "ann", setup, mounted, *deep), opened("b", "ann", setup, pushed, *deep)]
    remounted, two = (Cause(id, "", "", Confidence.HIGH, "", "") for id in ("unmount-without-cleanup", "two-openers"))
    assert "all by http://h/main.js:4:138632" in summarize(events, [finding("ann", cause=remounted)])
    assert "through http://h/main.js:4:138632" in summarize(events, [finding("ann", cause=two)])


@pytest.mark.parametrize(
    ("openers", "closed", "summary"),
    [
        ((ONE, ONE, TWO), "", "ann: holds 3 connections at once, opened by src/one.tsx:5:3, src/two.tsx:9:3"),
        ((ONE, ONE, ONE), "", "ann: holds 3 connections at once, all opened by src/one.tsx:5:3"),
        ((SHARED, ONE, TWO), "0", "one opened by src/one.tsx:5:3, another by src/two.tsx:9:3"),
    ],
)
def test_the_summary_counts_the_connections_that_were_open_at_once(
    openers: tuple[CodeLocation, ...], closed: str, summary: str
) -> None:
    events: list[Event] = []
    for n, opener in enumerate(openers):
        events.append(opened(str(n), "ann", opener))
        if str(n) in closed:
            events.append(Disconnected(at=1.0, sid=str(n), user="ann"))
    count = len(openers) - len(closed)
    assert summary in summarize(events, [finding("ann", connections=count)])


def test_namespaces_of_one_session_are_one_connection_that_ends_with_the_last() -> None:
    events: list[Event] = []
    for sid, namespace in (("a", "/"), ("b", "/chat")):
        events.append(Connected(at=1.0, sid=sid, eio="E", user="ann", namespace=namespace))
    events.append(Disconnected(at=2.0, sid="a", eio="E", user="ann", reason="io client disconnect"))
    (one,) = summarize_connections(events)
    assert (one.namespaces, one.closed_at) == (["/", "/chat"], None)
    events.append(Disconnected(at=3.0, sid="b", eio="E", user="ann", reason="transport close"))
    (one,) = summarize_connections(events)
    assert (one.closed_at, one.reason) == (3.0, "transport close")
