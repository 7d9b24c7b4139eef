"""What one writer wrote, as one sequence of bytes over all the files it went to.

A record may begin in one generation and end in the next, so whoever reads records reads the stream, and what it says
of the stream (bytes, lines) is translated here into a place in a file.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from wscheck.observe.tailing.fingerprint import FilePosition
from wscheck.observe.tailing.open_file import OpenLog


class StreamChunk(NamedTuple):
    """New bytes of `stream`. `data` is only valid until the next piece: the buffer is used again."""

    stream: "LogStream"
    data: memoryview


class StreamSegment(msgspec.Struct):
    """The part of a stream that lies in one file.

    begins        bytes of the stream before it
    offset        where in the file it begins
    lines_before  lines of the stream before it
    first_line    lines of the file before it, None where nobody counted
    """

    log: OpenLog
    begins: int
    offset: int
    lines_before: int
    first_line: int | None


class LogStream:
    """One sequence of bytes. Its reader keeps `consumed` and `lines` up to date after each piece.

    length    bytes handed out so far
    consumed  bytes up to the end of the last complete record
    lines     lines handed out so far
    """

    def __init__(self, log: OpenLog, first_line: int | None = 0) -> None:
        self.length = self.consumed = self.lines = 0
        self._segments: list[StreamSegment] = []
        self.go_on_in(log, first_line)

    @property
    def log(self) -> OpenLog:
        """The file that is read now."""
        return self._segments[-1].log

    @property
    def first(self) -> OpenLog:
        """The file that holds the end of the last complete record."""
        self._release()
        return self._segments[0].log

    @property
    def path(self) -> Path:
        return self.log.reader.path

    def go_on_in(self, log: OpenLog, first_line: int | None = 0) -> None:
        """What follows comes from `log`."""
        self._segments.append(StreamSegment(log, self.length, log.offset, self.lines, first_line))
        self._release()

    def forget(self) -> None:
        """What was read of the files before is no longer in them: records must not be looked for there."""
        for segment in self._segments[:-1]:
            segment.log.close()
        del self._segments[:-1]

    def position(self) -> FilePosition:
        """The end of the last complete record, as a place in the file that holds it."""
        self._release()
        segment = self._segments[0]
        offset = segment.offset + max(0, self.consumed - segment.begins)
        place = segment.log.position_at(offset)
        return msgspec.structs.replace(place, lines=self._lines_at(segment, offset))

    def _lines_at(self, segment: StreamSegment, offset: int) -> int | None:
        if segment.first_line is None:
            return None
        ended = self._segments[1].lines_before if len(self._segments) > 1 else self.lines
        unread = segment.log.reader.read_at(segment.log.offset - offset, offset).count(b"\n")
        return segment.first_line + ended - segment.lines_before - unread

    @property
    def numbered_as_read(self) -> bool:
        """Whether the stream's line numbers are the file's: it began at a file's start and never left it."""
        first = self._segments[0]
        return len(self._segments) == 1 and first.first_line == first.lines_before

    def line(self, line: int) -> int | None:
        """The number in its file of the stream's line `line` (both from 1), None where it is not known."""
        segment = next((s for s in reversed(self._segments) if s.lines_before < line), self._segments[0])
        return None if segment.first_line is None else segment.first_line + line - segment.lines_before

    def _release(self) -> None:
        """Close the files that hold nothing unconsumed any more."""
        while len(self._segments) > 1 and self._segments[1].begins <= self.consumed:
            self._segments.pop(0).log.close()

    def close(self) -> None:
        for segment in self._segments:
            segment.log.close()
