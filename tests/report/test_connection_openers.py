"""Openers of connections, and the callers of a shared opener."""

from wscheck.detect.engine import Judge
from wscheck.model.events import CodeLocation, Connected
from wscheck.model.findings import Finding
from wscheck.report.finding_text import OpenerIndex
from wscheck.report.locations import finding_locations

SHARED = CodeLocation("src/services/openSocket.ts", 7, 10, "openSocket")
BOT, WHATSAPP = (
    CodeLocation("src/hooks/useBot.ts", 5, 18, ""),
    CodeLocation("src/hooks/useWhatsApp.ts", 9, 18, "useWhatsApp"),
)


def opened(sid: str, at: float, *stack: CodeLocation) -> Connected:
    return Connected(
        at=at,
        source="browser",
        user="u",
        page="tab 1",
        sid=sid,
        eio=sid,
        component="openSocket",
        opener=stack[0],
        stack=stack,
    )


def found(*events: Connected) -> Finding:
    judge = Judge()
    for event in events:
        judge.feed(event)
    (finding,) = judge.finish(10.0)
    return finding


def text(*events: Connected) -> list[str]:
    return [str(opening) for opening in OpenerIndex(events).openers_for(found(*events))]


def test_the_callers_of_a_shared_opener_are_named() -> None:
    assert text(opened("a", 1.0, SHARED, BOT), opened("b", 2.0, SHARED, WHATSAPP)) == [
        "useBot at src/hooks/useBot.ts:5:18, through openSocket at src/services/openSocket.ts:7:10 (a)",
        "useWhatsApp at src/hooks/useWhatsApp.ts:9:18, through openSocket at src/services/openSocket.ts:7:10 (b)",
    ]


def test_two_connections_of_one_caller_have_one_opener() -> None:
    assert text(opened("a", 1.0, SHARED, BOT), opened("b", 2.0, SHARED, BOT)) == [
        "openSocket at src/services/openSocket.ts:7:10 (a, b)"
    ]


def test_the_opener_of_most_connections_comes_first() -> None:
    events = [opened("a", 1.0, BOT), opened("b", 2.0, WHATSAPP), opened("c", 3.0, WHATSAPP)]
    assert text(*events)[0].endswith("(b, c)")


def test_callers_are_locations_only_of_a_shared_opener() -> None:
    shared = finding_locations(found(opened("a", 1.0, SHARED, BOT), opened("b", 2.0, SHARED, WHATSAPP)), [])
    assert {each.location for each in shared if each.description == "a caller of the shared opener"} == {BOT, WHATSAPP}
    apart = finding_locations(found(opened("a", 1.0, BOT, SHARED), opened("b", 2.0, WHATSAPP, SHARED)), [])
    assert [(each.location, each.description) for each in apart] == [
        (BOT, "a connection is opened here"),
        (WHATSAPP, "a connection is opened here"),
    ]
