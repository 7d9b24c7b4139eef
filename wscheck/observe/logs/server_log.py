"""A server's log that is read while a run goes on."""

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
from wscheck.observe.logs.extractor import Extractor
from wscheck.observe.logs.sources import FollowedLog, NewReader, PipedLog, Reader
from wscheck.observe.logs.suggest.column_roles import Ids
from wscheck.observe.logs.suggest.suggestions import NOBODY, PIECE, Suggestion, in_the_beginning
from wscheck.observe.tailing.read_buffer import ReadBuffer

KEPT = 8 << 20
"""Bytes; a phase lasts seconds, and a log that pours more than that in them is not searched further back."""

ABOVE = 6
"""Lines to look up from one that names an id, for the sentence of which it is a part."""

SHORTEST = 3
"""A shorter name of a user would be found in any log."""

_PART = re.compile(r"[\s•*|-]")
"""How a line begins that goes on with a record."""


class Verbatim:
    """The newest text of one log, over all of its readers."""

    def __init__(self) -> None:
        self._text = bytearray()
        self._new_reader: NewReader | None = None

    def beside(self, new_reader: NewReader) -> NewReader:
        """A maker of readers of which the text is kept too."""
        self._new_reader = new_reader
        return lambda name: _Beside(new_reader(name), self)

    def clear(self) -> None:
        """What was said up to now is no longer asked for."""
        self._text.clear()

    def keep(self, data: Any) -> None:
        self._text += data
        if len(self._text) > KEPT:
            del self._text[:-KEPT]

    def suggestions(self, kinds: Collection[str], about: Ids) -> list[Suggestion]:
        """What in it may be events of `kinds` in other words, told of connections with these ids."""
        if self._new_reader is None:
            return []
        pieces = (bytes(self._text[at : at + PIECE]) for at in range(0, len(self._text), PIECE))
        known = Ids(*(tuple(each for each in ids if len(each) >= SHORTEST) for ids in about))
        return in_the_beginning(pieces, self._new_reader(""), kinds, known)

    def naming(self, ids: Iterable[str]) -> str:
        """The first line that names one of `ids`, with the sentence above of which it is a part; "" without one."""
        wanted = [re.escape(each.encode()) for each in ids if len(each) >= SHORTEST]
        found = re.search(rb"(?<![\w-])(?:%s)(?![\w-])" % b"|".join(wanted), self._text) if wanted else None
        if found is None:
            return ""
        end = self._text.find(b"\n", found.end())
        lines = bytes(self._text[: end if end >= 0 else None]).rsplit(b"\n", ABOVE)[-ABOVE:]
        told = [line.decode("utf-8", "replace").rstrip() for line in lines]
        first = next((at for at in range(len(told) - 1, -1, -1) if not _PART.match(told[at] or " ")), len(told) - 1)
        return _shown(" ".join(line.strip() for line in told[first:]))


def _shown(text: str) -> str:
    """Without what would move a terminal's cursor."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


class _Beside:
    """A reader that keeps what it is fed."""

    def __init__(self, reader: Reader, verbatim: Verbatim) -> None:
        self._reader, self._verbatim = reader, verbatim

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
        self._verbatim.keep(data)
        return self._reader.feed(data)

    def look(self, buffer: ReadBuffer, size: int) -> int:
        self._verbatim.keep(buffer.payload[:size])
        return self._reader.look(buffer, size)

    def read(self) -> list[Event]:
        return self._reader.read()

    def suggestions(self, kinds: Collection[str], about: Ids = NOBODY) -> list[Suggestion]:
        return self._reader.suggestions(kinds, about)

    def flush(self, *, at_end: bool = False) -> list[Event]:
        return self._reader.flush(at_end=at_end)


LOOK_AGAIN_S = 0.02
SETTLED = 3
"""Looks that find nothing new, after which a record that could go on is taken as complete."""

LONGEST = 200
"""Characters of what a log said that a recording keeps."""

Sink = Callable[[Event], None]


class ServerLog:
    """One log; `sink` takes its events while a phase runs, None drops them (they belong to nothing we did).

    node  what writes it, where there are several
    """

    def __init__(self, name: str, redactor: Redactor | None = None, node: str | None = None) -> None:
        self.name, self.node = name, node
        self.sink: Sink | None = None
        self._redactor = redactor or Redactor()

    def begin(self, sink: Sink) -> None:
        """A phase begins."""
        self.sink = sink

    def naming(self, ids: Iterable[str]) -> str:
        """What it said of one of `ids` since the phase began, in whatever words, without secrets; "" when nothing."""
        return ""

    def suggestions(self, kinds: Collection[str], about: Ids) -> list[MarkerSuggestion]:
        """What it said of connections with these ids may be events of `kinds`, and how to read it."""
        return []

    @property
    def failure(self) -> str:
        """Why it could not be read to its end, "" when it could."""
        return ""

    def tell(self, events: Iterable[Event]) -> None:
        """Give on what was read."""
        for event in events:
            if self.sink is not None:
                # Read as it is written, beside clients that have our clock: the server's may be off.
                told = _hidden(event, self._redactor) | {"node": event.node or self.node}
                self.sink(msgspec.structs.replace(event, at=time.time(), **told))

    async def follow(self) -> None:
        """Take what is appended, for ever; an in-process log has nothing to follow."""

    def close(self) -> None:
        """Let go of what it reads from."""


class EmbeddedLog(ServerLog):
    """What an embedded backend logs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._extractor = Extractor(name)

    def write(self, text: str) -> None:
        """Whole records at a time."""
        self.tell([*self._extractor.feed(text.encode()), *self._extractor.flush()])


class WrittenLog(ServerLog):
    """A log that another process writes: a file, over its rotations, or a pipe."""

    def __init__(self, log: FollowedLog | PipedLog, said: Verbatim, redactor: Redactor, node: str | None) -> None:
        super().__init__(log.name, redactor, node)
        self._log, self._said = log, said

    def begin(self, sink: Sink) -> None:
        super().begin(sink)
        self._said.clear()

    def naming(self, ids: Iterable[str]) -> str:
        return self._redactor.redact(self._said.naming(ids))[:LONGEST]

    def suggestions(self, kinds: Collection[str], about: Ids) -> list[MarkerSuggestion]:
        return [each.told() for each in self._said.suggestions(kinds, about)]

    @property
    def failure(self) -> str:
        return next(iter(self._log.damaged.values()), "")

    async def follow(self) -> None:
        idle = 0
        while True:
            before = self._log.bytes
            self.tell(chain.from_iterable(self._log.read(time.monotonic(), halt=lambda size: True)))
            idle = idle + 1 if self._log.bytes == before else 0
            if idle >= SETTLED:
                self.tell(chain.from_iterable(self._log.settle(time.monotonic(), at_once=True)))
            await asyncio.sleep(LOOK_AGAIN_S)

    def close(self) -> None:
        self._log.close()


def _hidden(event: Event, redactor: Redactor) -> dict[str, str | None]:
    """What in the event holds a secret of this run: the server may have logged what it was sent."""
    told = ((name, getattr(event, name)) for name in event.__struct_fields__)
    return {name: redactor.redact_known(text) for name, text in told if isinstance(text, str)}


def open_log(
    path: str, new_reader: NewReader = Extractor, redactor: Redactor | None = None, node: str | None = None
) -> ServerLog:
    """The log at `path`, "-" for stdin, which `node` writes. `new_reader` reads its words. Raises BadEvidence."""
    said = Verbatim()
    keeping = said.beside(new_reader)
    log = PipedLog(keeping) if path == "-" else _opened(Path(path), keeping)
    return WrittenLog(log, said, redactor or Redactor(), node)


def _opened(path: Path, new_reader: NewReader) -> FollowedLog | PipedLog:
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            # A named pipe, or a shell's <(command); open for writing too, it neither waits for a writer nor ends.
            return PipedLog(new_reader, os.open(path, os.O_RDWR | os.O_NONBLOCK), str(path))
        path.open("rb").close()
    except OSError as error:
        raise BadEvidence(
            f"The server log {path} cannot be read: {error.strerror}.", "Check the path given to --server-log."
        ) from None
    # A piece at a time: a log that pours must not make the client under test late.
    log = FollowedLog(path, new_reader, batch_s=0.0)
    log.begin(at_end=True)
    return log
