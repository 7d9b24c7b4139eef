"""Tests of the sentences about what was read from logs, and of the options that they propose."""

from pathlib import Path

import pytest

from wscheck.detect.engine import RuleOptions
from wscheck.model.findings import Bar
from wscheck.model.report import LogsReport
from wscheck.observe.logs.options import reader_factory
from wscheck.observe.logs.sources import FollowedLog
from wscheck.report.log_figures import command_with_markers, log_facts
from wscheck.run.tail.report import build_logs_report
from wscheck.run.tail.watch import LogWatch


def report_of(tmp_path: Path, log: str) -> LogsReport:
    path = tmp_path / "app.log"
    path.write_text(log)
    followed = FollowedLog(path, reader_factory((), (), {}, guess=None))
    followed.begin()
    watch = LogWatch([followed], RuleOptions(), complete=True)
    watch.poll(final=True)
    return build_logs_report(watch, Bar())


def facts(tmp_path: Path, log: str) -> str:
    return "\n".join(log_facts(report_of(tmp_path, log)))


@pytest.mark.parametrize("time", ["", "2026-04-02T10:11:00Z "])
def test_a_log_without_times_gets_the_way_to_have_them(tmp_path: Path, time: str) -> None:
    text = facts(tmp_path, f"{time}WebSocket client connected userId=ann socketId=s1\n")
    assert ("`kubectl logs --timestamps`" in text) == (time == "")


def test_a_guess_is_shown_with_examples_and_options(tmp_path: Path) -> None:
    lines = [f"2026-04-02T10:11:0{n}Z [{user}] connected" for n, user in enumerate(("ann", "bob", "eve"))]
    lines += [f"2026-04-02T10:11:1{n}Z [{user}] disconnected" for n, user in enumerate(("ann", "bob", "eve"))]
    text = facts(tmp_path, "\n".join([*lines, *lines]) + "\n")
    assert "no line reports an opened connection" not in text
    assert "with --guess: connected user ann: 2026-04-02T10:11:00Z [ann] connected" in text
    assert "the same as options: --marker connected='[{user}] connected'" in text
    assert "ann" not in text.partition("the same as options")[2].partition("\n")[0]


@pytest.mark.parametrize("word", ["New connection! ({n})", "New socket {n}", "WebSocket client connected ({n})"])
def test_openings_that_were_only_proposed_are_in_the_command_although_ends_were_read(tmp_path: Path, word: str) -> None:
    lines = [f"[2026-04-02 10:11:{2 * n:02}] {word.format(n=140 + n)}" for n in range(9)]
    lines += [f"[2026-04-02 10:12:{2 * n:02}] Connection {140 + n} has disconnected" for n in range(9)]
    report = report_of(tmp_path, "\n".join([*lines, ""]))
    assert report.events["disconnected"] == 9
    assert ("--guess" in command_with_markers(report)) == (report.events["connected"] == 0) == ("WebSocket" not in word)
