"""One file held open by its descriptor, and whether it still is the file that was being read.

A descriptor outlives a rename, so what a late writer adds is still read. It does not outlive a truncation: before any
byte counts as new, the bytes already read must still be where they were. Nothing is mapped: a truncation under a
mapping kills the process.
"""

import errno
import os
import stat
from pathlib import Path

from wscheck.observe.tailing.fingerprint import HEAD, TAIL, FilePosition
from wscheck.observe.tailing.gzip_log import CHUNK, GzipReader

RECENT = 1 << 16
"""Bytes kept of what was read last: enough to recognise a copy that was taken just before."""

Identity = tuple[int, int]
"""(device, inode): the same file under any name, until it is deleted and closed."""


class FileReader:
    """A file's bytes by their place; a gzip file's are those inside it, as far as it is whole."""

    def __init__(self, path: Path, fd: int | None = None) -> None:
        """`fd`, when given, is a descriptor of the same file. Raises OSError when the file cannot be opened."""
        self.path = path
        self.fd = fd if fd is not None else _opened(path)
        self._inside = GzipReader(self._packed_at) if path.suffix == ".gz" else None

    @property
    def packed(self) -> bool:
        return self._inside is not None

    @property
    def broken(self) -> bool:
        """Whether it is a gzip file that cannot be read further though it has not ended."""
        return self._inside is not None and self._inside.broken

    @property
    def status(self) -> os.stat_result:
        return os.fstat(self.fd)

    @property
    def identity(self) -> Identity:
        return self.status.st_dev, self.status.st_ino

    @property
    def size(self) -> int:
        """Bytes that can be read now; of a gzip file this takes unpacking it."""
        return self.status.st_size if self._inside is None else self._inside.size()

    def read_at(self, length: int, offset: int) -> bytes:
        """Up to `length` bytes from `offset` on, fewer at the end."""
        return os.pread(self.fd, length, offset) if self._inside is None else self._inside.read_at(length, offset)

    def _packed_at(self, offset: int) -> bytes:
        return os.pread(self.fd, CHUNK, offset)

    def close(self) -> None:
        """Give the descriptor back; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1


def _opened(path: Path) -> int:
    """A descriptor for reading. Raises OSError, of a directory too: it would be opened, and read never."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return fd


class OpenLog:
    """A log held open, read from `offset` on; `offset` is how far it was read, inside a gzip file what is inside.

    copied   reading went on in a copy of the file, which nobody writes to
    failure  why the last look could not read what is there, "" when it could
    """

    def __init__(self, reader: FileReader, offset: int) -> None:
        self.reader = reader
        self.copied = False
        self.failure = ""
        self.move_to(offset)

    def move_to(self, offset: int) -> None:
        """Go on from `offset`: what stands before it counts as read."""
        here = FilePosition.taken(self.reader.read_at, offset)
        self.offset, self._head, self._recent = offset, here.head, bytearray(here.tail)
        self._seen, self._more = (-1, -1), False

    def position(self) -> FilePosition:
        """The place where reading stands, from memory: true even when the file was truncated since."""
        return FilePosition(self._head, bytes(self._recent[-TAIL:]), self.offset)

    def position_at(self, offset: int) -> FilePosition:
        """The place at `offset`, before the one where reading stands: from memory too, as far as that goes."""
        end, tail = len(self._recent) - (self.offset - offset), min(TAIL, offset)
        if end < tail:
            return FilePosition.taken(self.reader.read_at, offset)
        return FilePosition(self._head[:offset], bytes(self._recent[end - tail : end]), offset)

    def has_read(self, other: FileReader) -> bool:
        """Whether all that `other` holds was read here: a copy that was taken a moment ago."""
        end = FilePosition.taken(other.read_at, other.size)
        behind = self.offset - end.offset
        if behind < 0 or not self._head.startswith(end.head):
            return False
        if behind + len(end.tail) <= len(self._recent):
            return self._recent[: len(self._recent) - behind].endswith(end.tail)
        return end.matches(self.reader.read_at)

    def read_into(self, buffer: memoryview) -> int | None:
        """Read what is new into `buffer`; 0 when there is nothing, None when this is no longer the same file.

        Also 0 where the disk fails: what was read before counts, and the next look may be luckier.
        """
        try:
            size = self._unpack(buffer) if self.reader.packed else self._read_verified(buffer)
        except OSError as error:
            self._seen, self.failure = (-1, -1), error.strerror or "it failed"
            return 0
        self.failure = ""
        if size:
            self._remember(buffer[:size])
        return size

    def skip_to_end(self, buffer: memoryview) -> int:
        """Read past what is there, up to the last line end, and say how many lines that were."""
        lines = last = 0
        while size := self.read_into(buffer):
            data = bytes(buffer[:size])
            lines += data.count(b"\n")
            last = self.offset - size + data.rfind(b"\n") + 1 if b"\n" in data else last
        self.move_to(last)
        return lines

    def _unpack(self, buffer: memoryview) -> int:
        data = self.reader.read_at(len(buffer), self.offset)
        buffer[: len(data)] = data
        return len(data)

    def _read_verified(self, buffer: memoryview) -> int | None:
        """One call reads the old tail and the new bytes, so that no truncation fits between comparing and reading."""
        if not self._more:  # what filled the buffer has more behind it, and reading will show whether it is the same
            status = self.reader.status
            if status.st_size < self.offset:
                return None
            if status.st_size == self.offset and self._seen == (status.st_size, status.st_mtime_ns):
                return 0
            self._seen = (status.st_size, status.st_mtime_ns)
        expected = self._recent[-TAIL:]
        tail = bytearray(len(expected))
        size = os.preadv(self.reader.fd, [tail, buffer], self.offset - len(tail)) - len(tail)
        same = size >= 0 and tail == expected and self.reader.read_at(len(self._head), 0) == self._head
        self._more = same and size == len(buffer)
        return size if same else None

    def _remember(self, data: memoryview) -> None:
        if self.offset == len(self._head) < HEAD:
            self._head += bytes(data[: HEAD - len(self._head)])
        if len(data) < RECENT:
            self._recent += data
            del self._recent[: -2 * RECENT]
        elif len(self._recent) == RECENT:
            memoryview(self._recent)[:] = data[-RECENT:]  # in place: with each piece the kernel would clear new pages
        else:
            self._recent[:] = data[-RECENT:]
        self.offset += len(data)

    def become(self, copy: FileReader) -> None:
        """Go on in `copy`, which holds this file's content; the place stays the same."""
        self.reader.close()
        self.reader, self.copied, self._seen, self._more = copy, True, (-1, -1), False

    def again(self) -> "OpenLog":
        """The same file at the same place, behind a descriptor of its own."""
        other = OpenLog(FileReader(self.reader.path, os.dup(self.reader.fd)), 0)
        other.offset, other._head, other._recent = self.offset, self._head, self._recent[-TAIL:]
        return other

    def close(self) -> None:
        self.reader.close()
