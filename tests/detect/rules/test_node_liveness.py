"""Two server processes of which one logs nothing more: a killed process logs no ends of its connections."""

from tests.conversation import KICKED_SERVER, START, Conversation, log_of, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.events import ServerRestarted
from wscheck.model.findings import Confidence, Finding


def judged(*conversation: Conversation, until: float | None = None) -> tuple[list[Finding], str]:
    """Return the findings at the end, and the reason of the gap if there is one."""
    judge = Judge(None, [MultipleConnections])
    for event in sorted((event for each in conversation for event in each.events), key=lambda event: event.at or 0.0):
        judge.feed(event)
    return judge.finish(until), "; ".join(gap.reason for gap in judge.gaps if gap.blocks)


def moves(name: str, at: float) -> Conversation:
    """Connected to the one, then to the other."""
    old, new = f"{name}1", f"{name}2"
    return log_of(name).connects(old, at=0, node="one").connects(new, at=at, node="two")


def speaks(node: str, at: float) -> Conversation:
    return log_of(f"of-{node}-{at}").connects(f"{node}-{at}", at=at, node=node)


def test_a_process_that_logs_again_still_has_its_connections() -> None:
    (found,), doubt = judged(moves("A", at=5), speaks("one", at=6), speaks("two", at=9))
    assert (found.user, found.confidence, found.count, doubt) == ("A", Confidence.HIGH, 1, "")
    assert found.message == "holds 2 connections at once"


def test_a_killed_process_leads_to_no_findings() -> None:
    found, doubt = judged(*(moves(name, at=5 + n / 10) for n, name in enumerate("ABC")), speaks("two", at=60))
    assert found == []
    assert doubt.startswith("one logged nothing after its 3 users connected to other processes: did that process stop?")
    assert "--stale-after" in doubt and "--marker restarted=" in doubt


def test_a_process_that_still_has_users_may_be_alive() -> None:
    found, doubt = judged(moves("A", at=5), moves("B", at=6), speaks("one", at=1), speaks("two", at=60))
    assert {(each.user, each.confidence) for each in found} == {(user, Confidence.MEDIUM) for user in "AB"}
    assert doubt == ""


def test_the_overlap_of_a_single_user_is_reported_after_a_while() -> None:
    judge = Judge(None, [MultipleConnections])
    for event in moves("A", at=5).events:
        judge.feed(event)
    judge.advance_to(START + 9.9)
    assert judge.findings() == []
    judge.advance_to(START + 10.1)
    (found,) = judge.findings()
    assert (found.confidence, found.count) == (Confidence.MEDIUM, 1)
    assert len(judge.finish()) == 1


def test_an_overlap_on_a_process_that_logs_again_is_reported_once() -> None:
    found, doubt = judged(moves("A", at=5), moves("B", at=5), speaks("one", at=20), speaks("one", at=21))
    assert [(each.user, each.confidence, each.count) for each in found] == [
        ("A", Confidence.HIGH, 1),
        ("B", Confidence.HIGH, 1),
    ]
    assert doubt == ""


def test_an_overlap_that_ended_meanwhile_counts_if_the_process_is_alive() -> None:
    brief = moves("A", at=5).disconnects("A2", at=7, node="two", reason="transport close")
    found = next(each for each in judged(brief, moves("B", at=5), speaks("one", at=20))[0] if each.user == "A")
    assert found.message == "holds 2 connections at once"
    assert [event.sid for event in found.evidence if hasattr(event, "sid")] == ["A2", "A1"]


def test_a_process_that_ends_the_older_connection_late_had_it_open_until_then() -> None:
    late = moves("A", at=5).disconnects("A1", at=8, node="one", reason="transport close")
    (found,), _ = judged(late)
    assert (found.confidence, found.message) == (Confidence.HIGH, "holds 2 connections at once")


def test_a_process_that_shuts_down_or_restarts_had_no_connections_meanwhile() -> None:
    over = moves("A", at=5).disconnects("A1", at=8, node="one", reason="server shutting down")
    assert judged(over, speaks("two", at=9)) == ([], "")
    again = moves("A", at=5)
    again.events.append(ServerRestarted(at=START + 8, source="server-log", node="one"))
    assert judged(again, moves("B", at=6), speaks("one", at=9), speaks("two", at=20)) == ([], "")


def test_a_replacement_across_processes_is_healthy() -> None:
    conversation = moves("A", at=5).disconnects("A1", at=5.1, node="one", reason=KICKED_SERVER)
    assert judged(conversation, speaks("two", at=60)) == ([], "")


def test_a_connection_that_a_client_reports_is_certain() -> None:
    conversation = user("A", page="tab-1").connects("s1", at=0, node="one").connects("s2", at=5, node="two")
    (found,), _ = judged(conversation.watched(until=6))
    assert found.confidence is Confidence.HIGH
