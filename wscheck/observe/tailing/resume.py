"""Where an earlier run stopped, found again: the files may have been renamed, copied, packed or replaced since."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from wscheck.observe.tailing.fingerprint import FilePosition
from wscheck.observe.tailing.generations import (
    SCANS,
    Continuation,
    DirectoryUnstable,
    file_identity,
    find_continuation,
    scan_stable,
)
from wscheck.observe.tailing.open_file import Identity, OpenLog
from wscheck.observe.tailing.stream import LogStream

Open = Callable[[Continuation], OpenLog | None]


class ResumePointFinder:
    """Looks for places in the files of the log `name`; `open_log` opens what is found."""

    def __init__(self, name: Path, open_log: Open) -> None:
        self._name, self._open = name, open_log

    def current(self, position: FilePosition) -> LogStream | None:
        """What the name stood for, in whatever file that is now."""
        return self._stream(position)

    def late(
        self, positions: Sequence[FilePosition], seen: Iterable[FilePosition], current: LogStream | None
    ) -> list[LogStream]:
        """What late writers were in: not the name itself, nor a file that was left for good (`seen`).

        The place furthest on chooses first. A file that was replaced by its copy, and the copy, which went on, both
        hold the nearer place; only the copy is left on disk, and from the nearer place it would be read twice.
        """
        seen, found = list(seen), dict[int, LogStream]()
        taken = {file_identity(self._name), current.log.reader.identity if current is not None else None}
        for index in sorted(range(len(positions)), key=lambda index: -positions[index].offset):
            left = [place for place in seen if place.offset > positions[index].offset]
            if (stream := self._stream(positions[index], taken, left)) is not None:
                found[index] = stream
                taken.add(stream.log.reader.identity)
        return [found[index] for index in sorted(found)]

    def _stream(
        self, position: FilePosition, taken: Iterable[Identity | None] = (), left: Iterable[FilePosition] = ()
    ) -> LogStream | None:
        """The file that goes on from `position`; where nothing was read there is nothing to recognise it by."""
        for _ in range(SCANS if position.offset else 0):
            with suppress(DirectoryUnstable):
                rest = scan_stable(self._name, lambda: find_continuation(self._name, position, taken, left))
                if rest is None:
                    return None
                if (log := self._open(rest)) is not None:
                    return LogStream(log, position.lines)
        return None
