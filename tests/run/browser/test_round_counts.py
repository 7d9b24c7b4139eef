"""What was open after each round becomes counts per opener, and per event and location of its handlers."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from wscheck.model.events import CodeLocation, Connected, Event, HandlersRegistered, Subscribed, Unsubscribed
from wscheck.model.report import Scope
from wscheck.run.browser.loop import PageLoop, Snapshot, count_rounds

LAYOUT, RAMP, ORDER = CodeLocation("layout.ts", 3), CodeLocation("ramp.ts", 9), CodeLocation("order.ts", 5)


def snapshot(number: int, *opened: str, at_rest: bool = False) -> Snapshot:
    open_now: dict[str | None, list[str]] = {eio: [f"sid-{eio}"] for eio in opened}
    return Snapshot(at=number, page="tab 1", place="/ramp", round=number, open=open_now, at_rest=at_rest)


def connected(eio: str, opener: CodeLocation) -> Connected:
    return Connected(at=0, eio=eio, sid=f"sid-{eio}", user="ann", opener=opener)


def handlers(at: float, count: int, eio: str = "shared") -> HandlersRegistered:
    return HandlersRegistered(at=at, sid=f"sid-{eio}", name="order", user="ann", handlers=(ORDER,) * count)


def counted(snapshots: list[Snapshot], observed: list[Event]) -> dict[tuple[str, CodeLocation | None], list[int]]:
    counts: dict[tuple[str, CodeLocation | None], list[int]] = {}
    for event in count_rounds(snapshots, observed):
        counts.setdefault((event.what, event.opener), []).append(event.count)
    return counts


def test_connections_are_counted_per_opener_also_when_none_is_open() -> None:
    observed: list[Event] = [connected("shared", LAYOUT), connected("one", RAMP), connected("two", RAMP)]
    rounds = [snapshot(0, "shared"), snapshot(1, "shared", "one"), snapshot(2, "shared", "one", "two")]
    assert counted(rounds, observed) == {("connections", LAYOUT): [1, 1, 1], ("connections", RAMP): [0, 1, 2]}


def test_a_place_without_connections_has_counts_of_zero() -> None:
    assert counted([snapshot(0), snapshot(1)], []) == {("connections", None): [0, 0]}


def test_handlers_count_on_the_open_connection_that_has_most_of_them() -> None:
    observed: list[Event] = [connected("shared", LAYOUT), connected("view", RAMP)]
    observed += [handlers(0, 1), handlers(0.9, 2), handlers(0.5, 9, "view"), handlers(2.5, 7)]
    rounds = [snapshot(0, "shared"), snapshot(1, "shared"), snapshot(2, "shared")]
    assert counted(rounds, observed)["handlers", ORDER] == [1, 2, 2], "the handlers of a closed connection are gone"


def test_subscriptions_count_per_name_on_the_open_connection_that_has_most_of_them() -> None:
    def subscribed(at: float, id: str, eio: str = "shared", name: str = "room") -> Subscribed:
        return Subscribed(at=at, sid=f"sid-{eio}", subscription=id, name=name, same=name, user="ann", subscriber=RAMP)

    observed: list[Event] = [connected("shared", LAYOUT), connected("view", LAYOUT), subscribed(0.5, "1")]
    observed += [subscribed(0.6, "1", "view"), subscribed(1.5, "2"), subscribed(1.6, "3")]
    observed += [Unsubscribed(at=1.7, sid="sid-shared", subscription="3")]
    rounds = [snapshot(0, "shared"), snapshot(1, "shared", "view"), snapshot(2, "shared", "view")]
    assert counted(rounds, observed)["subscriptions", RAMP] == [0, 1, 2]


def test_the_count_at_rest_is_marked() -> None:
    events = count_rounds([snapshot(0), snapshot(1), snapshot(2, at_rest=True)], [])
    assert [event.at_rest for event in events] == [False, False, True]


@pytest.mark.parametrize(
    ("open_now", "closes_nothing"),
    [
        (("shared", "one", "two"), True),
        (("shared", "two"), False),  # the first round's connection closed with a delay
    ],
)
def test_a_view_whose_early_connections_are_still_open_closes_nothing_later(
    open_now: tuple[str, ...], closes_nothing: bool
) -> None:
    sessions = [SimpleNamespace(eio=eio) for eio in open_now]
    browser = SimpleNamespace(traffic=SimpleNamespace(open_sessions=lambda: sessions))
    page = PageLoop(cast("Any", browser), lambda reason: None, lambda what, done, total: None)
    page.snapshots += [snapshot(0, "shared"), snapshot(1, "shared", "one"), snapshot(2, "shared", "one", "two")]
    tab = cast("Any", SimpleNamespace(label="tab 1"))
    assert page._closes_nothing_later(tab, "/ramp") is closes_nothing


def test_without_an_early_connection_of_the_view_a_delay_is_possible() -> None:
    browser = SimpleNamespace(traffic=SimpleNamespace(open_sessions=lambda: [SimpleNamespace(eio="shared")]))
    page = PageLoop(cast("Any", browser), lambda reason: None, lambda what, done, total: None)
    page.snapshots += [snapshot(0, "shared"), snapshot(1, "shared")]
    assert not page._closes_nothing_later(cast("Any", SimpleNamespace(label="tab 1")), "/ramp")


def test_the_scope_states_the_places_and_their_rounds() -> None:
    loop = PageLoop(cast("Any", None), lambda reason: None, lambda what, done, total: None)
    scope = Scope(checked="the pages", not_checked="the server")
    assert loop.scope(scope) is scope
    loop.snapshots += [snapshot(0), snapshot(1), snapshot(2), snapshot(3, at_rest=True)]
    assert loop.scope(scope).checked == "the pages, and what repeated visits of a place leave open"
