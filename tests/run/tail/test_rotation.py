"""Every kind of rotation, truncation and replacement of a log, with the command: nothing lost, nothing twice."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.observe.tailing.log_writer import APPEND
from tests.run.tail.process import LoggingServer, TailProcess, wait_until


def wait_until_caught_up(tail: TailProcess, server: LoggingServer) -> None:
    wait_until(lambda: len(tail.connected) >= len(server.sids))


def late_writer(server: LoggingServer, tail: TailProcess) -> None:
    """Rename the log; the writer writes to the old file until it reopens it."""
    for _ in range(3):
        server.rotate()
        server.path.touch()
        server.connects(20)
        wait_until_caught_up(tail, server)
        server.connects(20)
        server.reopen()
        server.connects(20)


def twice_between_two_polls(server: LoggingServer, tail: TailProcess) -> None:
    with tail.paused():
        for _ in range(2):
            server.connects(20)
            server.rotate()
            server.reopen()
        server.connects(20)


def copytruncate_with_unread_lines(server: LoggingServer, tail: TailProcess) -> None:
    for _ in range(2):
        with tail.paused():
            server.connects(50)
            server.copytruncate()
            server.connects(10)
        wait_until_caught_up(tail, server)


def truncated_and_regrown(server: LoggingServer, tail: TailProcess) -> None:
    with tail.paused():
        os.truncate(server.path, 0)
        server.connects(200)


def deleted_and_created_again(server: LoggingServer, tail: TailProcess) -> None:
    for _ in range(5):
        with tail.paused():
            server.path.unlink()
            server.reopen()
            server.connects(20)
        wait_until_caught_up(tail, server)


def same_content_in_a_new_inode(server: LoggingServer, tail: TailProcess) -> None:
    for _ in range(3):
        copy = server.path.with_name("copy")
        shutil.copy(server.path, copy)
        copy.rename(server.path)
        server.reopen()
        server.connects(20)
        wait_until_caught_up(tail, server)


def packed_at_once(server: LoggingServer, tail: TailProcess) -> None:
    with tail.paused():
        server.connects(20)
        server.rotate()
        server.pack("1")
        server.reopen()
        server.connects(20)


def half_a_line_at_the_rotation(server: LoggingServer, tail: TailProcess) -> None:
    with tail.paused():
        server.raw(b'{"msg":"half a line')
        server.rotate()
        server.reopen()
        server.connects(20)


def nuls_and_bytes_that_are_not_text(server: LoggingServer, tail: TailProcess) -> None:
    fd = os.open(server.path, APPEND)
    os.write(fd, b"\0" * 3000)
    server.connects(5)
    os.write(fd, b"\xff\xfe\xc3\x28 no text\n")
    server.connects(5)
    os.close(fd)


SCENARIOS = (
    late_writer,
    twice_between_two_polls,
    copytruncate_with_unread_lines,
    truncated_and_regrown,
    deleted_and_created_again,
    same_content_in_a_new_inode,
    packed_at_once,
    half_a_line_at_the_rotation,
    nuls_and_bytes_that_are_not_text,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_event_is_lost_or_repeated(tmp_path: Path, scenario: Callable[[LoggingServer, TailProcess], None]) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(50)
    with TailProcess("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        wait_until_caught_up(tail, server)
        scenario(server, tail)
        wait_until_caught_up(tail, server)
        tail.end()
        assert sorted(tail.connected) == sorted(server.sids)
        assert (tail.err == "") is (scenario is not truncated_and_regrown)


def test_a_truncation_with_unread_lines_is_reported(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(50)
    with TailProcess("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        wait_until_caught_up(tail, server)
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
