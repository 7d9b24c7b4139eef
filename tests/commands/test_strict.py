"""Every command decides by the same function: an inconclusive run ends in 3, with `--strict` in 1."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.cli import wscheck
from tests.needs import needs
from tests.report.load_runs import duplicated, unified
from tests.run.load.plans import healthy_statistics, loop_statistics, run_ending, run_progress
from wscheck.cli import app
from wscheck.model.findings import Verdict
from wscheck.model.load_statistics import LoadStatistics
from wscheck.observe.traffic.inconclusive import NO_TRAFFIC
from wscheck.report import json as json_report
from wscheck.run.load import run as load_run
from wscheck.run.load.plan import LoadPlan
from wscheck.run.load.report import LoadOutcome, evaluate_load_run

STRICT = pytest.mark.parametrize(
    ("flags", "code", "verdict"), [([], 3, "inconclusive"), (["--strict"], 1, "failed")], ids=["default", "strict"]
)


def check(arguments: list[str | Path], code: int, verdict: str, reason: str, cwd: Path | None = None) -> None:
    ran = wscheck(*arguments, "--format", "json", cwd=cwd)
    assert ran.code == code, ran.said
    report = json.loads(ran.out)
    assert report["verdict"] == verdict and reason in report["reason"]


@STRICT
def test_tail_logs_without_a_connection(tmp_path: Path, flags: list[str], code: int, verdict: str) -> None:
    arguments: list[str | Path] = ["tail-logs", "--no-follow", "app.log", *flags]
    for content, detail in (
        ('{"msg": "server is up"}\n', "nothing that was read is about a connection"),
        ("", "there was nothing to read"),
    ):
        (tmp_path / "app.log").write_text(content)
        check(arguments, code, verdict, f"no connection event was found: {detail}", cwd=tmp_path)


@STRICT
def test_har_without_traffic(tmp_path: Path, flags: list[str], code: int, verdict: str) -> None:
    log = {"version": "1.2", "creator": {"name": "x", "version": "1"}, "pages": [], "entries": []}
    (tmp_path / "empty.har").write_text(json.dumps({"log": log}))
    check(["har", "empty.har", *flags], code, verdict, NO_TRAFFIC, cwd=tmp_path)


@STRICT
def test_browser_without_traffic(tmp_path: Path, flags: list[str], code: int, verdict: str) -> None:
    needs("chromium")
    (tmp_path / "page.html").write_text("<p>no connection")
    page = (tmp_path / "page.html").as_uri()
    check(["browser", page, "--for", "100ms", *flags], code, verdict, NO_TRAFFIC)


@STRICT
def test_a_recording_without_a_connection(tmp_path: Path, flags: list[str], code: int, verdict: str) -> None:
    header = {"schema": "wscheck.events/1", "wscheck": "0", "events": 0}
    (tmp_path / "run.ndjson").write_text(json.dumps(header) + "\n")
    arguments: list[str | Path] = ["verify", "--from", "run.ndjson", *flags]
    check(arguments, code, verdict, "no connection event was found", cwd=tmp_path)


@STRICT
def test_a_recorded_scenario_without_evidence(tmp_path: Path, flags: list[str], code: int, verdict: str) -> None:
    events = [{"type": kind, "at": 1.0, "scenario": "race", "phase": "subject"} for kind in ("began", "ended")]
    lines = [{"schema": "wscheck.events/1", "wscheck": "0", "events": 2}, *events]
    (tmp_path / "run.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments: list[str | Path] = ["verify", "--from", "run.ndjson", *flags]
    check(arguments, code, verdict, "race: no connection was observed", cwd=tmp_path)


@STRICT
def test_compare_with_a_run_that_proved_nothing(tmp_path: Path, flags: list[str], code: int, verdict: str) -> None:
    runs = {"before.json": duplicated(), "after.json": unified(verdict=Verdict.INCONCLUSIVE, connects=0)}
    for name, report in runs.items():
        (tmp_path / name).write_bytes(json_report.render(report, []))
    check(["compare", *runs, *flags], code, verdict, "the run after showed nothing", cwd=tmp_path)


def test_compare_does_not_pass_with_a_strict_run_that_failed_because_of_missing_evidence(tmp_path: Path) -> None:
    runs = {"before.json": duplicated(), "after.json": unified(verdict=Verdict.FAILED, connects=0)}
    for name, report in runs.items():
        (tmp_path / name).write_bytes(json_report.render(report, []))
    check(["compare", *runs], 3, "inconclusive", "the run after showed nothing", cwd=tmp_path)


def load_exit_code(monkeypatch: pytest.MonkeyPatch, statistics: LoadStatistics, *flags: str, **end: Any) -> int:
    """Return the exit code of `wscheck load FLAGS` for a run with these statistics."""

    async def finished(plan: LoadPlan, on_progress: object) -> LoadOutcome:
        return evaluate_load_run(plan, run_progress(statistics), run_ending(**end))

    monkeypatch.setattr(load_run, "run_load", finished)
    monkeypatch.setattr(load_run, "require_locust", lambda: None)
    return CliRunner().invoke(app, ["load", "--users", "10", *flags]).exit_code


NEVER_CONNECTED = healthy_statistics(users=11)


@pytest.mark.parametrize(
    ("statistics", "flags", "code"),
    [
        (healthy_statistics(), [], 0),
        (healthy_statistics(), ["--strict"], 0),
        (NEVER_CONNECTED, [], 3),
        (NEVER_CONNECTED, ["--strict"], 1),
        (LoadStatistics(), ["--max-replaced", "0"], 3),
        (LoadStatistics(), ["--max-replaced", "0", "--strict"], 1),
        (healthy_statistics(), ["--max-connect-p95", "1ms"], 99),
        (NEVER_CONNECTED, ["--max-connect-p95", "1ms"], 99),
        (NEVER_CONNECTED, ["--max-connect-p95", "1ms", "--strict"], 99),
        (loop_statistics(), [], 0),
        (loop_statistics(), ["--max-replaced", "0"], 99),
        (loop_statistics(), ["--connections", "per-user"], 1),
        (loop_statistics(), ["--connections", "per-user", "--max-replaced", "0"], 1),
    ],
)
def test_load(monkeypatch: pytest.MonkeyPatch, statistics: LoadStatistics, flags: list[str], code: int) -> None:
    assert load_exit_code(monkeypatch, statistics, *flags) == code


@pytest.mark.parametrize(("flags", "code"), [([], 3), (["--strict"], 1)])
def test_load_that_lost_its_server(monkeypatch: pytest.MonkeyPatch, flags: list[str], code: int) -> None:
    assert load_exit_code(monkeypatch, loop_statistics(), *flags, lost="nothing answers") == code


def test_load_that_was_interrupted_ends_in_130(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = ["--max-connect-p95", "1ms", "--strict"]
    assert load_exit_code(monkeypatch, NEVER_CONNECTED, *flags, interrupted=True) == 130


def test_the_environment_makes_a_load_run_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSCHECK_STRICT", "1")
    assert load_exit_code(monkeypatch, NEVER_CONNECTED) == 1
