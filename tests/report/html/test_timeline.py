"""Timeline: bounded size, omitted lanes and positions."""

from tests.report.runs import Script, looping
from wscheck.model.events import Connected, Delivered, Refused
from wscheck.report.html.lanes import build_lanes
from wscheck.report.html.timeline import LANE_HEIGHT, LANES, TABLE_ROWS, TICK_POSITIONS, draw_timeline


def test_no_events_draw_no_timeline() -> None:
    assert draw_timeline(build_lanes([])) is None


def test_two_lanes_and_the_arrow_between_them() -> None:
    drawn = draw_timeline(
        build_lanes(Script().opens("a").opens("b", "BotCreationWizard").replaces("a", "b").wait(1).closes("b").events)
    )
    assert drawn is not None
    first, second = drawn.bars
    (arrow,) = drawn.arrows
    assert (first.hue, second.hue) == (0, 1)
    assert (first.closed_by_server, second.closed_by_server) == (True, False)
    assert first.right == arrow.x
    assert first.y == arrow.y1 < arrow.y2 < second.y
    assert drawn.summary == "2 connections, 1 replacement in 1.0 s"
    assert "replaced by b" in first.description
    assert drawn.omitted_lanes == 0


def test_a_connection_opened_before_the_run_starts_with_its_first_delivery() -> None:
    seen = Script().opens("late").events
    (opened,) = (event for event in seen if isinstance(event, Connected))
    assert opened.at is not None
    early = Delivered(at=opened.at - 1, source="browser", sid="early", name="sync")
    between = Delivered(at=opened.at + 1, source="browser", sid="between", name="sync")
    assert [lane.id for lane in build_lanes([*seen, between, early]).lanes] == ["early", opened.sid, "between"]


def test_grid_times_count_from_the_start_of_the_run() -> None:
    drawn = draw_timeline(build_lanes(Script().opens("a").wait(2).closes("a").events))
    assert drawn is not None
    assert [tick.text for tick in drawn.grid] == ["0", "0.5 s", "1 s", "1.5 s", "2 s"]
    assert [round(tick.x) for tick in drawn.grid] == [0, 25, 50, 74, 99], "the run ends a moment later"


def test_five_hundred_connections_are_bounded_and_counted() -> None:
    _, events = looping(rounds=499)
    drawn = draw_timeline(build_lanes(events), important={"s3", "s400"})
    assert drawn is not None
    assert [bar.lane.id for bar in drawn.bars] == [f"s{n}" for n in range(LANES)]
    assert drawn.omitted_lanes == 500 - LANES
    assert drawn.height == LANES * LANE_HEIGHT
    assert len(drawn.rows) == TABLE_ROWS
    assert drawn.summary.startswith("500 connections, 499 replacements")


def test_the_drawn_part_of_a_large_run_fills_the_frame_below_an_overview() -> None:
    _, events = looping(rounds=499)
    drawn = draw_timeline(build_lanes(events))
    assert drawn is not None
    assert drawn.bars[0].left == 0 and drawn.bars[-1].right == 100
    assert len(drawn.arrows) == LANES - 1
    assert all(bar.width > 3 for bar in drawn.bars)
    assert drawn.overview is not None
    assert len(drawn.overview.columns) > 50
    assert drawn.overview.left < 1 and 4 < drawn.overview.right < 6


def test_a_connection_that_outlasts_the_frame_continues() -> None:
    script = Script().opens("long")
    for n in range(40):
        script.opens(f"s{n}").wait(0.1).closes(f"s{n}")
    drawn = draw_timeline(build_lanes(script.closes("long").events))
    assert drawn is not None
    assert [bar.continues for bar in drawn.bars[:2]] == [True, False]


def test_affected_users_are_drawn_before_other_users() -> None:
    crowd = [event for n in range(200) for event in Script(f"u{n}").opens(f"calm-{n}").events]
    trouble = Script("user_123").wait(0.01).opens("a").opens("b").replaces("a", "b").events
    drawn = draw_timeline(build_lanes([*crowd, *trouble]))
    assert drawn is not None
    assert [bar.lane.id for bar in drawn.bars] == ["a", "b"]
    assert drawn.omitted_lanes == 200


def test_ten_thousand_deliveries_become_a_bounded_number_of_ticks_that_count_them() -> None:
    drawn = draw_timeline(build_lanes(Script().opens("a").delivers("a", *["tick"] * 10_000).events))
    assert drawn is not None
    (bar,) = drawn.bars
    assert len(bar.ticks) <= TICK_POSITIONS + 1
    assert "deliveries" in bar.ticks[0].text


def test_all_positions_are_inside_the_frame() -> None:
    _, events = looping()
    drawn = draw_timeline(build_lanes(events))
    assert drawn is not None
    places = [x for bar in drawn.bars for x in (bar.left, bar.right, *(tick.x for tick in bar.ticks))]
    places += [arrow.x for arrow in drawn.arrows] + [line.x for line in drawn.grid]
    assert all(0 <= x <= 100 for x in places)
    assert 3 <= len(drawn.grid) <= 7


def test_an_instant_is_drawn_in_the_middle() -> None:
    drawn = draw_timeline(build_lanes([Refused(at=5.0, reason="refused")]))
    assert drawn is not None
    assert [tick.x for tick in drawn.refused] == [50.0]
