"""token-unchecked: an invalid token was accepted."""

from typing import Any

import pytest

from tests.conversation import KICKED_CLIENT, Conversation, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Confidence, Severity

Rule = REGISTRY["token-unchecked"]


def test_an_invalid_token_that_is_accepted() -> None:
    found = one(judged(Rule, user("B").connects("s1", at=0, credential="invalid")))
    assert (found.user, found.severity, found.confidence) == ("B", Severity.ERROR, Confidence.HIGH)
    assert found.message == "connected with an invalid token"


@pytest.mark.parametrize("credential", ["own", "foreign", None])
def test_other_credentials_are_no_finding(credential: str | None) -> None:
    assert judged(Rule, user("A").connects("s1", at=0, credential=credential)) == []


def test_an_invalid_token_that_is_refused() -> None:
    assert judged(Rule, user("B").attempts(at=0, credential="invalid").is_refused(at=0.1)) == []


def test_two_sources_report_one_connection() -> None:
    conversation = user("B").connects("s1", at=0, credential="invalid")
    conversation.seen_by("server-log").connects("s1", at=0.01, credential="invalid")
    assert one(judged(Rule, conversation)).count == 1


def test_it_is_found_although_a_replacement_record_named_the_connection_first() -> None:
    conversation = (
        user("B").connects("s0", at=0).is_replaced("s0", "s1", at=1).connects("s1", at=1, credential="invalid")
    )
    assert one(judged(Rule, conversation)).count == 1


def test_500_such_connections_are_one_finding_and_need_no_clock() -> None:
    conversation = user("B")
    for n in range(500):
        conversation.connects(f"s{n}", at=None, credential="invalid")
    assert one(judged(Rule, conversation)).count == 500


def intruder(credential: str, **answer: Any) -> Conversation:
    conversation = user("B", page="tab-1").connects("s1", at=0, credential=credential)
    conversation.expects("delivered", at=0.1, name="sync", within=1.0)
    return conversation.receives("sync", at=0.2, **answer) if answer else conversation


def gaps_of(conversation: Conversation) -> list[str]:
    judge = Judge(rules=[Rule])
    for event in conversation.events:
        judge.feed(event)
    judge.finish()
    return [gap.reason for gap in judge.gaps]


@pytest.mark.parametrize("reason", [KICKED_CLIENT, "transport close"])
@pytest.mark.parametrize("credential", ["invalid", "absent", "altered"])
def test_a_connection_that_the_server_closes_again_was_refused(credential: str, reason: str) -> None:
    conversation = intruder(credential).disconnects("s1", at=0.3, reason=reason)
    assert judged(Rule, conversation) == []
    assert gaps_of(conversation) == []


def test_a_connection_that_got_an_answer_was_not_refused() -> None:
    conversation = intruder("invalid", about="B").disconnects("s1", at=0.3, reason=KICKED_CLIENT)
    assert one(judged(Rule, conversation)).severity is Severity.ERROR


def test_an_answer_that_names_nobody_shows_that_the_connection_was_accepted() -> None:
    conversation = intruder("invalid", about=None).disconnects("s1", at=0.3, reason=KICKED_CLIENT)
    assert one(judged(Rule, conversation)).message == "connected with an invalid token"


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        ("absent", "without a token"),
        ("empty", "with an empty token"),
        ("altered", "with a token whose signature is wrong"),
        ("unsigned", 'with an unsigned token ("alg": "none")'),
        ("expired", "with an expired token"),
    ],
)
def test_a_connection_that_is_served_as_the_user(credential: str, words: str) -> None:
    found = one(judged(Rule, intruder(credential, mentions=("B",))))
    assert (found.severity, found.message) == (Severity.ERROR, f"connected {words}, as this user")


def test_a_connection_that_the_own_connection_replaces_is_the_users() -> None:
    conversation = intruder("absent").connects("s2", at=1, credential="own", page="own tab")
    conversation.disconnects("s1", at=1.01, reason=KICKED_CLIENT)
    assert one(judged(Rule, conversation)).message == "connected without a token, as this user"


@pytest.mark.parametrize(("ended_at", "findings"), [(0.9, 0), (1.02, 1), (1.3, 1), (2.0, 0)])
def test_a_server_may_close_the_old_connection_before_it_acknowledges_the_own(ended_at: float, findings: int) -> None:
    conversation = intruder("expired").attempts(at=1, credential="own", page="own tab")
    ends_first = ended_at < 1.05
    if ends_first:
        conversation.disconnects("s1", at=ended_at, reason=KICKED_CLIENT)
    conversation.connects("s2", at=1.05, credential="own", page="own tab")
    if not ends_first:
        conversation.disconnects("s1", at=ended_at, reason=KICKED_CLIENT)
    assert len(judged(Rule, conversation)) == findings


def test_a_guest_is_no_finding() -> None:
    conversation = intruder("absent", about="guest-7")
    assert judged(Rule, conversation) == []
    assert "as guest-7, and not as the user: pass --anonymous" in gaps_of(conversation)[0]


def test_without_a_token_an_unnamed_answer_is_a_warning_and_a_gap() -> None:
    conversation = intruder("empty", digest="d9")
    assert one(judged(Rule, conversation)).severity is Severity.WARNING
    assert "--anonymous" in gaps_of(conversation)[0]


def test_a_connection_that_is_kept_and_not_served_is_a_gap() -> None:
    conversation = intruder("invalid").connects("s2", at=2, credential="own", page="own tab")
    conversation.expects("delivered", at=2, name="sync").receives("sync", at=2.1, sid="s2")
    assert judged(Rule, conversation) == []
    assert "answers none of its requests" in gaps_of(conversation)[0]


@pytest.mark.parametrize(("namespace", "findings"), [("/", 0), ("/desk", 1)])
def test_a_default_namespace_that_accepts_all_and_sends_nothing_is_a_gap(namespace: str, findings: int) -> None:
    conversation = user("B", page="tab-1", namespace=namespace).connects("s1", at=0, credential="invalid")
    conversation.expects("delivered", at=0.1, name="sync").connects("s2", at=2, credential="own")
    assert len(judged(Rule, conversation)) == findings
    assert ["--namespace" in reason for reason in gaps_of(conversation)] == [True] * (1 - findings)


def test_a_namespace_that_refuses_a_token_is_the_right_one() -> None:
    conversation = user("B", page="tab-1", namespace="/").is_refused(at=0.1, credential="invalid")
    conversation.connects("s1", at=1, credential="expired").expects("delivered", at=1.1, name="sync")
    conversation.connects("s2", at=2, credential="own")
    assert one(judged(Rule, conversation)).message == "connected with an expired token"
