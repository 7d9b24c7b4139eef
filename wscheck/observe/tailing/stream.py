"""One writer's output as one sequence of bytes, over all files that it was written to.

A record may start in one generation of the log and end in the next. A reader of records therefore reads the stream,
and this module translates its progress (bytes, lines) to a position in a file.
"""

from pathlib import Path
from typing import NamedTuple

import msgspec

from wscheck.observe.tailing.open_file import FilePosition, OpenLog


class StreamChunk(NamedTuple):
    """New bytes of `stream`. `data` is valid until the next chunk, which reuses the buffer."""

    stream: "LogStream"
    data: memoryview


class StreamSegment(msgspec.Struct):
    """The part of a stream that is in one file.

    start        number of bytes of the stream before the segment
    offset       offset in the file at which the segment starts
    lines_before number of lines of the stream before the segment
    first_line   number of lines of the file before the segment, None if they were not counted
    end          offset in the file at which the segment ends, None for the current offset of `log`
    """

    log: OpenLog
    start: int
    offset: int
    lines_before: int
    first_line: int | None
    end: int | None = None


class LogStream:
    """The output of one writer as one sequence of bytes. Its reader updates `consumed` and `lines` after each chunk.

    length    number of bytes read from the files
    consumed  number of bytes up to the end of the last complete record
    lines     number of lines read from the files
    """

    def __init__(self, log: OpenLog, first_line: int | None = 0) -> None:
        self.length = self.consumed = self.lines = 0
        self._segments: list[StreamSegment] = []
        self.continue_in(log, first_line)

    @property
    def log(self) -> OpenLog:
        """The file that is read now."""
        return self._segments[-1].log

    @property
    def oldest_log(self) -> OpenLog:
        """The file that contains the end of the last complete record."""
        self._close_consumed()
        return self._segments[0].log

    @property
    def path(self) -> Path:
        return self.log.reader.path

    @property
    def logs(self) -> list[OpenLog]:
        """The files with bytes that are not consumed yet, and the current file, which is the last."""
        return list(dict.fromkeys(segment.log for segment in self._segments))

    def continue_in(self, log: OpenLog, first_line: int | None = 0) -> None:
        """Read the following bytes from `log`, which has `first_line` lines before its current offset."""
        self._segments.append(StreamSegment(log, self.length, log.offset, self.lines, first_line))
        self._close_consumed()

    def skip_to(self, offset: int, end: int) -> None:
        """Record that the bytes of the current file from `end` to `offset` were skipped, and continue at `offset`."""
        self._segments[-1].end = end
        first_line = self.line(self.lines)
        self._segments.append(StreamSegment(self.log, self.length, offset, self.lines, first_line))
        self._close_consumed()

    def drop_earlier_files(self) -> None:
        """Close all files but the current file, because they no longer contain what was read from them."""
        while len(self._segments) > 1:
            self._drop_first()

    def position(self) -> FilePosition:
        """Return the end of the last complete record as a position in the file that contains it."""
        self._close_consumed()
        segment = self._segments[0]
        offset = segment.offset + max(0, self.consumed - segment.start)
        position = segment.log.position_at(offset)
        return msgspec.structs.replace(position, lines=self._lines_at(segment, offset))

    def _lines_at(self, segment: StreamSegment, offset: int) -> int | None:
        if segment.first_line is None:
            return None
        ended = self._segments[1].lines_before if len(self._segments) > 1 else self.lines
        end = segment.end if segment.end is not None else segment.log.offset
        unread = segment.log.reader.read_at(end - offset, offset).count(b"\n")
        return segment.first_line + ended - segment.lines_before - unread

    @property
    def numbered_as_read(self) -> bool:
        """True if the stream and its file have the same line numbers, because the stream started with this file."""
        first = self._segments[0]
        return len(self._segments) == 1 and first.first_line == first.lines_before

    def line(self, line: int) -> int | None:
        """Convert a line number of the stream to the line number in its file (both from 1), None if that is unknown."""
        segment = next((s for s in reversed(self._segments) if s.lines_before < line), self._segments[0])
        return None if segment.first_line is None else segment.first_line + line - segment.lines_before

    def _close_consumed(self) -> None:
        """Close the files with content that was completely consumed."""
        while len(self._segments) > 1 and self._segments[1].start <= self.consumed:
            self._drop_first()

    def _drop_first(self) -> None:
        log = self._segments.pop(0).log
        if log is not self._segments[0].log:
            log.close()

    def close(self) -> None:
        for segment in self._segments:
            segment.log.close()
