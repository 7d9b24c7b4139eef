"""Logs that are still being written: events from files and pipes, and from several logs merged by time."""

import heapq
import os
import select
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from wscheck.model.events import Event
from wscheck.observe.logs.access_log import AccessLog
from wscheck.observe.logs.ordering import with_times
from wscheck.observe.logs.wording.scout import WordingScout
from wscheck.observe.tailing.follower import INCOMPLETE_GZIP, LogFollower, ResumePoint
from wscheck.observe.tailing.open_file import HOLE_BYTES, OpenFiles, leading_zeros
from wscheck.observe.tailing.packed_log import GZIP_MAGIC, PackedReader
from wscheck.observe.tailing.read_buffer import ReadBuffer
from wscheck.observe.tailing.stream import LogStream

BATCH, BATCH_S = 2_000, 0.1
"""Maximum number of events and of seconds per batch. Evaluating each event alone takes twice as long."""

IDLE_S = 0.5
"""Seconds without new bytes after which a record that may continue counts as complete."""


class LogReader(Protocol):
    """Reader that converts a log's bytes to events.

    pending      whether further lines may belong to a record whose start has been read
    offset       number of bytes up to the end of the last complete record
    lines, bytes, unreadable  number of lines and bytes that were read, and of lines that could not be read
    levels       number of events per completeness: with all ids, with the user only, and so on (docs/logs.md)
    scan         reads from a buffer and returns how many events `read` would return
    flush        completes the records that wait for further lines; with `at_end` also a last line without a line end
    latest       time of the last line that contains a time
    """

    @property
    def pending(self) -> bool: ...
    @property
    def offset(self) -> int: ...
    @property
    def lines(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def unreadable(self) -> int: ...
    @property
    def levels(self) -> Mapping[Any, int]: ...
    @property
    def latest(self) -> float | None: ...

    def feed(self, data: Any) -> list[Event]: ...
    def scan(self, buffer: ReadBuffer, size: int) -> int: ...
    def read(self) -> list[Event]: ...
    def flush(self, *, at_end: bool = False) -> list[Event]: ...


NewReader = Callable[[str], LogReader]
StopReading = Callable[[int], bool]
"""Function that receives the number of bytes read after each batch. Reading stops if it returns True."""


class _EndedReaders(msgspec.Struct):
    """Counts of the readers of files that have ended."""

    lines: int = 0
    bytes: int = 0
    unreadable: int = 0
    levels: Counter[str] = msgspec.field(default_factory=Counter)
    latest: float | None = None
    is_printed_json: bool = False
    access_logs: list[AccessLog] = msgspec.field(default_factory=list)
    scouts: list[WordingScout] = msgspec.field(default_factory=list)


Found = TypeVar("Found")


def _levels(reader: LogReader) -> dict[str, int]:
    return {str(level): count for level, count in reader.levels.items()}


def _attributes(readers: Iterable[LogReader], name: str, kind: type[Found]) -> list[Found]:
    """Return the attribute `name` of each reader whose attribute has the type `kind`, without duplicates."""
    found = (getattr(reader, name, None) for reader in readers)
    return list({id(each): each for each in found if isinstance(each, kind)}.values())


class LogInput:
    """One log: the readers of its current file and its rotated files, and the sums of their counts."""

    def __init__(self, name: str, new_reader: NewReader, node: str | None, buffer: ReadBuffer | None) -> None:
        """Create the log. `node` is the server process of events that name no server process."""
        self.name, self.node = name, node
        self._buffer = buffer or ReadBuffer()
        self.ended = False
        self._new_reader, self._readers, self._ended = new_reader, list[LogReader](), _EndedReaders()
        self._last_read_at = 0.0

    def _open_reader(self) -> LogReader:
        self._readers.append(self._new_reader(self.name))
        return self._readers[-1]

    def _retire(self, reader: LogReader) -> None:
        """Drop a reader whose file has ended, and add what it counted to the sums of the log."""
        self._readers.remove(reader)
        ended = self._ended
        ended.lines += reader.lines
        ended.bytes += reader.bytes
        ended.unreadable += reader.unreadable
        ended.levels.update(_levels(reader))
        ended.latest = reader.latest if reader.latest is not None else ended.latest
        ended.is_printed_json |= bool(getattr(reader, "is_printed_json", False))
        ended.access_logs += _attributes([reader], "access_log", AccessLog)
        ended.scouts = list(dict.fromkeys((*ended.scouts, *_attributes([reader], "scout", WordingScout))))

    @property
    def lines(self) -> int:
        return self._ended.lines + sum(reader.lines for reader in self._readers)

    @property
    def bytes(self) -> int:
        return self._ended.bytes + sum(reader.bytes for reader in self._readers)

    @property
    def unreadable(self) -> int:
        return self._ended.unreadable + sum(reader.unreadable for reader in self._readers)

    @property
    def levels(self) -> Counter[str]:
        """Return the number of events per completeness: with all ids, with the user only, and so on (docs/logs.md)."""
        total = Counter(self._ended.levels)
        for reader in self._readers:
            total.update(_levels(reader))
        return total

    @property
    def access_logs(self) -> list[AccessLog]:
        """Return one `AccessLog`, with the requests counted so far, for each file of this log that is an access log."""
        return [*self._ended.access_logs, *_attributes(self._readers, "access_log", AccessLog)]

    @property
    def is_printed_json(self) -> bool:
        """Return whether a file of this log is one JSON document over several lines."""
        return self._ended.is_printed_json or any(getattr(each, "is_printed_json", False) for each in self._readers)

    @property
    def scouts(self) -> list[WordingScout]:
        """Return the searches of this log for connections that no known marker reports."""
        return list(dict.fromkeys((*self._ended.scouts, *_attributes(self._readers, "scout", WordingScout))))

    @property
    def latest(self) -> float | None:
        """Return the time of the last line that contains a time."""
        found = (at for reader in reversed(self._readers) if (at := reader.latest) is not None)
        return next(found, self._ended.latest)

    @property
    def read_errors(self) -> Mapping[Path, str]:
        """Return a dict of file to the reason why the file could not be read to its end."""
        return {}

    @property
    def pending(self) -> bool:
        """Return whether further lines may belong to a record whose start has been read."""
        return any(reader.pending for reader in self._readers)


class FollowedLog(LogInput):
    """Log file that is followed by its name. Line numbers start at 1 in each file, also after a rotation."""

    def __init__(
        self,
        path: Path,
        new_reader: NewReader,
        buffer: ReadBuffer | None = None,
        note: Callable[[str], None] = lambda _: None,
        node: str | None = None,
        *,
        batch_s: float = BATCH_S,
        files: OpenFiles | None = None,
    ) -> None:
        """Create the log.

        note     receives messages about lost lines and about files that cannot be opened
        batch_s  longest time to read before events are returned
        files    closes the files of some logs while too many are open
        """
        super().__init__(str(path), new_reader, node, buffer)
        self.path, self._batch_s = path, batch_s
        self._follower = LogFollower(path, self._buffer.payload, note, files)
        self._by_stream: dict[LogStream, LogReader] = {}

    def begin(self, resume_point: ResumePoint | None = None, *, at_end: bool = False) -> None:
        """Start at `resume_point`. Without one, start at the end of the file if `at_end`, otherwise at its start."""
        if resume_point is not None:
            self._follower.resume(resume_point)
        else:
            self._follower.start(at_end=at_end)

    def read(self, now: float, stop: StopReading = lambda _: False) -> Iterator[list[Event]]:
        """Yield the events in the new bytes, in batches. `now` is a monotonic time."""
        size, until = 0, time.monotonic() + self._batch_s
        for stream, data in self._follower.read(now):
            self._last_read_at = now
            size += len(data)
            reader = self._reader_for(stream)
            if not self._buffer.contains(data):
                events = reader.feed(data)  # bytes that the follower adds between two files
            elif data and reader.scan(self._buffer, len(data)) < BATCH and time.monotonic() < until:
                continue
            else:
                events = reader.read()
            yield self._events(stream, events)
            if stop(size):
                return
            size, until = 0, time.monotonic() + self._batch_s
        yield from self._retire_ended()

    def _retire_ended(self) -> Iterator[list[Event]]:
        """Yield the last events of the files that have no writer any more, and drop their readers."""
        if len(self._by_stream) == 1 and self._follower.main in self._by_stream:
            return
        streams = set(self._follower.streams)
        for stream in [stream for stream in self._by_stream if stream not in streams]:
            if events := self._by_stream[stream].flush(at_end=True):
                yield self._events(stream, events)
            self._retire(self._by_stream.pop(stream))

    @property
    def has_changed(self) -> bool:
        """True if the log may contain something new, or could not be read completely."""
        return self._follower.has_changed

    @property
    def losses(self) -> Sequence[tuple[str, int | None]]:
        """Pairs (what happened, number of lost bytes), one for each loss. The number is None if it is unknown."""
        return self._follower.losses

    @property
    def is_gone(self) -> bool:
        """True if the file was deleted and has no writer any more."""
        return self._follower.is_gone

    def flush_idle(self, now: float, *, at_once: bool = False, at_end: bool = False) -> Iterator[list[Event]]:
        """Yield the events of records that have waited long enough for further lines or, if `at_once`, of all records.

        at_end  the log has ended, so its last line is complete even without a line end
        """
        for stream in self._follower.streams:
            reader = self._by_stream.get(stream)
            if reader is not None and (at_once or (reader.pending and now - self._last_read_at >= IDLE_S)):
                yield self._events(stream, reader.flush(at_end=at_end))

    @property
    def read_errors(self) -> Mapping[Path, str]:
        """Return a dict of current or rotated file to the reason why the file could not be read to its end."""
        return self._follower.read_errors

    def resume_point(self) -> ResumePoint | None:
        """Return the position at which a later run can continue."""
        return self._follower.resume_point()

    def _reader_for(self, stream: LogStream) -> LogReader:
        reader = self._by_stream.get(stream)
        if reader is None:
            reader = self._by_stream[stream] = self._open_reader()
        return reader

    def _events(self, stream: LogStream, events: list[Event]) -> list[Event]:
        reader = self._by_stream[stream]
        stream.consumed, stream.lines = reader.offset, reader.lines
        if stream.numbered_as_read:
            return events
        return [msgspec.structs.replace(e, line=stream.line(e.line)) if e.line else e for e in events]

    def close(self) -> None:
        """Close the files."""
        self._follower.close()


class PipedLog(LogInput):
    """Log from a pipe, until its writer closes it. Gzip is decompressed."""

    def __init__(
        self,
        new_reader: NewReader,
        fd: int = 0,
        name: str = "<stdin>",
        node: str | None = None,
        buffer: ReadBuffer | None = None,
    ) -> None:
        super().__init__(name, new_reader, node, buffer)
        self.fd = fd
        self._reader = self._open_reader()
        self._packed: PackedReader | None = None
        self._waiting, self._unpacked = b"", 0
        self._failure = ""

    def read(self, now: float, stop: StopReading = lambda _: False) -> Iterator[list[Event]]:
        """Yield the events in the available bytes, in batches. `ended` becomes true at the end of the pipe."""
        size, until = 0, time.monotonic() + BATCH_S
        while not self.ended and self._has_input():
            size_read = self._fill_buffer()
            self.ended, self._last_read_at = not size_read, now
            size += size_read
            size_read = self._drop_zeros(size_read)
            for waiting in self._scan(size_read):
                if waiting >= BATCH:
                    yield self._reader.read()
            if size_read and time.monotonic() < until and self._has_input():
                continue
            yield self._reader.flush(at_end=True) if self.ended else self._reader.read()
            if stop(size):
                return
            size, until = 0, time.monotonic() + BATCH_S

    def _drop_zeros(self, size: int) -> int:
        """Remove a long run of zeros from the start of the buffer: a hole in a file that `cat` reads.

        Return the number of bytes that remain of `size`.
        """
        payload = self._buffer.payload
        if not size or payload[0] or self._packed is not None:
            return size
        data = bytes(payload[:size])
        if (zeros := leading_zeros(data)) < HOLE_BYTES:
            return size
        payload[: size - zeros] = data[zeros:]
        return size - zeros

    def _fill_buffer(self) -> int:
        """Read available bytes into the buffer; return 0 at the end or on a failure (a terminal that hung up)."""
        try:
            return os.readv(self.fd, [self._buffer.payload])
        except OSError as error:
            self._failure = f"cannot be read beyond byte {self.bytes}: {error.strerror}"
            return 0

    def _has_input(self) -> bool:
        return bool(select.select([self.fd], [], [], 0)[0])

    def _scan(self, size: int) -> Iterator[int]:
        """Read `size` bytes of the buffer. After each piece, yield the number of events that the reader can return."""
        payload = self._buffer.payload
        if not self._reader.bytes and self._packed is None and payload[: len(GZIP_MAGIC)] == GZIP_MAGIC:
            self._packed = PackedReader(self._next_packed)
        if self._packed is None:
            yield self._reader.scan(self._buffer, size)
            return
        self._waiting = bytes(payload[:size])
        while data := self._packed.read_at(len(payload), self._unpacked):
            self._unpacked += len(data)
            payload[: len(data)] = data
            yield self._reader.scan(self._buffer, len(data))

    def _next_packed(self, _: int) -> bytes:
        """Return the compressed bytes that arrived since the last call."""
        arrived, self._waiting = self._waiting, b""
        return arrived

    @property
    def read_errors(self) -> Mapping[Path, str]:
        """Return a dict of the pipe's name to the reason why reading failed, empty if the pipe was read to its end."""
        reason = self._failure
        if not reason and self.ended and self._packed is not None and self._packed.damaged:
            reason = f"{INCOMPLETE_GZIP}: only its first {self.bytes} unpacked bytes can be read"
        return {Path(self.name): reason} if reason else {}

    def flush_idle(self, now: float, *, at_once: bool = False, at_end: bool = False) -> Iterator[list[Event]]:
        """Yield the events of records that have waited long enough for further lines or, if `at_once`, of all records.

        at_end  the pipe has ended, so its last line is complete even without a line end
        """
        if at_once or (self._reader.pending and now - self._last_read_at >= IDLE_S):
            yield self._reader.flush(at_end=at_end)

    def close(self) -> None:
        """Leave the pipe open: the caller owns it."""


Batches = Iterator[list[Event]]


def with_node(node: str | None, batches: Batches) -> Batches:
    """Set `node` on the events that name no server process, and return the batches."""
    if node is None:
        return batches
    return ([e if e.node is not None else msgspec.structs.replace(e, node=node) for e in batch] for batch in batches)


def merge_by_time(logs: Iterable[Batches]) -> Batches:
    """Merge the events of several logs by time. An event without a time stays after the previous event of its log."""
    each = list(logs)
    if len(each) == 1:
        yield from each[0]
        return
    timed = (with_times(chain.from_iterable(batches)) for batches in each)
    events = (event for _, event in heapq.merge(*timed, key=lambda timed: timed[0]))
    while batch := list(islice(events, BATCH)):
        yield batch
