"""Openers of lanes and screenshots in the HTML report."""

import msgspec
import pytest

from tests.report.html.test_page import HOSTILE, parsed
from tests.report.runs import Script, judged
from wscheck.model.events import AnyEvent, CodeLocation, Connected
from wscheck.model.findings import Verdict
from wscheck.model.report import BrowserReport, ConnectionSummary, PageSummary
from wscheck.report.html.lanes import build_lanes
from wscheck.report.html.page import render
from wscheck.report.html.timeline import draw_timeline

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
SHARED = CodeLocation("src/services/openSocket.ts", 9, 10, "openSocket")
BOT = CodeLocation("src/hooks/useBotWebSocket.ts", 5, 18, "useBotWebSocket")
WHATSAPP = CodeLocation("src/hooks/useWhatsAppConnection.ts", 5, 18, "useWhatsAppConnection")


def two_hooks(first: CodeLocation = BOT, second: CodeLocation = WHATSAPP) -> list[AnyEvent]:
    script = Script().opens("a", "", first).wait(0.1).opens("b", "", second).wait(1.0)
    return [
        msgspec.structs.replace(event, component=None) if hasattr(event, "component") else event
        for event in script.events
    ]


def watched(events: list[AnyEvent], **changes: object) -> BrowserReport:
    report = BrowserReport(
        schema="wscheck.browser/1",
        target="http://127.0.0.1:8000/broken.html",
        verdict=Verdict.FAILED,
        findings=judged(events, ""),
    )
    return msgspec.structs.replace(report, **changes)


def test_a_lane_names_file_line_and_function_of_its_opener() -> None:
    drawn = draw_timeline(build_lanes(two_hooks()))
    assert drawn is not None
    assert [bar.label for bar in drawn.bars] == [
        "useBotWebSocket at useBotWebSocket.ts:5",
        "useWhatsAppConnection at useWhatsAppConnection.ts:5",
    ]
    assert "opened by useBotWebSocket at src/hooks/useBotWebSocket.ts:5:18" in drawn.bars[0].description
    assert drawn.rows[1][2] == "useWhatsAppConnection at src/hooks/useWhatsAppConnection.ts:5:18"
    assert [bar.hue for bar in drawn.bars] == [0, 1]


def test_connections_of_a_shared_opener_show_where_their_stacks_diverge() -> None:
    events = two_hooks(SHARED, SHARED)
    connections = [ConnectionSummary(sid="a", diverges_at=BOT), ConnectionSummary(sid="b", diverges_at=WHATSAPP)]
    page = parsed(render(watched(events, connections=connections), events))
    lanes = [str(attributes["aria-label"]) for tag, attributes in page.tags if tag == "li"]
    assert len(lanes) == 2
    for lane, caller in zip(lanes, (BOT, WHATSAPP), strict=True):
        assert "opened by openSocket at src/services/openSocket.ts:9:10" in lane
        assert f"called from {caller.function} at {caller}" in lane
    assert "useBotWebSocket at useBotWebSocket.ts:5" in page.text
    hues = [str(a["class"]) for tag, a in page.tags if tag == "li"]
    assert hues == ["hue0", "hue1"]


def test_without_divergence_a_shared_opener_is_one_colour() -> None:
    drawn = draw_timeline(build_lanes(two_hooks(SHARED, SHARED)))
    assert drawn is not None
    assert [bar.hue for bar in drawn.bars] == [0, 0]


def test_the_divergence_is_found_by_session_too() -> None:
    events = [msgspec.structs.replace(e, eio="eio-1") if isinstance(e, Connected) else e for e in two_hooks()[:2]]
    page = parsed(
        render(watched(events, connections=[ConnectionSummary(sid="a", eio="eio-1", diverges_at=WHATSAPP)]), events)
    )
    assert "called from useWhatsAppConnection" in str(page.tags)


def test_the_screenshot_is_an_image_with_a_text_and_a_caption() -> None:
    screen = PageSummary(url="http://127.0.0.1:8000/broken.html", title="broken", screenshot=PIXEL)
    page = parsed(render(watched(two_hooks(), pages=[screen]), []))
    ((_, image),) = [tag for tag in page.tags if tag[0] == "img"]
    assert image["src"] == PIXEL
    assert image["alt"] == "Screenshot of broken · http://127.0.0.1:8000/broken.html"
    assert "Screenshots" in page.text


@pytest.mark.parametrize("picture", ["", "http://evil/x.png", 'data:image/png;base64,AA"onerror=1', "data:text/html,x"])
def test_a_screenshot_that_is_not_an_image_uri_is_omitted(picture: str) -> None:
    page = parsed(render(watched(two_hooks(), pages=[PageSummary(url="http://a", title="t", screenshot=picture)]), []))
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert "Screenshots" not in page.text


def test_hostile_locations_and_titles_are_escaped() -> None:
    place = CodeLocation(HOSTILE, 5, 1, HOSTILE)
    events = two_hooks(place, BOT)
    screen = PageSummary(url="http://a", title=HOSTILE, screenshot=PIXEL)
    html = render(watched(events, pages=[screen], connections=[ConnectionSummary(sid="b", diverges_at=place)]), events)
    assert len([tag for tag, _ in parsed(html).tags if tag == "img"]) == 1
    assert "<script" not in html and "\x1b" not in html and "\u202e" not in html


def test_limits_of_the_observation_are_shown() -> None:
    note = "Positions in http://localhost/app.js are those of the bundle: it has no source map."
    output = parsed(render(watched(two_hooks(), notes=[note, HOSTILE]), [])).text
    assert "Limits of the observation" in output
    assert "those of the bundle: it has no source map." in output
    assert "Limits of the observation" not in render(watched(two_hooks()), [])
