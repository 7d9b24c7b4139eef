"""Rotations of a log with the command. Every kind of rotation is tried with the reader (tests/observe/tailing)."""

import os
from pathlib import Path

import pytest

from tests.run.tail.process import LoggingServer, TailProcess, wait_until
from tests.run.tail.rotations import (
    REPORTED,
    Rotation,
    copytruncate_with_unread_lines,
    hole_without_a_copy,
    late_writer,
    twice_between_two_polls,
)


@pytest.mark.parametrize(
    "rotation",
    [late_writer, twice_between_two_polls, copytruncate_with_unread_lines, hole_without_a_copy],
    ids=lambda rotation: rotation.__name__,
)
def test_no_event_is_lost_or_repeated(tmp_path: Path, rotation: Rotation) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(50)
    with TailProcess("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        tail.catch_up(server)
        rotation(server, tail)
        tail.catch_up(server)
        tail.end()
        assert sorted(tail.connected) == sorted(server.sids)
        assert bool(tail.err) is (rotation in REPORTED)


def test_a_truncation_with_unread_lines_is_reported(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(50)
    with TailProcess("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        tail.catch_up(server)
        with tail.paused():
            server.connects(3)
            os.truncate(server.path, 0)
            server.connects(1)
        wait_until(lambda: server.sids[-1] in tail.connected)
        assert "no rotated copy contains the bytes after" in wait_until(lambda: tail.err)


def test_line_numbers_are_those_of_the_file(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(7)
    with TailProcess("app.log", "--format", "ndjson", directory=tmp_path) as tail:
        server.connects(2)
        wait_until(lambda: len(tail.connected) == 2)
        server.rotate()
        server.reopen()
        server.connects(2)
        wait_until(lambda: len(tail.connected) == 4)
        assert [line["line"] for line in tail.records if line.get("type") == "connected"] == [8, 9, 1, 2]
