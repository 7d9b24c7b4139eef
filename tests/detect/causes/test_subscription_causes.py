"""Causes of duplicate and leaked subscriptions."""

import pytest
from msgspec import structs

from tests.conversation import Conversation, judged, one, user
from wscheck.detect.rules.event_duplicated import EventDuplicated
from wscheck.detect.rules.subscription_duplicated import SubscriptionDuplicated
from wscheck.detect.rules.subscription_leaked import SubscriptionLeaked
from wscheck.model.code_facts import CallContext, Cleanup, OpenerCode
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Cause, Confidence

LIST, BADGE = CodeLocation("src/list.jsx", 7), CodeLocation("src/badge.jsx", 3)
MISSING = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.MISSING, mounted=1)
CLOSES = OpenerCode(context=CallContext.EFFECT, cleanup=Cleanup.CLOSES, mounted=2)


def page() -> Conversation:
    return user("A", "browser", page="tab-1", protocol="graphql-ws").connects("s1", at=0, url="ws://h/live")


def cause(said: Conversation) -> Cause:
    found = one(judged(SubscriptionDuplicated, said.watched(until=20))).cause
    assert found is not None
    return found


def test_two_subscribers() -> None:
    said = page().subscribes("1", "orders", at=1, subscriber=LIST).subscribes("2", "orders", at=1, subscriber=BADGE)
    found = cause(said)
    assert (found.id, found.confidence) == ("two-subscribers", Confidence.HIGH)
    assert found.because == "src/badge.jsx:3 and src/list.jsx:7 each subscribe to orders"


def test_two_components_with_one_hook_are_two_subscribers() -> None:
    said = page().subscribes("1", "orders", at=1, subscriber=LIST, code=CLOSES)
    found = cause(said.subscribes("2", "orders", at=1, subscriber=LIST, code=CLOSES))
    assert (found.id, found.confidence) == ("two-subscribers", Confidence.MEDIUM)


def test_subscription_without_end() -> None:
    said = page().subscribes("1", "orders", at=1, subscriber=LIST, code=MISSING)
    found = cause(said.subscribes("2", "orders", at=2, subscriber=LIST, code=MISSING))
    assert (found.id, found.confidence) == ("subscription-without-end", Confidence.HIGH)
    assert found.fix.startswith("End the subscription when the component leaves (src/list.jsx:7): ")
    assert found.because == (
        "the effect at src/list.jsx:7 subscribes to orders and has no cleanup that ends it: "
        "2 are open, and 1 component is mounted there"
    )


@pytest.mark.parametrize(("mounted", "told"), [(0, "3 are open, and no component is mounted there"), (None, "ends it")])
def test_the_components_that_have_gone_are_evidence_if_they_are_known(mounted: int | None, told: str) -> None:
    said, code = page(), structs.replace(MISSING, mounted=mounted)
    for number in range(3):
        said.subscribes(str(number), "orders", at=number, subscriber=LIST, code=code)
    found = cause(said)
    assert found.because.endswith(told)
    assert found.confidence is (Confidence.MEDIUM if mounted is None else Confidence.HIGH)


@pytest.mark.parametrize(("visits", "confidence"), [(2, Confidence.MEDIUM), (3, Confidence.HIGH)])
def test_a_view_that_subscribes_again_with_each_visit(visits: int, confidence: Confidence) -> None:
    said = page()
    for number in range(visits):
        said.acts(at=number).subscribes(str(number), "orders", at=number + 0.1)
    found = cause(said)
    assert (found.id, found.confidence) == ("subscription-without-end", confidence)


def test_the_cause_remains_when_the_page_has_closed() -> None:
    said = page().subscribes("1", "orders", at=1, subscriber=LIST).subscribes("2", "orders", at=1, subscriber=BADGE)
    assert cause(said.disconnects("s1", at=5)).id == "two-subscribers"


def test_the_cause_is_about_the_subscription_of_the_finding() -> None:
    said = page().subscribes("1", "prices", at=1, subscriber=BADGE)
    for number in range(2, 6):
        said.acts(at=number).subscribes(str(number), "orders", at=number, subscriber=LIST)
    said.subscribes("9", "prices", at=7, subscriber=BADGE)
    found = {each.message.split()[2]: each.cause for each in judged(SubscriptionDuplicated, said.watched(until=20))}
    assert "src/badge.jsx:3" in str(found["prices"]) and "src/list.jsx:7" in str(found["orders"])


def test_a_view_that_is_left_is_the_place_of_a_leak() -> None:
    said = page()
    for number in range(3):
        said.acts(at=number).subscribes(str(number), "orders", at=number, subscriber=LIST)
    said.counts(0, 1, 2, 3, what="subscriptions", name="orders", opener=LIST)
    found = one(judged(SubscriptionLeaked, said)).cause
    assert found is not None and (found.id, found.confidence) == ("subscription-without-end", Confidence.HIGH)
    assert found.because.startswith("the view subscribes to orders at src/list.jsx:7")


def test_two_subscriptions_explain_events_that_arrive_twice_on_their_connection() -> None:
    said = page().subscribes("1", "orders", at=1, subscriber=LIST).subscribes("2", "orders", at=1, subscriber=BADGE)
    for number in range(4):
        for copy in range(2):
            said.receives("orders", at=2 + number + copy / 1000, digest=f"d{number}")
    found = one(judged(EventDuplicated, said.watched(until=20))).cause
    assert found is not None and found.id == "two-subscribers"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (OpenerCode(context=CallContext.EVENT_HANDLER, assigned_to="this.stop"), "subscription-without-end"),
        (None, "subscription-without-end"),
        (structs.replace(CLOSES, mounted=1), "two-subscribers"),
        (OpenerCode(context=CallContext.SETUP, mounted=3), "two-subscribers"),  # each step shows one more component
    ],
)
def test_steps_that_subscribe_again(code: OpenerCode | None, expected: str) -> None:
    said = page()
    for number in range(3):
        said.acts(at=number, by_step=True).subscribes(str(number), "tank", at=number + 0.1, subscriber=LIST, code=code)
    assert cause(said).id == expected
