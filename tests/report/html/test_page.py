"""HTML page: self-contained, escaped, with verdict, findings, control and fix."""

import itertools
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import msgspec
import pytest

from tests.report import runs
from wscheck.model.events import CodeLocation
from wscheck.model.findings import Verdict
from wscheck.model.report import Report
from wscheck.report.html.page import render
from wscheck.report.links import SITE

VOID = {"meta", "br", "wbr", "img", "hr", "input", "link"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\x1b[31m\u202e"


@dataclass
class Page(HTMLParser):
    """Parsed page: balanced tags with their attributes, and the text."""

    open: list[str] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


@pytest.fixture(scope="module")
def failed() -> str:
    return render(*runs.failing())


def test_the_verdict_is_the_first_heading(failed: str) -> None:
    headings = re.findall(r"<h1>.*?</svg>\s*(\w+)</h1>", failed, re.S)
    assert headings == ["Failed"]
    assert re.findall(r"<h1>.*?</svg>\s*(\w+)</h1>", render(*runs.passing()), re.S) == ["Passed"]


def test_a_failed_run_shows_user_problem_cause_and_fix(failed: str) -> None:
    page = parsed(failed)
    output = re.sub(r"\s*/\s*", "/", page.text)
    for words in (
        "user_123",
        "connection-replaced",
        "multiple-connections",
        "src/app/(dashboard)/dashboard/page.tsx:42:9",
        "src/components/dashboard/bot-creation-wizard.tsx:118:5",
        "two components each open a connection (high confidence)",
        "Open the connection in one module or provider",
        "wscheck explain two-openers",
        "The server did not say how long it waits for a pong.",
        "No second credentials",
    ):
        assert words in output, words


def test_the_control_is_described() -> None:
    page = parsed(render(*runs.passing()))
    assert "Control: the same server, driven with the known fault" in page.text
    assert runs.CONTROL.did in page.text
    assert "this scenario can detect the fault" in page.text


def test_a_passed_control_is_reported_as_unable_to_detect_the_fault() -> None:
    report, events = runs.passing()
    report.scenarios[0].control = msgspec.structs.replace(runs.CONTROL, verdict=Verdict.PASSED, findings=[])
    assert "this scenario cannot detect the fault here" in parsed(render(report, events)).text


def test_it_loads_nothing_and_runs_nothing(failed: str) -> None:
    page = parsed(failed)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "base", "form"}
    for _, attributes in page.tags:
        assert not {"src", "srcset", "action", "style", "onclick", "onload"} & attributes.keys()
        assert str(attributes.get("href", "#")).startswith(("#", SITE))
    style = failed[failed.index("<style>") : failed.index("</style>")]
    assert "url(" not in style and "@import" not in style and "http" not in style
    assert ("meta", "Content-Security-Policy") in [(tag, a.get("http-equiv")) for tag, a in page.tags]


def test_text_from_the_target_is_escaped_everywhere() -> None:
    report, events = runs.failing(user=HOSTILE)
    report.target = report.reason = HOSTILE
    report.options = {HOSTILE: HOSTILE}
    for scenario in report.scenarios:
        scenario.id = scenario.must_hold = scenario.reason = HOSTILE
        scenario.events_received = {HOSTILE: 1}
        scenario.control = msgspec.structs.replace(runs.CONTROL, did=HOSTILE, findings=[HOSTILE])
    place = CodeLocation(HOSTILE, 1, 1, HOSTILE)
    hurt = {
        "sid": HOSTILE,
        "component": HOSTILE,
        "reason": HOSTILE,
        "name": HOSTILE,
        "opener": place,
        "path": HOSTILE,
    }
    harmed = [
        msgspec.structs.replace(event, **{k: v for k, v in hurt.items() if k in event.__struct_fields__})
        for event in events
    ]
    for finding in report.findings:
        finding.message, finding.rule, finding.evidence = HOSTILE, HOSTILE, harmed[:9]
    html = render(report, harmed)
    page = parsed(html)
    assert not {tag for tag, _ in page.tags} & {"script", "img"}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "49" not in html.replace("{{7*7}}", "")
    assert "\x1b" not in html and "\u202e" not in html


def test_headings_go_down_one_level_at_a_time(failed: str) -> None:
    levels = [int(tag[1]) for tag, _ in parsed(failed).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_the_timeline_is_accessible_by_keyboard_and_screen_reader(failed: str) -> None:
    page = parsed(failed)
    lanes = [attributes for tag, attributes in page.tags if tag == "li" and "tabindex" in attributes]
    assert any("Connection Xb3k9aPq7Lw2 of user_123, opened by Dashboard" in str(a["aria-label"]) for a in lanes)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    for _, attributes in page.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
        if (target := attributes.get("href")) is not None and not target.startswith(SITE):
            assert target[1:] in ids


def test_an_interrupted_page_is_marked_partial() -> None:
    report, events = runs.failing()
    report.interrupted = True
    assert "Interrupted: this report is partial" in parsed(render(report, events)).text


def test_a_report_without_scenarios_gets_one_timeline() -> None:
    _, events = runs.looping()
    report = Report(schema="wscheck.logs/1", target="app.log", verdict=Verdict.PASSED)
    page = parsed(render(report, events))
    assert "wscheck logs" in page.text
    assert "15 connections, 14 replacements" in page.text


def test_a_huge_run_stays_a_small_file() -> None:
    report, events = runs.looping(rounds=2_000)
    assert len(render(report, events)) < 400_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrasts_with_its_background(scheme: str) -> None:
    """Test the contrast of WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for graphics."""
    colours = palette(render(*runs.passing()), scheme)
    for ground in ("paper", "card"):
        for text in ("ink", "soft", "good", "bad", "unsure", "calm", "note", *(f"hue{n}" for n in range(6))):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for band in ("good-deep", "bad-deep", "unsure-deep", "calm-deep"):
        assert contrast("#ffffff", colours[band]) >= 7, band


def palette(html: str, scheme: str) -> dict[str, str]:
    blocks = [
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root \{(.*?)\}", html, re.S)
    ]
    return blocks[0] if scheme == "light" else blocks[0] | blocks[1]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_options_are_shown_in_words() -> None:
    report = runs.report(options={"grace_s": 0.25, "max_attempts": 5, "strict": False, "fail_on": "error"})
    output = " ".join(parsed(render(report, [])).words).partition("Options of the run")[2]
    for words in ("grace 0.25 s", "max attempts 5", "strict no", "fail on error"):
        assert words in " ".join(output.split())
