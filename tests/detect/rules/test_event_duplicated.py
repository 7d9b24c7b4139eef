"""event-duplicated: the same payload twice on one page, or handled more often than it arrived."""

from typing import Any

import pytest

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules import RuleOptions
from wscheck.detect.rules.event_duplicated import EventDuplicated
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Confidence, Severity


def test_one_event_on_two_connections_of_one_page() -> None:
    conversation = user("A").receives("sync", at=0, sid="s1").receives("sync", at=0.01, sid="s2")
    found = one(judged(EventDuplicated, conversation))
    assert (found.user, found.severity, found.confidence) == ("A", Severity.ERROR, Confidence.HIGH)
    assert found.message == "sync arrived on 2 connections of one page"


@pytest.mark.parametrize(
    ("urls", "findings"),
    [
        (("ws://h/chat", "ws://h/metrics"), 0),
        (("http://one:81/socket.io/", "http://two:82/socket.io/"), 0),
        (("ws://h/chat", "ws://h/chat/"), 1),
        (("ws://h/chat", None), 1),
    ],
)
def test_equal_messages_of_two_services_are_no_duplicate(urls: tuple[str, str | None], findings: int) -> None:
    conversation = user("A", page="tab-1")
    for sid, url in zip(("s1", "s2"), urls, strict=True):
        conversation.connects(sid, at=0, url=url)
    conversation.receives("message", at=1, sid="s1").receives("message", at=1.01, sid="s2")
    assert len(judged(EventDuplicated, conversation)) == findings


def test_one_event_twice_on_one_connection() -> None:
    conversation = user("A").receives("sync", at=0).receives("sync", at=0.01)
    assert one(judged(EventDuplicated, conversation)).message == "sync arrived 2 times on one connection"


def test_two_tabs_that_each_receive_it_are_no_duplicate() -> None:
    conversation = (
        user("A").receives("sync", at=0, sid="s1", page="tab-1").receives("sync", at=0, sid="s2", page="tab-2")
    )
    assert judged(EventDuplicated, conversation) == []


@pytest.mark.parametrize(
    ("reason", "times"), [("transport close", 0), ("io client disconnect", 0), ("io server disconnect", 1)]
)
def test_a_greeting_on_the_connection_after_a_lost_one_is_no_duplicate(reason: str, times: int) -> None:
    """A connection that the server closed is the documented fault: the event arrives on it and on the next one."""
    conversation = (
        user("A", page="tab-1").connects("s1", at=0).receives("welcome", at=0).disconnects("s1", at=0.5, reason=reason)
    )
    conversation.connects("s2", at=0.6).receives("welcome", at=0.6, sid="s2")
    assert sum(found.count for found in judged(EventDuplicated, conversation)) == times
    conversation.receives("welcome", at=0.7, sid="s2")
    assert "2" in judged(EventDuplicated, conversation)[0].message


def beside(*opened: float, at: float) -> Conversation:
    """Connections of one page, and one event that arrives on all of them."""
    said = user("A", page="tab-1")
    for n, each in enumerate(opened):
        said.connects(f"s{n}", at=each)
    for n in range(len(opened)):
        said.receives("status", at=at + n / 1000, sid=f"s{n}")
    return said


@pytest.mark.parametrize(
    ("ended", "reason", "count"),
    [
        (0.15, "io client disconnect", 0),
        (0.15, "transport close", 0),
        (0.15, "io server disconnect", 1),
        (0.4, "io client disconnect", 1),
        (None, "", 1),
    ],
)
@pytest.mark.parametrize("sid", ["s0", "s1"])
def test_an_event_on_a_connection_that_the_page_closes_within_the_grace_period(
    sid: str, ended: float | None, reason: str, count: int
) -> None:
    said = beside(0, 0.05, at=0.1)
    if ended is not None:
        said.disconnects(sid, at=ended, reason=reason)
    found = judged(EventDuplicated, said.watched(until=5))
    assert sum(each.count for each in found) == count
    long = judged(EventDuplicated, said, RuleOptions(grace_s=1))
    assert bool(long) is (ended is None or "server" in reason)


def test_an_event_on_three_connections_of_which_one_is_closed_at_once() -> None:
    said = beside(0, 0.01, 0.02, at=0.1).disconnects("s0", at=0.15, reason="io client disconnect").watched(until=5)
    assert [each.message for each in judged(EventDuplicated, said)] == ["status arrived on 2 connections of one page"]


def test_the_evidence_ends_before_the_grace_period() -> None:
    judge = Judge(None, [EventDuplicated])
    for event in beside(0, 0.05, at=0.1).watched(until=0.2).events:
        judge.feed(event)
    assert judge.finish() == []
    assert [gap.id for gap in judge.gaps] == ["evidence-ends-early"] and "on which status arrived" in judge.gaps[
        0
    ].reason


HOOK = CodeLocation("src/useEvent.ts", 9)


@pytest.mark.parametrize(
    ("counts", "inside", "removes", "severity"),
    [
        ((2,), None, None, Severity.NOTE),
        ((1, 2), None, None, Severity.NOTE),
        ((1, 2), None, False, Severity.WARNING),
        ((1, 2, 3), None, None, Severity.ERROR),
        ((1, 2, 3), None, False, Severity.ERROR),
        ((2,), "connect", None, Severity.ERROR),
    ],
    ids=[
        "at once",
        "a second one",
        "a second one, never removed",
        "ever more",
        "ever more, never removed",
        "in the connect handler",
    ],
)
def test_several_handlers_of_one_code_location(
    counts: tuple[int, ...], inside: str | None, removes: bool | None, severity: Severity
) -> None:
    """Two components may share a hook that registers a handler for each and removes it."""
    conversation = user("A")
    for at, count in enumerate(counts):
        conversation.has_handlers("sync", at, *[HOOK] * count, inside=inside, removes=removes)
    found = one(judged(EventDuplicated, conversation))
    assert found.severity is severity
    assert ("components that share a hook" in found.message) is (severity is not Severity.ERROR)
    assert (found.confidence is Confidence.HIGH) is (severity is Severity.ERROR)


def test_components_that_share_a_connection_and_remove_their_handlers_are_no_fault() -> None:
    conversation = user("A")
    for at, count in enumerate((1, 2, 3)):
        conversation.has_handlers("sync", at, *[HOOK] * count, removes=True)
    assert judged(EventDuplicated, conversation) == []
    inside = user("A").has_handlers("sync", 0, HOOK, HOOK, removes=True, inside="connect")
    assert one(judged(EventDuplicated, inside)).severity is Severity.ERROR


def test_another_payload_is_another_event() -> None:
    conversation = user("A").receives("sync", at=0, digest="d1").receives("sync", at=0.01, digest="d2")
    assert judged(EventDuplicated, conversation) == []


def test_the_same_payload_later_on_one_connection_is_a_repetition() -> None:
    conversation = user("A").receives("sync", at=0).receives("sync", at=0.7).receives("sync", at=1.4)
    assert judged(EventDuplicated, conversation) == []


def test_a_quick_periodic_push_is_no_duplicate() -> None:
    conversation = user("A")
    for n in range(8):
        conversation.receives("sync", at=n * 0.12 + n % 2 * 0.02)
    assert judged(EventDuplicated, conversation) == []


def test_a_periodic_push_that_arrives_twice_each_time_is_a_duplicate() -> None:
    conversation = user("A")
    for n in range(8):
        conversation.receives("sync", at=n * 0.7).receives("sync", at=n * 0.7 + 0.002)
    assert one(judged(EventDuplicated, conversation)).count == 8


def test_a_push_beside_the_answer_to_a_request_is_no_duplicate() -> None:
    conversation = user("A").receives("sync", at=0.2).emits("get", at=0.9)
    conversation.receives("sync", at=0.9).receives("sync", at=0.91).receives("sync", at=1.6)
    assert judged(EventDuplicated, conversation) == []
    conversation = user("A").receives("sync", at=0.2).receives("sync", at=0.9).receives("sync", at=0.91)
    assert one(judged(EventDuplicated, conversation)).count == 1


def copies(kind: str) -> Conversation:
    """Two copies on connecting, two as the answer to a request, or one before and one after the request."""
    said = user("A", page="tab-1").connects("s1", at=0)
    if kind != "greeting":
        said.emits("get", at=1)
    return said.receives("sync", at=0.99 if kind == "both" else 1.01).receives("sync", at=1.04)


def tried(said: Conversation, *tries: tuple[str, int]) -> Conversation:
    """Then the client tries alone: it connects (once) or requests (answered-once), and receives so many copies."""
    for n, (what, times) in enumerate(tries, start=2):
        said.expects(what, at=n, name="sync", page="alone").connects(f"t{n}", at=n, page="alone")
        if what == "answered-once":
            said.emits("get", at=n, sid=f"t{n}", page="alone")
        for copy in range(times):
            said.receives("sync", at=n + 0.1 + copy / 100, sid=f"t{n}", page="alone")
        said.disconnects(f"t{n}", at=n + 0.9, reason="io client disconnect", page="alone")
    return said


@pytest.mark.parametrize(
    ("kind", "tries", "severity"),
    [
        ("greeting", [("once", 1), ("once", 1)], None),
        ("greeting", [("once", 2), ("once", 1)], None),
        ("greeting", [("once", 2), ("once", 2)], Severity.ERROR),
        ("greeting", [("once", 2), ("once", 2), ("answered-once", 1)], Severity.ERROR),
        ("greeting", [("once", 0), ("once", 0)], Severity.WARNING),
        ("answer", [("answered-once", 1), ("answered-once", 1)], None),
        ("answer", [("answered-once", 3), ("answered-once", 2)], Severity.ERROR),
        ("answer", [("answered-once", 0), ("once", 1)], None),
        ("answer", [("answered-once", 1), ("once", 2)], Severity.ERROR),
        ("both", [("answered-once", 1), ("once", 1)], None),
        ("both", [("answered-once", 1), ("once", 2)], Severity.ERROR),
        ("both", [], Severity.ERROR),
    ],
)
def test_copies_of_different_origins_do_not_arrive_each_time(
    kind: str, tries: list[tuple[str, int]], severity: Severity | None
) -> None:
    found = judged(EventDuplicated, tried(copies(kind), *tries))
    assert [finding.severity for finding in found] == ([severity] if severity else []), found


def test_a_try_without_a_connection_shows_nothing() -> None:
    said = copies("greeting").expects("once", at=2, name="sync", page="alone").is_refused(at=2.1, page="alone")
    assert one(judged(EventDuplicated, said)).severity is Severity.ERROR


def test_the_same_payload_on_two_connections_counts_for_a_while() -> None:
    conversation = user("A").receives("sync", at=0, sid="s1").receives("sync", at=2.5, sid="s2")
    assert judged(EventDuplicated, conversation) == []
    assert one(judged(EventDuplicated, conversation, RuleOptions(duplicate_s=3))).count == 1


def restamped(*arrivals: tuple[float, dict[str, str]]) -> Conversation:
    conversation = user("A")
    for n, (at, stamps) in enumerate(arrivals):
        conversation.receives("sync", at=at, digest=f"d{n}", core="c", stamps=tuple(stamps.items()))
    return conversation


def test_copies_that_differ_in_a_fresh_number_each_time_are_a_warning() -> None:
    conversation = restamped((0, {"no": "1"}), (0.003, {"no": "2"}), (1, {"no": "3"}), (1.003, {"no": "4"}))
    found = one(judged(EventDuplicated, conversation))
    assert (found.severity, found.confidence) == (Severity.WARNING, Confidence.MEDIUM)
    assert found.message == "sync arrived 2 times within 50 ms in each of 2 tries, alike except for no"


@pytest.mark.parametrize(
    "arrivals",
    [
        ((0, {"no": "1"}), (0.003, {"no": "2"})),
        ((0, {"no": "1"}), (0.003, {"no": "2"}), (1, {"no": "3"})),
        ((0, {"no": "1"}), (1, {"no": "2"}), (2, {"no": "3"}), (3, {"no": "4"})),
        ((0, {"id": "a"}), (0.003, {"id": "b"}), (1, {"id": "a"}), (1.003, {"id": "b"})),
        (
            (0, {"id": "a", "no": "1"}),
            (0, {"id": "b", "no": "2"}),
            (1, {"id": "a", "no": "3"}),
            (1, {"id": "b", "no": "4"}),
        ),
    ],
    ids=["once", "not each time", "apart", "two records", "two numbered records"],
)
def test_events_with_different_stamps_are_news(arrivals: tuple[tuple[float, dict[str, str]], ...]) -> None:
    assert judged(EventDuplicated, restamped(*arrivals)) == []


def test_a_handler_that_ran_more_often_than_the_event_arrived() -> None:
    conversation = user("A").receives("sync", at=0).handles("sync", at=0).handles("sync", at=0).handles("sync", at=0)
    found = one(judged(EventDuplicated, conversation))
    assert (found.count, found.message) == (2, "sync was handled 3 times by Dashboard")


def test_two_components_that_each_handle_it_once_are_fine() -> None:
    conversation = (
        user("A").receives("sync", at=0).handles("sync", at=0, by="Dashboard").handles("sync", at=0, by="Wizard")
    )
    assert judged(EventDuplicated, conversation) == []


def test_two_handler_runs_for_two_arrivals_are_reported_as_two_arrivals() -> None:
    conversation = (
        user("A").receives("sync", at=0).handles("sync", at=0).receives("sync", at=0.1).handles("sync", at=0.1)
    )
    assert one(judged(EventDuplicated, conversation)).message == "sync arrived 2 times on one connection"


def test_500_duplicates_are_one_finding_for_each_event_name() -> None:
    conversation = user("A")
    for n in range(501):
        conversation.receives("sync", at=n / 1000).receives("status", at=n / 1000)
    found = judged(EventDuplicated, conversation)
    assert [(f.count, len(f.evidence)) for f in found] == [(500, 8), (500, 8)]


def test_without_a_time_a_second_arrival_may_be_a_repetition() -> None:
    conversation = user("A").receives("sync", at=None).receives("sync", at=None)
    assert one(judged(EventDuplicated, conversation)).confidence is Confidence.MEDIUM


def test_without_a_payload_nothing_is_reported() -> None:
    conversation = user("A").receives("sync", at=0, digest=None).receives("sync", at=0, digest=None)
    assert judged(EventDuplicated, conversation) == []


def test_memory_of_payloads_is_bounded() -> None:
    conversation = user("A").receives("sync", at=0, digest="first")
    for n in range(6_000):
        conversation.receives("sync", at=0.0001 * n, digest=str(n))
    assert judged(EventDuplicated, conversation.receives("sync", at=0.7, digest="first")) == []


def on_page(**where: Any) -> Conversation:
    return user("A", "browser", page="tab 1", **where)


def test_an_unchanged_payload_that_an_observed_page_receives_again_and_again_is_no_duplicate() -> None:
    conversation = on_page()
    for at in (0, 0.65, 1.3, 1.35, 1.9):
        conversation.receives("status", at=at, page="tab 1")
    assert {f.severity for f in judged(EventDuplicated, conversation)} == {Severity.NOTE}


@pytest.mark.parametrize(("gap", "severity"), [(0.001, Severity.ERROR), (0.09, Severity.ERROR), (0.4, None)])
def test_an_event_that_a_page_receives_twice_with_each_payload_is_sent_twice(
    gap: float, severity: Severity | None
) -> None:
    conversation = on_page()
    for n in range(4):
        for at in (n, n + gap):
            conversation.receives("message", at=at, digest=str(n), page="tab 1")
    found = judged(EventDuplicated, conversation)
    assert [f.severity for f in found] == ([severity] if severity else [])
    if severity:
        assert found[0].message == "message arrived 2 times on one connection"


def test_two_repetitions_among_many_payloads_are_no_duplicates() -> None:
    conversation = on_page()
    for n in range(20):
        for at in (n, n + 0.01) if n in (12, 15) else (n,):
            conversation.receives("status", at=at, digest=str(n), page="tab 1")
    assert {f.severity for f in judged(EventDuplicated, conversation)} == {Severity.NOTE}


@pytest.mark.parametrize("eio", [("e1", "e1"), ("e1", "e2")])
def test_an_event_in_two_namespaces_is_no_duplicate(eio: tuple[str, str]) -> None:
    conversation = on_page()
    for sid, namespace, session in (("s1", "/", eio[0]), ("s2", "/admin", eio[1])):
        conversation.receives("refresh", at=0, sid=sid, namespace=namespace, eio=session, page="tab 1")
    assert judged(EventDuplicated, conversation) == []


@pytest.mark.parametrize("reason", ["io server disconnect", "transport close"])
def test_a_status_on_the_connection_of_the_next_document_is_no_duplicate(reason: str) -> None:
    conversation = on_page().receives("status", at=0, page="tab 1").disconnects("s1", at=0.2, reason=reason)
    conversation.receives("status", at=0.4, sid="s2", page="tab 1")
    assert judged(EventDuplicated, conversation) == []


def test_handlers_of_several_documents_are_counted_separately() -> None:
    conversation = on_page()
    for at, (document, count) in enumerate([(1, 2), (1, 0), (2, 1), (2, 2)]):
        conversation.has_handlers("sync", at, *[HOOK] * count, document=document, removes=False)
    assert one(judged(EventDuplicated, conversation)).count == 2
