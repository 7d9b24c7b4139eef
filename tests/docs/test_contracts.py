"""The documents name every field, exit code, event type and format that the code has, and no other."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from wscheck.model.code_facts import OpeningCall
from wscheck.model.comparison import ComparedMeasure, ComparedRun, CompareReport, MeasureChange
from wscheck.model.errors import ExitCode
from wscheck.model.events import AnyEvent, CodeLocation, ConnectionEvent, Event, RecordingHeader
from wscheck.model.findings import Cause, Confidence, Finding, Severity, Verdict
from wscheck.model.load_report import EventCounts, LoadReport, Second, ServerSide, Threshold
from wscheck.model.load_statistics import Percentiles
from wscheck.model.report import (
    ActionSummary,
    BrowserReport,
    ConnectionSummary,
    Control,
    EventSummary,
    HandlerSummary,
    LogsReport,
    LogUserSummary,
    RoundCounts,
    ScanReport,
    ScenarioResult,
    VerifyReport,
)
from wscheck.report import REPORTERS
from wscheck.report.tool_result import (
    CheckedFinding,
    CheckedOpening,
    CheckedPlace,
    CheckResult,
    ExplainedFact,
    ExplainedId,
    ExplanationResult,
)

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"`(\w+)`")


def section(document: str, heading: str) -> str:
    """The part of docs/`document` beneath `heading`."""
    text = (DOCS / document).read_text()
    return re.split(r"\n##+ ", re.split(rf"\n##+ {heading}\n", text)[1])[0]


def first_cells(text: str) -> set[str]:
    """The names in the first column of the tables of `text`."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in NAME.findall(row)}


@pytest.mark.parametrize(
    ("document", "heading", "struct"),
    [
        ("json.md", "The report", VerifyReport),
        ("json.md", "A scenario", ScenarioResult),
        ("json.md", "A control", Control),
        ("json.md", "The browser report", BrowserReport),
        ("json.md", "A connection", ConnectionSummary),
        ("json.md", "Handlers of an event", HandlerSummary),
        ("json.md", "An event of the browser", EventSummary),
        ("json.md", "Counts of a loop", RoundCounts),
        ("json.md", "An action", ActionSummary),
        ("json.md", "The logs report", LogsReport),
        ("json.md", "A user in the logs", LogUserSummary),
        ("json.md", "A finding", Finding),
        ("json.md", "A cause", Cause),
        ("json.md", "The scan report", ScanReport),
        ("json.md", "An opening call", OpeningCall),
        ("json.md", "The load report", LoadReport),
        ("json.md", "Percentiles", Percentiles),
        ("json.md", "Events", EventCounts),
        ("json.md", "A second", Second),
        ("json.md", "A threshold", Threshold),
        ("json.md", "The server's own figures", ServerSide),
        ("json.md", "The comparison", CompareReport),
        ("json.md", "A compared run", ComparedRun),
        ("json.md", "A measure", ComparedMeasure),
        ("recording.md", "The first line", RecordingHeader),
        ("mcp.md", "The result of a check", CheckResult),
        ("mcp.md", "A finding", CheckedFinding),
        ("mcp.md", "A place", CheckedPlace),
        ("mcp.md", "An opening", CheckedOpening),
        ("mcp.md", "An explanation", ExplanationResult),
        ("mcp.md", "An explained id", ExplainedId),
        ("mcp.md", "A fact", ExplainedFact),
    ],
)
def test_every_field_has_its_row(document: str, heading: str, struct: type[msgspec.Struct]) -> None:
    assert first_cells(section(document, heading)) == set(struct.__struct_encode_fields__)


def test_every_event_type_has_its_row_with_its_own_fields() -> None:
    shared = set(ConnectionEvent.__struct_encode_fields__) | set(Event.__struct_fields__)
    table = section("recording.md", "Every other line: an event")
    documented = {
        row.split("|")[1].strip(" `"): set(NAME.findall(row.split("|")[2]))
        for row in table.splitlines()
        if row.startswith("| `")
    }
    assert documented == {
        kind.__struct_config__.tag: set(kind.__struct_encode_fields__) - shared for kind in get_args(AnyEvent)
    }


def test_the_shared_fields_of_events_are_named() -> None:
    told = section("recording.md", "Every other line: an event").split("Every event may have")[1]
    for field in (*Event.__struct_encode_fields__, *ConnectionEvent.__struct_fields__):
        assert f"`{field}`" in told, field
    for field in CodeLocation.__struct_encode_fields__:
        assert f'"{field}"' in told, field


def test_every_exit_code_has_its_row() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", (DOCS / "exit-codes.md").read_text(), re.M)
    assert rows == [(str(code.value), code.name) for code in ExitCode]


def test_every_format_has_its_row() -> None:
    assert first_cells((DOCS / "formats.md").read_text()) == set(REPORTERS)


@pytest.mark.parametrize("words", [Verdict, Severity, Confidence, MeasureChange])
def test_every_value_of_the_report_is_documented(
    words: type[Verdict] | type[Severity] | type[Confidence] | type[MeasureChange],
) -> None:
    told = (DOCS / "json.md").read_text()
    for word in words:
        assert f"`{word}`" in told, word
