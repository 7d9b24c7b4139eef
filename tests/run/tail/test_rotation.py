"""Every way in which a log is rotated, truncated or replaced, through the command: nothing lost, nothing twice."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.observe.tailing.logs import APPEND
from tests.run.tail.running import Server, Tail, until


def caught_up(tail: Tail, server: Server) -> None:
    until(lambda: len(tail.connected) >= len(server.sids))


def late_writer(server: Server, tail: Tail) -> None:
    """Renamed; the writer stays in the old file until it reopens."""
    for _ in range(3):
        server.rotate()
        server.path.touch()
        server.connects(20)
        caught_up(tail, server)
        server.connects(20)
        server.reopen()
        server.connects(20)


def twice_between_two_looks(server: Server, tail: Tail) -> None:
    with tail.stopped():
        for _ in range(2):
            server.connects(20)
            server.rotate()
            server.reopen()
        server.connects(20)


def copytruncate_with_unread_lines(server: Server, tail: Tail) -> None:
    for _ in range(2):
        with tail.stopped():
            server.connects(50)
            server.copytruncate()
            server.connects(10)
        caught_up(tail, server)


def truncated_and_regrown(server: Server, tail: Tail) -> None:
    with tail.stopped():
        os.truncate(server.path, 0)
        server.connects(200)


def deleted_and_created_again(server: Server, tail: Tail) -> None:
    for _ in range(5):
        with tail.stopped():
            server.path.unlink()
            server.reopen()
            server.connects(20)
        caught_up(tail, server)


def same_content_in_a_new_inode(server: Server, tail: Tail) -> None:
    for _ in range(3):
        copy = server.path.with_name("copy")
        shutil.copy(server.path, copy)
        copy.rename(server.path)
        server.reopen()
        server.connects(20)
        caught_up(tail, server)


def packed_at_once(server: Server, tail: Tail) -> None:
    with tail.stopped():
        server.connects(20)
        server.rotate()
        server.pack("1")
        server.reopen()
        server.connects(20)


def half_a_line_at_the_rotation(server: Server, tail: Tail) -> None:
    with tail.stopped():
        server.raw(b'{"msg":"half a line')
        server.rotate()
        server.reopen()
        server.connects(20)


def nuls_and_bytes_that_are_no_text(server: Server, tail: Tail) -> None:
    fd = os.open(server.path, APPEND)
    os.write(fd, b"\0" * 3000)
    server.connects(5)
    os.write(fd, b"\xff\xfe\xc3\x28 no text\n")
    server.connects(5)
    os.close(fd)


SCENARIOS = (
    late_writer,
    twice_between_two_looks,
    copytruncate_with_unread_lines,
    truncated_and_regrown,
    deleted_and_created_again,
    same_content_in_a_new_inode,
    packed_at_once,
    half_a_line_at_the_rotation,
    nuls_and_bytes_that_are_no_text,
)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_nothing_is_lost_and_nothing_comes_twice(tmp_path: Path, scenario: Callable[[Server, Tail], None]) -> None:
    server = Server(tmp_path / "app.log")
    server.connects(50)
    with Tail("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        caught_up(tail, server)
        scenario(server, tail)
        caught_up(tail, server)
        tail.end()
        assert sorted(tail.connected) == sorted(server.sids)
        assert (tail.err == "") is (scenario is not truncated_and_regrown)


def test_a_truncation_that_took_lines_with_it_is_said(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.connects(50)
    with Tail("app.log", "--from-start", "--format", "ndjson", directory=tmp_path) as tail:
        caught_up(tail, server)
        with tail.stopped():
            server.connects(3)
            os.truncate(server.path, 0)
            server.connects(1)
        until(lambda: server.sids[-1] in tail.connected)
        assert "no rotated copy contains the bytes after" in until(lambda: tail.err)


def test_lines_are_numbered_as_in_their_file(tmp_path: Path) -> None:
    server = Server(tmp_path / "app.log")
    server.connects(7)
    with Tail("app.log", "--format", "ndjson", directory=tmp_path) as tail:
        server.connects(2)
        until(lambda: len(tail.connected) == 2)
        server.rotate()
        server.reopen()
        server.connects(2)
        until(lambda: len(tail.connected) == 4)
        assert [line["line"] for line in tail.told if line.get("type") == "connected"] == [8, 9, 1, 2]
