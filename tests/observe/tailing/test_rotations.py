"""Every kind of rotation with the reader of a log: no event is lost or read twice, or a message says how many bytes."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.run.tail.process import LoggingServer, record
from tests.run.tail.rotations import (
    HOLE_BYTES,
    REPORTED,
    ROTATIONS,
    Rotation,
    deleted_and_created_again,
    hole_without_a_copy,
    pack,
)
from wscheck.model.events import Connected
from wscheck.observe.logs.extractor import LogExtractor
from wscheck.observe.logs.sources import FollowedLog
from wscheck.observe.tailing import open_file as open_file_module
from wscheck.observe.tailing.follower import LogFollower, ResumePoint
from wscheck.observe.tailing.open_file import FileReader, OpenFiles


class InProcess:
    """The reader of a log. It polls when it must catch up; `restarts` replaces it before that by one that resumes."""

    def __init__(self, path: Path, *, restarts: bool = False, files: OpenFiles | None = None) -> None:
        self.notes, self.connected = list[str](), list[str]()
        self._path, self._restarts, self._files, self._now = path, restarts, files, 0.0
        self.log = self._open(None)
        self.poll()

    def _open(self, resume_point: ResumePoint | None) -> FollowedLog:
        log = FollowedLog(self._path, LogExtractor, note=self.notes.append, files=self._files)
        log.begin(resume_point)
        return log

    def poll(self) -> None:
        self._now += 1.0
        batches = [*self.log.read(self._now), *self.log.flush_idle(self._now)]
        self.connected += [str(event.sid) for batch in batches for event in batch if isinstance(event, Connected)]

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.poll()
        if self._restarts:
            resume_point = self.log.resume_point()
            self.log.close()
            yield
            self.log = self._open(resume_point)
        else:
            yield

    def catch_up(self, server: LoggingServer) -> None:
        self.poll()
        assert set(server.sids) <= set(self.connected)


@pytest.mark.parametrize("restarts", [False, True], ids=["follows", "restarts"])
@pytest.mark.parametrize("rotation", ROTATIONS, ids=lambda rotation: rotation.__name__)
def test_no_event_is_lost_or_repeated(tmp_path: Path, rotation: Rotation, restarts: bool) -> None:
    (tmp_path / "logs").mkdir()
    server = LoggingServer(tmp_path / "logs" / "app.log")
    server.connects(50)
    tail = InProcess(server.path, restarts=restarts)
    rotation(server, tail)
    tail.catch_up(server)
    tail.poll()
    assert sorted(tail.connected) == sorted(server.sids)
    # Nobody can know whether something was written to a file that was deleted while nobody read it.
    is_reported = rotation in REPORTED or (restarts and rotation is deleted_and_created_again)
    assert bool(tail.notes) is is_reported
    tail.log.close()


def test_the_size_of_a_hole_tells_how_many_bytes_are_lost(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(50)
    tail = InProcess(server.path)
    size = server.path.stat().st_size
    hole_without_a_copy(server, tail)
    tail.poll()
    assert f"{HOLE_BYTES - size} bytes are lost" in tail.notes[0]
    tail.log.close()


def test_zeros_at_the_end_are_read_when_a_writer_fills_them(tmp_path: Path) -> None:
    """A preallocated file."""
    server = LoggingServer(tmp_path / "app.log")
    server.connects(3)
    size = server.path.stat().st_size
    os.truncate(server.path, 1 << 20)
    tail = InProcess(server.path)
    with server.path.open("r+b") as file:
        for number in range(3):
            file.seek(size)
            server.sids.append(sid := f"filled{number}")
            size += file.write(record("WebSocket client connected", socketId=sid, userId="ada") + b"\n")
            file.flush()
            tail.catch_up(server)
    assert tail.connected == server.sids
    tail.log.close()


def test_a_packed_file_without_its_library_is_reported_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wscheck.observe.tailing import packed_log

    def missing() -> None:
        raise ImportError

    server = LoggingServer(tmp_path / "app.log")
    server.connects(50)
    tail = InProcess(server.path)
    packed_rotation = next(rotation for rotation in ROTATIONS if rotation.__name__ == "packed_at_once_zst")
    monkeypatch.setattr(packed_log, "_zstd", missing)
    packed_rotation(server, tail)
    tail.poll()
    assert tail.notes and all(re.search(r"is not read \(\d+ bytes\).*wscheck-cli\[zstd\]", note) for note in tail.notes)
    assert len(tail.log.read_errors) == len(tail.notes)
    monkeypatch.undo()
    tail.log.close()


def test_more_logs_than_descriptors_are_read(tmp_path: Path) -> None:
    files = OpenFiles(3)
    servers = [LoggingServer(tmp_path / f"{number}.log") for number in range(12)]
    tails = [InProcess(server.path, files=files) for server in servers]
    for rotation in (None, LoggingServer.rotate, LoggingServer.copytruncate, LoggingServer.rewrite):
        for server in servers:
            server.connects(2)
            if rotation is not None:
                rotation(server)
                server.reopen()
                server.connects(2)
        for server, tail in zip(servers, tails, strict=True):
            tail.catch_up(server)
    for server, tail in zip(servers, tails, strict=True):
        assert (tail.connected, tail.notes) == (server.sids, [])
        tail.log.close()


def test_a_start_at_the_end_of_many_logs_opens_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = [LoggingServer(tmp_path / f"{number}.log") for number in range(6)]
    for server in servers:
        server.connects(2)
        os.utime(server.path, (0, 0))
    opened = list[str]()
    open_file = open_file_module._open

    def count(path: Path) -> int:
        opened.append(path.name)
        return open_file(path)

    monkeypatch.setattr(open_file_module, "_open", count)
    buffer, files = memoryview(bytearray(1 << 12)), OpenFiles(2)
    followers = [LogFollower(server.path, buffer, print, files) for server in servers]
    for follower in followers:
        follower.start(at_end=True)
    for follower in followers:
        assert list(follower.read(0.0)) == []
    assert opened == [server.path.name for server in servers]
    for server, follower in zip(servers, followers, strict=True):
        server.connects(1)
        assert sum(len(chunk.data) for chunk in follower.read(1.0)) > 0
        follower.close()


def test_a_closed_file_that_kept_its_name_is_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.write_bytes(b"a line\n")
    searched = list[object]()
    reader = FileReader(path, files=OpenFiles(1), locate=searched.append)
    reader.suspend()
    assert reader.read_at(10, 0) == b"a line\n"
    path.unlink()
    reader.suspend()
    assert reader.read_at(10, 0) == b""
    assert len(searched) == 1
    reader.close()


def test_a_closed_file_that_is_deleted_or_packed_is_left_in_order(tmp_path: Path) -> None:
    """Its last line, which the server did not finish, ends with it."""
    server = LoggingServer(tmp_path / "app.log")
    tail = InProcess(server.path, files=OpenFiles(1))
    for number in range(4):
        server.connects(5)
        server.raw(b'{"msg":"unfinished')
        tail.catch_up(server)
        for stream in tail.log._follower.streams:
            stream.log.reader.suspend()
        server.rotate()
        os.link(f"{server.path}.1", tmp_path / f"held{number}")  # so that no other file gets its inode
        server.path.with_name("app.log.1").unlink() if number % 2 else pack(Path(f"{server.path}.1"), ".xz")
        server.reopen()
        server.connects(5)
        tail.catch_up(server)
    assert tail.connected == server.sids
    assert len(tail.notes) == 2  # nobody knows whether the deleted files got more lines
    tail.log.close()


def test_a_closed_empty_file_is_read_when_it_is_renamed_and_gets_lines(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    tail = InProcess(server.path, files=OpenFiles(1))
    for stream in tail.log._follower.streams:
        stream.log.reader.suspend()
    server.rotate()
    server.connects(5)
    server.reopen()
    server.connects(5)
    tail.poll()
    assert (tail.connected, tail.notes) == (server.sids, [])
    tail.log.close()


def test_a_closed_empty_file_that_is_gone_is_no_other_file(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    server.connects(5)
    server.rotate()
    server.reopen()
    tail = InProcess(server.path, files=OpenFiles(1))
    for stream in tail.log._follower.streams:
        stream.log.reader.suspend()
    server.path.unlink()
    tail.poll()
    server.reopen()
    server.connects(5)
    tail.poll()
    assert (tail.connected, tail.notes) == (server.sids[5:], [])
    tail.log.close()


def test_an_inode_that_another_file_got_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    path.touch()
    reader = FileReader(path, files=OpenFiles(1), locate=lambda _: tmp_path / "app.log.1")
    reader.suspend()
    path.rename(tmp_path / "app.log.1")
    (tmp_path / "app.log.1").write_bytes(b"a line of another file\n")
    assert reader.read_at(10, 0) == b""


def test_ended_readers_keep_only_their_counts(tmp_path: Path) -> None:
    server = LoggingServer(tmp_path / "app.log")
    tail = InProcess(server.path)
    for _ in range(10):
        server.connects(3)
        server.rotate()
        server.path.touch()
        server.connects(2)  # by a late writer
        tail.poll()
        server.reopen()
        server.connects(1)
        tail.catch_up(server)
        for _ in range(130):
            tail.poll()
    assert tail.log.lines == len(server.sids)
    assert len(tail.log._readers) <= 2
    tail.log.close()
