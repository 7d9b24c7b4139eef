"""Evaluation: the time first, then the changes, then the event; findings grow and stay bounded."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conversation import KICKED_CLIENT, KICKED_SERVER, START, Conversation, judged, log_of, ping_pong, user
from wscheck.detect.causes.history import MAX_ENTRIES
from wscheck.detect.changes import ClosedChange
from wscheck.detect.engine import FIRST_EVIDENCE, LATEST_EVIDENCE, Judge, _add_evidence
from wscheck.detect.rules import DOCUMENTED, REGISTRY, RuleOptions
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.events import Connected, ConnectionExpired, NotEvaluated
from wscheck.model.findings import Confidence, Finding, Severity


def fed(judge: Judge, conversation: object) -> Judge:
    for event in conversation.events:  # type: ignore[attr-defined]
        judge.feed(event)
    return judge


def test_each_user_and_rule_has_its_findings_and_the_worst_comes_first() -> None:
    conversation = ping_pong(10) & log_of("B").connects("b1", at=0).connects("b2", at=1).watched(until=9)
    conversation &= user("C").connects("c1", at=0).is_refused(at=1, message="no")
    found = judged(REGISTRY.values(), conversation)
    assert {(f.rule, f.user) for f in found} >= {
        ("connection-replaced", "A"),
        ("excessive-attempts", "A"),
        ("multiple-connections", "B"),
        ("tab-displaced", "C"),
    }
    assert [f.severity.rank for f in found] == sorted((f.severity.rank for f in found), reverse=True)


def test_the_most_frequent_finding_of_a_rule_comes_first() -> None:
    conversation = ping_pong(3) & log_of("B").connects("b0", at=0)
    for n in range(1, 9):
        conversation &= log_of("B").is_replaced(f"b{n - 1}", f"b{n}", at=n).connects(f"b{n}", at=n)
    assert [(f.user, f.count) for f in judged([REGISTRY["connection-replaced"]], conversation)] == [("B", 8), ("A", 3)]


def test_a_finding_stores_the_first_and_the_latest_evidence() -> None:
    found = next(f for f in judged(DOCUMENTED, ping_pong(500)) if f.rule == "connection-replaced")
    openings = [event for event in found.evidence if isinstance(event, Connected)]
    assert len(found.evidence) == 8
    assert [event.sid for event in openings][:2] == ["s0", "s1"]
    assert openings[-1].sid == "s500"


@given(st.lists(st.lists(st.integers(0, 30), max_size=25, unique=True), max_size=6))
def test_the_evidence_of_many_events_is_that_of_one_after_the_other(occurrences: list[list[int]]) -> None:
    stored: list[Any] = []
    expected: list[int] = []
    for events in occurrences:
        _add_evidence(stored, events)  # type: ignore[arg-type]
        expected += [event for event in dict.fromkeys(events) if event not in expected]
        if len(expected) > FIRST_EVIDENCE + LATEST_EVIDENCE:
            del expected[FIRST_EVIDENCE:-LATEST_EVIDENCE]
        assert stored == expected


def test_a_finding_has_the_highest_severity_and_confidence_of_its_occurrences() -> None:
    conversation = (
        user("A").connects("s1", at=0).is_refused(at=1, message="no").is_refused(at=2).is_refused(at=3, message="no")
    )
    found = next(f for f in judged([REGISTRY["tab-displaced"]], conversation))
    assert (found.count, found.severity) == (3, Severity.WARNING)
    guessed = user("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1.1, reason="transport close")
    guessed.connects("s3", at=2).disconnects("s2", at=2, reason=KICKED_CLIENT)
    guessed.connects("s4", at=3).disconnects("s3", at=3.1, reason="transport close")
    assert next(f for f in judged([REGISTRY["connection-replaced"]], guessed)).confidence is Confidence.HIGH


@pytest.mark.parametrize(("times", "every", "rate"), [(2, 1.0, None), (3, 0.01, None), (3, 1.0, 1.0), (11, 0.25, 4.0)])
def test_a_rate_needs_several_occurrences_and_some_time(times: int, every: float, rate: float | None) -> None:
    found = next(f for f in judged(DOCUMENTED, ping_pong(times, every)) if f.rule == "connection-replaced")
    assert found.rate == (pytest.approx(rate) if rate else None)


def test_on_finding_is_called_for_each_occurrence_with_the_same_growing_finding() -> None:
    reported: list[tuple[int, int]] = []
    judge = Judge(rules=[REGISTRY["connection-replaced"]], on_finding=lambda f: reported.append((id(f), f.count)))
    fed(judge, ping_pong(5))
    assert [count for _, count in reported] == [1, 2, 3, 4, 5]
    assert len({identity for identity, _ in reported}) == 1


def test_a_cause_is_determined_on_request() -> None:
    reported: list[Finding] = []
    judge = fed(Judge(on_finding=reported.append), ping_pong(30))
    replaced = next(f for f in reported if f.rule == "connection-replaced")
    assert replaced.cause is None
    cause = judge.update_cause(replaced)
    assert cause is not None and cause.id == "reconnect-on-kick" and replaced.cause == cause
    assert all(f.cause is not None for f in judge.findings())


def test_reading_findings_changes_nothing() -> None:
    judge = fed(Judge(), ping_pong(7))
    assert judge.findings() == judge.findings() == judge.finish()


def cut(name: str, since: float = 0) -> Conversation:
    """Return a replacement in which the server closed the transport: only its record shows a cause."""
    conversation = log_of(name).connects(f"{name}0", at=since).connects(f"{name}1", at=since + 1)
    conversation.is_replaced(f"{name}0", f"{name}1", at=since + 1)
    return conversation.disconnects(f"{name}0", at=since + 1, reason="forced close")


def causes_of(conversation: Conversation, *, asked_often: bool) -> dict[str | None, str | None]:
    judge = Judge(rules=[REGISTRY["connection-replaced"]])
    for event in conversation.events:
        judge.feed(event)
        if asked_often:
            judge.findings()
    return {f.user: f.cause.id if f.cause else None for f in judge.finish()}


@pytest.mark.parametrize("asked_often", [True, False])
def test_a_cause_that_was_shown_stays_whatever_follows(asked_often: bool) -> None:
    """Return more ends than a history stores, at irregular times, so that the evidence of the cause is evicted."""
    conversation = cut("A")
    for n in range(1, MAX_ENTRIES + 3):
        at = 2 + n + n % 3 / 3
        conversation.connects(f"A{n + 1}", at=at).is_replaced(f"A{n}", f"A{n + 1}", at=at)
        conversation.disconnects(f"A{n}", at=at, reason=KICKED_SERVER)
    assert causes_of(conversation, asked_often=asked_often) == {"A": "transport-closed"}


@pytest.mark.parametrize("asked_often", [True, False])
def test_a_cause_stays_after_its_history_was_evicted(asked_often: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wscheck.detect.causes.history.MAX_USERS", 2)
    conversation = cut("A") & cut("B", since=10) & cut("C", since=20) & cut("D", since=30)
    assert causes_of(conversation, asked_often=asked_often) == dict.fromkeys("ABCD", "transport-closed")


@pytest.mark.parametrize("asked_often", [True, False])
def test_an_apparent_cause_is_dropped_when_more_evidence_disproves_it(asked_often: bool) -> None:
    conversation = ping_pong(3, 0.4).connects("s4", at=2.4).is_replaced("s3", "s4", at=2.4)
    assert causes_of(conversation, asked_often=asked_often) == {"A": None}


def test_time_alone_can_turn_an_overlap_into_a_finding() -> None:
    judge = fed(Judge(), log_of("A").connects("s1", at=0).connects("s2", at=1))
    assert judge.findings() == []
    judge.advance_to(START + 1.2)
    assert judge.findings() == []
    judge.advance_to(START + 1.3)
    assert [f.first_at for f in judge.findings()] == [START + 1], "since when, not when it was noticed"


def test_time_does_not_run_backwards() -> None:
    """Two logs interleave imperfectly: a late line must not move the time back."""
    judge = fed(Judge(), log_of("A").connects("s1", at=10).connects("s2", at=11).watched(until=11.1))
    fed(judge, log_of("B").connects("b1", at=2))
    assert [f.user for f in judge.finish(START + 12)] == ["A"]


def test_thousands_of_overlaps_are_reported_in_the_order_of_their_time() -> None:
    conversation = log_of("A")
    for n in range(3_000):
        conversation.user = f"user_{n}"
        conversation.connects(f"a{n}", at=n * 1e-5).connects(f"b{n}", at=n * 1e-5)
    judge = fed(Judge(rules=[MultipleConnections]), conversation)
    assert judge.findings() == []
    judge.advance_to(START + 9)
    assert [f.user for f in judge.findings()] == [f"user_{n}" for n in range(3_000)]


def test_only_rules_with_pending_state_get_the_time() -> None:
    reported: list[float] = []

    class Waiting(MultipleConnections):
        id = "waiting"

        def on_time(self, at: float) -> None:
            reported.append(at - START)
            super().on_time(at)

    judge = fed(Judge(rules=[Waiting]), log_of("A").connects("s1", at=0).disconnects("s1", at=1))
    assert reported == []
    fed(judge, log_of("A").connects("s2", at=2).connects("s3", at=3).watched(until=3.1).disconnects("s2", at=3.2))
    assert reported == pytest.approx([3.1, 3.2])
    fed(judge, log_of("A").watched(until=9))
    assert len(reported) == 2


def test_an_expired_connection_is_evaluated_like_any_other_end() -> None:
    judge = fed(Judge(), log_of("A").connects("s1", at=0).connects("s2", at=1))
    (closed,) = judge.feed(ConnectionExpired(at=START + 1.1, source="wscheck", sid="s1"))
    assert isinstance(closed, ClosedChange) and closed.remaining == ("s2",)
    assert judge.finish(START + 9) == []


def test_an_overlap_that_ends_by_expiring_is_found_as_it_was_before_that() -> None:
    judge = fed(Judge(), log_of("A").connects("s1", at=0).connects("s2", at=1))
    judge.feed(ConnectionExpired(at=START + 9, source="wscheck", sid="s1"))
    assert [f.message for f in judge.findings()] == ["holds 2 connections at once"]


def test_restored_events_open_connections_and_are_not_counted_again() -> None:
    judge = Judge(RuleOptions(max_attempts=2))
    for event in log_of("A").connects("s1", at=0).connects("s2", at=0.01).connects("s3", at=0.02).events:
        judge.restore(event)
    assert judge.ledger.open_connections("A") == ("s1", "s2", "s3")
    assert {f.rule for f in judge.finish(START + 9)} == {"multiple-connections"}


def test_an_event_that_no_rule_handles_changes_nothing() -> None:
    assert Judge(rules=[]).feed(NotEvaluated(at=START)) == ()
