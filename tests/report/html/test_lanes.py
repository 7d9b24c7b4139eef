"""Lanes: one per connection, whichever sources observed it, with arrows for replacements."""

from tests.report.runs import DASHBOARD, START, Script
from wscheck.model.events import Connected, Delivered, Disconnected, Mounted, Refused, Replaced
from wscheck.report.html.lanes import build_lanes


def test_a_connection_is_a_lane_from_its_opening_to_its_end() -> None:
    drawn = build_lanes(Script().opens("a").delivers("a", "x", "y").wait(1).closes("a", "transport close").events)
    (lane,) = drawn.lanes
    assert (lane.id, lane.user, lane.component, lane.opener) == ("a", "user_123", "Dashboard", DASHBOARD)
    assert (lane.opened_at, lane.closed_at) == (START + 0.02, drawn.end)
    assert lane.reasons == ["transport close"]
    assert [name for _, name in lane.deliveries] == ["x", "y"]


def test_a_replacement_is_an_arrow_from_the_old_lane_to_the_new() -> None:
    drawn = build_lanes(Script().opens("a").opens("b").replaces("a", "b").events)
    ((at, old, new),) = drawn.replacements
    assert (old.id, new.id, at) == ("a", "b", drawn.end)
    assert (old.replaced_by, new.replaced_by) == ("b", None)


def test_a_replacement_that_only_the_page_observed_is_an_arrow_too() -> None:
    """Test a browser that observes the second connection, then the disconnect of the first, and no `Replaced`."""
    kicked = Disconnected(at=2.0, source="browser", user="u", sid="a", eio="ea", reason="io server disconnect")
    opened = [
        Connected(at=at, source="browser", user="u", sid=sid, eio=f"e{sid}") for at, sid in ((1.0, "a"), (1.9, "b"))
    ]
    drawn = build_lanes([*opened, kicked])
    assert [(at, old.id, new.id) for at, old, new in drawn.replacements] == [(2.0, "a", "b")]
    assert build_lanes([opened[0], kicked]).replacements == [], "a kick without a successor replaces nothing"


def test_events_of_two_sources_are_one_lane() -> None:
    drawn = build_lanes(
        [
            Connected(at=1.0, source="server-log", user="u", sid="a"),
            Connected(at=1.1, source="client", sid="a", component="Dashboard"),
            Connected(at=2.0, source="client", sid="b"),
            Replaced(at=2.0, source="server-log", old_sid="a", new_sid="b"),
            Replaced(at=2.1, source="browser", old_sid="a", new_sid="b"),
            Disconnected(at=2.0, source="server-log", sid="a", reason="server namespace disconnect"),
            Disconnected(at=2.2, source="client", sid="a", reason="io server disconnect"),
        ]
    )
    first, _ = drawn.lanes
    assert (first.user, first.component, first.opened_at, first.closed_at) == ("u", "Dashboard", 1.0, 2.0)
    assert first.reasons == ["server namespace disconnect", "io server disconnect"]
    assert len(drawn.replacements) == 1


def test_a_log_line_with_only_the_sid_is_in_the_lane_of_its_session() -> None:
    drawn = build_lanes(
        [
            Connected(at=1.0, source="server-log", user="u", sid="a"),
            Connected(at=1.2, source="client", sid="a", eio="e", component="Dashboard"),
            Disconnected(at=3.0, source="client", sid="a", eio="e", reason="io client disconnect"),
            Delivered(at=2.0, source="browser", sid="a", name="x"),
        ]
    )
    (lane,) = drawn.lanes
    assert (lane.user, lane.component, lane.opened_at, lane.closed_at) == ("u", "Dashboard", 1.0, 3.0)
    assert lane.deliveries == [(2.0, "x")]


def test_two_namespaces_of_one_session_are_one_lane() -> None:
    drawn = build_lanes(
        [Connected(at=1, eio="e", sid="a"), Connected(at=2, eio="e", sid="b"), Delivered(at=3, sid="b")]
    )
    (lane,) = drawn.lanes
    assert len(lane.deliveries) == 1


def test_a_component_that_opened_nothing_shares_the_connection_of_its_page() -> None:
    mounted = [Mounted(at=0, page="tab-1", component=name) for name in ("Dashboard", "Wizard", "Dashboard")]
    (lane,) = build_lanes([*mounted, Connected(at=1, sid="a", page="tab-1", component="Dashboard")]).lanes
    assert lane.shared_with == ["Wizard"]


def test_components_that_each_opened_one_share_nothing() -> None:
    mounted = [Mounted(at=0, page="tab-1", component=name) for name in ("Dashboard", "Wizard")]
    opened = [Connected(at=1, sid=sid, page="tab-1", component=sid) for sid in ("Dashboard", "Wizard")]
    assert [lane.shared_with for lane in build_lanes([*mounted, *opened]).lanes] == [[], []]


def test_unobserved_ends_have_no_time() -> None:
    begun_before, stays = build_lanes([Disconnected(at=1, sid="a"), Connected(at=2, sid="b")]).lanes
    assert begun_before.opened_at is None
    assert stays.closed_at is None


def test_events_without_times_are_drawn_in_their_order() -> None:
    drawn = build_lanes([Connected(sid="a"), Connected(sid="b"), Disconnected(sid="a")])
    assert not drawn.has_times
    assert [(lane.opened_at, lane.closed_at) for lane in drawn.lanes] == [(0.0, 2.0), (1.0, None)]


def test_refused_attempts_are_recorded() -> None:
    assert build_lanes([Refused(at=1.0, reason="refused", message="invalid token")]).refused == [(1.0, "invalid token")]
