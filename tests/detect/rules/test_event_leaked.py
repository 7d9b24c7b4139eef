"""event-leaked: an event about one user on the connection of another."""

from tests.conversation import judged, one, user
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Confidence, Severity

Rule = REGISTRY["event-leaked"]


def test_an_event_about_another_user() -> None:
    found = one(judged(Rule, user("A").receives("sync", at=0, about="B")))
    assert (found.user, found.severity, found.confidence) == ("A", Severity.ERROR, Confidence.HIGH)
    assert found.message == "received sync about B"


def test_an_event_about_the_user() -> None:
    assert judged(Rule, user("A").receives("sync", at=0, about="A")) == []


def test_an_event_or_a_connection_without_a_user_proves_nothing() -> None:
    assert judged(Rule, user("A").receives("sync", at=0)) == []
    assert judged(Rule, user(None).receives("sync", at=0, about="B")) == []


def test_500_leaks_are_one_finding_for_each_event_name_and_need_no_clock() -> None:
    conversation = user("A")
    for _ in range(500):
        conversation.receives("sync", at=None, about="B").receives("status", at=None, about="B")
    assert [(f.count, f.rate) for f in judged(Rule, conversation)] == [(500, None), (500, None)]
