"""Causes of duplicate and leaked subscriptions, with fixes in the words of the protocol's usual clients."""

from collections.abc import Sequence
from itertools import pairwise

from wscheck.detect.causes.client_words import subscription_fix
from wscheck.detect.causes.history import Explanation, Signature, UserHistory
from wscheck.detect.rules.subscription_leaked import is_never_ended
from wscheck.model.code_facts import Cleanup
from wscheck.model.events import CodeLocation, Subscribed
from wscheck.model.findings import Confidence


def left_behind(history: UserHistory) -> Explanation | None:
    """Explain a subscription that stays open each time the page leaves the view (such as a route) that subscribed.

    The rule that reports the finding has counted these subscriptions after each visit, so the cause is certain.
    """
    most = _most_alike(history)
    if not most:
        return None
    event = most[-1]
    because = f"the view subscribes to {event.name}{_at(event)}, and nothing ended the subscription when it was left"
    return _explain("subscription-without-end", Confidence.HIGH, because, event)


def subscription_without_end(history: UserHistory) -> Explanation | None:
    """Detect one code location that subscribed again although its earlier equal subscription was still open."""
    alike = _most_alike(history)
    if len(alike) < 2 or len(_places(alike)) > 1:
        return None
    event = alike[-1]
    is_alone = event.code is None or (event.code.mounted or 0) < 2
    if is_never_ended(event) and is_alone:
        mounted = event.code.mounted if event.code is not None else None
        left = f": {len(alike)} are open, and {mounted or 'no'} component is mounted there"
        because = f"the effect at {event.subscriber} subscribes to {event.name} and has no cleanup that ends it"
        because += left if mounted is not None else ""
        is_certain = mounted is not None
        confidence = Confidence.HIGH if is_certain else Confidence.MEDIUM
        return _explain("subscription-without-end", confidence, because, event)
    if event.code is not None and (event.code.cleanup is Cleanup.CLOSES or (event.code.mounted or 0) >= len(alike)):
        return None
    visits = [
        new
        for old, new in pairwise(alike)
        if old.at is not None and new.at is not None and history.has_visit_between(new.page, old.at, new.at)
    ]
    if not visits:
        return None
    because = f"the page subscribed to {event.name}{_at(event)} again after a visit, and its earlier one was still open"
    confidence = Confidence.HIGH if len(visits) > 1 else Confidence.MEDIUM
    return _explain("subscription-without-end", confidence, because, event)


def two_subscribers(history: UserHistory) -> Explanation | None:
    """Detect two code locations, or two components with the same code, that make equal subscriptions.

    The subscriptions are on one connection.
    """
    alike = _most_alike(history)
    if len(alike) < 2:
        return None
    event, places = alike[-1], _places(alike)
    if len(places) > 1:
        because = f"{' and '.join(places[:3])} each subscribe to {event.name}"
        return _explain("two-subscribers", Confidence.HIGH, because, event)
    because = f"{len(alike)} subscriptions to {event.name}{_at(event)} are open at once"
    return _explain("two-subscribers", Confidence.MEDIUM, because, event)


def _most_alike(history: UserHistory) -> Sequence[Subscribed]:
    """Return the largest group of equal subscriptions that were open at once on one connection, () if there is none."""
    return max(history.alike.values(), key=len, default=())


def _places(alike: Sequence[Subscribed]) -> list[str]:
    return sorted({str(each.subscriber) for each in alike if each.subscriber is not None})


def _at(event: Subscribed) -> str:
    return f" at {event.subscriber}" if isinstance(event.subscriber, CodeLocation) else ""


def _explain(cause: str, confidence: Confidence, because: str, event: Subscribed) -> Explanation:
    return Explanation(cause, confidence, because, subscription_fix(event.protocol, cause, event.subscriber))


SUBSCRIPTION_SIGNATURES: dict[str, Signature] = {
    "subscription-without-end": subscription_without_end,
    "two-subscribers": two_subscribers,
}
"""Cause id to signature, for two subscriptions of one connection that ask for the same."""
