"""One open log file, its position, and the check that it still contains what was read.

An open descriptor still reads a renamed file, so lines from a late writer are not lost. After a truncation it reads
other content: before any byte counts as new, the bytes already read must still be at their offsets. Files are not
memory-mapped, because truncating a mapped file kills the process that reads it.
"""

import errno
import os
import re
import stat
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from wscheck.observe.tailing.packed_log import READ_BYTES, PackedReader, decompressor_for, is_packed

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

HEAD_BYTES = 256
TAIL_BYTES = 256
RECENT_BYTES = 1 << 16
"""Bytes of the latest content that stay in memory: enough to recognise a copy made just before."""
MAX_REMEMBERED = 256
"""Maximum number of logs of which more than `OVERLAP_BYTES` stay in memory."""
OVERLAP_BYTES = 1 << 10
"""Bytes of the latest content by which the rest of a trimmed file is recognised."""
OVERLAP_SEED, OVERLAP_CHUNK, MAX_OVERLAP = 16, 1 << 20, 1 << 28
HOLE_BYTES, ZEROS_CHUNK = 512, 1 << 20
"""Minimum length of a run of zeros that is skipped (UTF-16 has at most three), and bytes per read within the run."""
SEEK_DATA: int | None = getattr(os, "SEEK_DATA", None)
NEVER_POLLED = (-1, -1)
RESERVED_DESCRIPTORS = 128
"""Descriptors that are left for everything else than logs."""
MAX_DESCRIPTORS = 1 << 16
CLOSED = -1
SETTLED_NS = 50_000_000
"""Nanoseconds after a change of a file in which a second change may get the same time (see `has_settled`)."""
DEFAULT_DESCRIPTORS = 256

FileIdentity = tuple[int, int]
"""(device, inode). It identifies a file under any name, until the file is deleted and closed."""

Locate = Callable[[FileIdentity], Path | None]
"""Function that returns the present name of a file, None if it has no known name."""

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
        """Return the position at byte `offset` of the file that `read_at` reads."""
        if not offset:
            return cls(b"", b"", 0)
        tail = min(TAIL_BYTES, offset)
        return cls(read_at(min(HEAD_BYTES, offset), 0), read_at(tail, offset - tail), offset)


_UNIQUE_TEXT = re.compile(rb"\d\d:\d\d:\d\d|(?<!\d)\d{10}(?:\d{3})?(?!\d)|(?<![\w-])[\w-]{20}(?![\w-])")
"""Text that is not written twice: a time of day, seconds or milliseconds since the epoch, or a socket id."""


def is_unique_text(text: bytes) -> bool:
    """Return whether `text` contains a time or an id, so that no server writes the same text a second time."""
    return _UNIQUE_TEXT.search(text) is not None


def find_overlap(recent: bytes, read_at: ReadAt, limit: int) -> int:
    """Return the number of bytes at the start of a file that were already read from an earlier file.

    The file replaces the earlier file. It may start with the last part of the earlier file, followed by new lines. The
    result is the offset at which the new lines start, or 0 if the file starts with other content.

    recent   the latest bytes that were read from the earlier file
    read_at  function that reads the file
    limit    number of bytes that were read from the earlier file; the result is not greater
    """
    start = read_at(len(recent), 0)
    # The file may start within `recent` ...
    first = start[:OVERLAP_SEED]
    position = recent.find(first) if first else -1
    while position >= 0:
        kept = recent[position:]
        if start.startswith(kept) and (len(kept) >= OVERLAP_BYTES or is_unique_text(kept)):
            return len(kept)
        position = recent.find(first, position + 1)
    # ... or before it.
    needle = recent[-OVERLAP_BYTES:]
    if len(needle) < OVERLAP_BYTES and not is_unique_text(needle):
        return 0
    return _find_end(needle, read_at, min(limit, MAX_OVERLAP))


def _find_end(needle: bytes, read_at: ReadAt, limit: int) -> int:
    """Return the offset directly after the first occurrence of `needle` in a file, 0 if there is none.

    Only the chunks that start before `limit` are searched.
    """
    offset, before = 0, b""
    while offset < limit and (data := read_at(OVERLAP_CHUNK, offset)):
        found = (before + data).find(needle)
        if found >= 0:
            return offset - len(before) + found + len(needle)
        before = (before + data)[-len(needle) + 1 :]
        offset += len(data)
    return 0


def leading_zeros(data: bytes) -> int:
    """Return the number of zero bytes at the start of `data`."""
    return len(data) - len(data.lstrip(b"\0"))


def end_of_hole(reader: "FileReader") -> int:
    """Return the size of the hole (a run of zeros) at the start of a file, 0 if there is none."""
    return OpenLog(reader, 0).end_of_first_zeros() if leading_zeros(reader.read_at(HOLE_BYTES, 0)) == HOLE_BYTES else 0


def has_settled(changed_ns: int) -> bool:
    """Return whether a change of a file now would get a time other than `changed_ns`, the time of its last change.

    Two changes in quick succession can have the same time. If the second change also leaves the size as it is, the
    status of the file does not show this change.
    """
    return not 0 <= time.time_ns() - changed_ns <= SETTLED_NS


class FileGone(OSError):
    """Error: a file was closed to save descriptors, and cannot be opened again because it is under no known name."""


class OpenFiles:
    """The open log files of a run, at most `limit` at once.

    If there are more, the file that was not read for the longest time is closed. Its next read opens it again.
    """

    def __init__(self, limit: int) -> None:
        self._limit = max(1, limit)
        self._readers: OrderedDict[FileReader, None] = OrderedDict()
        self._remembering: OrderedDict[OpenLog, None] = OrderedDict()

    @classmethod
    def for_process(cls) -> "OpenFiles":
        """Return an instance with a limit that leaves descriptors for everything else that this process opens."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource is not None else DEFAULT_DESCRIPTORS
        allowed = allowed if allowed != getattr(resource, "RLIM_INFINITY", -1) else MAX_DESCRIPTORS
        return cls(min(MAX_DESCRIPTORS, max(allowed - RESERVED_DESCRIPTORS, allowed // 2)))

    def use(self, reader: "FileReader") -> None:
        """Record that `reader` is open and is read now."""
        self._readers[reader] = None
        self._readers.move_to_end(reader)
        while len(self._readers) > self._limit:
            self.suspend_oldest()

    def suspend_oldest(self) -> bool:
        """Close the file that was not read for the longest time; return False if no file is open."""
        if not self._readers:
            return False
        self._readers.popitem(last=False)[0].suspend()
        return True

    def forget(self, reader: "FileReader") -> None:
        """Record that `reader` is closed."""
        self._readers.pop(reader, None)

    def remember(self, log: "OpenLog") -> None:
        """Record that `log` keeps its latest content in memory.

        If more than `MAX_REMEMBERED` logs do, the log that was recorded the longest time ago drops most of it.
        """
        self._remembering[log] = None
        self._remembering.move_to_end(log)
        while len(self._remembering) > MAX_REMEMBERED:
            self._remembering.popitem(last=False)[0].shorten_memory()


class FileReader:
    """Random access to a file's bytes; for a packed file, to its unpacked bytes as far as it is intact."""

    def __init__(
        self,
        path: Path,
        fd: int | None = None,
        files: OpenFiles | None = None,
        locate: Locate = lambda _: None,
        *,
        raw: bool = False,
    ) -> None:
        """Open `path`, or use `fd`, a descriptor of the same file. Raises OSError if the file cannot be opened.

        files   closes this file while too many are open; the next read opens it again
        raw     read the bytes of a packed file as they are
        locate  returns the present name of a file that was closed and renamed, None if it has none
        """
        self.path = path
        self._files, self._locate = files, locate
        self._status: os.stat_result | None = None
        new_decompressor = decompressor_for(path) if is_packed(path) and not raw else None
        self._fd = fd if fd is not None else self._open(path)
        self._packed = PackedReader(self._packed_bytes, new_decompressor) if new_decompressor is not None else None
        if files is not None:
            files.use(self)

    @property
    def is_packed(self) -> bool:
        """True for a packed file, whose bytes are read unpacked."""
        return self._packed is not None

    @property
    def is_damaged(self) -> bool:
        """True for a packed file that cannot be read to its end."""
        return self._packed is not None and self._packed.damaged

    @property
    def status(self) -> os.stat_result:
        """The status of the file, or the status that it had when it was closed."""
        return os.fstat(self._fd) if self._fd >= 0 or self._status is None else self._status

    @property
    def identity(self) -> FileIdentity:
        status = self.status
        return status.st_dev, status.st_ino

    @property
    def size(self) -> int:
        """Bytes that can be read now. For a packed file, this unpacks the whole file."""
        return self.status.st_size if self._packed is None else self._packed.size()

    @property
    def is_recognisable(self) -> bool:
        """True if the file is open, or has content by which it is recognised when it is opened again."""
        return self._fd >= 0 or (self._status is not None and self._status.st_size > 0)

    def current_path(self) -> Path | None:
        """Return the name that the open file has now, None if it was deleted or is unknown."""
        if self._fd < 0:
            return None
        try:
            path = Path(f"/proc/self/fd/{self._fd}").readlink()
            status = path.stat()
        except OSError:
            return None
        return path if (status.st_dev, status.st_ino) == self.identity else None

    @property
    def fd(self) -> int:
        """The descriptor of the file. Raises OSError if the file was closed and cannot be opened again."""
        if self._fd < 0:
            self._resume()
        if self._files is not None:
            self._files.use(self)
        return self._fd

    def read_at(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes from `offset` on, fewer at the end."""
        return self.read_raw(length, offset) if self._packed is None else self._packed.read_at(length, offset)

    def read_raw(self, length: int, offset: int) -> bytes:
        """Return bytes as they are in the file, also of a packed file; none if the file is gone."""
        try:
            fd = self.fd
        except FileGone:
            return b""
        return os.pread(fd, length, offset)

    def _packed_bytes(self, offset: int) -> bytes:
        return self.read_raw(READ_BYTES, offset)

    def _open(self, path: Path) -> int:
        while True:
            try:
                return _open(path)
            except OSError as error:
                # Other parts of the process may have taken the descriptors.
                full = error.errno in {errno.EMFILE, errno.ENFILE}
                if not full or self._files is None or not self._files.suspend_oldest():
                    raise

    def suspend(self) -> None:
        """Close the descriptor until the next read."""
        if self._fd >= 0:
            self._status = os.fstat(self._fd)
            os.close(self._fd)
            self._fd = CLOSED

    def _resume(self) -> None:
        if self._status is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), str(self.path))
        identity = self.identity
        if self._reopen(self.path, identity):
            return
        # Another file can have got the inode. Its content will be compared, but an empty file has none.
        moved = self._locate(identity) if self._status.st_size else None
        if moved is None or is_packed(moved) != is_packed(self.path) or not self._reopen(moved, identity):
            raise FileGone(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))

    def _reopen(self, path: Path, identity: FileIdentity) -> bool:
        """Open the file at `path` if it has the device and inode in `identity`. Return whether it has them."""
        try:
            fd = self._open(path)
        except FileNotFoundError:
            return False
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != identity:
            os.close(fd)
            return False
        self._fd, self.path = fd, path
        return True

    def duplicate(self) -> "FileReader":
        """Return a reader of the same file with a descriptor of its own."""
        status = os.fstat(self.fd)
        with suppress(OSError):
            return FileReader(self.path, os.dup(self.fd), self._files, self._locate)
        # Too many files are open: the other reader opens the file when it reads.
        other = FileReader(self.path, CLOSED, None, self._locate)
        other._files, other._status = self._files, status
        return other

    def remember(self, log: "OpenLog") -> None:
        """Record that `log` keeps the latest content of this file in memory."""
        if self._files is not None:
            self._files.remember(log)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        self.suspend()
        if self._files is not None:
            self._files.forget(self)


def _open(path: Path) -> int:
    """Return a descriptor for reading. Raises OSError, also for a directory, which can be opened but not read."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return fd


class OpenLog:
    """A log file read up to `offset` (for a packed file, an offset in the unpacked bytes).

    is_copy  reading continued in a copy of the file, which has no writer
    failure  the reason why the latest read failed, "" if it succeeded
    skipped_zeros  the latest read skipped a run of zeros before its bytes
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
        self.skipped_zeros, self._zeros_until = False, 0

    def position(self) -> FilePosition:
        """Return the current position. It is computed from memory, so it is correct even after a truncation."""
        return FilePosition(self._head, bytes(self._recent[-TAIL_BYTES:]), self.offset)

    def position_at(self, offset: int) -> FilePosition:
        """Return the position at an earlier `offset`, from memory if the content there is still in memory."""
        end, tail = len(self._recent) - (self.offset - offset), min(TAIL_BYTES, offset)
        if end < tail:
            return FilePosition.at(self.reader.read_at, offset)
        return FilePosition(self._head[:offset], bytes(self._recent[end - tail : end]), offset)

    def has_read(self, end: FilePosition) -> bool:
        """Return whether the whole content of another file was already read from the start of this log.

        end  end of the other file. It may be before the current offset, because a log can grow after it was copied.
        """
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
        self.skipped_zeros = False
        try:
            size = self._read_unpacked(buffer) if self.reader.is_packed else self._read_verified(buffer)
        except FileGone:
            return None
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
        if last == self.offset:
            self.shorten_memory()
        else:
            self.move_to(last)
        return lines

    def _read_unpacked(self, buffer: memoryview) -> int:
        while size := len(data := self.reader.read_at(len(buffer), self.offset)):
            zeros = leading_zeros(data)
            if zeros < HOLE_BYTES:
                buffer[:size] = data
                return size
            self._jump(self.offset + zeros)
        return 0

    def _read_verified(self, buffer: memoryview) -> int | None:
        """Read new bytes after checking the old ones.

        A single read returns the last old bytes, which are compared, and the new ones. The file can therefore not be
        truncated between the check and the read.
        """
        if not self._has_more:  # after a full buffer there is more to read, and the next read checks the file
            status = os.fstat(self.reader.fd)
            if status.st_size < self.offset:
                return None
            unchanged = self._last_polled == (status.st_size, status.st_mtime_ns) and has_settled(status.st_mtime_ns)
            if status.st_size == self.offset and unchanged:
                return 0
            self._last_polled = (status.st_size, status.st_mtime_ns)
        expected = self._recent[-TAIL_BYTES:]
        tail = bytearray(len(expected))
        size = os.preadv(self.reader.fd, [tail, buffer], self.offset - len(tail)) - len(tail)
        unchanged = size >= 0 and tail == expected and self.reader.read_at(len(self._head), 0) == self._head
        if not unchanged:
            self._has_more = False
            return None
        self._has_more = size == len(buffer)
        if size and not (buffer[0] and buffer[size - 1]):
            return self._read_around_zeros(buffer, size)
        return size

    def _read_around_zeros(self, buffer: memoryview, size: int) -> int:
        """Handle long runs of zeros in the new bytes. Return the number of bytes to use from the start of `buffer`.

        If the new bytes start with a run, skip it and read the bytes after it. A run at the end stays unread, because a
        writer may fill it. A writer without O_APPEND causes runs: after a truncation, it continues at its old offset.

        size  number of new bytes in `buffer`
        """
        data = bytes(buffer[:size])
        if (zeros := leading_zeros(data)) >= HOLE_BYTES:
            self._has_more = False
            end = self._end_of_zeros(self.offset + zeros)
            if end is None:
                return 0
            self._jump(end)
            size = os.preadv(self.reader.fd, [buffer], end)
            data = bytes(buffer[:size])
        rest = size - len(data.rstrip(b"\0"))
        if HOLE_BYTES <= rest < size:
            self._has_more = False
            size -= rest
        return size

    def _end_of_zeros(self, offset: int) -> int | None:
        """Return the offset of the next byte that is not zero, None if only zeros follow."""
        offset = max(offset, self._zeros_until)
        while True:
            with suppress(OSError):
                # Holes take no time, whatever their size. ENXIO: there is no data.
                offset = max(offset, os.lseek(self.reader.fd, offset, SEEK_DATA) if SEEK_DATA is not None else 0)
            data = self.reader.read_at(ZEROS_CHUNK, offset)
            offset += (zeros := leading_zeros(data))
            self._zeros_until = offset
            if zeros < len(data):
                return offset
            if not data:
                return None

    def end_of_first_zeros(self) -> int:
        """Return the number of zeros at the start of the file, 0 if nothing follows them."""
        return self._end_of_zeros(0) or 0

    def _jump(self, offset: int) -> None:
        """Continue after the zeros that end at `offset`."""
        if self.offset == len(self._head) < HEAD_BYTES:
            self._head += bytes(min(HEAD_BYTES, offset) - len(self._head))
        self._recent[:] = bytes(TAIL_BYTES)
        self.offset, self.skipped_zeros = offset, True

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
        if len(self._recent) > OVERLAP_BYTES:
            self.reader.remember(self)

    def shorten_memory(self) -> None:
        """Keep only the latest bytes of the content in memory."""
        self._recent = self._recent[-OVERLAP_BYTES:]

    def switch_to(self, reader: FileReader, *, is_copy: bool) -> None:
        """Continue at the same offset in `reader`, whose file contains this file's content."""
        self.reader.close()
        self.reader, self.is_copy, self._last_polled, self._has_more = reader, is_copy, NEVER_POLLED, False
        self._zeros_until = 0

    def duplicate(self) -> "OpenLog":
        """Return the same file at the same position, with its own descriptor."""
        other = OpenLog(self.reader.duplicate(), 0)
        other.offset, other._head, other._recent = self.offset, self._head, self._recent[-TAIL_BYTES:]
        return other

    @property
    def recent(self) -> bytes:
        """The latest bytes that were read, as far as they are in memory."""
        return bytes(self._recent)

    def overlap(self, other: FileReader) -> int:
        """Return the number of bytes at the start of `other` that were already read from this log.

        Return 0 if `other` starts with other content. A log that was trimmed is recognised by this number:
        `tail -n 1000 app.log > short; cat short > app.log`.
        """
        return find_overlap(bytes(self._recent), other.read_at, self.offset)

    def close(self) -> None:
        self.reader.close()
