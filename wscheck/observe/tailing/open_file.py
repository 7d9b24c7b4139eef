"""One open log file, its position, and the check that it still contains what was read.

An open descriptor still reads a renamed file, so lines from a late writer are not lost. After a truncation it reads
other content: before any byte counts as new, the bytes already read must still be at their offsets. Files are not
memory-mapped, because truncating a mapped file kills the process that reads it.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from wscheck.observe.tailing.gzip_log import READ_BYTES, GzipReader

HEAD_BYTES = 256
TAIL_BYTES = 64
RECENT_BYTES = 1 << 16
"""Bytes of the latest content that stay in memory: enough to recognise a copy made just before."""
NEVER_POLLED = (-1, -1)

FileIdentity = tuple[int, int]
"""(device, inode). It identifies a file under any name, until the file is deleted and closed."""

ReadAt = Callable[[int, int], bytes]
"""`read_at(length, offset)` returns up to `length` bytes of a file, fewer at its end."""


class FilePosition(msgspec.Struct, frozen=True):
    """An offset in a log file. The content around it identifies the file, because names change and inodes are reused.

    head   the first bytes of the file, at most HEAD_BYTES
    tail   the last bytes before the offset, at most TAIL_BYTES
    lines  lines that end before the offset, None if they were not counted
    """

    head: bytes
    tail: bytes
    offset: int
    lines: int | None = None

    def matches(self, read_at: ReadAt) -> bool:
        """Return whether the file behind `read_at` still contains what was read up to this position."""
        return self._tail_matches(read_at) and read_at(len(self.head), 0) == self.head

    def _tail_matches(self, read_at: ReadAt) -> bool:
        return read_at(len(self.tail), self.offset - len(self.tail)) == self.tail

    @classmethod
    def at(cls, read_at: ReadAt, offset: int) -> "FilePosition":
        """Return the position `offset` bytes into the file behind `read_at`."""
        tail = min(TAIL_BYTES, offset)
        return cls(read_at(min(HEAD_BYTES, offset), 0), read_at(tail, offset - tail), offset)


class FileReader:
    """Random access to a file's bytes; for a gzip file, to its unpacked bytes as far as it is intact."""

    def __init__(self, path: Path, fd: int | None = None) -> None:
        """Open `path`, or use `fd`, a descriptor of the same file. Raises OSError if the file cannot be opened."""
        self.path = path
        self.fd = fd if fd is not None else _open(path)
        self._gzip = GzipReader(self._packed_bytes) if path.suffix == ".gz" else None

    @property
    def is_gzip(self) -> bool:
        """True for a gzip file, whose bytes are read unpacked."""
        return self._gzip is not None

    @property
    def is_damaged(self) -> bool:
        """True for a gzip file that cannot be read to its end."""
        return self._gzip is not None and self._gzip.damaged

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self.fd)

    @property
    def identity(self) -> FileIdentity:
        return self.status.st_dev, self.status.st_ino

    @property
    def size(self) -> int:
        """Bytes that can be read now. For a gzip file, this unpacks the whole file."""
        return self.status.st_size if self._gzip is None else self._gzip.size()

    def read_at(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on, fewer at the end."""
        return os.pread(self.fd, length, offset) if self._gzip is None else self._gzip.read_at(length, offset)

    def _packed_bytes(self, offset: int) -> bytes:
        return os.pread(self.fd, READ_BYTES, offset)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def _open(path: Path) -> int:
    """Return a descriptor for reading. Raises OSError, also for a directory, which can be opened but not read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return fd


class OpenLog:
    """A log file read up to `offset` (for a gzip file, an offset in the unpacked bytes).

    is_copy  reading continued in a copy of the file, which has no writer
    failure  the reason why the latest read failed, "" if it succeeded
    """

    def __init__(self, reader: FileReader, offset: int) -> None:
        self.reader = reader
        self.is_copy = False
        self.failure = ""
        self.move_to(offset)

    def move_to(self, offset: int) -> None:
        """Continue from `offset`; everything before it counts as read."""
        position = FilePosition.at(self.reader.read_at, offset)
        self.offset, self._head, self._recent = offset, position.head, bytearray(position.tail)
        self._last_polled, self._has_more = NEVER_POLLED, False

    def position(self) -> FilePosition:
        """Return the current position. It is computed from memory, so it is correct even after a truncation."""
        return FilePosition(self._head, bytes(self._recent[-TAIL_BYTES:]), self.offset)

    def position_at(self, offset: int) -> FilePosition:
        """Return the position at an earlier `offset`, from memory if the content there is still in memory."""
        end, tail = len(self._recent) - (self.offset - offset), min(TAIL_BYTES, offset)
        if end < tail:
            return FilePosition.at(self.reader.read_at, offset)
        return FilePosition(self._head[:offset], bytes(self._recent[end - tail : end]), offset)

    def has_read(self, other: FileReader) -> bool:
        """Return whether all content of `other` was read from this log, as with a recent copy."""
        end = FilePosition.at(other.read_at, other.size)
        behind = self.offset - end.offset
        if behind < 0 or not self._head.startswith(end.head):
            return False
        if behind + len(end.tail) <= len(self._recent):
            return self._recent[: len(self._recent) - behind].endswith(end.tail)
        return end.matches(self.reader.read_at)

    def read_into(self, buffer: memoryview) -> int | None:
        """Read new bytes into `buffer` and return their number.

        Return 0 if nothing is new, and None if the file no longer contains what was read before. A disk error
        returns 0 as well and sets `failure`: earlier content still counts, and the next read may succeed.
        """
        try:
            size = self._read_unpacked(buffer) if self.reader.is_gzip else self._read_verified(buffer)
        except OSError as error:
            self._last_polled, self.failure = NEVER_POLLED, error.strerror or "the read failed"
            return 0
        self.failure = ""
        if size:
            self._remember(buffer[:size])
        return size

    def skip_to_end(self, buffer: memoryview) -> int:
        """Move past the last complete line and return the number of lines skipped."""
        lines = last = 0
        while size := self.read_into(buffer):
            data = bytes(buffer[:size])
            lines += data.count(b"\n")
            last = self.offset - size + data.rfind(b"\n") + 1 if b"\n" in data else last
        self.move_to(last)
        return lines

    def _read_unpacked(self, buffer: memoryview) -> int:
        data = self.reader.read_at(len(buffer), self.offset)
        buffer[: len(data)] = data
        return len(data)

    def _read_verified(self, buffer: memoryview) -> int | None:
        """Read new bytes after checking the old ones.

        A single read returns the last old bytes, which are compared, and the new ones. The file can therefore not be
        truncated between the check and the read.
        """
        if not self._has_more:  # after a full buffer there is more to read, and the next read checks the file
            status = self.reader.status
            if status.st_size < self.offset:
                return None
            if status.st_size == self.offset and self._last_polled == (status.st_size, status.st_mtime_ns):
                return 0
            self._last_polled = (status.st_size, status.st_mtime_ns)
        expected = self._recent[-TAIL_BYTES:]
        tail = bytearray(len(expected))
        size = os.preadv(self.reader.fd, [tail, buffer], self.offset - len(tail)) - len(tail)
        unchanged = size >= 0 and tail == expected and self.reader.read_at(len(self._head), 0) == self._head
        self._has_more = unchanged and size == len(buffer)
        return size if unchanged else None

    def _remember(self, data: memoryview) -> None:
        if self.offset == len(self._head) < HEAD_BYTES:
            self._head += bytes(data[: HEAD_BYTES - len(self._head)])
        if len(data) < RECENT_BYTES:
            self._recent += data
            del self._recent[: -2 * RECENT_BYTES]
        elif len(self._recent) == RECENT_BYTES:
            # In place: a new object with each chunk would make the kernel clear new pages each time.
            memoryview(self._recent)[:] = data[-RECENT_BYTES:]
        else:
            self._recent[:] = data[-RECENT_BYTES:]
        self.offset += len(data)

    def switch_to(self, copy: FileReader) -> None:
        """Continue at the same offset in `copy`, which contains this file's content."""
        self.reader.close()
        self.reader, self.is_copy, self._last_polled, self._has_more = copy, True, NEVER_POLLED, False

    def duplicate(self) -> "OpenLog":
        """Return the same file at the same position, with its own descriptor."""
        other = OpenLog(FileReader(self.reader.path, os.dup(self.reader.fd)), 0)
        other.offset, other._head, other._recent = self.offset, self._head, self._recent[-TAIL_BYTES:]
        return other

    def close(self) -> None:
        self.reader.close()
