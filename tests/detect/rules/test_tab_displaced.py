"""tab-displaced: what a second tab does to the first; only a policy that cannot work is an error."""

import pytest

from tests.conversation import KICKED_CLIENT, Conversation, judged, one, user
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Confidence, Severity

Rule = REGISTRY["tab-displaced"]


def two_tabs() -> Conversation:
    return user("A").connects("s1", at=0, page="tab-1").connects("s2", at=1, page="tab-2")


def test_a_first_tab_that_is_disconnected_is_a_warning() -> None:
    conversation = two_tabs().is_replaced("s1", "s2", at=1).disconnects("s1", at=1, reason=KICKED_CLIENT)
    found = one(judged(Rule, conversation.watched(until=3)))
    assert found.severity is Severity.WARNING
    assert found.message == "the second tab disconnected the first, which gets neither a reason nor any more events"


def test_a_first_tab_that_is_told_why_is_a_note() -> None:
    conversation = user("A").connects("s1", at=0, page="tab-1").receives("welcome", at=0.1)
    conversation.attempts(at=1).connects("s2", at=1.1, page="tab-2").receives("session:taken", at=1.2)
    conversation.is_replaced("s1", "s2", at=1.2).disconnects("s1", at=1.2, reason=KICKED_CLIENT)
    found = one(judged(Rule, conversation.watched(until=3)))
    assert (found.severity, found.message) == (
        Severity.NOTE,
        "the second tab disconnected the first, which received session:taken just before",
    )


def test_an_event_that_the_first_tab_knew_already_is_no_reason() -> None:
    conversation = user("A").connects("s1", at=0, page="tab-1").receives("sync", at=0.1)
    conversation.attempts(at=1).connects("s2", at=1.1, page="tab-2").receives("sync", at=1.2)
    conversation.is_replaced("s1", "s2", at=1.2).disconnects("s1", at=1.2, reason=KICKED_CLIENT)
    assert one(judged(Rule, conversation.watched(until=3))).severity is Severity.WARNING


@pytest.mark.parametrize("reason", ["transport close", "forced close"])
def test_a_first_tab_whose_transport_is_closed_is_an_error(reason: str) -> None:
    conversation = two_tabs().is_replaced("s1", "s2", at=1).disconnects("s1", at=1, reason=reason)
    found = one(judged(Rule, conversation.watched(until=3)))
    assert found.severity is Severity.ERROR
    assert "a standard client will reconnect" in found.message


def test_a_transport_closed_before_the_second_tab_is_acknowledged_is_an_error() -> None:
    conversation = user("A").attempts(at=0).connects("s1", at=0.1, page="tab-1").attempts(at=1)
    conversation.disconnects("s1", at=1.1, reason="transport close")
    assert judged(Rule, conversation) == []
    found = one(judged(Rule, conversation.connects("s2", at=1.2, page="tab-2")))
    assert (found.severity, found.confidence) == (Severity.ERROR, Confidence.MEDIUM)


def test_a_transport_lost_before_the_second_tab_connects_is_no_finding() -> None:
    conversation = user("A").attempts(at=0).connects("s1", at=0.1, page="tab-1")
    conversation.disconnects("s1", at=0.5, reason="transport close").attempts(at=1).connects("s2", at=1.2, page="tab-2")
    assert judged(Rule, conversation) == []


def test_a_second_tab_refused_with_a_reason_is_a_note() -> None:
    conversation = user("A").connects("s1", at=0).is_refused(at=1, message="already connected")
    found = one(judged(Rule, conversation))
    assert (found.severity, found.message) == (
        Severity.NOTE,
        'the server refused the second tab with the reason "already connected"',
    )


def test_a_second_tab_refused_without_a_reason_is_a_warning() -> None:
    found = one(judged(Rule, user("A").connects("s1", at=0).is_refused(at=1)))
    assert (found.severity, found.message) == (Severity.WARNING, "the server refused the second tab without a reason")


def test_a_refused_tab_without_another_tab_is_no_finding() -> None:
    assert judged(Rule, user("A").is_refused(at=0, message="bad token")) == []


def test_tabs_with_a_connection_each_are_a_note() -> None:
    found = one(judged(Rule, two_tabs().watched(until=3)))
    assert (found.severity, found.message) == (Severity.NOTE, "each tab has a connection of its own")


def test_an_overlap_within_the_grace_is_no_note() -> None:
    assert judged(Rule, two_tabs().disconnects("s1", at=1.1, reason="io client disconnect").watched(until=3)) == []


def test_a_third_tab_that_leaves_at_once_does_not_hide_the_two_that_stay() -> None:
    conversation = (
        two_tabs().connects("s3", at=1.05, page="tab-3").disconnects("s3", at=1.1, reason="io client disconnect")
    )
    assert one(judged(Rule, conversation.watched(until=3))).message == "each tab has a connection of its own"


def test_without_times_two_open_connections_may_be_a_replacement_in_progress() -> None:
    conversation = user("A").connects("s1", at=None, page="tab-1").connects("s2", at=None, page="tab-2")
    assert judged(Rule, conversation) == []


def test_500_displacements_are_one_finding() -> None:
    conversation = user("A").connects("s0", at=0)
    for n in range(1, 501):
        conversation.connects(f"s{n}", at=n).is_replaced(f"s{n - 1}", f"s{n}", at=n)
        conversation.disconnects(f"s{n - 1}", at=n, reason=KICKED_CLIENT)
    assert one(judged(Rule, conversation)).count == 500
