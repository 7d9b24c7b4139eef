"""multiple-connections: an overlap beyond the grace, or one page that opened two."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conversation import START, judged, log_of, one, ping_pong, user
from wscheck.detect.connection_policy import apply_policy
from wscheck.detect.engine import Judge
from wscheck.detect.rules import RuleOptions, multiple_connections
from wscheck.detect.rules.multiple_connections import MultipleConnections
from wscheck.model.events import Connected, Disconnected, Refused
from wscheck.model.findings import Confidence, Finding, Severity


def test_two_connections_at_once_are_found_with_both_openers_as_evidence() -> None:
    conversation = user("A").connects("s1", at=0, by="Dashboard").connects("s2", at=1, by="Wizard").watched(until=2)
    found = one(judged(MultipleConnections, conversation))
    assert (found.user, found.count, found.severity, found.confidence) == ("A", 1, Severity.ERROR, Confidence.HIGH)
    assert found.message == "holds 2 connections at once: Dashboard, Wizard"
    assert [event.sid for event in found.evidence if isinstance(event, Connected)] == ["s1", "s2"]


@pytest.mark.parametrize(("by", "told"), [(None, ""), ("Dashboard", ", all opened by Dashboard")])
def test_each_of_many_connections_is_counted_but_not_each_evaluated_completely(
    by: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = []

    def record(connections: Sequence[Any], policy: Any) -> Any:
        evaluated.append(len(connections))
        return apply_policy(connections, policy)

    monkeypatch.setattr(multiple_connections, "apply_policy", record)
    conversation = log_of("A") if by is None else user("A")
    for number in range(1200):
        conversation.connects(f"s{number}", at=number, **({"by": by} if by else {}))
    found = one(judged(MultipleConnections, conversation.watched(until=1202)))
    assert (found.count, found.severity) == (1199, Severity.ERROR)
    assert re.fullmatch(rf"holds 1[12]\d\d connections at once{told}", found.message)
    assert found.message == "holds 1200 connections at once" or by is not None
    assert sum(evaluated) < 1200 * 1200 / 8


@pytest.mark.parametrize(
    ("policy", "pages", "told"),
    [
        ("per-tab", [f"t{n}" for n in range(900)], None),
        (5000, [None] * 900, None),
        ("per-tab", [f"t{n}" for n in range(900)] + ["t7"], "holds 2 connections at once"),
        (
            "per-tab",
            [f"t{n}" for n in range(400)] + ["t7"] + [f"u{n}" for n in range(400)],
            "holds 2 connections at once",
        ),
        (None, [f"t{n % 2}" for n in range(900)], "holds 450 connections at once"),
    ],
)
def test_a_user_may_have_many_pages(
    policy: Any, pages: list[str | None], told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated = []

    def record(connections: Sequence[Any], policy: Any) -> Any:
        evaluated.append(len(connections))
        return apply_policy(connections, policy)

    monkeypatch.setattr(multiple_connections, "apply_policy", record)
    conversation = log_of("A")
    for number, page in enumerate(pages):
        conversation.connects(f"s{number}", at=number, page=page)
    found = judged(MultipleConnections, conversation.watched(until=902), RuleOptions(connections=policy))
    assert [finding.message for finding in found] == ([told] if told is not None else [])
    assert sum(evaluated) < 900 * 900 / 6


STEPS = st.lists(st.tuples(st.sampled_from("oooc"), st.integers(0, 5)), max_size=40)


@settings(deadline=None, max_examples=40)
@given(STEPS, st.sampled_from(["per-tab", "per-user", 3, 6, None]), st.booleans())
def test_many_connections_of_one_user_are_evaluated_like_few(
    steps: list[tuple[str, int]], policy: Any, logs_pages: bool
) -> None:
    """The result for few connections, each of which is evaluated completely, is the same."""
    found = []
    for many in (3, 10_000):
        conversation, opened = log_of("A"), list[str]()
        for at, (step, number) in enumerate(steps):
            if step == "o":
                opened.append(f"s{at}")
                conversation.connects(opened[-1], at=at, page=f"t{number}" if logs_pages else None)
            elif opened:
                conversation.disconnects(opened.pop(number % len(opened)), at=at)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(multiple_connections, "MANY", many)
            result = judged(MultipleConnections, conversation.watched(until=60), RuleOptions(connections=policy))
        found.append([(each.message, each.count, each.severity, each.connections) for each in result])
    assert found[0] == found[1]


def test_an_overlap_within_the_grace_is_a_healthy_replacement() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1.2).watched(until=9)
    assert judged(MultipleConnections, conversation) == []


def test_an_overlap_just_beyond_the_grace_is_found_though_it_ended() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1.3).watched(until=9)
    assert one(judged(MultipleConnections, conversation)).message == "holds 2 connections at once"


def test_an_overlap_as_long_as_the_grace_is_not_found_until_time_passes() -> None:
    conversation = user("A").connects("s1", at=0).connects("s2", at=1)
    grace_s = RuleOptions().grace_s
    assert judged(MultipleConnections, conversation.watched(until=1 + grace_s)) == []
    assert one(judged(MultipleConnections, conversation.watched(until=1 + 2 * grace_s))).count == 1


def test_the_grace_can_be_tuned() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=1.3).watched(until=9)
    assert judged(MultipleConnections, conversation, RuleOptions(grace_s=0.5)) == []


def test_one_connection_after_the_other_is_no_overlap() -> None:
    conversation = user("A").connects("s1", at=0).disconnects("s1", at=1).connects("s2", at=2).watched(until=9)
    assert judged(MultipleConnections, conversation) == []


def test_two_users_with_one_connection_each_are_no_finding() -> None:
    conversation = user("A").connects("s1", at=0) & user("B").connects("s2", at=0.1).watched(until=9)
    assert judged(MultipleConnections, conversation) == []


def test_a_page_whose_second_connection_replaced_its_first_is_found_without_any_overlap() -> None:
    conversation = user("A", page="tab-1").connects("s1", at=0, by="Dashboard").connects("s2", at=1, by="Wizard")
    conversation.is_replaced("s1", "s2", at=1)
    found = one(judged(MultipleConnections, conversation))
    assert found.message == "one page opened 2 connections: one by Dashboard, one by Wizard"


def refused(**what: Any) -> list[Finding]:
    """Return the findings after a page with an open connection was refused a second one."""
    attempt: dict[str, Any] = {
        "at": START + 1,
        "user": "A",
        "eio": "e2",
        "page": "tab 1",
        "source": "browser",
        "component": "Wizard",
    }
    judge = Judge(rules=[MultipleConnections])
    opening: dict[str, Any] = {
        "at": START,
        "user": "A",
        "eio": "e1",
        "page": "tab 1",
        "source": "browser",
        "component": "Dashboard",
    }
    judge.feed(Connected(sid="s1", **opening))
    judge.feed(Refused(**attempt | {"reason": "refused", "message": "already connected"} | what))
    return judge.finish()


def test_a_page_whose_second_connection_is_refused_is_found() -> None:
    found = one(refused())
    assert (
        found.message == "one page opened 2 connections: one by Dashboard, one by Wizard; the server refused the second"
    )
    assert (found.severity, found.confidence, found.count) == (Severity.ERROR, Confidence.HIGH, 1)


@pytest.mark.parametrize(
    "what",
    [{"page": "tab 2"}, {"user": "B"}, {"eio": "e1"}, {"reason": "timeout"}, {"credential": "invalid"}, {"page": None}],
    ids=["another tab", "another user", "another namespace", "no answer", "on purpose", "no page"],
)
def test_other_refusals_are_no_second_connection(what: dict[str, str]) -> None:
    assert refused(**what) == []


def test_the_same_code_that_opened_twice_is_named_once() -> None:
    conversation = user("A", page="tab-1").connects("s1", at=0, by="src/a.ts:5").connects("s2", at=1, by="src/a.ts:5")
    found = one(judged(MultipleConnections, conversation.is_replaced("s1", "s2", at=1)))
    assert found.message == "one page opened 2 connections, both by src/a.ts:5"


def test_a_second_tab_that_replaces_the_first_is_no_page_with_two_connections() -> None:
    conversation = user("A").connects("s1", at=0, page="tab-1").connects("s2", at=1, page="tab-2")
    assert judged(MultipleConnections, conversation.is_replaced("s1", "s2", at=1.001)) == []


def test_500_replacements_within_one_page_are_one_finding() -> None:
    found = one(judged(MultipleConnections, ping_pong(500, source="client", page="tab-1")))
    assert found.count == 500
    assert len(found.evidence) == 8


def test_each_further_connection_that_stays_is_one_more_occurrence() -> None:
    conversation = user("A")
    for n in range(5):
        conversation.connects(f"s{n}", at=n)
    found = one(judged(MultipleConnections, conversation.watched(until=9)))
    assert (found.count, found.message) == (4, "holds 5 connections at once")


def test_healthy_replacements_besides_a_connection_that_stays_are_not_counted() -> None:
    conversation = log_of("A").connects("other", at=0).connects("s0", at=1)
    for n in range(1, 50):
        conversation.connects(f"s{n}", at=1 + n).disconnects(f"s{n - 1}", at=1.01 + n)
    assert one(judged(MultipleConnections, conversation.watched(until=60))).count == 1


def test_the_reported_count_is_forgotten_with_the_overlap() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).disconnects("s1", at=2)
    conversation.connects("s3", at=3).connects("s4", at=3.1).disconnects("s4", at=3.2).watched(until=9)
    assert one(judged(MultipleConnections, conversation)).count == 2


def test_without_times_an_overlap_that_ended_proves_nothing() -> None:
    conversation = log_of("A").connects("s1", at=None).connects("s2", at=None).disconnects("s1", at=None)
    assert judged(MultipleConnections, conversation) == []


@pytest.mark.parametrize(("between", "count"), [("B", 3), ("A", None)])
def test_without_times_the_order_shows_several_connections_that_others_came_between(
    between: str, count: int | None
) -> None:
    """Three connections in a row may be the namespaces of one."""
    judge = Judge()
    for line, who in enumerate(("A", "A", between, "A"), start=1):
        judge.feed(Connected(source="server-log", path="app.log", line=line, user=who, sid=f"s{line}"))
    for line, sid in enumerate(("s1", "s2", "s3", "s4"), start=9):
        judge.feed(Disconnected(source="server-log", path="app.log", line=line, sid=sid))
    judge.finish()
    assert [finding.connections for finding in judge.findings()] == ([count] if count else [])


def test_without_times_an_overlap_that_did_not_end_has_medium_confidence() -> None:
    found = one(judged(MultipleConnections, log_of("A").connects("s1", at=None).connects("s2", at=None)))
    assert (found.confidence, found.first_at) == (Confidence.MEDIUM, None)


def test_an_overlap_at_the_very_end_within_the_grace_is_not_yet_one() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).watched(until=1.2)
    assert judged(MultipleConnections, conversation) == []


def test_one_component_on_several_pages_is_named_once() -> None:
    conversation = user("A").connects("s1", at=0, by="Dashboard", page="tab-1")
    conversation.connects("s2", at=0.001, by="Dashboard", page="tab-2").watched(until=2)
    assert (
        one(judged(MultipleConnections, conversation)).message
        == "holds 2 connections at once, both opened by Dashboard on 2 pages"
    )


def test_each_opener_is_named_once_with_its_count() -> None:
    conversation = user("A")
    for n, by in enumerate(("Dashboard", "Dashboard", "Dashboard", "Wizard", "Chat", "Board", "Board")):
        conversation.connects(f"s{n}", at=n / 1000, by=by)
    assert one(judged(MultipleConnections, conversation.watched(until=2))).message == (
        "holds 7 connections at once: Board 2 times, Chat, Dashboard 3 times and 1 more"
    )


@pytest.mark.parametrize(("end", "count"), [(1, 0), (2, 1), (46, 1)])
def test_whole_seconds_show_an_overlap_only_from_two_seconds_on(end: float, count: int) -> None:
    said = log_of("A", resolution=1.0).connects("s1", at=0).connects("s2", at=60).disconnects("s1", at=60 + end)
    found = judged(MultipleConnections, said.watched(until=300))
    assert len(found) == count
    assert all(each.first_at == START + 60 for each in found)


def test_an_overlap_that_has_just_begun_at_the_end_is_a_gap() -> None:
    judge = Judge(rules=[MultipleConnections])
    for event in user("A").connects("s1", at=0).connects("s2", at=1).events:
        judge.feed(event)
    assert judge.finish() == []
    assert [gap.reason for gap in judge.gaps if gap.blocks] == [
        "the evidence ends while A holds 2 connections, too early to decide whether one of them is being replaced"
    ]


def test_an_overlap_that_the_policy_permits_is_neither_a_finding_nor_a_gap() -> None:
    for end in (1.1, 9):
        judge = Judge(RuleOptions(connections=2), [MultipleConnections])
        for event in user("A").connects("s1", at=0).connects("s2", at=1).watched(until=end).events:
            judge.feed(event)
        assert (judge.finish(), judge.gaps) == ([], [])


def test_the_third_connection_of_a_user_is_found_if_the_policy_permits_two() -> None:
    conversation = log_of("A").connects("s1", at=0).connects("s2", at=1).connects("s3", at=5).watched(until=9)
    found = one(judged(MultipleConnections, conversation, RuleOptions(connections=2)))
    assert (found.severity, found.count, found.message) == (Severity.ERROR, 1, "holds 3 connections at once")


def test_two_pages_of_a_user_are_a_warning_with_the_line_for_the_configuration_until_a_policy_is_set() -> None:
    pages = (("tab 1", "s1"), ("tab 2", "s2"))
    events = [
        Connected(at=START + n, source="browser", user="A", sid=sid, page=page) for n, (page, sid) in enumerate(pages)
    ]
    judge = Judge(rules=[MultipleConnections])
    for event in events:
        judge.feed(event)
    (found,) = judge.finish(START + 9)
    assert (found.severity, found.message) == (Severity.WARNING, "holds 2 connections at once on 2 pages")
    (gap,) = judge.gaps
    assert not gap.blocks and gap.closes_with.startswith('connections = "per-tab"')


def strangers(*, number: int, every: float, lasting: float) -> Judge:
    """Return a judge that has read the log of one user and of connections without a user."""
    known = log_of("A").connects("a1", at=0).disconnects("a1", at=500)
    unknown = log_of(None)
    for each in range(number):
        unknown = unknown.connects(f"u{each}", at=every * each).disconnects(f"u{each}", at=every * each + lasting)
    judge = Judge()
    for event in (known & unknown).events:
        judge.feed(event)
    judge.finish()
    return judge


@pytest.mark.parametrize(
    ("number", "every", "lasting", "verdict"),
    [(30, 10, 0.08, "passed"), (3, 1, 0.2, "passed"), (30, 10, 0.3, "inconclusive"), (30, 1.5, 0.08, "inconclusive")],
)
def test_a_brief_connection_of_nobody_is_no_second_one_of_a_user(
    number: int, every: float, lasting: float, verdict: str
) -> None:
    report = strangers(number=number, every=every, lasting=lasting).report()
    assert report.verdict == verdict
    assert {gap.blocks for gap in report.gaps if gap.id == "connections-unattributed"} == {verdict != "passed"}
