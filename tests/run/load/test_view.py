"""Live view of a load run in each stage, and the lines that replace it without a terminal."""

from io import StringIO

import pytest
from rich.console import Console

from tests.run.load.plans import load_plan, loop_statistics, run_progress
from wscheck.commands.load_view import live_view, progress_line, show_progress
from wscheck.model.load_statistics import LoadStatistics, RunStarted, RunTotals, encode_record
from wscheck.run.load.plan import LoadPlan
from wscheck.run.load.progress_stream import RunProgress

PLAN = load_plan(users=10, processes=2, run_time_s=10.0)


def rendered(progress: RunProgress, at: float, plan: LoadPlan = PLAN, width: int = 90) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(live_view(plan, progress, at))
    return captured.get()


def started_run() -> RunProgress:
    progress = RunProgress()
    progress.add_line(encode_record(RunStarted("duplicated", "http://127.0.0.1:1", 10, 2, 0.0)))
    return progress


def test_before_the_first_record() -> None:
    assert "starting" in rendered(RunProgress(), 0.0)
    assert "workers report every few seconds" in rendered(started_run(), 1.0)


def test_totals_may_come_before_the_first_second() -> None:
    progress = started_run()
    progress.add_line(encode_record(RunTotals(0.0, "running", 3, 0, 0, 2, 0, LoadStatistics())))
    view = rendered(progress, 1.0)
    assert "1 of 10 s" in view and "users" in view and "of 10" in view


def test_while_it_runs_and_while_it_closes() -> None:
    progress = run_progress(loop_statistics(refused={"timeout": 2}), ended=False, workers=2, lost=1)
    view = rendered(progress, 4.0)
    for text in (
        "127.0.0.1:1",
        "duplicated profile",
        "4 of 10 s",
        "2.00",
        "310",
        "300",
        "2 timeout",
        "1 of 2 workers died",
    ):
        assert text in view, text
    assert "closing the connections" in rendered(progress, 10.5)


@pytest.mark.parametrize("width", [40, 60, 200])
def test_it_fits_any_width(width: int) -> None:
    view = rendered(run_progress(loop_statistics(), ended=False), 4.0, width=width)
    assert max(map(len, view.splitlines())) <= width


def test_without_a_terminal_it_prints_the_start_and_a_line_every_five_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = run_progress(loop_statistics(), ended=False)
    with show_progress(PLAN) as on_progress:
        for at in (0.0, 0.1, 4.9, 5.0, 5.1, 9.9, 10.0):
            on_progress(progress, at)
    output = capsys.readouterr()
    assert output.out == ""
    assert [line.split(":")[1].strip() for line in output.err.splitlines()] == [
        "duplicated started",
        "duplicated 5 s of 10 s",
        "duplicated 10 s of 10 s",
    ]
    assert progress_line(PLAN, progress, 5.0).endswith("10 users, 10 open, 310 connects, 300 replaced, 0 refused")
