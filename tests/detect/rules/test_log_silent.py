"""log-silent: the server's log does not show what the client saw."""

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.rules import REGISTRY
from wscheck.model.findings import Severity

Rule = REGISTRY["log-silent"]


def connected(log: bool = True) -> Conversation:
    conversation = user("A")
    return (conversation.log_watched() if log else conversation).connects("s1", at=1)


def test_a_log_that_shows_nothing_of_a_connection() -> None:
    found = one(judged(Rule, connected()))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == "the server's log shows nothing of 1 of 1 connections"


def test_a_log_that_shows_the_socket_or_at_least_the_user() -> None:
    assert judged(Rule, connected().seen_by("server-log").connects("s1", at=1)) == []
    assert judged(Rule, connected().seen_by("server-log").connects(None, at=1)) == []


def test_a_log_that_shows_the_end_of_it_or_its_replacement() -> None:
    ended = connected().seen_by("server-log").disconnects("s1", at=2)
    replaced = connected().is_replaced("s0", "s1", at=1)
    assert judged(Rule, ended) == judged(Rule, replaced) == []


def test_a_log_that_shows_another_user() -> None:
    conversation = connected() & user("B", "server-log").connects("s9", at=1)
    assert one(judged(Rule, conversation)).user == "A"


def test_without_a_log_its_silence_is_no_evidence() -> None:
    assert judged(Rule, connected(log=False)) == []


def test_without_a_connection_there_is_nothing_to_log() -> None:
    assert judged(Rule, user("A").log_watched().is_refused(at=1)) == []


def test_500_connections_are_one_finding_and_need_no_clock() -> None:
    conversation = user("A").log_watched(at=None)
    for n in range(500):
        conversation.connects(f"s{n}", at=None)
    found = one(judged(Rule, conversation))
    assert found.message == "the server's log shows nothing of 500 of 500 connections"
    assert (found.count, len(found.evidence)) == (1, 3)
