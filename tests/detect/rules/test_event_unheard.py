"""event-unheard: off(event) removed the handlers of other components, and the event still arrives."""

from tests.conversation import judged, one, user
from wscheck.detect.rules import REGISTRY
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Severity

Rule = REGISTRY["event-unheard"]
HERE, THERE = CodeLocation("src/a.ts", 5), CodeLocation("src/b.ts", 9)


def test_an_event_that_arrives_after_its_handlers_were_removed() -> None:
    conversation = user("A").has_handlers("sync", 0, HERE, THERE).has_handlers("sync", 1, lost=(HERE, THERE))
    found = one(judged(Rule, conversation.receives("sync", at=2)))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == (
        "sync arrives and no handler runs: off(event) removed its 2 handlers (src/a.ts:5, src/b.ts:9)"
    )


def test_a_component_that_removes_its_own_handler_is_no_finding() -> None:
    conversation = user("A").has_handlers("sync", 0, HERE).has_handlers("sync", 1)
    assert judged(Rule, conversation.receives("sync", at=2)) == []


def test_handlers_that_are_registered_again_are_no_finding() -> None:
    conversation = user("A").has_handlers("sync", 0, lost=(HERE,)).has_handlers("sync", 1, HERE)
    assert judged(Rule, conversation.receives("sync", at=2)) == []


def test_another_event_and_another_connection_are_not_concerned() -> None:
    conversation = user("A").has_handlers("sync", 0, lost=(HERE,))
    assert judged(Rule, conversation.receives("status", at=2).receives("sync", at=2, sid="s2")) == []


def test_500_unheard_events_are_one_finding_and_need_no_clock() -> None:
    conversation = user("A").has_handlers("sync", None, lost=(HERE,))
    for _ in range(500):
        conversation.receives("sync", at=None)
    assert one(judged(Rule, conversation)).count == 500
