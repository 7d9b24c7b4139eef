"""subscription-duplicated: a page asks twice for the same, on one connection or on two."""

import pytest

from tests.conversation import Conversation, judged, one, user
from tests.counted_calls import counted_calls
from wscheck.detect.rules.subscription_duplicated import SubscriptionDuplicated
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Confidence, Severity

URL = "ws://h/live"
LIST, BADGE = CodeLocation("src/list.jsx", 7), CodeLocation("src/badge.jsx", 3)


def page(*, protocol: str = "graphql-ws") -> Conversation:
    return user("A", "browser", page="tab-1", protocol=protocol).connects("s1", at=0, url=URL)


def test_two_subscriptions_to_the_same_on_one_connection() -> None:
    said = page().subscribes("1", "orders", at=1, subscriber=LIST).subscribes("2", "orders", at=1.1, subscriber=BADGE)
    found = one(judged(SubscriptionDuplicated, said.watched(until=3)))
    assert (found.user, found.severity, found.confidence) == ("A", Severity.ERROR, Confidence.HIGH)
    assert found.message == "subscribed to orders twice on one connection: src/list.jsx:7 and src/badge.jsx:3"
    assert found.cause is not None and found.cause.id == "two-subscribers"


def test_each_further_subscription_is_one_more_occurrence() -> None:
    said = page()
    for number in range(4):
        said.subscribes(str(number), "orders", at=number)
    found = one(judged(SubscriptionDuplicated, said.watched(until=9)))
    assert found.count == 3 and found.message == "subscribed to orders 4 times on one connection"


@pytest.mark.parametrize(
    "said",
    [
        page().subscribes("1", "orders", at=1).subscribes("2", "prices", at=1),
        page().subscribes("1", "orders", at=1, same="a").subscribes("2", "orders", at=1, same="b"),
        page().subscribes("1", "orders", at=1).unsubscribes("1", at=2).subscribes("2", "orders", at=2),
        page().subscribes("1", "orders", at=1).subscribes("1", "orders", at=2),
        page().subscribes("1", "orders", at=1).subscribes("2", "orders", at=2, same=None),
        page().subscribes("1", "orders", at=1).subscribes("2", "orders", at=2).unsubscribes("1", at=2.1),
        page()
        .subscribes("1", "orders", at=1)
        .disconnects("s1", at=2)
        .connects("s2", at=3, url=URL)
        .subscribes("1", "orders", at=3, sid="s2"),
    ],
    ids=["names", "variables", "one after the other", "id again", "unknown", "new before old", "reconnection"],
)
def test_subscriptions_that_differ_or_follow_each_other_are_healthy(said: Conversation) -> None:
    assert judged(SubscriptionDuplicated, said.watched(until=9)) == []


def test_the_same_subscription_on_two_connections_of_a_page_is_a_warning() -> None:
    """The rule for connections reports the second connection as an error."""
    said = (
        page().subscribes("1", "orders", at=1).connects("s2", at=1, url=URL).subscribes("1", "orders", at=2, sid="s2")
    )
    found = one(judged(SubscriptionDuplicated, said.watched(until=4)))
    assert (found.severity, found.message) == (
        Severity.WARNING,
        "subscribed to orders on 2 connections of one page",
    )


def test_two_endpoints_or_two_pages_may_have_the_same_subscription() -> None:
    said = page().subscribes("1", "orders", at=1)
    said.connects("s2", at=1, url="ws://h/admin").subscribes("1", "orders", at=2, sid="s2")
    other = user("A", "browser", page="tab-2", protocol="graphql-ws").connects("s3", at=1, url=URL)
    other.subscribes("1", "orders", at=2, sid="s3")
    assert judged(SubscriptionDuplicated, (said & other).watched(until=4)) == []


def test_without_times_two_open_subscriptions_are_probable() -> None:
    said = user("A", "browser", page="tab-1").connects("s1", at=None, url=URL)
    said.subscribes("1", "orders", at=None).subscribes("2", "orders", at=None)
    assert one(judged(SubscriptionDuplicated, said)).confidence is Confidence.MEDIUM


def test_many_equal_subscriptions_are_evaluated_one_by_one() -> None:
    calls = dict[int, int]()
    for many in (250, 1000):
        said = page()
        for number in range(many):
            said.subscribes(str(number), "orders", at=1 + number / many)
        said.watched(until=9)
        with counted_calls() as count:
            found = one(judged(SubscriptionDuplicated, said))
        calls[many] = count.calls
        assert (found.count, found.message) == (many - 1, f"subscribed to orders {many} times on one connection")
    assert calls[1000] < 6 * calls[250]
