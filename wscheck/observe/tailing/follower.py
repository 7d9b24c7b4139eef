"""One log followed by its name: what is read next, whatever became of the file since the last look.

Sources: what `tail -F` and its kin lose (docs/logs.md names each case), inode(7) for what an inode promises.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from wscheck.observe.tailing.fingerprint import FilePosition
from wscheck.observe.tailing.generations import (
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
from wscheck.observe.tailing.open_file import FileReader, Identity, OpenLog
from wscheck.observe.tailing.resume import ResumePointFinder
from wscheck.observe.tailing.stream import LogStream, StreamChunk

LATE_WRITER_S = 60.0
"""How long a file that was renamed away is still read after its last new byte."""
MAX_LATE_FILES = 4
REMEMBERED = 16
NOTHING = (-1, -1)
"""The identity of what is not there: whatever appears in its place is looked at the next time."""
NEWLINE = memoryview(b"\n")
INCOMPLETE_GZIP = "is no whole gzip file"


class ResumePoint(msgspec.Struct, frozen=True):
    """Where to go on with a log after a restart.

    positions  the places reached in its files: those of late writers first, the current one last
    seen       where earlier generations were left
    since_ns   when the current file was opened: no later generation was modified before
    file       the file of the current place
    copied     that is a copy, made before the log was truncated
    """

    positions: tuple[FilePosition, ...]
    seen: tuple[FilePosition, ...] = ()
    since_ns: int = 0
    file: Identity | None = None
    copied: bool = False


class LateFile(msgspec.Struct):
    """A file that was renamed away and may still be written to; `quiet_since` None: not looked at yet."""

    stream: LogStream
    quiet_since: float | None = None


class LogFollower:
    """`read` yields what is new, in order and once, and an empty piece after all that a file has for now.

    `note` is told of what was lost or could not be opened.

    damaged  files that could not be read to their end, and why
    """

    def __init__(self, name: Path, buffer: memoryview, note: Callable[[str], None]) -> None:
        self.name = name
        self.main: LogStream | None = None
        self._buffer, self._note = buffer, note
        self.damaged: dict[Path, str] = {}
        self._late: list[LateFile] = []
        self._seen: deque[FilePosition] = deque(maxlen=REMEMBERED)
        self._known = list(take_fingerprints(find_generations(name)).values())
        self._since_ns = 0
        self._settled: FilePosition | None = None
        self._resumed_at: ResumePoint | None = None

    # --- where to begin ----------------------------------------------------------------------------------------

    def begin(self, *, at_end: bool = False) -> None:
        """Begin with what the name is now; a file that appears later is read from its start."""
        for path in find_generations(self.name)[-MAX_LATE_FILES:]:
            self._pass_over(path)
        log = self._open(Continuation(self.name, 0))
        if log is not None:
            self.main = LogStream(log, log.skip_to_end(self._buffer) if at_end else 0)

    def _pass_over(self, path: Path) -> None:
        """Count what lies in `path` as read: it was there before we were."""
        log = self._open(Continuation(path, 0))
        if log is not None:
            log.move_to(log.reader.size)
            self._seen.append(log.position())
            log.close()

    def resume(self, resume_point: ResumePoint) -> None:
        """Begin where an earlier run stopped, in whatever file that place is now."""
        self._resumed_at = resume_point
        *late, current = resume_point.positions
        self._known = []
        self._seen.extend(resume_point.seen)
        resuming = ResumePointFinder(self.name, self._open)
        self.main = resuming.current(current)
        if self.main is not None:
            # The name still stands for the file that was read: it was truncated, and what it held is in a copy.
            truncated = resume_point.file == file_identity(self.name) not in {None, self.main.log.reader.identity}
            self.main.log.copied = resume_point.copied or truncated
        self._late = [LateFile(stream) for stream in resuming.late(late, self._seen, self.main)]
        self._since_ns = resume_point.since_ns
        if self.main is None and current.offset:
            self._seen.append(current)
            self._lost(current)

    def resume_point(self) -> ResumePoint | None:
        """Where to resume so that no complete record is read twice and none is missed; None before any file."""
        if self.main is None:
            return self._resumed_at
        positions = tuple(stream.position() for stream in self.streams)
        log = self.main.first
        return ResumePoint(
            positions, tuple(self._seen)[-MAX_LATE_FILES:], self._since_ns, log.reader.identity, log.copied
        )

    # --- reading -----------------------------------------------------------------------------------------------

    @property
    def streams(self) -> list[LogStream]:
        """Every stream that may still bring something, the current one last."""
        return [late.stream for late in self._late] + ([self.main] if self.main is not None else [])

    def read(self, now: float) -> Iterator[StreamChunk]:
        """What is new since the last look; `now` is any clock in seconds that only goes forward."""
        yield from self._read_late(now)
        with suppress(DirectoryUnstable):
            yield from self._read_main()

    def _read_main(self) -> Iterator[StreamChunk]:
        if self.main is not None:
            self._step_back(self.main)
        elif (log := self._open(self._next())) is not None:
            self.main = LogStream(log)
        while self.main is not None:
            truncated = yield from self._drain(self.main)
            if not truncated:
                if not self._moved(self.main):
                    return
                # What was written between the last read and the move is still behind the descriptor.
                truncated = yield from self._drain(self.main)
            if not (yield from (self._leave_truncated if truncated else self._leave)(self.main)):
                return

    def _drain(self, stream: LogStream) -> Generator[StreamChunk, None, bool]:
        """Read to the end; returns whether the file turned out to be another one than was being read."""
        before = stream.length
        while size := stream.log.read_into(self._buffer):
            stream.length += size
            yield StreamChunk(stream, self._buffer[:size])
        if stream.length > before:
            yield StreamChunk(stream, self._buffer[:0])
        self._doubt(stream.log)
        return size is None

    def _doubt(self, log: OpenLog) -> None:
        """Say what cannot be read of a file; what can be read after all is taken back."""
        path = log.reader.path
        before = self.damaged.pop(path, "")
        if log.reader.broken:
            self.damaged[path] = f"{INCOMPLETE_GZIP}: it can be read up to byte {log.offset} inside"
        elif log.failure:
            self.damaged[path] = f"cannot be read beyond byte {log.offset}: {log.failure}"
        if (why := self.damaged.get(path, "")) != before and why:
            self._note(f"{path} {why}.")

    def _read_late(self, now: float) -> Iterator[StreamChunk]:
        for late in list(self._late):
            before = late.stream.length
            truncated = yield from self._drain(late.stream)
            if late.quiet_since is None or late.stream.length > before:
                late.quiet_since = now
            if truncated or now - late.quiet_since > LATE_WRITER_S:
                self._seen.append(late.stream.log.position())
                self._late.remove(late)
                late.stream.close()

    # --- from one generation to the next -----------------------------------------------------------------------

    def _moved(self, stream: LogStream) -> bool:
        """Whether the name stands for another file by now, and there is something to read in it or before it."""
        found = file_identity(self.name)
        if found == stream.log.reader.identity:
            self._settled = stream.log.position()
            return False
        # A file that is still empty can wait: until it is written to, the writer may still be in the old one.
        return (found is not None and not is_empty(self.name)) or bool(self._unseen())

    def _leave(self, stream: LogStream) -> Generator[StreamChunk, None, bool]:
        """Go on from a file that was renamed or deleted to what came after it; False when that cannot be opened."""
        left = stream.log
        rest = self._next()
        same = find_rewritten_copy(rest.path, left, self._settled)
        following = self._open(same or rest)
        if following is None:
            return False
        if same is None and not left.copied:
            yield from self._end_line(stream)
        self._seen.append(left.position())
        if not (left.copied or left.reader.packed):
            self._keep_late(stream)
        stream.go_on_in(following, stream.line(stream.lines) if same else 0)
        return True

    def _leave_truncated(self, stream: LogStream) -> Generator[StreamChunk, None, bool]:
        """Go on from a file that was emptied under us: in the copy that was kept of it, else with what it is now."""
        left = stream.log
        copy = scan_stable(self.name, lambda: find_continuation(self.name, left.position(), [left.reader.identity]))
        if copy is not None:
            reader = self._open_reader(copy)
            if reader is not None:
                left.become(reader)
            return reader is not None
        following = self._open(self._next())
        if following is None:
            return False
        self._lost(left.position())
        yield from self._end_line(stream)
        self._seen.append(left.position())
        stream.go_on_in(following)
        stream.forget()
        return True

    def _end_line(self, stream: LogStream) -> Iterator[StreamChunk]:
        """A line cut off by the end of its file must not swallow the first line of the next one."""
        position = stream.log.position()
        if position.offset and not position.tail.endswith(b"\n"):
            stream.length += 1
            yield StreamChunk(stream, NEWLINE)

    def _keep_late(self, stream: LogStream) -> None:
        """Keep reading the file that is left: its writer may not know yet that it was renamed."""
        self._late.append(LateFile(LogStream(stream.log.again(), stream.line(stream.lines))))
        if len(self._late) > MAX_LATE_FILES:
            self._late.pop(0).stream.close()

    def _step_back(self, stream: LogStream) -> None:
        """A file in which nothing was read yet may have been filled, copied and emptied since the last look."""
        if stream.log.offset:
            return
        older = scan_stable(self.name, lambda: older_generations(self.name, stream.log.reader))
        missed = next((rest for rest in self._unseen() if rest.identity in older), None)
        if missed is not None and (log := self._open(missed)) is not None:
            stream.go_on_in(log)

    def _next(self) -> Continuation:
        """What comes after all that was read: the oldest unseen generation, else what the name stands for."""
        now = file_identity(self.name)
        return next(iter(self._unseen()), Continuation(self.name, 0, now if now is not None else NOTHING))

    def _unseen(self) -> list[Continuation]:
        logs = [stream.log for stream in self.streams]
        return scan_stable(
            self.name, lambda: unread_generations(self.name, self._since_ns, self._seen, self._known, logs)
        )

    def _open(self, rest: Continuation) -> OpenLog | None:
        reader = self._open_reader(rest)
        if reader is None:
            return None
        self._since_ns = max(self._since_ns, reader.status.st_mtime_ns)
        return OpenLog(reader, rest.offset)

    def _open_reader(self, rest: Continuation) -> FileReader | None:
        """`rest` opened; None when that is not possible, or another file by now: the next look finds what it is."""
        try:
            reader = FileReader(rest.path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._note(f"{rest.path} cannot be read: {error.strerror}.")
            return None
        if rest.identity is None or reader.identity == rest.identity:
            return reader
        reader.close()
        return None

    def _lost(self, position: FilePosition) -> None:
        self._note(
            f"{self.name} was truncated or replaced, and no file beside it holds what followed byte "
            f"{position.offset}: whatever was written there after the last look is gone."
        )

    def close(self) -> None:
        """Close every file."""
        for stream in self.streams:
            stream.close()
