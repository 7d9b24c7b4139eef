"""The summary is one sentence about the user with the worst finding."""

import time
from typing import Any

from wscheck.model.events import CodeLocation, Connected, Event
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
    summary = summarize(events, [finding("ann"), finding("bob", "connection-replaced", count=9)])
    assert summary == "ann: holds 2 connections, one opened by src/one.tsx:5:3, another by src/two.tsx:9:3"


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
