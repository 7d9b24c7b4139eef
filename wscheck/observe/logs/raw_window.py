"""WHAT A LOG SAID, in whatever words: kept beside what is read of it, to tell a silent log from one in other words, and
to quote it. By which options those are read is for `sources/logs/suggestions` to say."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from wscheck.model.events import Event
from wscheck.observe.logs.candidate_tests import Suggestion
from wscheck.observe.logs.column_roles import Ids
from wscheck.observe.logs.sources import NewReader, Reader
from wscheck.observe.logs.suggestions import NOBODY, PIECE, in_the_beginning
from wscheck.observe.tailing.read_buffer import Desk

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

    def look(self, desk: Desk, size: int) -> int:
        self._verbatim.keep(desk.room[:size])
        return self._reader.look(desk, size)

    def read(self) -> list[Event]:
        return self._reader.read()

    def suggestions(self, kinds: Collection[str], about: Ids = NOBODY) -> list[Suggestion]:
        return self._reader.suggestions(kinds, about)

    def flush(self, *, at_end: bool = False) -> list[Event]:
        return self._reader.flush(at_end=at_end)
