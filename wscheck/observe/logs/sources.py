"""Logs that are still being written: bytes from files and pipes to events, as they come."""

import heapq
import os
import select
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import msgspec

from wscheck.model.events import Event
from wscheck.observe.logs.suggest.column_roles import ConnectionIds
from wscheck.observe.logs.suggest.suggestions import NO_IDS, MarkerProposal, file_pieces, suggestions_from_start
from wscheck.observe.tailing.follower import INCOMPLETE_GZIP, LogFollower, ResumePoint
from wscheck.observe.tailing.gzip_log import GZIP_MAGIC, GzipReader
from wscheck.observe.tailing.read_buffer import ReadBuffer
from wscheck.observe.tailing.stream import LogStream

BATCH, BATCH_S = 2_000, 0.1
"""So many events, or those found in so long, are handed on at once: to judge them one by one takes twice as long."""

IDLE_S = 0.5
"""A record that may still go on is taken as complete after this long without another byte."""


class LogReader(Protocol):
    """What turns a log's bytes into events (`sources/logs`).

    pending  a record has begun and may still go on
    offset   bytes fed up to the end of the last complete record
    lines, bytes, unreadable  what was fed and what could not be read of it
    levels   how much the records said: events by evidence level
    look     takes so many bytes from a desk and says how many events `read` would give
    flush    gives what waits for more lines; `at_end`, also what waits for the end of its line
    latest   the time that the last lines it was fed tell
    suggestions  what in the last it was fed may be events of these kinds in other words; `about`: of these ids
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
    def look(self, buffer: ReadBuffer, size: int) -> int: ...
    def read(self) -> list[Event]: ...
    def flush(self, *, at_end: bool = False) -> list[Event]: ...
    def suggestions(self, kinds: Collection[str], about: ConnectionIds = NO_IDS) -> list[MarkerProposal]: ...


NewReader = Callable[[str], LogReader]
StopReading = Callable[[int], bool]
"""Told how many bytes were read, each time that all the events in them were taken; True ends the reading there."""


class LogInput:
    """What all kinds of log have in common: readers, and what these counted."""

    def __init__(self, name: str, new_reader: NewReader, node: str | None, buffer: ReadBuffer | None) -> None:
        """`node`: the server process that writes it, for events that name none."""
        self.name, self.node = name, node
        self._buffer = buffer or ReadBuffer()
        self.ended = False
        self._new_reader, self._readers = new_reader, list[LogReader]()
        self._last_read_at = 0.0

    def _open_reader(self) -> LogReader:
        self._readers.append(self._new_reader(self.name))
        return self._readers[-1]

    @property
    def lines(self) -> int:
        return sum(reader.lines for reader in self._readers)

    @property
    def bytes(self) -> int:
        return sum(reader.bytes for reader in self._readers)

    @property
    def unreadable(self) -> int:
        return sum(reader.unreadable for reader in self._readers)

    @property
    def levels(self) -> Counter[str]:
        """Events by how much their records said (docs/logs.md)."""
        total = Counter[str]()
        for reader in self._readers:
            total.update({str(level): count for level, count in reader.levels.items()})
        return total

    def suggestions(self, kinds: Collection[str]) -> list[MarkerProposal]:
        """What in the last that was read may be events of these kinds in other words."""
        return self._readers[-1].suggestions(kinds) if self._readers else []

    @property
    def latest(self) -> float | None:
        """The time that its last lines tell, whatever they are about."""
        return next((at for reader in reversed(self._readers) if (at := reader.latest) is not None), None)

    @property
    def read_errors(self) -> Mapping[Path, str]:
        """Files that could not be read to their end, and why."""
        return {}

    @property
    def pending(self) -> bool:
        """Whether a record has begun that may still go on."""
        return any(reader.pending for reader in self._readers)


class FollowedLog(LogInput):
    """A log file followed by its name. Line numbers are those of the file, whatever was rotated."""

    def __init__(
        self,
        path: Path,
        new_reader: NewReader,
        buffer: ReadBuffer | None = None,
        note: Callable[[str], None] = lambda _: None,
        node: str | None = None,
        *,
        batch_s: float = BATCH_S,
    ) -> None:
        """`batch_s`: for how long it may read before it gives what it found."""
        super().__init__(str(path), new_reader, node, buffer)
        self.path, self._batch_s = path, batch_s
        self._follower = LogFollower(path, self._buffer.payload, note)
        self._by_stream: dict[int, LogReader] = {}

    def begin(self, resume_point: ResumePoint | None = None, *, at_end: bool = False) -> None:
        """Begin at `resume_point`, at the end, or at the start."""
        if resume_point is not None:
            self._follower.resume(resume_point)
        else:
            self._follower.start(at_end=at_end)

    def read(self, now: float, stop: StopReading = lambda _: False) -> Iterator[list[Event]]:
        """The events in what is new, many at a time; `now` is a clock that only goes forward."""
        size, until = 0, time.monotonic() + self._batch_s
        for stream, data in self._follower.read(now):
            self._last_read_at = now
            size += len(data)
            reader = self._reader_for(stream)
            if not self._buffer.contains(data):
                events = reader.feed(data)  # what the follower adds between two files
            elif data and reader.look(self._buffer, len(data)) < BATCH and time.monotonic() < until:
                continue
            else:
                events = reader.read()
            yield self._events(stream, events)
            if stop(size):
                return
            size, until = 0, time.monotonic() + self._batch_s

    def flush_idle(self, now: float, *, at_once: bool = False, at_end: bool = False) -> Iterator[list[Event]]:
        """Complete the records that waited for more lines long enough, or all of them.

        `at_end`: the last line is whole although nothing ends it; in a log that goes on it may be half written.
        """
        for stream in self._follower.streams:
            reader = self._by_stream.get(id(stream))
            if reader is not None and (at_once or (reader.pending and now - self._last_read_at >= IDLE_S)):
                yield self._events(stream, reader.flush(at_end=at_end))

    def suggestions(self, kinds: Collection[str]) -> list[MarkerProposal]:
        """Also in how the file begins, of the kinds that the last lines do not show."""
        found = super().suggestions(kinds)
        rest = [kind for kind in kinds if all(kind != one.kind for one in found)]
        if not (rest and self.bytes):
            return found
        return [*found, *suggestions_from_start(file_pieces(self.path), self._new_reader(self.name), rest)]

    @property
    def read_errors(self) -> Mapping[Path, str]:
        """Of all its generations."""
        return self._follower.damaged

    def resume_point(self) -> ResumePoint | None:
        """Where to go on after a restart."""
        return self._follower.resume_point()

    def _reader_for(self, stream: LogStream) -> LogReader:
        reader = self._by_stream.get(id(stream))
        if reader is None:
            reader = self._by_stream[id(stream)] = self._open_reader()
        return reader

    def _events(self, stream: LogStream, events: list[Event]) -> list[Event]:
        reader = self._by_stream[id(stream)]
        stream.consumed, stream.lines = reader.offset, reader.lines
        if stream.numbered_as_read:
            return events
        return [msgspec.structs.replace(e, line=stream.line(e.line)) if e.line else e for e in events]

    def close(self) -> None:
        """Close its files."""
        self._follower.close()


class PipedLog(LogInput):
    """A log that comes in through a pipe, for as long as its writer lives; unpacked if it comes as gzip packs it."""

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
        self._packed: GzipReader | None = None
        self._waiting, self._unpacked = b"", 0
        self._failure = ""

    def read(self, now: float, stop: StopReading = lambda _: False) -> Iterator[list[Event]]:
        """The events in what has arrived, many at a time; at the end of the pipe `ended` becomes true."""
        size, until = 0, time.monotonic() + BATCH_S
        while not self.ended and self._has_input():
            taken = self._fill_buffer()
            self.ended, self._last_read_at = not taken, now
            size += taken
            for waiting in self._scan(taken):
                if waiting >= BATCH:
                    yield self._reader.read()
            if taken and time.monotonic() < until and self._has_input():
                continue
            yield self._reader.flush(at_end=True) if self.ended else self._reader.read()
            if stop(size):
                return
            size, until = 0, time.monotonic() + BATCH_S

    def _fill_buffer(self) -> int:
        """Lay on the desk what has arrived; 0 at the end, which a failure is too (a terminal that hung up)."""
        try:
            return os.readv(self.fd, [self._buffer.payload])
        except OSError as error:
            self._failure = f"cannot be read beyond byte {self.bytes}: {error.strerror}"
            return 0

    def _has_input(self) -> bool:
        return bool(select.select([self.fd], [], [], 0)[0])

    def _scan(self, size: int) -> Iterator[int]:
        """Take what was laid on the desk; gives how many events wait, each time there are more."""
        payload = self._buffer.payload
        if not self._reader.bytes and self._packed is None and payload[: len(GZIP_MAGIC)] == GZIP_MAGIC:
            self._packed = GzipReader(self._take_packed)
        if self._packed is None:
            yield self._reader.look(self._buffer, size)
            return
        self._waiting = bytes(payload[:size])
        while data := self._packed.read_at(len(payload), self._unpacked):
            self._unpacked += len(data)
            payload[: len(data)] = data
            yield self._reader.look(self._buffer, len(data))

    def _take_packed(self, _: int) -> bytes:
        """What came packed and was not given yet."""
        arrived, self._waiting = self._waiting, b""
        return arrived

    @property
    def read_errors(self) -> Mapping[Path, str]:
        """Itself, when it failed, or ended before what was packed did."""
        reason = self._failure
        if not reason and self.ended and self._packed is not None and self._packed.damaged:
            reason = f"{INCOMPLETE_GZIP}: only its first {self.bytes} unpacked bytes can be read"
        return {Path(self.name): reason} if reason else {}

    def flush_idle(self, now: float, *, at_once: bool = False, at_end: bool = False) -> Iterator[list[Event]]:
        """As for a followed log."""
        if at_once or (self._reader.pending and now - self._last_read_at >= IDLE_S):
            yield self._reader.flush(at_end=at_end)

    def close(self) -> None:
        """The pipe is not ours to close."""


Batches = Iterator[list[Event]]


def with_node(node: str | None, batches: Batches) -> Batches:
    """The same events, those that name no node with `node`."""
    if node is None:
        return batches
    return ([e if e.node is not None else msgspec.structs.replace(e, node=node) for e in batch] for batch in batches)


def merge_by_time(logs: Iterable[Batches]) -> Batches:
    """Several logs as one, in the order of their times; an event without a time stays behind the one before it."""
    each = list(logs)
    if len(each) == 1:
        yield from each[0]
        return
    events = (event for _, event in heapq.merge(*map(_timed, each), key=lambda timed: timed[0]))
    while batch := list(islice(events, BATCH)):
        yield batch


def _timed(batches: Batches) -> Iterator[tuple[float, Event]]:
    last = 0.0
    for event in chain.from_iterable(batches):
        last = event.at if event.at is not None else last
        yield last, event
