"""The log files that names stand for, each once, under several names and in several copies."""

import gzip
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from wscheck.observe.tailing.log_paths import LogPaths

BANNER = b"> backend@1.0.0 start\n> node server.js\n\n" + b"".join(b"loaded plugin number %d\n" % n for n in range(60))


def lines(*numbers: int) -> bytes:
    return b"".join(b"2026-01-15T09:30:%02d.000Z connected socketId=s%d\n" % (n, n) for n in numbers)


def pack(path: Path, size: int | None = None) -> Path:
    """Pack a copy of the log like `gzip -k`, or only its first `size` bytes, and return its path."""
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes())[:size])
    return packed


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("logs").mkdir()
    Path("logs/app.log").write_bytes(BANNER + lines(*range(1, 50)))
    return Path("logs")


def find_logs(*names: str | Path, rotated: bool = True) -> tuple[list[str], list[str]]:
    notes: list[str] = []
    logs = LogPaths(map(str, names), rotated=rotated, note=notes.append)
    return [path.name for path in logs.paths], notes


def link(log: Path) -> None:
    Path("logs/link.log").symlink_to("app.log")


def hard_link(log: Path) -> None:
    os.link(log, "logs/hard.log")


def dated_link(log: Path) -> None:
    log.rename("logs/app-2026-01-15.log")
    log.symlink_to("app-2026-01-15.log")


def packed(log: Path) -> None:
    pack(log)


def half_packed(log: Path) -> None:
    pack(log, 300)


def backup(log: Path) -> None:
    shutil.copy(log, "logs/app.log.bak")
    with log.open("ab") as more:
        more.write(lines(55))


def copied_before_truncating(log: Path) -> None:
    shutil.copy(log, "logs/app.log.1")


def exported_again(log: Path) -> None:
    Path("logs/a.log").write_bytes(log.read_bytes()[:-20])


@pytest.mark.parametrize(
    "twice",
    [link, hard_link, dated_link, packed, half_packed, backup, copied_before_truncating, exported_again],
    ids=lambda twice: twice.__name__,
)
def test_a_duplicate_is_left_out(directory: Path, twice: Callable[[Path], None]) -> None:
    twice(directory / "app.log")
    paths, [note] = find_logs(directory)
    assert paths == ["app.log"]
    assert note.startswith("left out, because their content would count twice: logs/")
    assert note.endswith("logs/app.log)")


def test_the_packed_twin_of_a_generation_is_left_out(directory: Path) -> None:
    (directory / "app.log").rename(directory / "app.log.1")
    pack(directory / "app.log.1")
    (directory / "app.log").write_bytes(BANNER + lines(50))
    (directory / "app.log.2.gz").write_bytes(gzip.compress(BANNER + lines(0)))
    os.utime(directory / "app.log.2.gz", (1, 1))
    assert find_logs(directory)[0] == ["app.log.2.gz", "app.log.1", "app.log"]
    assert find_logs("logs/app.log.1.gz", "logs/app.log.1")[0] == ["app.log.1"]


def timeless(user: str) -> bytes:
    return BANNER + f"connected userId={user}\n".encode() + b"SIGTERM received. Server closed.\n"


ALIKE = {
    "another start": [BANNER + lines(1, 2), BANNER + lines(1, 3)],
    "the same length, banner and end": [timeless("ada"), timeless("bob")],
    "nothing that identifies a server": [BANNER + b"connected\n", BANNER + b"connected\nconnected\n"],
    "only the banner so far": [
        b"Built 2026-01-15T09:30:00\nlistening\n",
        b"Built 2026-01-15T09:30:00\nlistening\nconnected\n",
    ],
    "empty files": [b"", b"", lines(1)],
}


@pytest.mark.parametrize("contents", ALIKE.values(), ids=ALIKE)
@pytest.mark.parametrize("name", ["{}.log", "{}.log.gz"])
def test_logs_that_only_start_alike_are_all_read(directory: Path, contents: Iterable[bytes], name: str) -> None:
    (directory / "app.log").unlink()
    for number, content in enumerate(contents):
        path = directory / name.format(number)
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    paths, notes = find_logs(directory)
    assert paths == sorted(path.name for path in directory.iterdir())
    assert notes == []


def test_of_followed_logs_only_packed_copies_are_left_out(directory: Path) -> None:
    shutil.copy(directory / "app.log", directory / "other.log")
    shutil.copy(pack(directory / "app.log"), directory / "old.log.gz")
    assert find_logs(directory, rotated=False)[0] == ["app.log", "other.log"]


def test_of_a_link_and_its_target_the_lasting_name_is_followed(directory: Path) -> None:
    current = Path("current.log")
    current.symlink_to("logs/app.log")
    assert find_logs("logs/app.log", current, rotated=False)[0] == [
        "current.log"
    ]  # only the link finds its next target
    assert find_logs("c*.log", directory, rotated=False)[0] == ["app.log"]
    assert find_logs("app.log", Path("app.log").absolute(), rotated=False)[0] == ["app.log"]  # does not exist yet


def test_duplicates_that_appear_later_are_left_out(directory: Path) -> None:
    notes: list[str] = []
    logs = LogPaths([str(directory)], rotated=False, note=notes.append)
    log = directory / "app.log"
    log.rename(directory / "app.log.1")
    pack(directory / "app.log.1", 300)  # logrotate is still packing it
    log.write_bytes(lines(51, 52))
    os.link(log, directory / "a.log")
    shutil.copy(pack(log), directory / "copy.log.gz")
    (directory / "new.log").write_bytes(lines(51, 53))
    assert logs.find_new() == [directory / "new.log"]
    assert notes == [
        "left out, because their content would count twice: logs/a.log (another name of logs/app.log), "
        "logs/copy.log.gz (a copy of logs/app.log)"
    ]
    assert logs.find_new() == []
    assert len(notes) == 1


def test_many_duplicates_are_one_message(directory: Path) -> None:
    for number in range(200):
        (directory / f"{number:03}.log").symlink_to("app.log")
    [note] = find_logs(directory)[1]
    assert note.endswith("logs/002.log (another name of logs/app.log), 197 more")


def test_a_renamed_log_is_not_a_new_log(directory: Path) -> None:
    notes: list[str] = []
    logs = LogPaths([str(directory)], rotated=False, note=notes.append)
    log = directory / "app.log"
    for number in range(3):
        log.rename(directory / f"saved {number}.log")
        log.write_bytes(BANNER + lines(51 + number))
        assert logs.find_new() == []
    log.rename(directory / "saved 3.log")
    assert logs.find_new() == []
    assert notes[0] == "left out, because their content would count twice: logs/saved 0.log (renamed from logs/app.log)"
    assert len(notes) == 4


def test_a_new_log_with_the_inode_of_a_deleted_one_is_new(directory: Path) -> None:
    """The kernel gives the inode of a deleted file to the next new file."""
    logs = LogPaths([str(directory)], rotated=False, note=pytest.fail)
    with (directory / "app.log").open("r+b") as log:
        (directory / "app.log").rename(directory / "new.log")
        log.truncate()
        log.write(lines(51, 52))
    assert logs.find_new() == [directory / "new.log"]


@pytest.mark.parametrize(
    "names",
    [
        [
            "app.log.10.gz",
            "app.log.9",
            "app.log.2.gz",
            "app.log.1",
            "app.log-20260113.gz",
            "app.log-20260114",
            "app.log",
        ],
        ["app.log.2025.12.31", "app.log.2026.01.01", "app.log.2026.01.01.2", "app.log.2026.01.01.10", "app.log"],
        ["app.10.log", "app.2.log.gz", "app.1.log", "app.log"],
        ["app-2026-01-09.log", "app__2026-01-14_09-30-00.log.gz", "app-2026-01-14_10.log", "app.log"],
    ],
)
def test_generations_of_equal_time_are_sorted_by_the_age_in_their_names(directory: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        text = lines(number)
        (directory / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
        os.utime(directory / name, (1, 1))
    assert find_logs(directory)[0] == names
