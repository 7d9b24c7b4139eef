"""subscription-leaked: a view that was left has not ended its subscription."""

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules.subscription_leaked import SubscriptionLeaked
from wscheck.model.code_facts import CallContext, Cleanup, OpenerCode
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Severity, Verdict

ROOM = CodeLocation("src/room.jsx", 11)


def visited(*counts: int, code: OpenerCode | None = None) -> Conversation:
    """The page has one connection, and so many subscriptions to `room` after each visit of a view."""
    said = user("A", "browser", page="tab-1", protocol="graphql-ws").connects("s1", at=0, url="ws://h/live")
    for number in range(max(counts)):
        said.acts(at=number).subscribes(str(number), "room", at=number, subscriber=ROOM, code=code)
    return said.counts(*counts, what="subscriptions", name="room", opener=ROOM)


def test_a_subscription_that_each_visit_leaves_behind() -> None:
    found = one(judged(SubscriptionLeaked, visited(0, 1, 2, 3)))
    assert (found.user, found.severity) == ("A", Severity.ERROR)
    assert found.message == (
        "1 more subscription stays open for room (src/room.jsx:11) after each of 3 rounds of /ramp (open: 0, 1, 2, 3)"
    )
    assert [type(event).__name__ for event in found.evidence] == ["Subscribed", "RoundCounted"]
    assert found.cause is not None and found.cause.id == "subscription-without-end"
    assert "src/room.jsx:11" in found.cause.fix


def test_a_subscription_that_the_client_keeps_once_is_left_behind_if_the_code_never_ends_it() -> None:
    code = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.MISSING)
    found = one(judged(SubscriptionLeaked, visited(0, 1, 1, 1, code=code)))
    assert found.message.startswith("the subscription to room (src/room.jsx:11) stays open after /ramp is left")
    assert judged(SubscriptionLeaked, visited(1, 1, 1, 1, code=code)) == []


def test_a_subscription_that_the_application_shares_from_the_first_visit_on_is_healthy() -> None:
    assert judged(SubscriptionLeaked, visited(0, 1, 1, 1)) == []
    closes = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.CLOSES)
    assert judged(SubscriptionLeaked, visited(0, 1, 1, 1, code=closes)) == []
    store = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.MISSING, guarded=True)
    assert judged(SubscriptionLeaked, visited(0, 1, 1, 1, code=store)) == []


def test_counts_of_connections_are_not_those_of_subscriptions() -> None:
    assert judged(SubscriptionLeaked, user("A").counts(0, 1, 2, 3)) == []


def test_a_growth_in_some_rounds_only_is_a_gap_with_the_counts() -> None:
    judge = Judge(None, [SubscriptionLeaked])
    for event in visited(0, 1, 1, 2, 2).events:
        judge.feed(event)
    report = judge.report()
    assert report.verdict is Verdict.INCONCLUSIVE
    assert "(open: 0, 1, 1, 2, 2)" in report.reason


def test_the_last_component_leaves_and_the_subscription_stays() -> None:
    said = user("A", page="tab-1").connects("s1", at=0).mounts("Room", at=0).subscribes("1", "room", at=1)
    found = one(judged(SubscriptionLeaked, said.unmounts("Room", at=2).watched(until=5)))
    assert found.message == "the subscription to room stayed open after the last component unmounted"


def test_a_subscription_that_ends_with_its_component_or_connection_is_healthy() -> None:
    for end in ("unsubscribes", "disconnects"):
        said = user("A", page="tab-1").connects("s1", at=0).mounts("Room", at=0).subscribes("1", "room", at=1)
        said.unmounts("Room", at=2)
        getattr(said, end)("1" if end == "unsubscribes" else "s1", at=2.1)
        assert judged(SubscriptionLeaked, said.watched(until=5)) == []
