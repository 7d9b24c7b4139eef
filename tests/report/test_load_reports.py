"""Load runs and comparisons in every format."""

import json
import os
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from tests.report.html.test_page import parsed
from tests.report.load_runs import duplicated, limited, unified
from tests.report.test_schemas import validator
from wscheck.model.findings import Verdict
from wscheck.model.load_report import LoadReport, Second, ServerSide
from wscheck.model.load_statistics import Percentiles
from wscheck.report import github, junit, markdown, terminal
from wscheck.report import json as json_reporter
from wscheck.report.html.page import render as render_html
from wscheck.report.load_figures import format_counts
from wscheck.report.terminal import sparkline
from wscheck.run.compare import compare

JUNIT = etree.XMLSchema(etree.parse(Path(__file__).parents[1] / "data" / "junit-10.xsd"))


def compared(before: LoadReport | None = None, after: LoadReport | None = None) -> Any:
    return compare(before or duplicated(), after or unified())


def test_the_terminal_shows_findings_figures_and_thresholds() -> None:
    text = terminal.render(limited(), [])
    assert text.startswith("wscheck  embedded backend  duplicated profile, 50 users\n")
    assert "connections per user 2.00 53 open at the end, peak 61" in " ".join(text.split())
    for words in ("replaced", "2,940", "churn", "6.00/s", "400 of them duplicates", "p95 9.0 ms"):
        assert words in text, words
    assert "✗ --max-replaced 0: measured 2,940, crossed" in text
    assert "✓ --max-connect-p95 50 ms: measured 9.0 ms, not crossed" in text
    assert "the server counted 3,000 connects, 2,940 replaced" in text
    assert "FAILED" in text


def test_the_headline_of_a_passed_run_has_the_connections_per_user() -> None:
    text = parsed(render_html(unified(), [])).text
    assert "50 users had 1.00 connections each, 0 replaced." in text


def test_notes_are_in_every_format_for_people() -> None:
    run = unified(workers=3, workers_lost=1, notes=["1 worker of 3 died during the run"])
    for text in (terminal.render(run, []), parsed(render_html(run, [])).text, markdown.render(run, [])):
        assert "1 worker of 3 died during the run" in " ".join(text.split())
    assert "before: 1 worker of 3 died during the run" in terminal.render(compared(run), [])


@pytest.mark.parametrize("run", [duplicated, unified, limited])
def test_a_load_report_matches_its_schema(run: Any) -> None:
    validator("wscheck.load/1").validate(json.loads(json_reporter.render(run(), [])))


def test_a_comparison_matches_its_schema() -> None:
    validator("wscheck.compare/1").validate(json.loads(json_reporter.render(compared(), [])))


def test_the_load_json_has_the_published_names() -> None:
    text = json.loads(json_reporter.render(duplicated(), []))
    assert text["lifetime_ms"] == {"p50": 300.0, "p95": 340.0, "p99": 360.0, "samples": None}
    assert text["events"] == {"received": 1400, "duplicated": 400, "greetings": 0}
    assert text["series"][3]["second"] == 3 and len(text["series"]) == 20


def test_every_threshold_is_a_junit_test_case() -> None:
    xml = etree.fromstring(junit.render(limited(), []))
    JUNIT.assertValid(xml)
    cases = {case.get("name"): case for case in xml.iter("testcase")}
    assert set(cases) == {"load", "max-replaced", "max-connect-p95"}
    assert [failure.get("message") for failure in cases["max-replaced"].iter("failure")] == [
        "--max-replaced 0: measured 2,940, crossed"
    ]
    assert len(cases["max-connect-p95"]) == 0
    JUNIT.assertValid(etree.fromstring(junit.render(compared(), [])))


def test_a_crossed_threshold_is_annotated() -> None:
    text = github.render(limited(), [])
    assert "::error title=wscheck%3A max-replaced::--max-replaced 0: measured 2,940, crossed" in text


def test_a_comparison_that_got_worse_is_annotated() -> None:
    assert github.render(compared(unified(), duplicated()), []).startswith(
        "::error title=wscheck%3A compare::worse than before: connections per user"
    )
    assert "::" not in github.render(compared(), [])


def test_rare_kinds_are_summed_and_a_sparkline_of_zeros_is_visible() -> None:
    assert format_counts({"a": 5, "b": 9, "c": 7, "d": 6, "e": 8, "f": 4}) == "9 b, 8 e, 7 c, 6 d and 9 more"
    assert sparkline([0, 1, 16]) == " ▁█"


def test_a_small_cpu_time_is_not_shown_as_zero() -> None:
    little = unified(server=ServerSide(connects=40, replaced=0, refused=0, peak=40, emitted=0, cpu_s=0.03))
    assert "in 0.03 s of CPU time" in " ".join(terminal.render(little, []).split())


def test_the_chart_of_open_connections_explains_replacements() -> None:
    assert "The server replaces older connections, so the two lines stay close" in render_html(duplicated(), [])
    assert "With one connection per user the two lines coincide." in render_html(unified(), [])


def test_the_peak_of_several_workers_is_a_bound() -> None:
    assert "peak at most 61" in terminal.render(duplicated(workers=2), [])


def test_the_comparison_table_in_terminal_and_markdown() -> None:
    text = terminal.render(compared(), [])
    lines = {line.strip().split("  ")[0]: " ".join(line.split()) for line in text.splitlines() if line.strip()}
    assert lines["connections per user, most at once"] == "connections per user, most at once 2.00 1.00 2.0× less"
    assert lines["connections replaced"] == "connections replaced 2,940 0 none left"
    assert lines["connection lifetime, median"].endswith("300 ms 20.0 s 67× more")
    assert "PASSED" in text
    assert "11 better, 2 same" in text
    # What neither run measured has no row, and is not counted.
    unmeasured = terminal.render(compared(duplicated(server=None), unified(server=None)), [])
    assert "CPU time" not in unmeasured
    assert "10 better, 2 same in" in unmeasured
    table = markdown.render(compared(), [])
    assert "| connections replaced | 2,940 | 0 | ✅ none left |" in table
    assert "| **Server load** | | | |" in table


def test_a_larger_run_is_compared_relative_to_its_size() -> None:
    text = terminal.render(compare(unified(), duplicated(users=25, connections_peak=50)), [])
    peak = next(line for line in text.splitlines() if "open connections, peak" in line)
    assert " ".join(peak.split()) == "open connections, peak 50 50 2.0× more, relative to its size"
    assert "handshakes completed 50 3,000 120× more, relative to its size" in " ".join(text.split())


def test_a_worse_measure_is_marked() -> None:
    text = terminal.render(compared(unified(), duplicated()), [])
    assert "FAILED" in text
    assert "Worse than before: connections per user, most at once; connections opened" in " ".join(text.split())
    assert "| connections replaced | 0 | 2,940 | ❌ 2,940 more |" in markdown.render(
        compared(unified(), duplicated()), []
    )


def test_the_charts_contain_every_second_and_both_runs() -> None:
    page = parsed(render_html(compared(), []))
    labels = [str(a["aria-label"]) for tag, a in page.tags if tag == "svg" and "aria-label" in a]
    assert "Connections open per user: before (duplicated) at most 1.1; after (unified) at most 1" in labels
    assert any("Connections replaced" in label and "147/s" in label for label in labels)
    paths = [str(a["d"]) for tag, a in page.tags if tag == "path" and a.get("class") == "course"]
    assert len(paths) == 2 * len(labels)
    assert all(path.count("L") == 19 for path in paths)


def test_text_from_outside_is_escaped_in_every_format() -> None:
    evil = duplicated(refused={"<script>|\x1b[31m": 3}, target="http://<b>x</b>")
    page = render_html(evil, [])
    assert "<script>" not in page and "<b>x" not in page
    for text in (terminal.render(evil, []), markdown.render(evil, []), junit.render(evil, []).decode()):
        assert "\x1b" not in text
    assert "<script>" not in markdown.render(evil, [])


def test_a_narrow_terminal_and_colour_do_not_break_it() -> None:
    out = StringIO()
    terminal.print_report(compared(), [], out, {**os.environ, "COLUMNS": "60"})
    assert max(map(len, out.getvalue().splitlines())) <= 60
    out = StringIO()
    terminal.print_report(limited(), [], out, {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "80"})
    assert "\x1b[1;31m" in out.getvalue()


def test_a_run_without_a_series_has_no_chart() -> None:
    page = render_html(duplicated(series=[], verdict=Verdict.INCONCLUSIVE), [])
    assert "Over time" not in page


def test_different_values_that_count_as_the_same_have_a_reason() -> None:
    slow, quick = duplicated(connect_ms=Percentiles(p95=101.0)), unified(connect_ms=Percentiles(p95=9.7))
    text = " ".join(terminal.render(compare(slow, quick), []).split())
    assert "time to connect, p95 101 ms 9.7 ms less than 100 ms apart" in text
    same = " ".join(terminal.render(compare(slow, slow), []).split())
    assert "time to connect, p95 101 ms 101 ms the same" in same


def test_a_run_without_connections_has_no_sparkline() -> None:
    idle = [Second(second=second, users=2) for second in range(3)]
    text = terminal.render(unified(verdict=Verdict.INCONCLUSIVE, connects=0, series=idle, server=None), [])
    assert "\n\n\n" not in text
