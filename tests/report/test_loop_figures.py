"""Repeated visits in every report that people read: counts per round and place, and the actions."""

import pytest

from wscheck.model.events import CodeLocation
from wscheck.model.findings import Verdict
from wscheck.model.report import ActionSummary, BrowserReport, RoundCounts
from wscheck.report import markdown, terminal
from wscheck.report.html import page
from wscheck.report.loop_figures import connections_per_round, round_rows

LEAK = RoundCounts(
    place="/ramp", opener=CodeLocation("src/ramp.ts", 9), counts=[0, 1, 2, 3], at_rest=3, growth="constant"
)
SHARED = RoundCounts(place="/ramp", opener=CodeLocation("src/layout.ts", 3), counts=[1, 1, 1, 1])
HANDLERS = RoundCounts(place="/gate", what="handlers", event="order", counts=[1, 1, 1, 1])
REPORT = BrowserReport(
    schema="wscheck.browser/1",
    target="http://shop.test/<b>",
    verdict=Verdict.FAILED,
    rounds=[LEAK, SHARED, HANDLERS],
    actions=[ActionSummary(action="reload", before=1, after=2)],
)


def test_a_place_has_the_connections_of_all_its_openers() -> None:
    assert connections_per_round(REPORT) == {"/ramp": [1, 2, 3, 4]}


def test_handlers_are_shown_only_where_they_grow() -> None:
    assert [row[0] for row in round_rows(REPORT)] == ["/ramp", "/ramp"]
    growing = RoundCounts(
        place="/gate", what="handlers", event="order", counts=[0, 1, 1, 2], at_rest=1, growth="unclear"
    )
    report = BrowserReport(schema="", target="", verdict=Verdict.FAILED, rounds=[growing])
    assert round_rows(report) == [("/gate", "handlers of order", "0 1 1 2, later 1", "unclear")]


@pytest.mark.parametrize("reporter", [terminal, markdown], ids=["terminal", "markdown"])
def test_the_counts_and_actions_are_tables(reporter: object) -> None:
    text = reporter.render(REPORT, [])  # type: ignore[attr-defined]
    (leak,) = [line for line in text.splitlines() if "src/ramp.ts:9" in line]
    assert "/ramp" in leak and "0 1 2 3" in leak and "leak" in leak
    (action,) = [line for line in text.splitlines() if "reload" in line]
    assert [cell for cell in action.replace("|", " ").split() if cell.isdigit()] == ["1", "2"]


def test_the_page_draws_a_line_per_place() -> None:
    text = page.render(REPORT, [])
    assert "Connections open after each round: /ramp at most 4" in text and "round 3" in text
    assert "src/<wbr>ramp.ts:9" in text and "reload" in text
