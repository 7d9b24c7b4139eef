"""subscription-leaked: a view that was left has not ended its subscription."""

from msgspec import structs

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.engine import Judge
from wscheck.detect.rules.subscription_leaked import SubscriptionLeaked
from wscheck.model.code_facts import CallContext, Cleanup, OpenerCode
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Confidence, Severity, Verdict

ROOM = CodeLocation("src/room.jsx", 11)


def visited(*counts: int, code: OpenerCode | None = None, protocol: str = "pusher") -> Conversation:
    """The page has one connection, and so many subscriptions to `room` after each visit of a view."""
    said = user("A", "browser", page="tab-1", protocol=protocol).connects("s1", at=0, url="ws://h/live")
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
    # The client of GraphQL sends each subscription: the code checked for an earlier one in a way that is not seen.
    assert judged(SubscriptionLeaked, visited(0, 1, 1, 1, code=code, protocol="graphql-ws")) == []


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


NEVER_ENDS = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.MISSING)


def visited_topics(*rounds: dict[str, int], subscriber: CodeLocation | None = ROOM) -> Conversation:
    """The page has so many subscriptions to each topic, all from one call site, after each visit of a view."""
    said = user("A", "browser", page="tab-1", protocol="phoenix").connects("s1", at=0, url="ws://h/live")
    names = list(dict.fromkeys(name for each in rounds for name in each))
    for number, name in enumerate(names):
        said.acts(at=number).subscribes(name, name, at=number, subscriber=subscriber)
        said.counts(*(each.get(name, 0) for each in rounds), what="subscriptions", name=name, opener=subscriber)
    return said


def joined(*topics: str) -> list[dict[str, int]]:
    """Return the numbers of subscriptions before the first visit and after each, if each visit leaves one behind."""
    return [dict.fromkeys(topics[:number], 1) for number in range(len(topics) + 1)]


def test_a_subscription_to_another_topic_at_each_visit() -> None:
    rounds: tuple[dict[str, int], ...] = (
        {},
        {"desk:4": 1},
        {"desk:4": 1, "desk:9": 1},
        {"desk:4": 1, "desk:9": 1, "desk:2": 1},
    )
    for place, shown in ((ROOM, " (src/room.jsx:11)"), (None, "")):
        found = one(judged(SubscriptionLeaked, visited_topics(*rounds, subscriber=place)))
        assert found.message == (
            f"1 more subscription stays open for desk:4, desk:9, desk:2{shown} after each of 3 rounds of /ramp, "
            "each for another name (open: 0, 1, 2, 3)"
        )
        assert found.cause is not None and found.cause.id == "subscription-without-end"


def test_a_topic_of_all_visits_beside_one_of_each_visit() -> None:
    rounds: tuple[dict[str, int], ...] = (
        {},
        {"all": 1, "a": 1},
        {"all": 1, "a": 1, "b": 1},
        {"all": 1, "a": 1, "b": 1, "c": 1},
    )
    found = one(judged(SubscriptionLeaked, visited_topics(*rounds)))
    assert "all, a, b and 1 more" in found.message and "(open: 0, 2, 3, 4)" in found.message


def test_a_page_with_several_topics_is_healthy() -> None:
    three = {"gates": 1, "yards": 1, "ramps": 1}
    last = {"a": 0, "b": 0, "c": 1}
    cases: tuple[tuple[dict[str, int], ...], ...] = (
        ({}, three, three, three),  # the first visit asks for all of them
        (three, three, three, three),
        ({}, {"a": 1}, {"a": 0, "b": 1}, last),  # each visit leaves the topic of the visit before
    )
    for rounds in cases:
        assert judged(SubscriptionLeaked, visited_topics(*rounds)) == []


def test_topics_that_grow_in_some_rounds_only_are_a_gap() -> None:
    judge = Judge(None, [SubscriptionLeaked])
    for event in visited_topics({}, {"a": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 1}).events:
        judge.feed(event)
    report = judge.report()
    assert report.verdict is Verdict.INCONCLUSIVE and "subscriptions to a, b (src/room.jsx:11)" in report.reason


def subscribed_by_effects(*topics: str, mounted: int | None, code: OpenerCode = NEVER_ENDS) -> Conversation:
    """The user visits a view several times, which subscribes to one of the topics each time."""
    said = user("A", "browser", page="tab-1", protocol="mqtt").connects("s1", at=0, url="ws://h/live")
    counted = structs.replace(code, mounted=mounted)
    for number, topic in enumerate(topics):
        said.acts(at=number).subscribes(f"{number}", topic, at=number + 0.5, subscriber=ROOM, code=counted)
    return said.watched(until=20)


def test_effects_whose_components_have_gone_without_a_loop() -> None:
    found = one(judged(SubscriptionLeaked, subscribed_by_effects("a", mounted=0)))
    assert found.message == "1 subscription stays open for a (src/room.jsx:11), and no components are mounted there"
    found = one(judged(SubscriptionLeaked, subscribed_by_effects("a", "b", "c", mounted=1)))
    assert found.message == (
        "3 subscriptions stay open for a, b, c (src/room.jsx:11), and 1 component is mounted there"
    )
    assert found.cause is not None and found.cause.id == "subscription-without-end"


def test_subscriptions_of_components_that_are_mounted_are_healthy() -> None:
    ends = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.CLOSES)
    handler = OpenerCode(context=CallContext.EVENT_HANDLER)
    for healthy in (
        subscribed_by_effects("a", "b", mounted=2),
        subscribed_by_effects("a", "b", mounted=None),
        subscribed_by_effects("a", mounted=0, code=ends),
        subscribed_by_effects("a", "b", "c", mounted=0, code=handler),  # an application that keeps what it opened
        subscribed_by_effects("a", mounted=0).disconnects("s1", at=5),
    ):
        assert judged(SubscriptionLeaked, healthy) == []
    # One component subscribes to several topics at once.
    said = user("A", page="tab-1").connects("s1", at=0).acts(at=1)
    for name in ("a", "b", "c"):
        said.subscribes(name, name, at=2, subscriber=ROOM, code=structs.replace(NEVER_ENDS, mounted=1))
    assert judged(SubscriptionLeaked, said.watched(until=20)) == []


def asked_again(*names: str, ended: bool = False, mounted: int | None = None, acts: bool = True) -> Conversation:
    """The page subscribes to `names`, one after the other; the server keeps one subscription of each name."""
    said = user("A", "browser", page="tab-1", protocol="mqtt").connects("s1", at=0, url="ws://h/live")
    code = OpenerCode(mounted=mounted)
    for number, name in enumerate(names):
        if acts:
            said.acts(at=number, by_step=True)
        if name in names[:number]:
            said.unsubscribes(name, at=number + 0.4, replaced=not ended)
        said.subscribes(name, name, at=number + 0.5, subscriber=ROOM, code=code)
    return said


def test_a_subscription_that_each_visit_asks_for_again() -> None:
    found = one(judged(SubscriptionLeaked, asked_again("depth", "depth", "depth").watched(until=20)))
    assert found.message == (
        "subscribed to depth (src/room.jsx:11) after each of 3 visits, and never ended it in between"
    )
    assert (found.severity, found.confidence) == (Severity.ERROR, Confidence.MEDIUM)
    assert found.cause is not None and found.cause.confidence is Confidence.MEDIUM


def test_a_subscription_that_is_asked_for_again_for_another_reason_is_healthy() -> None:
    for healthy in (
        asked_again("depth", "depth"),  # once is no habit
        asked_again("depth", "depth", "depth", ended=True),
        asked_again("depth", "depth", "depth", mounted=3),
        asked_again("depth", "depth", "depth", acts=False),
        asked_again("depth", "gate", "yard"),
        asked_again("depth", "depth", "depth").unsubscribes("depth", at=5),
        asked_again("depth", "depth", "depth").disconnects("s1", at=5),
    ):
        assert judged(SubscriptionLeaked, healthy.watched(until=20)) == []


def test_a_loop_in_which_each_round_subscribes_again() -> None:
    """The client or the server keeps one subscription, and the code is unknown."""
    said = user("A", "browser", page="tab-1", protocol="phoenix").connects("s1", at=0, url="ws://h/live")
    for number in range(3):
        said.acts(at=number + 0.1)
        if number:
            said.unsubscribes("1", at=number + 0.2)  # the client leaves its earlier channel, and joins again
        said.subscribes("1", "room", at=number + 0.2, subscriber=ROOM)
    said.counts(0, 1, 1, 1, what="subscriptions", name="room", opener=ROOM)
    found = one(judged(SubscriptionLeaked, said))
    assert found.message == (
        "the subscription to room (src/room.jsx:11) stays open after /ramp is left, and each visit asks again "
        "(open: 0, 1, 1, 1)"
    )
