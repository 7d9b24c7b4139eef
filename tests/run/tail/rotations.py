"""Kinds of rotation, truncation and replacement of a log, for `wscheck tail-logs`, its reader, and `tail -F`."""

import bz2
import gzip
import lzma
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tests.observe.tailing.log_writer import APPEND
from tests.run.tail.process import LoggingServer, record

HOUR_NS = 3_600_000_000_000
HOLE_BYTES = 1 << 30


class Follower(Protocol):
    """Something that follows the log of a server."""

    def paused(self) -> AbstractContextManager[None]:
        """Pause it within the block, so that everything in it happens between two polls."""

    def catch_up(self, server: LoggingServer) -> None:
        """Let it read everything that the server wrote."""


Rotation = Callable[[LoggingServer, Follower], None]


def late_writer(server: LoggingServer, tail: Follower) -> None:
    """Rename the log; the writer writes to the old file until it reopens it."""
    for _ in range(3):
        server.rotate()
        server.path.touch()
        server.connects(20)
        tail.catch_up(server)
        server.connects(20)
        server.reopen()
        server.connects(20)


def twice_between_two_polls(server: LoggingServer, tail: Follower) -> None:
    with tail.paused():
        for _ in range(2):
            server.connects(20)
            server.rotate()
            server.reopen()
        server.connects(20)


def copytruncate_with_unread_lines(server: LoggingServer, tail: Follower) -> None:
    for _ in range(2):
        with tail.paused():
            server.connects(50)
            server.copytruncate()
            server.connects(10)
        tail.catch_up(server)


def truncated_and_regrown(server: LoggingServer, tail: Follower) -> None:
    with tail.paused():
        os.truncate(server.path, 0)
        server.connects(200)


def deleted_and_created_again(server: LoggingServer, tail: Follower) -> None:
    for _ in range(5):
        with tail.paused():
            server.path.unlink()
            server.reopen()
            server.connects(20)
        tail.catch_up(server)


def same_content_in_a_new_inode(server: LoggingServer, tail: Follower) -> None:
    for _ in range(3):
        copy = server.path.with_name("copy")
        shutil.copy(server.path, copy)
        copy.rename(server.path)
        server.reopen()
        server.connects(20)
        tail.catch_up(server)


def half_a_line_at_the_rotation(server: LoggingServer, tail: Follower) -> None:
    with tail.paused():
        server.raw(b'{"msg":"half a line')
        server.rotate()
        server.reopen()
        server.connects(20)


def line_split_over_two_files(server: LoggingServer, tail: Follower) -> None:
    for cut in (9, 30, 60):
        with tail.paused():
            server.sids.append(sid := f"split{cut}")
            line = record("WebSocket client connected", socketId=sid, userId="ada") + b"\n"
            server.raw(line[:cut])
            server.rotate()
            server.reopen()
            server.raw(line[cut:])
            server.connects(3)
        tail.catch_up(server)


def nuls_and_bytes_that_are_not_text(server: LoggingServer, tail: Follower) -> None:
    fd = os.open(server.path, APPEND)
    os.write(fd, b"\0" * 3000)
    server.connects(5)
    os.write(fd, b"\xff\xfe\xc3\x28 no text\n")
    server.connects(5)
    os.close(fd)


def _write_at(server: LoggingServer, offset: int, count: int) -> int:
    """Log connects like a writer without O_APPEND, from `offset` on, and return where it is then."""
    fd = os.open(server.path, os.O_WRONLY)
    for _ in range(count):
        server.sids.append(sid := f"s{len(server.sids)}")
        line = record("WebSocket client connected", socketId=sid, userId=f"user of {sid}") + b"\n"
        offset += os.pwrite(fd, line, offset)
    os.close(fd)
    return offset


def hole_after_copytruncate(server: LoggingServer, tail: Follower) -> None:
    offset = _write_at(server, server.path.stat().st_size, 5)
    for _ in range(3):
        tail.catch_up(server)
        with tail.paused():
            offset = _write_at(server, offset, 5)
            server.shift()
            shutil.copy(server.path, f"{server.path}.1")
            os.truncate(server.path, 0)
            offset = _write_at(server, offset, 5)


def hole_without_a_copy(server: LoggingServer, tail: Follower) -> None:
    """A hole of 1 GB, as a writer without O_APPEND leaves it when someone empties its log."""
    tail.catch_up(server)
    os.truncate(server.path, 0)
    _write_at(server, HOLE_BYTES, 20)


def trimmed_in_place(server: LoggingServer, tail: Follower) -> None:
    """`tail -n 25 app.log > short; cat short > app.log`, with lines added before and after it."""
    for _ in range(2):
        with tail.paused():
            server.connects(5)
            kept = b"".join(server.path.read_bytes().splitlines(True)[-25:])
            with server.path.open("wb") as file:
                file.write(kept)
            server.connects(5)
        tail.catch_up(server)


def trimmed_in_a_new_inode(server: LoggingServer, tail: Follower) -> None:
    with tail.paused():
        server.connects(5)
        short = server.path.with_name("short")
        short.write_bytes(b"".join(server.path.read_bytes().splitlines(True)[-25:]))
        short.rename(server.path)
        server.reopen()
        server.connects(5)


def pack(path: Path, suffix: str) -> Path:
    """Replace the file by a packed one, which keeps its time."""
    packed, content, times = Path(f"{path}{suffix}"), path.read_bytes(), path.stat()
    if suffix == ".zst":
        try:
            from compression import zstd  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            from backports import zstd
        packed.write_bytes(zstd.compress(content))
    else:
        pack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
        packed.write_bytes(pack[suffix](content))
    os.utime(packed, ns=(times.st_atime_ns, times.st_mtime_ns))
    path.unlink()
    return packed


def _packed_at_once(suffix: str) -> Rotation:
    def rotation(server: LoggingServer, tail: Follower) -> None:
        with tail.paused():
            for _ in range(2):
                server.connects(20)
                server.rotate()
                pack(Path(f"{server.path}.1"), suffix)
                server.reopen()
            server.connects(20)

    rotation.__name__ = f"packed_at_once_{suffix[1:]}"
    return rotation


def packed_with_an_older_time(server: LoggingServer, tail: Follower) -> None:
    with tail.paused():
        for _ in range(2):
            server.connects(20)
            server.rotate()
            packed = pack(Path(f"{server.path}.1"), ".gz")
            older = packed.stat().st_mtime_ns - HOUR_NS
            os.utime(packed, ns=(older, older))
            server.reopen()
        server.connects(20)


def _renamed_to(name: str, title: str) -> Rotation:
    """Two rotations between two polls, after one that it sees; `name` contains the number of the rotation."""

    def rotation(server: LoggingServer, tail: Follower) -> None:
        def rotate(number: int) -> None:
            target = server.path.parent / name.format(number)
            target.parent.mkdir(exist_ok=True)
            server.connects(10)
            server.path.rename(target)
            server.reopen()

        rotate(1)
        server.connects(10)
        tail.catch_up(server)
        with tail.paused():
            rotate(2)
            rotate(3)
            server.connects(10)

    rotation.__name__ = title
    return rotation


def olddir_at_the_first_rotation(server: LoggingServer, tail: Follower) -> None:
    old = server.path.with_name("old")
    old.mkdir()
    with tail.paused():
        for number in (2, 1):
            server.connects(20)
            server.path.rename(old / f"app.log.{number}")
            server.reopen()
        server.connects(20)
    tail.catch_up(server)
    with tail.paused():
        server.connects(20)
        shutil.copy(server.path, old / "app.log.3")
        os.truncate(server.path, 0)
        server.connects(5)


ROTATIONS: tuple[Rotation, ...] = (
    late_writer,
    twice_between_two_polls,
    copytruncate_with_unread_lines,
    truncated_and_regrown,
    deleted_and_created_again,
    same_content_in_a_new_inode,
    half_a_line_at_the_rotation,
    line_split_over_two_files,
    nuls_and_bytes_that_are_not_text,
    hole_after_copytruncate,
    hole_without_a_copy,
    trimmed_in_place,
    trimmed_in_a_new_inode,
    *(_packed_at_once(suffix) for suffix in (".gz", ".bz2", ".xz", ".zst")),
    packed_with_an_older_time,
    olddir_at_the_first_rotation,
    _renamed_to("old/app.log.{}", "olddir"),
    _renamed_to("../archive/app.log.{}", "olddir_elsewhere"),
    _renamed_to("2026011{}-0300-app.log", "date_before_the_name"),
    _renamed_to("app-2026-01-1{}T03:00:00Z.log", "date_in_the_name"),
    _renamed_to("archived app.log ({})", "any_other_name"),
)
REPORTED = (truncated_and_regrown, hole_without_a_copy)
"""Rotations after which bytes are gone: a message says so."""
