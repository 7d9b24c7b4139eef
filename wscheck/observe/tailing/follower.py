"""Following one log by its name, over every rotation, truncation and replacement of its file.

docs/logs.md (Rotation) lists the cases, also those with lines that `tail -F` loses. inode(7) defines what an inode
number guarantees.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from wscheck.observe.tailing.generations import (
    MAX_SCANS,
    Continuation,
    DirectoryUnstable,
    FileEnd,
    Generations,
    KnownFile,
    count_lines,
    file_identity,
    find_continuation,
    find_rewritten_copy,
    find_trimmed,
    is_empty,
    known_files,
    older_generations,
    scan_stable,
    unread_generations,
)
from wscheck.observe.tailing.open_file import (
    FileGone,
    FileIdentity,
    FilePosition,
    FileReader,
    OpenFiles,
    OpenLog,
    end_of_hole,
    has_settled,
)
from wscheck.observe.tailing.packed_log import FORMATS, ZSTD_HEADER_BYTES, cannot_unpack, zstd_content_size
from wscheck.observe.tailing.stream import LogStream, StreamChunk

LATE_WRITER_S = 60.0
"""Seconds without new bytes after which a renamed file is no longer read."""
MAX_LATE_FILES = 4
MAX_FINISHED = 64
MAX_KNOWN = 64
MISSING = (-1, -1)
"""The identity of a missing file. If a file appears meanwhile, it does not match, and the next read opens it."""
NEWLINE = memoryview(b"\n")
INCOMPLETE_GZIP = "is not a complete gzip file"

FileState = tuple[FileIdentity, int, int]
"""(identity, size, time of the last change) of the file that has the log's name."""

START_OF_FILE = FilePosition(b"", b"", 0)
FIRST_LINE_BYTES = 1 << 12
COMPARED_LINES, MIN_COMPARED_LINES, ALIKE_SHARE = 200, 3, 0.8
"""Comparison of the first line of a file with the last lines of the file before it.

Maximum and minimum number of these last lines, and the share of them that must start alike.
"""


class ResumePoint(msgspec.Struct, frozen=True):
    """The state of a followed log that a restart needs to continue. Its field names are part of the checkpoint.

    positions  positions in its files: renamed files first, the current file last
    finished   ends of the rotated files that were read
    since_ns   rotated files that were last modified before this time need not be read
    file       identity of the current file
    copied     the current file is a copy, made before the log was truncated
    known      files that existed before reading started
    moved_to   folders and name patterns of renamed files (see Generations)
    """

    positions: tuple[FilePosition, ...]
    finished: tuple[FileEnd, ...] = msgspec.field(default=(), name="seen")
    since_ns: int = 0
    file: FileIdentity | None = None
    copied: bool = False
    known: tuple[KnownFile, ...] = ()
    moved_to: tuple[tuple[str, str], ...] = ()


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
    losses   pairs (what happened, number of lost bytes), one for each loss. The number is None if it is unknown
    """

    def __init__(
        self, name: Path, buffer: memoryview, note: Callable[[str], None], files: OpenFiles | None = None
    ) -> None:
        self.name = name
        self._files = files
        self.main: LogStream | None = None
        self._buffer, self._note = buffer, note
        self.damaged: dict[Path, str] = {}
        self.losses: list[tuple[str, int | None]] = []
        self._late_files: list[LateFile] = []
        self._finished: deque[FileEnd] = deque()
        self._generations = Generations(name)
        self._known: list[KnownFile] = []
        self._since_ns = 0
        self._read_state: FileState | tuple[()] | None = None
        self._missing_since: float | None = None
        self._missing_length = 0
        self._unreadable: dict[Path, str] = {}
        self._settled: FilePosition | None = None
        self._resumed_at: ResumePoint | None = None

    # --- start ---------------------------------------------------------------------------------------------------

    def start(self, *, at_end: bool = False) -> None:
        """Start with the file that has the log's name now. A file that appears later is read from its start."""
        self._known = list(known_files(earlier := self._generations.find()).values())[-MAX_KNOWN:]
        if len(earlier) > MAX_KNOWN:
            self._since_ns = _changed_ns(earlier[-MAX_KNOWN])
        state = self._state() if at_end else ()
        log = self._open(Continuation(self.name, 0))
        if log is None:
            return
        self.main = LogStream(log, log.skip_to_end(self._buffer) if at_end else 0)
        if state and log.offset == state[1] and self._is_settled(state):
            # The first read has nothing to do, so that it need not open each of many logs again.
            self._read_state, self._settled = state, log.position()

    def resume(self, resume_point: ResumePoint) -> None:
        """Start at the position of an earlier run, in the file that contains this position now."""
        self._resumed_at = resume_point
        *late, current = resume_point.positions
        self._known, self._since_ns = list(resume_point.known), resume_point.since_ns
        self._generations = Generations(self.name, resume_point.moved_to)
        self._finished.extend(resume_point.finished)
        finder = _StreamFinder(self._generations, self._open)
        self.main = finder.find(current)
        if self.main is not None:
            # If the file that was read still has its name, it was truncated: the found file is a copy of its content.
            truncated = resume_point.file == file_identity(self.name) not in {None, self.main.log.reader.identity}
            self.main.log.is_copy = resume_point.copied or truncated
        self._late_files = [LateFile(stream) for stream in finder.find_late(late, self._finished, self.main)]
        if self.main is None and current.offset:
            self._remember_end(FileEnd.from_position(current, 0))
            trimmed = find_trimmed(self._generations, current)
            if trimmed is not None and (log := self._open(trimmed)) is not None:
                self.main = LogStream(log, count_lines(log.reader, trimmed.offset))
            else:
                self._report_loss(current)

    def resume_point(self) -> ResumePoint | None:
        """Return the point from which a restart reads every complete record once; None before a file was opened."""
        if self.main is None:
            return self._resumed_at
        log, current = self.main.oldest_log, self.main
        for late in self._late_files:
            # The writer of the old file has ended the line there that seemed to continue in the next file.
            if late.stream.consumed and late.stream.log.reader.identity == log.reader.identity:
                current = late.stream
        streams = [*(late.stream for late in self._late_files if late.stream is not current), current]
        positions = tuple(stream.position() for stream in streams)
        return self._resume_point(positions, log.reader.identity, is_copy=log.is_copy)

    def _resume_point(
        self, positions: tuple[FilePosition, ...], file: FileIdentity | None, *, is_copy: bool
    ) -> ResumePoint:
        return ResumePoint(
            positions,
            tuple(self._finished),
            self._since_ns,
            file,
            is_copy,
            tuple(self._known),
            tuple(self._generations.moved_to),
        )

    def _finish(self, log: OpenLog) -> None:
        """Remember where a file ended, so that it is not read again under another name."""
        self._remember_end(FileEnd.from_position(log.position(), log.reader.status.st_mtime_ns))

    def _remember_end(self, end: FileEnd) -> None:
        if end in self._finished:
            self._finished.remove(end)  # a renamed file, which got no more lines
        self._finished.append(end)
        if len(self._finished) > MAX_FINISHED:
            self._since_ns = max(self._since_ns, self._finished.popleft().changed_ns + 1)

    # --- reading -------------------------------------------------------------------------------------------------

    @property
    def streams(self) -> list[LogStream]:
        """Every stream that may still have new bytes, the current one last."""
        return [late.stream for late in self._late_files] + ([self.main] if self.main is not None else [])

    @property
    def is_gone(self) -> bool:
        """True if the log was deleted, after everything in it was read."""
        return self.main is None and self._resumed_at is not None and not self._late_files and self._read_state == ()

    @property
    def has_changed(self) -> bool:
        """True if there may be something new to read: the status of the log's name has changed since the last read.

        Also true if the last read did not read everything. No file is opened.
        """
        return self._read_state is None or self._read_state != self._state()

    def _state(self) -> FileState | tuple[()]:
        try:
            status = self.name.stat()
        except OSError:
            return ()
        return (status.st_dev, status.st_ino), status.st_size, status.st_mtime_ns

    def read(self, now: float) -> Iterator[StreamChunk]:
        """Yield everything new since the last read. `now` is a monotonic clock in seconds."""
        state = self._state()
        if self._read_state is not None and self._read_state == state:
            return
        self._read_state = None
        yield from self._read_late_files(now)
        try:
            yield from self._read_main()
        except DirectoryUnstable:
            return
        if not state and self.main is not None:
            self._close_missing(self.main, now)
        elif state:
            self._missing_since = None
        if self._is_settled(state) and not self._late_files:
            self._read_state = state

    def _is_settled(self, state: FileState | tuple[()]) -> bool:
        """Return whether the log need not be read again until the status of its name (inode, size, time) changes.

        state  status before the last read, () if there was no file
        """
        if self.main is None or not state:
            return self.main is None and not state
        identity, _, changed_ns = state
        log = self.main.log
        return identity == log.reader.identity and not log.failure and has_settled(changed_ns)

    def _close_missing(self, stream: LogStream, now: float) -> None:
        """Close a deleted file, to free its disk space, if nothing was added to it for `LATE_WRITER_S` seconds."""
        quiet_since = self._missing_since
        if quiet_since is None or stream.length != self._missing_length:
            self._missing_since, self._missing_length = now, stream.length
        elif now - quiet_since > LATE_WRITER_S:
            self._finish(stream.log)
            stream.close()
            self.main, self._missing_since = None, None
            self._resumed_at = self._resume_point((START_OF_FILE,), None, is_copy=False)

    def _read_main(self) -> Iterator[StreamChunk]:
        if self.main is not None:
            self._step_back(self.main)
        elif (log := self._open(self._next_file())) is not None:
            self.main = LogStream(log, count_lines(log.reader, log.offset))
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
        before, log = stream.length, stream.log
        while True:
            offset = log.offset
            size = log.read_into(self._buffer)
            if log.skipped_zeros:
                stream.skip_to(log.offset - (size or 0), offset)
            if not size:
                break
            stream.length += size
            yield StreamChunk(stream, self._buffer[:size])
        if stream.length > before:
            yield StreamChunk(stream, self._buffer[:0])
        self._update_damage(log)
        return size is None

    def _update_damage(self, log: OpenLog) -> None:
        """Record and report that the file cannot be read to its end, or clear the record if it can be read again."""
        path = log.reader.path
        before = self.damaged.pop(path, "")
        if log.reader.is_damaged:
            kind = FORMATS[path.suffix]
            self.damaged[path] = (
                f"is not a complete {kind} file: only its first {log.offset} unpacked bytes can be read"
            )
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
                self._finish(late.stream.log)
                self._late_files.remove(late)
                late.stream.close()

    # --- from one generation to the next -------------------------------------------------------------------------

    def _has_moved(self, stream: LogStream) -> bool:
        """Return whether reading must go on in a next file, because the file of `stream` no longer has the log's name.

        The next file is a rotated file with unread content, or the file that has the name now, unless it is empty.
        """
        identity = file_identity(self.name)
        if identity == stream.log.reader.identity:
            self._settled = stream.log.position()
            return False
        if (path := stream.log.reader.current_path()) is not None:
            self._generations.learn(path)
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
        if copy is None and not previous.is_copy and not _continues_line(previous, log):
            yield from self._end_line(stream)
        self._finish(previous)
        if not (previous.is_copy or previous.reader.is_packed):
            self._add_late_file(stream)
        stream.continue_in(log, count_lines(log.reader, log.offset))
        return True

    def _leave_truncated(self, stream: LogStream) -> Generator[StreamChunk, None, bool]:
        """Continue after a truncation: in a copy of the old content if there is one, else in the current file."""
        previous = stream.log
        copy = None
        if previous.offset:  # nothing identifies a file of which nothing was read
            copy = scan_stable(
                self._generations,
                lambda: find_continuation(self._generations, previous.position(), [previous.reader.identity]),
            )
        if copy is not None:
            reader = self._open_reader(copy)
            if reader is not None:
                # A closed file that was packed is not a copy: its last line ends with it.
                is_copy = previous.is_copy or previous.reader.identity == file_identity(self.name)
                previous.switch_to(reader, is_copy=is_copy)
            return reader is not None
        log = self._open(self._next_file())
        if log is None:
            return False
        if previous.offset and not log.offset and (kept := previous.overlap(log.reader)):
            log.move_to(kept)
        elif previous.offset:
            self._report_loss(previous.position(), log.reader)
            yield from self._end_line(stream)
        if previous.offset:
            self._finish(previous)
        stream.continue_in(log, count_lines(log.reader, log.offset))
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
        try:
            log = stream.log.duplicate()
        except FileGone:
            return
        self._late_files.append(LateFile(LogStream(log, stream.line(stream.lines))))
        if len(self._late_files) > MAX_LATE_FILES:
            oldest = self._late_files.pop(0).stream
            self._finish(oldest.log)
            oldest.close()

    def _step_back(self, stream: LogStream) -> None:
        """Switch to an older rotated file that was not read, if nothing of the current file was read yet.

        Since the last read, the current file may have been filled, copied to this rotated file, and emptied.
        """
        if stream.log.offset:
            return
        older = scan_stable(self._generations, lambda: older_generations(self._generations, stream.log.reader))
        missed = next((file for file in self._unread() if file.identity in older), None)
        if missed is not None and (log := self._open(missed)) is not None:
            stream.continue_in(log, count_lines(log.reader, log.offset))

    def _next_file(self) -> Continuation:
        """Return where to read next: in the oldest unread rotated file, or else in the file with the log's name."""
        identity = file_identity(self.name)
        current = Continuation(self.name, 0, identity if identity is not None else MISSING)
        return next(iter(self._unread()), current)

    def _unread(self) -> list[Continuation]:
        logs = [stream.log for stream in self.streams]
        self._report_packed()
        return scan_stable(
            self._generations,
            lambda: unread_generations(self._generations, self._since_ns, self._finished, self._known, logs),
        )

    def _report_packed(self) -> None:
        """Report each rotated file that is packed in a format for which no library is installed."""
        self._unreadable = {}
        for path in self._generations.find():
            reason = cannot_unpack(path)
            if not reason:
                continue
            with suppress(OSError), closing(FileReader(path, raw=True)) as reader:
                if any(file.matches(reader) for file in self._known):
                    continue
                size = zstd_content_size(reader.read_raw(ZSTD_HEADER_BYTES, 0))
                if size is not None and any(size == end.offset for end in self._finished):
                    continue  # it was read before it was packed
                number = f"{size} bytes" if size is not None else "its content"
                self._unreadable[path] = f"is not read ({number}): {reason}"
                self._note(f"{path} {self._unreadable[path]}.")

    @property
    def read_errors(self) -> dict[Path, str]:
        """Return a dict of each file that could not be read to its end to the reason."""
        return {**self.damaged, **self._unreadable}

    def _open(self, continuation: Continuation) -> OpenLog | None:
        reader = self._open_reader(continuation)
        if reader is None:
            return None
        return OpenLog(reader, continuation.offset)

    def _open_reader(self, continuation: Continuation) -> FileReader | None:
        """Return a reader of the file that `continuation` names, None if it cannot be opened or was replaced meanwhile.

        The next read tries again.
        """
        try:
            reader = FileReader(continuation.path, files=self._files, locate=self._locate)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note(f"{continuation.path} cannot be read: {error.strerror}.")
            return None
        if continuation.identity is None or reader.identity == continuation.identity:
            return reader
        reader.close()
        return None

    def _locate(self, identity: FileIdentity) -> Path | None:
        """Return the present name of a file of this log, None if it has none."""
        paths = (self.name, *self._generations.find())
        return next((path for path in paths if file_identity(path) == identity), None)

    def _report_loss(self, position: FilePosition, current: FileReader | None = None) -> None:
        """Report that the bytes after `position` are lost.

        If the `current` file starts with a hole (a run of zeros), the size of the hole shows the number of lost bytes.
        If this number is zero, report nothing.
        """
        hole = end_of_hole(current) if current is not None else 0
        missing = hole - position.offset if hole >= position.offset else None
        if missing == 0:
            return
        self.losses.append((f"{self.name} was truncated or replaced after byte {position.offset}", missing))
        lost = f"{missing} bytes are lost" if missing else "Lines written there after the last read are lost"
        self._note(
            f"{self.name} was truncated or replaced, and no rotated copy contains the bytes after {position.offset}. "
            f"{lost}."
        )

    def close(self) -> None:
        """Close every file."""
        for stream in self.streams:
            stream.close()


class _StreamFinder:
    """Search for the positions of an earlier run, although files may have been renamed, copied, packed or replaced."""

    def __init__(self, generations: Generations, open_log: Callable[[Continuation], OpenLog | None]) -> None:
        self._generations, self._open_log = generations, open_log

    def find(
        self,
        position: FilePosition,
        excluded: Iterable[FileIdentity | None] = (),
        finished: Iterable[FileEnd] = (),
    ) -> LogStream | None:
        """Return the stream that continues at `position`, None if no file contains the position.

        A position at offset 0 is never found, because no content identifies its file.

        excluded  identities (device, inode) of files that are not considered
        finished  ends of files that were read completely, which are not considered
        """
        for _ in range(MAX_SCANS if position.offset else 0):
            with suppress(DirectoryUnstable):
                found = scan_stable(
                    self._generations, lambda: find_continuation(self._generations, position, excluded, finished)
                )
                if found is None:
                    return None
                if (log := self._open_log(found)) is not None:
                    return LogStream(log, position.lines)
        return None

    def find_late(
        self, positions: Sequence[FilePosition], finished: Iterable[FileEnd], current: LogStream | None
    ) -> list[LogStream]:
        """Return the renamed files to which a writer may still write.

        positions  positions that an earlier run had reached in renamed files
        finished   ends of files that were read completely, which are left out
        current    stream with the file that has the log's name now, which is left out; None if there is no such file

        The position with the largest offset is searched first. If a file was replaced by a copy, the positions in both
        match the copy, and reading from the smaller offset would read lines twice.
        """
        finished, found = list(finished), dict[int, LogStream]()
        excluded = {file_identity(self._generations.name), current.log.reader.identity if current is not None else None}
        for index in sorted(range(len(positions)), key=lambda index: -positions[index].offset):
            later = [end for end in finished if end.offset > positions[index].offset]
            if (stream := self.find(positions[index], excluded, later)) is not None:
                found[index] = stream
                excluded.add(stream.log.reader.identity)
        return [found[index] for index in sorted(found)]


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _continues_line(previous: OpenLog, log: OpenLog) -> bool:
    """Return whether `log` starts with the rest of the unfinished line at the end of `previous`.

    Most lines of a log start alike: with a time, a brace or a level. The rest of a divided line starts differently.
    """
    *lines, unfinished = previous.recent.split(b"\n")
    rest = log.reader.read_at(FIRST_LINE_BYTES, log.offset).partition(b"\n")[0]
    if not (unfinished and rest) or _is_json(unfinished):
        return False
    if _is_json(unfinished + rest):
        return True
    starts = Counter(_line_start(line) for line in lines[-COMPARED_LINES:] if line)
    start_alike = starts.total() >= MIN_COMPARED_LINES and max(starts.values()) >= ALIKE_SHARE * starts.total()
    return start_alike and _line_start(rest) not in starts


def _line_start(line: bytes) -> bytes:
    """Return the first four words, numbers and signs of a line, each word as "a" and each number as "0"."""
    tokens = re.findall(rb"[A-Za-z\x80-\xff]+|\d+|.", line[:64], re.DOTALL)[:4]
    return b"".join(b"a" if token[:1].isalpha() else b"0" if token.isdigit() else token for token in tokens)


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
