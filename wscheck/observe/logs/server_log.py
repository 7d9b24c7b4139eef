"""Log of a server that is read during a run of `wscheck verify`, starting at the end of the log."""

import asyncio
import os
import re
import stat
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from wscheck.model.errors import BadEvidence
from wscheck.model.events import Event
from wscheck.model.report import MarkerSuggestion
from wscheck.model.secrets import Redactor
from wscheck.observe.logs.extractor import LogExtractor, read_events
from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.proposals import MarkerProposal, propose, readings_about
from wscheck.observe.logs.sources import FollowedLog, LogReader, NewReader, PipedLog
from wscheck.observe.logs.vocabulary import LogVocabulary
from wscheck.observe.logs.wording.id_places import Ids
from wscheck.observe.tailing.read_buffer import ReadBuffer

WINDOW_SIZE = 8 << 20
"""Maximum bytes of log text that are stored for one phase of a scenario. Of more text, the newest part is stored."""

MAX_LINES_ABOVE = 6
"""Number of lines above an id that are searched for the start of its record."""

MIN_ID_LENGTH = 3
"""Minimum length of an id that is searched for; shorter ids would occur in any log."""

_PART = lazy_pattern(r"[\s•*|-]")
"""Start of a line that continues a record."""


class RawLogWindow:
    """Newest raw text of one log, collected from the readers of its current and rotated files.

    If no event was read, the text shows whether the log is silent or reports connections in unknown words. Reports
    quote from the text.
    """

    def __init__(self) -> None:
        self._text = bytearray()
        self._new_reader: NewReader | None = None

    def wrap_factory(self, new_reader: NewReader) -> NewReader:
        """Return a factory of readers that also append the text that they read to this window."""
        self._new_reader = new_reader
        return lambda name: _RecordingReader(new_reader(name), self)

    def clear(self) -> None:
        """Discard the stored lines.

        The start of a line that is still being written stays, so that it can be quoted later.
        """
        del self._text[: self._text.rfind(b"\n") + 1]

    def append(self, data: Any) -> None:
        self._text += data
        if len(self._text) > WINDOW_SIZE:
            # A secret that is cut in two would not be recognised, so no line is.
            end_of_line = self._text.find(b"\n", len(self._text) - WINDOW_SIZE)
            del self._text[: end_of_line + 1 if end_of_line >= 0 else len(self._text)]

    def proposals(self, kinds: Collection[str], ids: Ids) -> list[MarkerProposal]:
        """Return options (--marker, --key) that read the lines with known ids as events of `kinds`."""
        scout = getattr(self._new_reader(""), "scout", None) if self._new_reader is not None else None
        vocabulary = scout.vocabulary if scout is not None else LogVocabulary()
        long = Ids(
            {each for each in ids.sids if len(each) >= MIN_ID_LENGTH},
            {each for each in ids.users if len(each) >= MIN_ID_LENGTH},
        )
        redactor = scout.redactor if scout is not None else Redactor()
        return propose(readings_about(bytes(self._text), long, vocabulary, kinds), vocabulary, read_events, redactor)

    def find_mention(self, ids: Iterable[str]) -> str:
        """Return the first line that contains one of `ids`, "" if there is none.

        If the line continues a record, the result starts with the earlier lines of this record. If the line is still
        being written, the result ends with the id: redaction might not recognise an incomplete secret after it.
        """
        wanted = [re.escape(each.encode()) for each in ids if len(each) >= MIN_ID_LENGTH]
        found = re.search(rb"(?<![\w-])(?:%s)(?![\w-])" % b"|".join(wanted), self._text) if wanted else None
        if found is None:
            return ""
        end = self._text.find(b"\n", found.end())
        lines = bytes(self._text[: end if end >= 0 else found.end()]).rsplit(b"\n", MAX_LINES_ABOVE)[-MAX_LINES_ABOVE:]
        texts = [line.decode("utf-8", "replace").rstrip() for line in lines]
        first = next((at for at in range(len(texts) - 1, -1, -1) if not _PART.match(texts[at] or " ")), len(texts) - 1)
        return _shown(" ".join(line.strip() for line in texts[first:]))


def _shown(text: str) -> str:
    """Return the text with blanks in place of control characters, which could move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


class _RecordingReader:
    """Reader that also appends the text that it reads to a `RawLogWindow`."""

    def __init__(self, reader: LogReader, window: RawLogWindow) -> None:
        self._reader, self._verbatim = reader, window

    @property
    def pending(self) -> bool:
        return self._reader.pending

    @property
    def offset(self) -> int:
        return self._reader.offset

    @property
    def lines(self) -> int:
        return self._reader.lines

    @property
    def bytes(self) -> int:
        return self._reader.bytes

    @property
    def unreadable(self) -> int:
        return self._reader.unreadable

    @property
    def levels(self) -> Mapping[Any, int]:
        return self._reader.levels

    @property
    def latest(self) -> float | None:
        return self._reader.latest

    def feed(self, data: Any) -> list[Event]:
        self._verbatim.append(data)
        return self._reader.feed(data)

    def scan(self, buffer: ReadBuffer, size: int) -> int:
        self._verbatim.append(buffer.payload[:size])
        return self._reader.scan(buffer, size)

    def read(self) -> list[Event]:
        return self._reader.read()

    def flush(self, *, at_end: bool = False) -> list[Event]:
        return self._reader.flush(at_end=at_end)


POLL_INTERVAL_S = 0.02
IDLE_POLLS = 3
"""Number of polls without new bytes after which a record that further lines could continue counts as complete."""

CATCH_UP_S = 0.5
"""Longest time of `catch_up` in seconds. Without a limit, it would not end if a log grows faster than it is read."""

MAX_QUOTE = 200
"""Maximum length of a quote from the log in characters."""

Sink = Callable[[Event], None]


class ServerLog:
    """Log of one server process.

    sink  function that receives the events of the current phase (a part of a scenario); without one, they are discarded
    node  name of the server process, None if there is only one
    """

    def __init__(self, name: str, node: str | None = None) -> None:
        self.name, self.node = name, node
        self.sink: Sink | None = None

    def start_phase(self, sink: Sink) -> None:
        """Start a phase of a scenario: `sink` receives the events from now on."""
        self.sink = sink

    def find_mention(self, ids: Iterable[str]) -> str:
        """Return a quote from the log that contains one of `ids`, without secrets.

        Only the text since the start of the phase is searched. Return "" if no line contains such an id.
        """
        return ""

    def proposals(self, kinds: Collection[str], ids: Ids) -> list[MarkerSuggestion]:
        """Return options (--marker, --key) that read the lines with known ids as events of `kinds`."""
        return []

    @property
    def read_error(self) -> str:
        """Return the reason why the log could not be read to its end, "" if there is none."""
        return ""

    def emit(self, events: Iterable[Event]) -> None:
        """Pass events to the sink."""
        for event in events:
            if self.sink is not None:
                # The log is read while it is written, so events happen now. The server's clock may be wrong.
                self.sink(msgspec.structs.replace(event, at=time.time(), node=event.node or self.node))

    def catch_up(self) -> None:
        """Read all lines that were written until now, and complete the records that wait for further lines."""

    async def follow(self) -> None:
        """Read appended lines until cancelled. An in-process log has nothing to follow."""

    def close(self) -> None:
        """Close the files."""


class EmbeddedLog(ServerLog):
    """Log of the embedded backend, which runs in this process."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._extractor = LogExtractor(name)

    def write(self, text: str) -> None:
        """Read `text`, which must consist of whole records."""
        self.emit([*self._extractor.feed(text.encode()), *self._extractor.flush()])


class ExternalLog(ServerLog):
    """Log that another process writes: a file with its rotated files, or a pipe."""

    def __init__(self, log: FollowedLog | PipedLog, window: RawLogWindow, redactor: Redactor, node: str | None) -> None:
        super().__init__(log.name, node)
        self._log, self._window, self._redactor = log, window, redactor

    def start_phase(self, sink: Sink) -> None:
        super().start_phase(sink)
        self._window.clear()

    def find_mention(self, ids: Iterable[str]) -> str:
        return self._redactor.redact(self._window.find_mention(ids))[:MAX_QUOTE]

    def proposals(self, kinds: Collection[str], ids: Ids) -> list[MarkerSuggestion]:
        return [each.to_report() for each in self._window.proposals(kinds, ids)]

    @property
    def read_error(self) -> str:
        return next(iter(self._log.read_errors.values()), "")

    def catch_up(self) -> None:
        begin = time.monotonic()
        batches = self._log.read(begin, stop=lambda size: time.monotonic() - begin > CATCH_UP_S)
        self.emit(chain.from_iterable(batches))
        self.emit(chain.from_iterable(self._log.flush_idle(time.monotonic(), at_once=True)))

    async def follow(self) -> None:
        idle = 0
        while True:
            before = self._log.bytes
            self.emit(chain.from_iterable(self._log.read(time.monotonic(), stop=lambda size: True)))
            idle = idle + 1 if self._log.bytes == before else 0
            if idle >= IDLE_POLLS:
                self.emit(chain.from_iterable(self._log.flush_idle(time.monotonic(), at_once=True)))
            await asyncio.sleep(POLL_INTERVAL_S)

    def close(self) -> None:
        self._log.close()


def open_log(
    path: str, new_reader: NewReader = LogExtractor, redactor: Redactor | None = None, node: str | None = None
) -> ServerLog:
    """Open the log at `path`, "-" for stdin. `node` is the name of the server process that writes the log.

    Raises:
        BadEvidence: The log cannot be read.
    """
    window = RawLogWindow()
    recording_reader = window.wrap_factory(new_reader)
    log = PipedLog(recording_reader) if path == "-" else _opened(Path(path), recording_reader)
    return ExternalLog(log, window, redactor or Redactor(), node)


def _opened(path: Path, new_reader: NewReader) -> FollowedLog | PipedLog:
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # A named pipe, or <(command) of a shell. Opened for writing too, it neither waits for a writer nor ends.
            return PipedLog(new_reader, os.open(path, os.O_RDWR | os.O_NONBLOCK), str(path))
        path.open("rb").close()
    except OSError as error:
        raise BadEvidence(
            f"The server log {path} cannot be read: {error.strerror}.", "Check the path given to `verify.server_log`."
        ) from None
    # One piece at a time, so that a busy log does not delay the client under test.
    log = FollowedLog(path, new_reader, batch_s=0.0)
    log.begin(at_end=True)
    return log
