"""Every way a log can be rotated, truncated, replaced or copied: no line that is on disk lost, none twice."""

import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observe.tailing.logs import Lines, Log, Story
from wscheck.observe.tailing.follower import LATE_WRITER_S, MAX_LATE_FILES

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "app.log")


@pytest.fixture
def lines(log: Log) -> Iterator[Lines]:
    log.lines(50)
    lines = Lines(log.path)
    lines.look()
    yield lines
    lines.follower.close()


def test_what_is_there_first_and_what_comes_after(log: Log, lines: Lines) -> None:
    log.lines(10)
    lines.look()
    assert lines.got == log.written
    assert lines.numbers == list(range(1, 61))


def test_from_the_end_only_what_comes_after_with_its_line_number(log: Log) -> None:
    log.lines(50)
    log.raw(b"half a ")
    lines = Lines(log.path, at_end=True)
    assert lines.look() == []
    log.raw(b"line\n")
    assert lines.look() == [b"half a line"]
    assert lines.numbers == [51]


def test_a_file_that_is_not_there_yet_is_read_from_its_start(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "app.log", at_end=True)
    assert lines.look() == []
    log = Log(tmp_path / "app.log")
    log.lines(5)
    assert lines.look() == log.written


def test_renamed_with_a_late_writer(log: Log, lines: Lines) -> None:
    log.rotate()
    log.path.touch()
    for _ in range(3):
        log.lines(30)
        lines.look()
    log.reopen()
    log.lines(20)
    lines.look()
    assert lines.got == log.written
    assert lines.numbers[-1] == 20


def test_a_second_writer_that_stays_late_is_read_until_it_is_quiet(log: Log, lines: Lines) -> None:
    late = log.path.open("ab", buffering=0)
    log.rotate()
    log.reopen()
    log.lines(5)
    lines.look()
    late.write(b"late 1\n")
    log.lines(5)
    late.write(b"late 2\n")
    assert sorted(lines.look()) == sorted([*log.written[-5:], b"late 1", b"late 2"])
    lines.look(LATE_WRITER_S + 1)
    late.write(b"too late\n")
    assert lines.look() == []
    late.close()


def test_two_rotations_between_two_looks(log: Log, lines: Lines) -> None:
    for _ in range(3):
        log.lines(20)
        log.rotate()
        log.reopen()
    log.lines(20)
    lines.look()
    assert lines.got == log.written
    assert lines.look() == []


def test_two_rotations_and_the_newest_file_still_empty(log: Log, lines: Lines) -> None:
    for _ in range(2):
        log.lines(20)
        log.rotate()
        log.reopen()
    assert lines.look() == log.written[50:]


def test_packed_generations_are_read_inside(log: Log, lines: Lines) -> None:
    log.lines(20)
    log.rotate()
    log.reopen()
    log.lines(20)
    log.rotate()
    log.pack("1")
    log.pack("2")
    log.reopen()
    log.lines(20)
    lines.look()
    assert lines.got == log.written


def test_packing_what_was_read_brings_nothing_twice(log: Log, lines: Lines) -> None:
    for _ in range(4):
        log.lines(20)
        lines.look()
        log.rotate()
        log.reopen()
        log.lines(5)
        lines.look()
        log.pack("1")
        lines.look()
        log.path.with_name("app.log.1.gz").rename(log.path.with_name(f"app.log.{len(log.written)}.gz"))
    assert lines.got == log.written


@pytest.mark.parametrize("pack", [False, True])
def test_copytruncate_with_unread_lines(log: Log, lines: Lines, pack: bool) -> None:
    for _ in range(3):
        log.lines(40)
        log.copytruncate(pack=pack)
        log.lines(10)
        if pack:
            lines.look()
            log.path.with_name("app.log.1.gz").unlink()
    lines.look()
    assert lines.got == log.written
    assert not lines.notes


def test_copytruncate_when_lines_came_between_the_copy_and_the_truncation(log: Log, lines: Lines) -> None:
    shutil.copy(log.path, f"{log.path}.1")
    log.lines(10)
    lines.look()
    os.truncate(log.path, 0)
    log.lines(10)
    lines.look()
    assert lines.got == log.written


def test_a_line_cut_by_copytruncate_is_whole(log: Log, lines: Lines) -> None:
    log.raw(b"cut ")
    log.copytruncate()
    log.raw(b"in two\n")
    assert lines.look() == [b"cut in two"]


@pytest.mark.parametrize("seen", ["before", "between", "after"])
@pytest.mark.parametrize("pack", [False, True])
def test_a_line_cut_by_copytruncate_is_whole_after_a_restart(log: Log, lines: Lines, seen: str, pack: bool) -> None:
    log.lines(3)
    log.raw(b"cut ")
    if seen == "before":
        lines.look()
    log.copytruncate(pack=pack)
    if seen == "between":
        lines.look()
    log.raw(b"in two\n")
    if seen == "after":
        lines.look()
    log.lines(2)
    resumed = Lines(log.path, lines.resume_point())
    resumed.look()
    whole = [*log.written[:-2], b"cut in two", *log.written[-2:]]
    assert lines.got + resumed.got == whole


def test_truncated_without_a_copy_says_that_lines_may_be_gone(log: Log, lines: Lines) -> None:
    log.copytruncate(keep=False)
    log.lines(3)
    assert lines.look() == log.written[50:]
    assert "no rotated copy contains" in lines.notes[0]


@pytest.mark.parametrize("more", [1, 50, 200])
def test_truncated_and_regrown(log: Log, lines: Lines, more: int) -> None:
    log.copytruncate(keep=False)
    log.lines(more)
    lines.look()
    assert lines.got == log.written


def test_truncated_and_regrown_to_the_very_size(log: Log, lines: Lines) -> None:
    size = log.path.stat().st_size
    log.copytruncate(keep=False)
    log.line(b"x" * (size - 1))
    assert lines.look() == [b"x" * (size - 1)]


def test_deleted_and_created_again(log: Log, lines: Lines) -> None:
    for _ in range(5):
        log.lines(20)
        lines.look()
        log.path.unlink()
        lines.look()
        log.reopen()
        log.lines(20)
        lines.look()
    assert lines.got == log.written


def test_deleted_while_the_writer_goes_on(log: Log, lines: Lines) -> None:
    log.path.unlink()
    log.lines(20)
    lines.look()
    assert lines.got == log.written


@pytest.mark.parametrize("backup", [False, True])
def test_the_same_content_in_a_new_inode(log: Log, lines: Lines, backup: bool) -> None:
    for _ in range(3):
        log.lines(20)
        copy = log.path.with_name("copy")
        shutil.copy(log.path, copy)
        if backup:
            log.path.rename(log.path.with_name("app.log.bak"))
        copy.rename(log.path)
        log.reopen()
        log.lines(20)
        lines.look()
    assert lines.got == log.written
    assert lines.numbers == list(range(1, 171))


def test_the_same_content_in_a_new_inode_and_a_writer_late_on_the_old(log: Log, lines: Lines) -> None:
    copy = log.path.with_name("copy")
    log.lines(20)
    shutil.copy(log.path, copy)
    log.lines(5)
    copy.rename(log.path)
    log.reopen()
    log.lines(20)
    lines.look()
    assert sorted(lines.got) == sorted(log.written)


def test_a_backup_taken_beside_the_log_is_not_a_generation(log: Log, lines: Lines) -> None:
    shutil.copy(log.path, f"{log.path}.bak")
    log.lines(20)
    lines.look()
    log.rotate()
    log.reopen()
    log.lines(20)
    lines.look()
    assert lines.got == log.written


def test_other_logs_beside_it_are_not_generations(log: Log, lines: Lines) -> None:
    Log(log.path.with_name("app-error.log")).line(b"other")
    Log(log.path.with_name("application.log")).line(b"other")
    log.rotate()
    log.reopen()
    log.lines(5)
    lines.look()
    assert lines.got == log.written


@pytest.mark.parametrize(
    "name", ["app.log-20260115", "app-2026-01-15.log", "app__2026-01-15_00-00-00.log", "app.log.old"]
)
def test_generations_named_by_date(log: Log, lines: Lines, name: str) -> None:
    log.rotate()
    log.reopen()
    log.lines(20)
    log.path.rename(log.path.with_name(name))
    log.reopen()
    log.lines(20)
    lines.look()
    assert lines.got == log.written


def test_a_link_is_followed_to_what_it_points_to(tmp_path: Path) -> None:
    pod = tmp_path / "pod"
    pod.mkdir()
    log = Log(pod / "0.log")
    link = tmp_path / "container.log"
    link.symlink_to(log.path)
    lines = Lines(link)
    for _ in range(2):
        log.lines(10)
        log.rotate()
        log.reopen()
    log.lines(10)
    lines.look()
    assert lines.got == log.written


def test_banners_alike_do_not_hide_a_generation(tmp_path: Path) -> None:
    log = Log(tmp_path / "app.log")
    banner = b"=" * 400
    log.line(banner)
    lines = Lines(log.path)
    lines.look()
    for _ in range(3):
        log.lines(10)
        log.rotate()
        log.reopen()
        log.line(banner)
    log.copytruncate()
    log.line(banner)
    lines.look()
    # The banner of a file in which nothing else stands yet cannot be told from the one that was read.
    assert [line for line in lines.got if line != banner] == [line for line in log.written if line != banner]


def test_bytes_that_are_no_text_go_through(log: Log, lines: Lines) -> None:
    log.line(b"\xff\xfe" + b"\x00" * 3000 + b"end")
    log.line(b"y" * 3_000_000)
    lines.look()
    assert lines.got == log.written


def test_a_place_in_each_state_resumes_exactly(log: Log, lines: Lines) -> None:
    log.raw(b"half ")
    lines.look()
    log.raw(b"line\n")
    resumed = Lines(log.path, lines.resume_point())
    assert resumed.look() == [b"half line"]
    assert resumed.numbers == [51]


@pytest.mark.parametrize("rotation", ["rename", "twice", "copytruncate", "packed", "same", "regrown", "recreated"])
def test_resuming_after_the_file_was_rotated(log: Log, lines: Lines, rotation: str) -> None:
    resume_point = lines.resume_point()
    lines.follower.close()
    kept = True
    log.lines(20)
    if rotation in ("rename", "twice", "packed"):
        for _ in range(1 if rotation == "rename" else 2):
            log.rotate()
            log.reopen()
            log.lines(20)
        if rotation == "packed":
            log.pack("2")
    elif rotation == "copytruncate":
        log.copytruncate()
        log.lines(100)
    elif rotation == "same":
        shutil.copy(log.path, f"{log.path}.new")
        Path(f"{log.path}.new").rename(log.path)
        log.reopen()
    else:
        kept = False
        log.path.unlink()
        log.reopen()
        log.lines(100)
    log.lines(20)
    resumed = Lines(log.path, resume_point)
    resumed.look()
    assert resumed.got == log.written[50 if kept else 70 :]
    assert bool(resumed.notes) == (not kept)


def test_resuming_goes_on_with_a_late_writer(log: Log, lines: Lines) -> None:
    late = log.path.open("ab", buffering=0)
    log.rotate()
    log.reopen()
    log.lines(5)
    lines.look()
    resume_point = lines.resume_point()
    lines.follower.close()
    late.write(b"late\n")
    log.lines(5)
    resumed = Lines(log.path, resume_point)
    assert sorted(resumed.look()) == sorted([b"late", *log.written[-5:]])
    late.close()


def test_resuming_does_not_take_the_copy_of_a_file_for_that_file(log: Log, lines: Lines) -> None:
    log.rewrite()
    log.lines(3)
    log.rotate()
    log.reopen()
    log.lines(2)
    lines.look()
    for _ in range(4):  # so many that where the copy was left is not remembered any more
        log.lines(2)
        log.copytruncate()
        log.lines(2)
        lines.look()
    resume_point = lines.resume_point()
    lines.follower.close()
    log.lines(2)
    resumed = Lines(log.path, resume_point)
    resumed.look()
    assert resumed.got == log.written[-2:]


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="no /proc here")
def test_descriptors_are_given_back(log: Log, lines: Lines) -> None:
    before = sum(1 for _ in DESCRIPTORS.iterdir())
    for _ in range(20):
        log.rotate()
        log.reopen()
        log.lines(2)
        lines.look(LATE_WRITER_S + 1)
        lines.look(LATE_WRITER_S + 1)
    assert sum(1 for _ in DESCRIPTORS.iterdir()) <= before + 2


@pytest.mark.parametrize("seed", range(40))
def test_any_sequence_of_rotations_looks_and_restarts(tmp_path: Path, seed: int) -> None:
    story = Story(tmp_path / "app.log", random.Random(seed))
    for _ in range(60):
        story.step()
    story.end()
    assert story.got == story.log.written


@pytest.mark.parametrize("restarts", [False, True])
def test_rotations_in_the_middle_of_our_look(log: Log, restarts: bool) -> None:
    """Files are renamed between the look into the directory and the opening of what was seen there."""
    lines, got, done = Lines(log.path), list[bytes](), threading.Event()

    def write() -> None:
        for _ in range(40):
            log.lines(3)
            log.rotate()
            log.lines(2)
            log.reopen()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while True:
        finished = done.is_set()
        got += lines.look()
        if finished:
            break
        if restarts and len(got) % 7 == 0:
            resume_point = lines.resume_point()
            lines.follower.close()
            lines = Lines(log.path, resume_point)
    writer.join()
    got += lines.look()
    assert got == log.written


def test_many_late_writers_at_once_bring_nothing_twice(log: Log, lines: Lines) -> None:
    for _ in range(12):
        log.lines(2)
        lines.look()
        log.rotate()
        log.path.touch()
        log.lines(2)
        lines.look()
        log.reopen()
        log.line()
        lines.look()
        log.path.touch()
        assert len(lines.follower.streams) <= MAX_LATE_FILES + 1
    assert lines.got == log.written
