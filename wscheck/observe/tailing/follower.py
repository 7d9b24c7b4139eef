"""Following one log by its name, over every rotation, truncation and replacement of its file.

docs/logs.md (Rotation) lists the cases, also those with lines that `tail -F` loses. inode(7) defines what an inode
number guarantees.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from wscheck.observe.tailing.generations import (
    MAX_SCANS,
    Continuation,
    DirectoryUnstable,
    file_identity,
    find_continuation,
    find_generations,
    find_rewritten_copy,
    is_empty,
    older_generations,
    scan_stable,
    take_fingerprints,
    unread_generations,
)
from wscheck.observe.tailing.open_file import FileIdentity, FilePosition, FileReader, OpenLog
from wscheck.observe.tailing.stream import LogStream, StreamChunk

LATE_WRITER_S = 60.0
"""Seconds without new bytes after which a renamed file is no longer read."""
MAX_LATE_FILES = 4
MAX_FINISHED = 16
MISSING = (-1, -1)
"""The identity of a missing file. If a file appears meanwhile, it does not match, and the next read opens it."""
NEWLINE = memoryview(b"\n")
INCOMPLETE_GZIP = "is not a complete gzip file"


class ResumePoint(msgspec.Struct, frozen=True):
    """The state of a followed log that a restart needs to continue. Its field names are part of the checkpoint.

    positions  positions in its files: renamed files first, the current file last
    finished   positions at which rotated files ended
    since_ns   modification time of the current file when it was opened; a file that is rotated later is not older
    file       identity of the current file
    copied     the current file is a copy, made before the log was truncated
    """

    positions: tuple[FilePosition, ...]
    finished: tuple[FilePosition, ...] = msgspec.field(default=(), name="seen")
    since_ns: int = 0
    file: FileIdentity | None = None
    copied: bool = False


class LateFile(msgspec.Struct):
    """A renamed file that may still be written to.

    quiet_since  time since which no bytes were added, None until the first read
    """

    stream: LogStream
    quiet_since: float | None = None


class LogFollower:
    """A log followed by its name.

    `read` yields each new byte once and in order, and an empty chunk when a file has no more bytes for now. `note` is
    called with a message about lost lines and about each file that cannot be opened.

    damaged  dict of each file that could not be read to its end to the reason
    """

    def __init__(self, name: Path, buffer: memoryview, note: Callable[[str], None]) -> None:
        self.name = name
        self.main: LogStream | None = None
        self._buffer, self._note = buffer, note
        self.damaged: dict[Path, str] = {}
        self._late_files: list[LateFile] = []
        self._finished: deque[FilePosition] = deque(maxlen=MAX_FINISHED)
        self._initial = list(take_fingerprints(find_generations(name)).values())
        self._since_ns = 0
        self._settled: FilePosition | None = None
        self._resumed_at: ResumePoint | None = None

    # --- start ---------------------------------------------------------------------------------------------------

    def start(self, *, at_end: bool = False) -> None:
        """Start with the file that has the log's name now. A file that appears later is read from its start."""
        for path in find_generations(self.name)[-MAX_LATE_FILES:]:
            self._mark_as_read(path)
        log = self._open(Continuation(self.name, 0))
        if log is not None:
            self.main = LogStream(log, log.skip_to_end(self._buffer) if at_end else 0)

    def _mark_as_read(self, path: Path) -> None:
        """Count the content of `path` as read, because it existed before the start."""
        log = self._open(Continuation(path, 0))
        if log is not None:
            log.move_to(log.reader.size)
            self._finished.append(log.position())
            log.close()

    def resume(self, resume_point: ResumePoint) -> None:
        """Start at the position of an earlier run, in the file that contains this position now."""
        self._resumed_at = resume_point
        *late, current = resume_point.positions
        self._initial = []
        self._finished.extend(resume_point.finished)
        finder = _StreamFinder(self.name, self._open)
        self.main = finder.find(current)
        if self.main is not None:
            # If the file that was read still has its name, it was truncated: the found file is a copy of its content.
            truncated = resume_point.file == file_identity(self.name) not in {None, self.main.log.reader.identity}
            self.main.log.is_copy = resume_point.copied or truncated
        self._late_files = [LateFile(stream) for stream in finder.find_late(late, self._finished, self.main)]
        self._since_ns = resume_point.since_ns
        if self.main is None and current.offset:
            self._finished.append(current)
            self._report_loss(current)

    def resume_point(self) -> ResumePoint | None:
        """Return the point from which a restart reads every complete record once; None before a file was opened."""
        if self.main is None:
            return self._resumed_at
        positions = tuple(stream.position() for stream in self.streams)
        log = self.main.oldest_log
        finished = tuple(self._finished)[-MAX_LATE_FILES:]
        return ResumePoint(positions, finished, self._since_ns, log.reader.identity, log.is_copy)

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> list[LogStream]:
        """Every stream that may still have new bytes, the current one last."""
        return [late.stream for late in self._late_files] + ([self.main] if self.main is not None else [])

    def read(self, now: float) -> Iterator[StreamChunk]:
        """Yield everything new since the last read. `now` is a monotonic clock in seconds."""
        yield from self._read_late_files(now)
        with suppress(DirectoryUnstable):
            yield from self._read_main()

    def _read_main(self) -> Iterator[StreamChunk]:
        if self.main is not None:
            self._step_back(self.main)
        elif (log := self._open(self._next_file())) is not None:
            self.main = LogStream(log)
        while self.main is not None:
            truncated = yield from self._read_to_end(self.main)
            if not truncated:
                if not self._has_moved(self.main):
                    return
                # Bytes written between the last read and the rename are still behind the open descriptor.
                truncated = yield from self._read_to_end(self.main)
            if not (yield from (self._leave_truncated if truncated else self._leave_moved)(self.main)):
                return

    def _read_to_end(self, stream: LogStream) -> Generator[StreamChunk, None, bool]:
        """Yield the rest of the file; return whether the file no longer contains what was read from it."""
        before = stream.length
        while size := stream.log.read_into(self._buffer):
            stream.length += size
            yield StreamChunk(stream, self._buffer[:size])
        if stream.length > before:
            yield StreamChunk(stream, self._buffer[:0])
        self._update_damage(stream.log)
        return size is None

    def _update_damage(self, log: OpenLog) -> None:
        """Record and report that the file cannot be read to its end, or clear the record if it can be read again."""
        path = log.reader.path
        before = self.damaged.pop(path, "")
        if log.reader.is_damaged:
            self.damaged[path] = f"{INCOMPLETE_GZIP}: only its first {log.offset} unpacked bytes can be read"
        elif log.failure:
            self.damaged[path] = f"cannot be read beyond byte {log.offset}: {log.failure}"
        if (reason := self.damaged.get(path, "")) != before and reason:
            self._note(f"{path} {reason}.")

    def _read_late_files(self, now: float) -> Iterator[StreamChunk]:
        for late in list(self._late_files):
            before = late.stream.length
            truncated = yield from self._read_to_end(late.stream)
            if late.quiet_since is None or late.stream.length > before:
                late.quiet_since = now
            if truncated or now - late.quiet_since > LATE_WRITER_S:
                self._finished.append(late.stream.log.position())
                self._late_files.remove(late)
                late.stream.close()

    # --- from one generation to the next -------------------------------------------------------------------------

    def _has_moved(self, stream: LogStream) -> bool:
        """Return whether the log's name now belongs to another file, and this or a rotated file has new content."""
        identity = file_identity(self.name)
        if identity == stream.log.reader.identity:
            self._settled = stream.log.position()
            return False
        # While the new file is empty, the writer may still be in the old one.
        return (identity is not None and not is_empty(self.name)) or bool(self._unread())

    def _leave_moved(self, stream: LogStream) -> Generator[StreamChunk, None, bool]:
        """Continue after a file that was renamed or deleted; return False if the next file cannot be opened."""
        previous = stream.log
        following = self._next_file()
        copy = find_rewritten_copy(following.path, previous, self._settled)
        log = self._open(copy or following)
        if log is None:
            return False
        if copy is None and not previous.is_copy:
            yield from self._end_line(stream)
        self._finished.append(previous.position())
        if not (previous.is_copy or previous.reader.is_gzip):
            self._add_late_file(stream)
        stream.continue_in(log, stream.line(stream.lines) if copy else 0)
        return True

    def _leave_truncated(self, stream: LogStream) -> Generator[StreamChunk, None, bool]:
        """Continue after a truncation: in a copy of the old content if there is one, else in the current file."""
        previous = stream.log
        copy = scan_stable(
            self.name, lambda: find_continuation(self.name, previous.position(), [previous.reader.identity])
        )
        if copy is not None:
            reader = self._open_reader(copy)
            if reader is not None:
                previous.switch_to(reader)
            return reader is not None
        log = self._open(self._next_file())
        if log is None:
            return False
        self._report_loss(previous.position())
        yield from self._end_line(stream)
        self._finished.append(previous.position())
        stream.continue_in(log)
        stream.drop_earlier_files()
        return True

    def _end_line(self, stream: LogStream) -> Iterator[StreamChunk]:
        """Yield a line end if the file ends without one, so that the next file's first line stays separate."""
        position = stream.log.position()
        if position.offset and not position.tail.endswith(b"\n"):
            stream.length += 1
            yield StreamChunk(stream, NEWLINE)

    def _add_late_file(self, stream: LogStream) -> None:
        """Continue to read the renamed file, because its writer may not have reopened the log yet."""
        self._late_files.append(LateFile(LogStream(stream.log.duplicate(), stream.line(stream.lines))))
        if len(self._late_files) > MAX_LATE_FILES:
            self._late_files.pop(0).stream.close()

    def _step_back(self, stream: LogStream) -> None:
        """Read an older rotated file first, if nothing of the current file was read.

        Since the last read, the current file may have been filled, copied and emptied.
        """
        if stream.log.offset:
            return
        older = scan_stable(self.name, lambda: older_generations(self.name, stream.log.reader))
        missed = next((file for file in self._unread() if file.identity in older), None)
        if missed is not None and (log := self._open(missed)) is not None:
            stream.continue_in(log)

    def _next_file(self) -> Continuation:
        """Return the oldest unread rotated file, or else the file that has the log's name now."""
        identity = file_identity(self.name)
        current = Continuation(self.name, 0, identity if identity is not None else MISSING)
        return next(iter(self._unread()), current)

    def _unread(self) -> list[Continuation]:
        logs = [stream.log for stream in self.streams]
        return scan_stable(
            self.name, lambda: unread_generations(self.name, self._since_ns, self._finished, self._initial, logs)
        )

    def _open(self, continuation: Continuation) -> OpenLog | None:
        reader = self._open_reader(continuation)
        if reader is None:
            return None
        self._since_ns = max(self._since_ns, reader.status.st_mtime_ns)
        return OpenLog(reader, continuation.offset)

    def _open_reader(self, continuation: Continuation) -> FileReader | None:
        """Return a reader, None if the file cannot be opened or was replaced meanwhile. The next read tries again."""
        try:
            reader = FileReader(continuation.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note(f"{continuation.path} cannot be read: {error.strerror}.")
            return None
        if continuation.identity is None or reader.identity == continuation.identity:
            return reader
        reader.close()
        return None

    def _report_loss(self, position: FilePosition) -> None:
        self._note(
            f"{self.name} was truncated or replaced, and no rotated copy contains the bytes after {position.offset}. "
            "Lines written there after the last read are lost."
        )

    def close(self) -> None:
        """Close every file."""
        for stream in self.streams:
            stream.close()


class _StreamFinder:
    """Search for the positions of an earlier run, although files may have been renamed, copied, packed or replaced."""

    def __init__(self, name: Path, open_log: Callable[[Continuation], OpenLog | None]) -> None:
        self._name, self._open_log = name, open_log

    def find(
        self,
        position: FilePosition,
        excluded: Iterable[FileIdentity | None] = (),
        finished: Iterable[FilePosition] = (),
    ) -> LogStream | None:
        """Return the stream that continues at `position`, None if no file contains the position.

        A position at offset 0 is never found, because no content identifies its file.
        """
        for _ in range(MAX_SCANS if position.offset else 0):
            with suppress(DirectoryUnstable):
                found = scan_stable(self._name, lambda: find_continuation(self._name, position, excluded, finished))
                if found is None:
                    return None
                if (log := self._open_log(found)) is not None:
                    return LogStream(log, position.lines)
        return None

    def find_late(
        self, positions: Sequence[FilePosition], finished: Iterable[FilePosition], current: LogStream | None
    ) -> list[LogStream]:
        """Return the renamed files to which a writer may still write. The current file and finished files are excluded.

        The furthest position is searched first. If a file was replaced by a copy, both positions match the copy, and
        reading from the nearer position would read lines twice.
        """
        finished, found = list(finished), dict[int, LogStream]()
        excluded = {file_identity(self._name), current.log.reader.identity if current is not None else None}
        for index in sorted(range(len(positions)), key=lambda index: -positions[index].offset):
            later = [position for position in finished if position.offset > positions[index].offset]
            if (stream := self.find(positions[index], excluded, later)) is not None:
                found[index] = stream
                excluded.add(stream.log.reader.identity)
        return [found[index] for index in sorted(found)]
