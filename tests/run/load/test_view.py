"""The live view in every stage of a run, and the lines that stand for it where there is no terminal."""

from io import StringIO

import pytest
from rich.console import Console

from tests.run.load.plans import looping, planned, ran
from wscheck.commands.load_view import line, picture, shown
from wscheck.model.load_statistics import LoadStatistics, RunStarted, RunTotals, encode_record
from wscheck.run.load.plan import Plan
from wscheck.run.load.progress_stream import Course

PLAN = planned(users=10, processes=2, run_time_s=10.0)


def drawn(course: Course, at: float, plan: Plan = PLAN, width: int = 90) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(picture(plan, course, at))
    return captured.get()


def begun() -> Course:
    course = Course()
    course.take(encode_record(RunStarted("duplicated", "http://127.0.0.1:1", 10, 2, 0.0)))
    return course


def test_before_anything_is_known() -> None:
    assert "starting" in drawn(Course(), 0.0)
    assert "workers report every few seconds" in drawn(begun(), 1.0)


def test_totals_may_come_before_the_first_second() -> None:
    course = begun()
    course.take(encode_record(RunTotals(0.0, "running", 3, 0, 0, 2, 0, LoadStatistics())))
    told = drawn(course, 1.0)
    assert "1 of 10 s" in told and "users" in told and "of 10" in told


def test_while_it_runs_and_while_it_closes() -> None:
    course = ran(looping(refused={"timeout": 2}), ended=False, workers=2, lost=1)
    told = drawn(course, 4.0)
    for words in (
        "127.0.0.1:1",
        "duplicated profile",
        "4 of 10 s",
        "2.00",
        "310",
        "300",
        "2 timeout",
        "1 of 2 workers died",
    ):
        assert words in told, words
    assert "closing the connections" in drawn(course, 10.5)


@pytest.mark.parametrize("width", [40, 60, 200])
def test_any_width_holds_it(width: int) -> None:
    told = drawn(ran(looping(), ended=False), 4.0, width=width)
    assert max(map(len, told.splitlines())) <= width


def test_away_from_a_terminal_it_says_that_it_began_and_then_a_line_every_few_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    course = ran(looping(), ended=False)
    with shown(PLAN) as watch:
        for at in (0.0, 0.1, 4.9, 5.0, 5.1, 9.9, 10.0):
            watch(course, at)
    said = capsys.readouterr()
    assert said.out == ""
    assert [told.split(":")[1].strip() for told in said.err.splitlines()] == [
        "duplicated begins",
        "duplicated 5 s of 10 s",
        "duplicated 10 s of 10 s",
    ]
    assert line(PLAN, course, 5.0).endswith("10 users, 10 open, 310 connects, 300 replaced, 0 refused")
