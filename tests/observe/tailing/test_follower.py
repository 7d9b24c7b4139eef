"""Every kind of rotation, truncation, replacement and copy of a log: no line on disk is lost or repeated."""

import os
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.observe.tailing.log_writer import LineReader, LogWriter, RandomLogLife
from wscheck.observe.tailing.follower import LATE_WRITER_S, MAX_LATE_FILES

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def log(tmp_path: Path) -> LogWriter:
    return LogWriter(tmp_path / "app.log")


@pytest.fixture
def lines(log: LogWriter) -> Iterator[LineReader]:
    log.lines(50)
    lines = LineReader(log.path)
    lines.poll()
    yield lines
    lines.follower.close()


def test_existing_lines_are_read_before_new_ones(log: LogWriter, lines: LineReader) -> None:
    log.lines(10)
    lines.poll()
    assert lines.read_lines == log.written
    assert lines.numbers == list(range(1, 61))


def test_from_the_end_only_new_lines_are_read_with_their_numbers(log: LogWriter) -> None:
    log.lines(50)
    log.raw(b"half a ")
    lines = LineReader(log.path, at_end=True)
    assert lines.poll() == []
    log.raw(b"line\n")
    assert lines.poll() == [b"half a line"]
    assert lines.numbers == [51]


def test_a_file_that_appears_later_is_read_from_its_start(tmp_path: Path) -> None:
    lines = LineReader(tmp_path / "app.log", at_end=True)
    assert lines.poll() == []
    log = LogWriter(tmp_path / "app.log")
    log.lines(5)
    assert lines.poll() == log.written


def test_lines_of_a_late_writer_are_read_after_a_rename(log: LogWriter, lines: LineReader) -> None:
    log.rotate()
    log.path.touch()
    for _ in range(3):
        log.lines(30)
        lines.poll()
    log.reopen()
    log.lines(20)
    lines.poll()
    assert lines.read_lines == log.written
    assert lines.numbers[-1] == 20


def test_a_second_late_writer_is_read_until_it_is_quiet(log: LogWriter, lines: LineReader) -> None:
    late = log.path.open("ab", buffering=0)
    log.rotate()
    log.reopen()
    log.lines(5)
    lines.poll()
    late.write(b"late 1\n")
    log.lines(5)
    late.write(b"late 2\n")
    assert sorted(lines.poll()) == sorted([*log.written[-5:], b"late 1", b"late 2"])
    lines.poll(LATE_WRITER_S + 1)
    late.write(b"too late\n")
    assert lines.poll() == []
    late.close()


@pytest.mark.parametrize("existed", [False, True])
def test_lines_of_a_very_late_writer_are_read_at_the_next_rotation(log: LogWriter, existed: bool) -> None:
    log.lines(5)
    lines = LineReader(log.path)
    lines.poll()
    late = log.path.open("ab", buffering=0)
    log.rotate()
    log.reopen()
    log.lines(5)
    if existed:
        lines.follower.close()
        lines = LineReader(log.path)
    for _ in range(3):
        lines.poll(LATE_WRITER_S + 1)
    late.write(b"very late\n")
    late.close()
    before = list(lines.read_lines)
    log.rotate()
    log.reopen()
    log.line()
    lines.poll()
    assert sorted(lines.read_lines) == sorted([*before, b"very late", log.written[-1]])
    lines.follower.close()


def test_two_rotations_between_two_polls(log: LogWriter, lines: LineReader) -> None:
    for _ in range(3):
        log.lines(20)
        log.rotate()
        log.reopen()
    log.lines(20)
    lines.poll()
    assert lines.read_lines == log.written
    assert lines.poll() == []


def test_two_rotations_with_an_empty_new_file(log: LogWriter, lines: LineReader) -> None:
    for _ in range(2):
        log.lines(20)
        log.rotate()
        log.reopen()
    assert lines.poll() == log.written[50:]


def test_packed_generations_are_unpacked(log: LogWriter, lines: LineReader) -> None:
    log.lines(20)
    log.rotate()
    log.reopen()
    log.lines(20)
    log.rotate()
    log.pack("1")
    log.pack("2")
    log.reopen()
    log.lines(20)
    lines.poll()
    assert lines.read_lines == log.written


def test_packing_a_read_generation_repeats_no_line(log: LogWriter, lines: LineReader) -> None:
    for _ in range(4):
        log.lines(20)
        lines.poll()
        log.rotate()
        log.reopen()
        log.lines(5)
        lines.poll()
        log.pack("1")
        lines.poll()
        log.path.with_name("app.log.1.gz").rename(log.path.with_name(f"app.log.{len(log.written)}.gz"))
    assert lines.read_lines == log.written


@pytest.mark.parametrize("pack", [False, True])
def test_copytruncate_loses_no_unread_line(log: LogWriter, lines: LineReader, pack: bool) -> None:
    for _ in range(3):
        log.lines(40)
        log.copytruncate(pack=pack)
        log.lines(10)
        if pack:
            lines.poll()
            log.path.with_name("app.log.1.gz").unlink()
    lines.poll()
    assert lines.read_lines == log.written
    assert not lines.notes


def test_lines_between_copy_and_truncation_are_read(log: LogWriter, lines: LineReader) -> None:
    shutil.copy(log.path, f"{log.path}.1")
    log.lines(10)
    lines.poll()
    os.truncate(log.path, 0)
    log.lines(10)
    lines.poll()
    assert lines.read_lines == log.written


def test_a_line_cut_by_copytruncate_is_joined(log: LogWriter, lines: LineReader) -> None:
    log.raw(b"cut ")
    log.copytruncate()
    log.raw(b"in two\n")
    assert lines.poll() == [b"cut in two"]


@pytest.mark.parametrize("when", ["before", "between", "after"])
@pytest.mark.parametrize("pack", [False, True])
def test_a_line_cut_by_copytruncate_is_joined_after_a_restart(
    log: LogWriter, lines: LineReader, when: str, pack: bool
) -> None:
    log.lines(3)
    log.raw(b"cut ")
    if when == "before":
        lines.poll()
    log.copytruncate(pack=pack)
    if when == "between":
        lines.poll()
    log.raw(b"in two\n")
    if when == "after":
        lines.poll()
    log.lines(2)
    resumed = LineReader(log.path, lines.resume_point())
    resumed.poll()
    whole = [*log.written[:-2], b"cut in two", *log.written[-2:]]
    assert lines.read_lines + resumed.read_lines == whole


def test_truncation_without_a_copy_reports_a_loss(log: LogWriter, lines: LineReader) -> None:
    log.copytruncate(keep=False)
    log.lines(3)
    assert lines.poll() == log.written[50:]
    assert "no rotated copy contains" in lines.notes[0]


@pytest.mark.parametrize("more", [1, 50, 200])
def test_a_truncated_file_that_grew_again_is_read_from_its_start(log: LogWriter, lines: LineReader, more: int) -> None:
    log.copytruncate(keep=False)
    log.lines(more)
    lines.poll()
    assert lines.read_lines == log.written


def test_a_truncated_file_that_grew_to_the_same_size_is_read_again(log: LogWriter, lines: LineReader) -> None:
    size = log.path.stat().st_size
    log.copytruncate(keep=False)
    log.line(b"x" * (size - 1))
    assert lines.poll() == [b"x" * (size - 1)]


def test_a_file_deleted_and_created_again_is_read(log: LogWriter, lines: LineReader) -> None:
    for _ in range(5):
        log.lines(20)
        lines.poll()
        log.path.unlink()
        lines.poll()
        log.reopen()
        log.lines(20)
        lines.poll()
    assert lines.read_lines == log.written


def test_a_deleted_file_is_read_while_its_writer_continues(log: LogWriter, lines: LineReader) -> None:
    log.path.unlink()
    log.lines(20)
    lines.poll()
    assert lines.read_lines == log.written


@pytest.mark.parametrize("backup", [False, True])
def test_reading_continues_when_the_same_content_has_a_new_inode(
    log: LogWriter, lines: LineReader, backup: bool
) -> None:
    for _ in range(3):
        log.lines(20)
        copy = log.path.with_name("copy")
        shutil.copy(log.path, copy)
        if backup:
            log.path.rename(log.path.with_name("app.log.bak"))
        copy.rename(log.path)
        log.reopen()
        log.lines(20)
        lines.poll()
    assert lines.read_lines == log.written
    assert lines.numbers == list(range(1, 171))


def test_lines_added_to_the_old_inode_are_read(log: LogWriter, lines: LineReader) -> None:
    copy = log.path.with_name("copy")
    log.lines(20)
    shutil.copy(log.path, copy)
    log.lines(5)
    copy.rename(log.path)
    log.reopen()
    log.lines(20)
    lines.poll()
    assert sorted(lines.read_lines) == sorted(log.written)


def test_a_backup_of_the_log_is_not_a_generation(log: LogWriter, lines: LineReader) -> None:
    shutil.copy(log.path, f"{log.path}.bak")
    log.lines(20)
    lines.poll()
    log.rotate()
    log.reopen()
    log.lines(20)
    lines.poll()
    assert lines.read_lines == log.written


def test_other_logs_in_the_directory_are_not_generations(log: LogWriter, lines: LineReader) -> None:
    LogWriter(log.path.with_name("app-error.log")).line(b"other")
    LogWriter(log.path.with_name("application.log")).line(b"other")
    log.rotate()
    log.reopen()
    log.lines(5)
    lines.poll()
    assert lines.read_lines == log.written


@pytest.mark.parametrize(
    "name", ["app.log-20260115", "app-2026-01-15.log", "app__2026-01-15_00-00-00.log", "app.log.old"]
)
def test_generations_named_by_date_are_recognised(log: LogWriter, lines: LineReader, name: str) -> None:
    log.rotate()
    log.reopen()
    log.lines(20)
    log.path.rename(log.path.with_name(name))
    log.reopen()
    log.lines(20)
    lines.poll()
    assert lines.read_lines == log.written


def test_rotations_of_the_target_of_a_link_are_followed(tmp_path: Path) -> None:
    pod = tmp_path / "pod"
    pod.mkdir()
    log = LogWriter(pod / "0.log")
    link = tmp_path / "container.log"
    link.symlink_to(log.path)
    lines = LineReader(link)
    for _ in range(2):
        log.lines(10)
        log.rotate()
        log.reopen()
    log.lines(10)
    lines.poll()
    assert lines.read_lines == log.written


def test_generations_with_the_same_first_line_are_all_read(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "app.log")
    banner = b"=" * 400
    log.line(banner)
    lines = LineReader(log.path)
    lines.poll()
    for _ in range(3):
        log.lines(10)
        log.rotate()
        log.reopen()
        log.line(banner)
    log.copytruncate()
    log.line(banner)
    lines.poll()
    # A file that contains only the banner looks like the file that was read.
    assert [line for line in lines.read_lines if line != banner] == [line for line in log.written if line != banner]


def test_bytes_that_are_not_text_are_passed_on(log: LogWriter, lines: LineReader) -> None:
    log.line(b"\xff\xfe" + b"\x00" * 3000 + b"end")
    log.line(b"y" * 3_000_000)
    lines.poll()
    assert lines.read_lines == log.written


def test_a_resume_point_within_a_line_reads_the_whole_line(log: LogWriter, lines: LineReader) -> None:
    log.raw(b"half ")
    lines.poll()
    log.raw(b"line\n")
    resumed = LineReader(log.path, lines.resume_point())
    assert resumed.poll() == [b"half line"]
    assert resumed.numbers == [51]


@pytest.mark.parametrize("rotation", ["rename", "twice", "copytruncate", "packed", "same", "regrown", "recreated"])
def test_resuming_after_a_rotation_loses_nothing(log: LogWriter, lines: LineReader, rotation: str) -> None:
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
    resumed = LineReader(log.path, resume_point)
    resumed.poll()
    assert resumed.read_lines == log.written[50 if kept else 70 :]
    assert bool(resumed.notes) == (not kept)


def test_resuming_reads_no_old_generation_again(log: LogWriter, lines: LineReader) -> None:
    """The order of the times of many rotated files says nothing about which of them were read."""
    for number in range(40):
        log.lines(3)
        log.path.rename(log.path.with_name(f"app-2026-01-{number:02}.log"))
        log.reopen()
        log.lines(1)
        lines.poll()
    for path in log.path.parent.glob("app-*.log"):
        os.utime(path)
    resumed = LineReader(log.path, lines.resume_point())
    log.lines(3)
    log.rotate()
    log.reopen()
    log.line()
    assert resumed.poll() == log.written[-4:]


def test_resuming_reads_a_late_writer(log: LogWriter, lines: LineReader) -> None:
    late = log.path.open("ab", buffering=0)
    log.rotate()
    log.reopen()
    log.lines(5)
    lines.poll()
    resume_point = lines.resume_point()
    lines.follower.close()
    late.write(b"late\n")
    log.lines(5)
    resumed = LineReader(log.path, resume_point)
    assert sorted(resumed.poll()) == sorted([b"late", *log.written[-5:]])
    late.close()


def test_resuming_does_not_read_the_copy_of_a_finished_file(log: LogWriter, lines: LineReader) -> None:
    log.rewrite()
    log.lines(3)
    log.rotate()
    log.reopen()
    log.lines(2)
    lines.poll()
    for _ in range(4):  # so many that where the copy was left is not remembered any more
        log.lines(2)
        log.copytruncate()
        log.lines(2)
        lines.poll()
    resume_point = lines.resume_point()
    lines.follower.close()
    log.lines(2)
    resumed = LineReader(log.path, resume_point)
    resumed.poll()
    assert resumed.read_lines == log.written[-2:]


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="no /proc here")
def test_descriptors_are_closed(log: LogWriter, lines: LineReader) -> None:
    before = sum(1 for _ in DESCRIPTORS.iterdir())
    for _ in range(20):
        log.rotate()
        log.reopen()
        log.lines(2)
        lines.poll(LATE_WRITER_S + 1)
        lines.poll(LATE_WRITER_S + 1)
    assert sum(1 for _ in DESCRIPTORS.iterdir()) <= before + 2


@pytest.mark.parametrize("seed", range(40))
def test_random_rotations_polls_and_restarts_lose_and_repeat_nothing(tmp_path: Path, seed: int) -> None:
    story = RandomLogLife(tmp_path / "app.log", random.Random(seed))
    for _ in range(60):
        story.step()
    story.end()
    assert story.read_lines == story.log.written


@pytest.mark.parametrize("restarts", [False, True])
def test_rotations_during_a_poll_lose_and_repeat_nothing(log: LogWriter, restarts: bool) -> None:
    """Files are renamed between listing the directory and opening the files."""
    lines, read_lines, done = LineReader(log.path), list[bytes](), threading.Event()

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
        read_lines += lines.poll()
        if finished:
            break
        if restarts and len(read_lines) % 7 == 0:
            resume_point = lines.resume_point()
            lines.follower.close()
            lines = LineReader(log.path, resume_point)
    writer.join()
    read_lines += lines.poll()
    assert read_lines == log.written


def test_a_restart_repeats_no_line_after_one_that_seemed_to_continue(log: LogWriter, lines: LineReader) -> None:
    """A late writer ends the line itself, and the next file starts with another unfinished line."""
    log.raw(b"half a ")
    log.rotate()
    log.path.write_bytes(b"{an unfinished line")
    lines.poll()
    log.raw(b"line\n")
    log.lines(20)
    lines.poll()
    after = LineReader(log.path, lines.resume_point())
    assert after.poll() == []
    log.lines(3)
    with log.path.open("ab") as new:
        new.write(b"}\n")
    assert after.poll() == [*log.written[-3:], b"{an unfinished line}"]


def test_many_late_writers_repeat_no_line(log: LogWriter, lines: LineReader) -> None:
    for _ in range(12):
        log.lines(2)
        lines.poll()
        log.rotate()
        log.path.touch()
        log.lines(2)
        lines.poll()
        log.reopen()
        log.line()
        lines.poll()
        log.path.touch()
        assert len(lines.follower.streams) <= MAX_LATE_FILES + 1
    assert lines.read_lines == log.written
