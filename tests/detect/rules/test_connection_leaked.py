"""connection-leaked: a connection outlives the last component of its page."""

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules.connection_leaked import ConnectionLeaked
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Severity, Verdict

RAMP = CodeLocation("src/ramp.ts", 9)


def used(until: float, source: str = "client") -> Conversation:
    """The dashboard mounts, its page connects, and it unmounts again."""
    conversation = user("A", source, page="tab-1").mounts("Dashboard", at=0).connects("s1", at=0.1, by="Dashboard")
    return conversation.unmounts("Dashboard", at=until)


def test_a_connection_that_stays_after_the_last_component() -> None:
    found = one(judged(ConnectionLeaked, used(until=1).watched(until=3)))
    assert (found.user, found.count, found.severity) == ("A", 1, Severity.ERROR)
    assert found.message == "a connection of Dashboard stayed open after the last component unmounted"
    assert [type(event).__name__ for event in found.evidence] == ["Connected", "Unmounted"]


def test_a_connection_that_closes_with_the_last_component() -> None:
    assert judged(ConnectionLeaked, used(until=1).disconnects("s1", at=1.01).watched(until=3)) == []


def test_closing_may_take_the_grace() -> None:
    assert judged(ConnectionLeaked, used(until=1).watched(until=1.2)) == []


def test_another_component_keeps_the_connection() -> None:
    conversation = user("A", page="tab-1").mounts("Dashboard", at=0).mounts("Wizard", at=0).connects("s1", at=0.1)
    assert judged(ConnectionLeaked, conversation.unmounts("Wizard", at=1).watched(until=9)) == []


def test_a_component_that_comes_back_uses_the_connection_again() -> None:
    assert judged(ConnectionLeaked, used(until=1).mounts("Dashboard", at=1.1).watched(until=9)) == []


def test_another_page_of_the_user_still_uses_its_own_connection() -> None:
    conversation = used(until=1).disconnects("s1", at=1.01).mounts("Dashboard", at=2, page="tab-2")
    assert judged(ConnectionLeaked, conversation.connects("s2", at=2.1, page="tab-2").watched(until=9)) == []


def test_a_connection_that_the_server_replaced_does_not_stay() -> None:
    conversation = used(until=1).connects("s2", at=1.05, page="tab-2").is_replaced("s1", "s2", at=1.05)
    assert judged(ConnectionLeaked, conversation.watched(until=9)) == []


def test_500_connections_left_behind_are_one_finding() -> None:
    conversation = user("A", page="tab-1").mounts("Dashboard", at=0)
    for n in range(500):
        conversation.connects(f"s{n}", at=n / 1000)
    found = one(judged(ConnectionLeaked, conversation.unmounts("Dashboard", at=1).watched(until=3)))
    assert (found.count, len(found.evidence)) == (500, 8)


def test_without_times_the_connection_may_be_about_to_close() -> None:
    conversation = user("A", page="tab-1").mounts("Dashboard", at=None).connects("s1", at=None)
    assert judged(ConnectionLeaked, conversation.unmounts("Dashboard", at=None)) == []


def visited(*counts: int, opener: CodeLocation | None = RAMP) -> Conversation:
    """The page is visited repeatedly; each visit opens a connection, and so many are open afterwards."""
    conversation = user("A", "browser", page="tab-1").counts(*counts, opener=opener)
    for number in range(1, len(counts)):
        conversation.connects(f"s{number}", at=number - 0.5, by="src/ramp.ts:9")
    return conversation


def test_a_connection_that_each_visit_of_a_view_leaves_behind() -> None:
    found = one(judged(ConnectionLeaked, visited(0, 1, 2, 3, 4)))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == (
        "1 more connection stays open after each of 4 rounds of /ramp, opened by src/ramp.ts:9 (open: 0, 1, 2, 3, 4)"
    )
    assert [type(event).__name__ for event in found.evidence] == ["Connected", "RoundCounted"]


def test_a_leak_whose_opener_is_unknown() -> None:
    found = one(judged(ConnectionLeaked, visited(1, 3, 5, 7, opener=None)))
    assert found.message == "2 more connections stay open after each of 3 rounds of /ramp (open: 1, 3, 5, 7)"


def test_two_openers_of_one_view_are_two_leaks() -> None:
    both = visited(0, 1, 2, 3) & user("A").counts(0, 1, 2, 3, opener=CodeLocation("src/gate.ts", 2))
    assert len(judged(ConnectionLeaked, both)) == 2


def test_a_view_that_never_keeps_a_connection_is_healthy() -> None:
    for counts in ((0, 0, 0, 0), (0, 1, 1, 1), (2, 1, 1, 1)):
        assert judged(ConnectionLeaked, visited(*counts)) == []


def test_a_growth_in_some_rounds_only_is_a_gap_with_the_counts() -> None:
    judge = Judge(None, [ConnectionLeaked])
    for event in visited(0, 1, 1, 2, 2).events:
        judge.feed(event)
    report = judge.report()
    assert (report.verdict, report.findings) == (Verdict.INCONCLUSIVE, [])
    assert "some rounds of /ramp leave connections open, opened by src/ramp.ts:9" in report.reason
    assert "(open: 0, 1, 1, 2, 2)" in report.reason
