"""event-leaked: an event about one user on the connection of another."""

from typing import Any

import pytest

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.engine import Judge
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


def in_turn(answer: str = "own", tries: int = 3, private: bool = False, **payload: Any) -> Conversation:
    """A and B request "sync" in turn. `answer`: who receives it, "own" or "all". `{user}` is the requester's id."""
    conversation = user(None)
    for n in range(tries):
        for offset, requester, other in ((0.0, "B", "A"), (0.5, "A", "B")):
            at = n + offset
            more = {key: (requester,) if value == "{user}" else value for key, value in payload.items()}
            more = {"digest": f"d{n}{requester}", **more}
            conversation &= user(requester).expects("private", at=at, name="sync", required=private)
            conversation &= user(requester).receives("sync", at=at + 0.1, sid=requester, **more)
            if answer == "all":
                conversation &= user(other).receives("sync", at=at + 0.1, sid=other, **more)
    return conversation


def gaps_of(conversation: Conversation) -> list[str]:
    judge = Judge(rules=[Rule])
    for event in conversation.events:
        judge.feed(event)
    judge.finish()
    return [gap.reason for gap in judge.gaps]


def test_an_event_that_only_its_requester_receives() -> None:
    assert judged(Rule, in_turn()) == []
    assert gaps_of(in_turn()) == []


@pytest.mark.parametrize(
    ("private", "payload", "words"),
    [
        (False, {"mentions": "{user}"}, "its payload contains the id B"),
        (True, {}, "the contract says that it is private"),
    ],
)
def test_an_event_that_reaches_the_other_user_and_is_about_one(
    private: bool, payload: dict[str, Any], words: str
) -> None:
    found = one(judged(Rule, in_turn("all", private=private, **payload)))
    assert (found.user, found.severity, found.confidence) == ("A", Severity.ERROR, Confidence.HIGH)
    assert found.message == f"received sync, which B requested, in 6 of 6 tries; {words}"


def test_an_event_that_reaches_everybody_and_names_nobody_is_possibly_a_leak() -> None:
    found = one(judged(Rule, in_turn("all")))
    assert (found.severity, found.confidence) == (Severity.WARNING, Confidence.MEDIUM)
    (reason,) = gaps_of(in_turn("all"))
    assert 'audience = "all"' in reason
    assert "private = true" in reason


def test_an_event_for_everybody_beside_one_for_its_requester_is_a_gap() -> None:
    both = in_turn("all") & user("A").expects("private", at=9, name="own").receives("own", at=9.1)
    assert judged(Rule, both) == []
    assert "sync" in gaps_of(both)[0]


def test_an_event_that_came_unrequested_before_is_no_leak() -> None:
    conversation = user("A").receives("sync", at=-1, digest="same") & in_turn("all", digest="same")
    assert judged(Rule, conversation) == []


def test_two_tries_prove_no_possible_leak() -> None:
    assert judged(Rule, in_turn("all", tries=2)) == []


def test_a_payload_that_also_names_its_receiver_is_no_certain_leak() -> None:
    assert one(judged(Rule, in_turn("all", mentions=("A", "B")))).severity is Severity.WARNING
