"""Terminal report: order, length, width and colour."""

import io
import os
import pty
import re

import msgspec
import pytest

from tests.report import runs
from wscheck.model.events import AnyEvent
from wscheck.model.findings import Severity, Verdict
from wscheck.model.report import Report
from wscheck.report.terminal import PLAIN_WIDTH, print_report, render

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def shown(run: tuple[Report, list[AnyEvent]], **environ: str) -> str:
    stdout = io.StringIO()
    print_report(*run, stdout, environ)
    return stdout.getvalue()


def on_a_terminal(run: tuple[Report, list[AnyEvent]], **environ: str) -> str:
    """Return what a pseudo-terminal receives."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as stdout:
        print_report(*run, stdout, {"TERM": "xterm-256color", **environ})
        stdout.flush()
        received = b""
        while not received.rstrip().endswith((b"two-openers", b"two-openers\x1b[0m")):
            received += os.read(leader, 65536)
    os.close(leader)
    return received.decode()


def test_a_passed_run_has_at_most_three_lines_per_scenario_and_ends_with_the_verdict() -> None:
    report, events = runs.passing()
    lines = shown((report, events), COLUMNS="120").splitlines()
    assert len(lines) <= 3 * len(report.scenarios) + 6
    assert lines[-1] == "✓ PASSED  5 passed in 10 s"
    for scenario in report.scenarios:
        (line,) = [line for line in lines if line.startswith(f"✓ {scenario.id} ")]
        assert scenario.must_hold.split()[0] in line
        assert "1 connection opened, peak 1" in lines[lines.index(line) + 1]


def test_a_failed_run_prints_findings_first_and_the_next_command_last() -> None:
    text = render(*runs.failing())
    order = [
        "multiple-connections  error",
        "connection-replaced  error, high confidence",
        "the server replaced one of the connections of BotCreationWizard",
        "who        user_123",
        "opened by  Dashboard at src/app/(dashboard)/dashboard/page.tsx:42:9 (Xb3k9aPq7Lw2)",
        "BotCreationWizard at src/components/dashboard/bot-creation-wizard.tsx:118:5",
        "cause      two components each open a connection",
        "fix        Open the connection in one module or provider",
        "✗ single-connection",
        "? zombie",
        "The server did not say how long it waits for a pong.",
        "- isolation",
        "✗ FAILED  2 failed, 1 inconclusive, 1 skipped",
        "user_123: one page opened 2 connections",
        "next  wscheck explain two-openers",
    ]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert text.rstrip().endswith(order[-1])


def test_a_cause_shared_by_two_rules_is_printed_once() -> None:
    text = render(*runs.failing())
    assert text.count("two components each open a connection") == text.count("opened by") == 1
    assert "holds 2 connections at once" in text


def test_a_loop_has_a_count_and_a_rate() -> None:
    assert "14 times in 3.9 s (3.3/s)" in render(*runs.looping())


def test_the_first_and_the_last_lines_count_alike_over_all_scenarios() -> None:
    report, events = runs.failing()
    first = report.findings[0]
    again = [msgspec.structs.replace(first, scenario=name, count=2) for name in ("race", "reconnect")]
    report.findings = [first, *again]
    head, _, last = " ".join(render(report, events).split()).partition("FAILED")
    times = f"{first.count + 4} times"
    assert times in head and times in last


def test_a_warning_does_not_fail_the_run_and_follows_the_scenarios() -> None:
    report, events = runs.passing()
    failed, _ = runs.failing()
    report.findings = failed.findings[:1]
    report.findings[0].severity = Severity.WARNING
    text = render(report, events)
    assert text.index("✓ reconnect") < text.index("! warning: multiple-connections")
    assert "✓ PASSED" in text


def test_output_without_a_terminal_is_plain() -> None:
    assert "\x1b" not in shown(runs.failing())
    assert max(len(line) for line in shown(runs.failing()).splitlines()) <= PLAIN_WIDTH
    assert not any(line.endswith(" ") for line in shown(runs.failing()).splitlines())


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    for run in (runs.passing(), runs.failing(), runs.looping()):
        text = shown(run, COLUMNS=str(columns), FORCE_COLOR="1")
        assert max(len(ESCAPE.sub("", line)) for line in text.splitlines()) <= columns


def test_a_terminal_gets_colour() -> None:
    assert re.search(r"\x1b\[[0-9;]*31m", on_a_terminal(runs.failing()))


def test_no_color_is_honoured() -> None:
    text = on_a_terminal(runs.failing(), NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", text)


def test_force_color_is_honoured() -> None:
    assert re.search(r"\x1b\[[0-9;]*31m", shown(runs.failing(), FORCE_COLOR="1"))


def test_text_from_the_target_is_escaped_for_terminal_and_markup() -> None:
    text = shown(runs.failing(user="\x1b]0;owned\x07[bold red]x[/]\u202e\r\nnext"), FORCE_COLOR="1")
    assert "\x1b]" not in text and "\x07" not in text and "\u202e" not in text
    assert r"\x1b]0;owned\x07[bold red]x[/]\u202e\r next" in ESCAPE.sub("", text)


def test_a_run_that_proved_nothing_ends_with_each_reason_once() -> None:
    report, events = runs.passing()
    report.verdict = Verdict.INCONCLUSIVE
    log = "server.log reports connections in a wording that is not known. For example: ann"
    for scenario, reason in zip(report.scenarios, (log, "nothing came", log, "nothing came"), strict=False):
        scenario.verdict, scenario.reason = Verdict.INCONCLUSIVE, reason
    first, second, third, fourth, *_ = (scenario.id for scenario in report.scenarios)
    last = " ".join(render(report, events).partition("INCONCLUSIVE")[2].split())
    assert f"{first}, {third}: {log} {second}, {fourth}: nothing came" in last


def test_an_inconclusive_scenario_with_findings_shows_its_reason() -> None:
    report, events = runs.passing()
    remark = msgspec.structs.replace(runs.failing()[0].findings[0], severity=Severity.WARNING)
    scenario = report.scenarios[0]
    scenario.verdict, scenario.reason, scenario.findings = Verdict.INCONCLUSIVE, "the log is not known", [remark]
    assert "the log is not known" in render(report, events)


def test_an_interrupted_run_is_marked_partial() -> None:
    report, events = runs.failing()
    report.interrupted = True
    assert "Interrupted: this report is partial." in render(report, events)


def test_an_inconclusive_run_shows_its_reason() -> None:
    report = Report(schema="wscheck.logs/1", target="app.log", verdict=Verdict.INCONCLUSIVE, reason="No evidence.")
    assert render(report, []) == "wscheck  app.log\n\n? INCONCLUSIVE  after 0 s\n  No evidence.\n"


def test_events_at_nearly_the_same_time_have_no_duration() -> None:
    report, events = runs.looping()
    report.findings = [msgspec.structs.replace(each, last_at=(each.first_at or 0) + 2e-5) for each in report.findings]
    text = render(report, events)
    assert "14 times" in text and "14 times in" not in text
