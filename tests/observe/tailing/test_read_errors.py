"""Logs with read errors: everything before the error counts once, and the error is reported."""

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
    """A disk on which `good` more reads succeed, or all while `good` is None."""

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


def read_sids(log: FollowedLog | PipedLog) -> list[str | None]:
    return [event.sid for events in log.read(0.0) for event in events if isinstance(event, Connected)]


def test_events_before_and_after_a_disk_error_are_read(log: FollowedLog, disk: Disk, notes: list[str]) -> None:
    log.path.write_text(connected("s1", "s2", "s3"))
    log.begin()
    disk.good = 2
    assert [read_sids(log), read_sids(log)] == [["s1", "s2"], []]
    reason = f"cannot be read beyond byte {len(connected('s1', 's2'))}: Input/output error"
    assert (notes, log.read_errors) == ([f"{log.path} {reason}."], {log.path: reason})
    disk.good = None
    assert (read_sids(log), log.read_errors, len(notes)) == (["s3"], {}, 1)


def test_a_directory_with_the_name_of_the_log_is_reported(log: FollowedLog, notes: list[str]) -> None:
    log.path.write_text(connected("s1"))
    log.begin()
    assert read_sids(log) == ["s1"]
    log.path.unlink()
    log.path.mkdir()
    assert read_sids(log) == []
    assert set(notes) == {f"{log.path} cannot be read: Is a directory."}
    log.path.rmdir()
    log.path.write_text(connected("s2"))
    assert read_sids(log) == ["s2"]


def test_a_pipe_with_a_read_error_has_ended_and_is_damaged(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    log = PipedLog(LogExtractor, fd, "pipe")
    assert read_sids(log) == []
    assert (log.ended, log.read_errors) == (True, {Path("pipe"): "cannot be read beyond byte 0: Is a directory"})
    os.close(fd)
