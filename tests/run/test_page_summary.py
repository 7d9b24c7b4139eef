"""A browser's run in one sentence: of the user with the worst finding, and of nobody else."""

import time
from typing import Any

from wscheck.model.events import CodeLocation, Connected, Event
from wscheck.model.findings import Cause, Confidence, Finding, Severity
from wscheck.run.page_report import connections
from wscheck.run.page_summary import statement

SHARED, ONE, TWO = (
    CodeLocation("src/open.ts", 7, 10),
    CodeLocation("src/one.tsx", 5, 3),
    CodeLocation("src/two.tsx", 9, 3),
)


def opened(sid: str, user: str, *stack: CodeLocation) -> Connected:
    return Connected(at=1.0, source="browser", sid=sid, user=user, page="tab 1", opener=stack[0], stack=stack)


def found(user: str, rule: str = "multiple-connections", **more: Any) -> Finding:
    fields = {
        "severity": Severity.ERROR,
        "confidence": Confidence.HIGH,
        "message": "holds 2 connections at once",
        **more,
    }
    return Finding(rule=rule, user=user, **fields)


def test_nothing_found_is_nothing_said() -> None:
    assert statement([opened("a", "ann", ONE)], []) == ""


def test_only_the_connections_and_findings_of_the_worst_off_are_told() -> None:
    events: list[Event] = [opened("a", "ann", ONE), opened("b", "ann", TWO), opened("c", "bob", SHARED)]
    told = statement(events, [found("ann"), found("bob", "connection-replaced", count=9)])
    assert told == "ann: holds 2 connections, one opened by src/one.tsx:5:3, another by src/two.tsx:9:3"


def test_through_shared_code_the_callers_are_told() -> None:
    told = statement([opened("a", "ann", SHARED, ONE), opened("b", "ann", SHARED, TWO)], [found("ann")])
    assert "one (src/one.tsx:5:3, through src/open.ts:7:10)" in told
    assert "two (src/two.tsx:9:3, through src/open.ts:7:10)" in told


def test_thousands_that_one_loop_opened_are_told_as_soon_as_two() -> None:
    """Comparing each stack with each other took minutes."""
    stack = (SHARED, *(CodeLocation(f"src/deep{n}.ts", n + 1, 1) for n in range(30)))
    events: list[Event] = [opened(f"s{n}", "ann", *stack) for n in range(2_000)]
    began = time.process_time()
    told = statement(events, [found("ann")])
    assert told == "ann: 2000 connections were opened, all by src/open.ts:7:10"
    assert [one.diverges_at for one in connections(events)] == [None] * 2_000
    assert time.process_time() - began < 10, "seconds; each with each other: twenty minutes"


def test_one_opener_is_told_with_how_many_it_opened_and_replacements_are_counted() -> None:
    events: list[Event] = [opened(sid, "ann", ONE) for sid in "abc"]
    told = statement(events, [found("ann"), found("ann", "connection-replaced", count=2)])
    assert told == "ann: 3 connections were opened, all by src/one.tsx:5:3; the server replaced one by another 2 times"


def test_in_a_bundle_without_a_map_frames_tell_callers_apart_only_where_two_openers_were_found() -> None:
    """Else one component that came again would be two, called as the framework's inner functions are."""
    setup, mounted, pushed = (CodeLocation("http://h/main.js", 4, column) for column in (138632, 9735, 40063))
    deep = tuple(CodeLocation("http://h/main.js", 4, column) for column in range(50, 54))
    events: list[Event] = [opened("a", "ann", setup, mounted, *deep), opened("b", "ann", setup, pushed, *deep)]
    came_again, two = (Cause(id, "", "", Confidence.HIGH, "", "") for id in ("unmount-without-cleanup", "two-openers"))
    assert "all by http://h/main.js:4:138632" in statement(events, [found("ann", cause=came_again)])
    assert "through http://h/main.js:4:138632" in statement(events, [found("ann", cause=two)])
