"""zombie-held: the server keeps the connection of a client that stopped answering pings."""

import pytest

from tests.conversation import START, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules import REGISTRY
from wscheck.model.events import ProcessStalled
from wscheck.model.findings import Severity

Rule = REGISTRY["zombie-held"]


def test_a_silent_client_whose_connection_stays_open_too_long() -> None:
    found = one(judged(Rule, user("A").connects("s1", at=0).falls_silent("s1", at=1, within=3).watched(until=5)))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == "still open 3.0 s after it stopped answering pings"


def test_a_silent_client_that_is_closed_in_time() -> None:
    conversation = user("A").connects("s1", at=0).falls_silent("s1", at=1, within=3).disconnects("s1", at=3.9)
    assert judged(Rule, conversation.watched(until=9)) == []


def test_a_silent_client_that_is_closed_too_late() -> None:
    conversation = user("A").connects("s1", at=0).falls_silent("s1", at=1, within=3).disconnects("s1", at=4.5)
    assert one(judged(Rule, conversation.watched(until=9))).count == 1


def test_a_silent_client_that_the_users_next_connection_replaced() -> None:
    conversation = user("A").connects("s1", at=0).falls_silent("s1", at=1, within=3).connects("s2", at=2)
    assert judged(Rule, conversation.is_replaced("s1", "s2", at=2).watched(until=9)) == []


def test_the_evidence_may_end_before_the_time_is_up() -> None:
    assert judged(Rule, user("A").connects("s1", at=0).falls_silent("s1", at=1, within=3).watched(until=3)) == []


def test_500_zombies_are_one_finding() -> None:
    conversation = user("A")
    for n in range(500):
        conversation.connects(f"s{n}", at=0).falls_silent(f"s{n}", at=1, within=3)
    assert one(judged(Rule, conversation.watched(until=9))).count == 500


def test_without_times_nothing_is_late() -> None:
    assert judged(Rule, user("A").connects("s1", at=None).falls_silent("s1", at=None, within=3)) == []


@pytest.mark.parametrize(
    ("until", "findings", "gaps"), [(5.5, 0, 1), (6.5, 1, 0)], ids=["while it stalled", "after it"]
)
def test_the_server_gets_the_time_for_which_this_machine_stalled(until: float, findings: int, gaps: int) -> None:
    conversation = user("A").connects("s1", at=0).falls_silent("s1", at=1, within=3)
    stall = ProcessStalled(at=START + 3, source="heartbeat", seconds=2.0)
    judge = Judge(rules=[Rule])
    for event in [*conversation.events, stall, *user("A").watched(until=until).events]:
        judge.feed(event)
    assert (len(judge.finish()), len(judge.gaps)) == (findings, gaps)
