"""handler-leaked: each visit of a view adds a handler to a connection that stays."""

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules.handler_leaked import HandlerLeaked
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Severity, Verdict

ORDERS = CodeLocation("src/orders.ts", 14)


def visited(*counts: int) -> Conversation:
    """The page shares one connection; so many handlers of `order` it has after each visit."""
    conversation = user("A", "browser", page="tab-1").connects("s1", at=0)
    for number, count in enumerate(counts):
        conversation.has_handlers("order", number, *[ORDERS] * count)
    return conversation.counts(*counts, what="handlers", name="order", opener=ORDERS)


def test_a_handler_that_each_visit_leaves_behind() -> None:
    found = one(judged(HandlerLeaked, visited(1, 2, 3, 4)))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == (
        "1 more handler of order (src/orders.ts:14) after each of 3 rounds of /ramp (handlers: 1, 2, 3, 4)"
    )
    assert [type(event).__name__ for event in found.evidence] == ["HandlersRegistered", "RoundCounted"]
    assert found.cause is not None and found.cause.id == "handler-without-off"


def test_handlers_that_are_removed_or_registered_once_are_healthy() -> None:
    assert judged(HandlerLeaked, visited(1, 1, 1, 1)) == []
    assert judged(HandlerLeaked, visited(0, 1, 1, 1)) == []


def test_counts_of_connections_are_not_those_of_handlers() -> None:
    assert judged(HandlerLeaked, user("A").counts(0, 1, 2, 3)) == []


def test_a_growth_in_some_rounds_only_is_a_gap_with_the_counts() -> None:
    judge = Judge(None, [HandlerLeaked])
    for event in visited(0, 1, 1, 2, 2).events:
        judge.feed(event)
    report = judge.report()
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "(handlers: 0, 1, 1, 2, 2)" in report.reason
