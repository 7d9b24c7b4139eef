"""A log that cannot be read for a while, or no further: what stood before counts, once, and it is said."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wscheck.model.events import Connected
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.sources import FollowedLog, PipedLog
from wscheck.observe.tailing import open_file as opened
from wscheck.observe.tailing.read_buffer import ReadBuffer


class Disk:
    """So many more reads succeed, all of them while that is None."""

    good: int | None = None

    def preadv(self, *arguments: Any) -> int:
        if self.good is not None:
            self.good -= 1
            if self.good < 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return os.preadv(*arguments)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(opened, "os", disk)
    return disk


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def log(tmp_path: Path, notes: list[str]) -> Iterator[FollowedLog]:
    log = FollowedLog(tmp_path / "app.log", LogExtractor, ReadBuffer(LINE), notes.append)
    yield log
    log.close()


def connected(*sids: str) -> str:
    return "".join(f"WebSocket client connected socketId={sid} userId=ada\n" for sid in sids)


LINE = len(connected("s1"))


def told(log: FollowedLog | PipedLog) -> list[str | None]:
    return [event.sid for events in log.read(0.0) for event in events if isinstance(event, Connected)]


def test_what_was_noted_before_the_disk_fails_is_told_and_what_follows_when_it_is_back(
    log: FollowedLog, disk: Disk, notes: list[str]
) -> None:
    log.path.write_text(connected("s1", "s2", "s3"))
    log.begin()
    disk.good = 2
    assert [told(log), told(log)] == [["s1", "s2"], []]
    why = f"cannot be read beyond byte {len(connected('s1', 's2'))}: Input/output error"
    assert (notes, log.read_errors) == ([f"{log.path} {why}."], {log.path: why})
    disk.good = None
    assert (told(log), log.read_errors, len(notes)) == (["s3"], {}, 1)


def test_a_directory_in_the_place_of_a_log_is_said_and_waited_out(log: FollowedLog, notes: list[str]) -> None:
    log.path.write_text(connected("s1"))
    log.begin()
    assert told(log) == ["s1"]
    log.path.unlink()
    log.path.mkdir()
    assert told(log) == []
    assert set(notes) == {f"{log.path} cannot be read: Is a directory."}
    log.path.rmdir()
    log.path.write_text(connected("s2"))
    assert told(log) == ["s2"]


def test_a_pipe_that_fails_has_ended_and_proves_nothing(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    log = PipedLog(LogExtractor, fd, "pipe")
    assert told(log) == []
    assert (log.ended, log.read_errors) == (True, {Path("pipe"): "cannot be read beyond byte 0: Is a directory"})
    os.close(fd)
