"""Test that text from outside is never markup, a command or a control character, in any format of any command."""

import html.parser
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

import wscheck
from tests import hostile
from tests.hostile import ci_commands, control_characters
from wscheck.model.events import AnyEvent
from wscheck.model.report import Report
from wscheck.report import REPORTERS, json_text
from wscheck.report.console import new_console
from wscheck.report.formatting import escape_control, one_line
from wscheck.report.links import SITE
from wscheck.report.terminal import print_report

SHIFTS = (0, 19)
"""Starts in the list of texts: each text occurs in other fields."""


def rendered(name: str, run: tuple[Report, list[AnyEvent]]) -> str:
    content = REPORTERS[name]()(*run)
    return content if isinstance(content, str) else content.decode()


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("name", REPORTERS)
def test_no_text_is_a_control_character_or_a_command(name: str, shift: int) -> None:
    texts = hostile.TEXTS[shift:] + hostile.TEXTS[:shift]
    for run in hostile.reports(texts):
        shown = rendered(name, run)
        assert not control_characters(shown)
        commands = ci_commands(shown)
        if name == "github":
            own = ("::error ", "::warning ", "::notice ")
            assert all(line.startswith(own) and not re.search(r"##(vso|teamcity)?\[", line) for line in commands)
        else:
            assert commands == []


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_terminal_shows_markup_as_it_is(shift: int) -> None:
    texts = hostile.MARKUP[shift:] + hostile.MARKUP[:shift]
    shown = "".join(" ".join(rendered("terminal", each).split()) for each in hostile.reports(texts))
    assert [text for text in texts if text not in shown] == []
    for report, events in hostile.reports(hostile.TEXTS):
        stdout = io.StringIO()
        print_report(report, events, stdout, {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "40"})
        assert ci_commands(stdout.getvalue()) == []
        without_styles = re.sub(r"\x1b\[[\d;]*m", "", stdout.getvalue())
        assert not control_characters(without_styles)


def test_only_one_function_makes_consoles() -> None:
    package = Path(wscheck.__file__).parent
    makers = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\bConsole\(", path.read_text(encoding="utf-8"))
    ]
    assert makers == ["report/console.py"]
    console = new_console(io.StringIO())
    console.print("[/]", "[red]x", ":smile:")
    assert isinstance(console.file, io.StringIO) and console.file.getvalue() == "[/] [red]x :smile:\n"


def test_json_contains_each_text_unchanged() -> None:
    texts = [text for text in hostile.TEXTS if text.isprintable() or "\ud800" not in text]
    raw = json_text.encode({text: [text] for text in texts})
    assert json.loads(raw) == msgspec.json.decode(raw) == {text: [text] for text in texts}
    assert not control_characters(raw.decode()) and b"##" not in raw
    assert msgspec.json.decode(json_text.encode(("a\ud800b", {"\udc00": 1}))) == ["a\ufffdb", {"\ufffd": 1}]


LINK = rf"#|{re.escape(SITE)}(rules|causes|gaps)/#[a-z-]+(?![^)])"
"""Start of the targets that links of a report have, whatever the texts from outside are."""


class _Tags(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.handlers += [name for name, value in attrs if name.startswith("on")]
        targets = [value for name, value in attrs if name in ("href", "src") and value]
        self.handlers += [target for target in targets if not re.match(LINK, target)]


def test_html_and_xml_contain_no_element_of_a_text() -> None:
    for run in hostile.reports():
        page = _Tags()
        page.feed(rendered("html", run))
        assert "script" not in page.found and not page.handlers
        ET.fromstring(rendered("junit", run))


def test_markdown_and_sarif_contain_no_link_of_a_text() -> None:
    for run in hostile.reports():
        text = re.sub(r"(?s)(`{3,})\w*\n.*?\n\1|`[^`\n]*`", "", rendered("markdown", run))
        assert not re.search(rf"(?<!\\)\]\((?!{LINK})", text) and "<script" not in text and "<img" not in text
        sarif = json.loads(rendered("sarif", run))
        messages = [each["message"]["text"] for run in sarif["runs"] for each in run["results"]]
        assert messages and not [each for each in messages if re.search(r"(?<!\\)\[[^\[\]]*\]\(", each)]


@pytest.mark.parametrize("text", hostile.COMMANDS)
def test_a_command_of_a_ci_server_is_escaped(text: str) -> None:
    assert ci_commands(text) and not ci_commands(escape_control(text)) and not ci_commands(one_line(text))


@pytest.mark.parametrize("text", ["::1", "::ffff:10.0.0.1: 3 polls", "a::b", "std::vector", "## Title", "a#b", "::"])
def test_text_that_is_no_command_is_unchanged(text: str) -> None:
    assert escape_control(text) == text
