"""Search for the lines that may contain a marker."""

from itertools import accumulate, pairwise

import stringzilla
from stringzilla import bytesum, count

from wscheck.observe.logs.lazy_pattern import lazy_pattern
from wscheck.observe.logs.vocabulary import LogVocabulary

_JOURNAL = lazy_pattern(rb'"(?:__CURSOR|__REALTIME_TIMESTAMP|_BOOT_ID)"')
_NUMBERS = (b"111,99,107,101,116,32,", b"111, 99, 107, 101, 116, 32,")
"""journald gives a message with colours or broken characters as a list of numbers: these are "ocket "."""


_WIDE = b"ocket "
_AFTER_WIDE = (b"client ", b"for user", b"server ", b"connect")
"""Every documented sentence has "ocket " in it: one search finds them all, unless a log says "socket" all the time."""

_PATIENCE = 1_000

Found = tuple[int, int]
"""Where a needle stands, and the number of its line, from 1."""

_LONG = 1 << 16
_ONES = bytes(byte == ord("\n") for byte in range(256))


class NeedleScanner:
    """Finds needles, and on which lines: all of a piece at once, before any record at them is read."""

    def __init__(self, wording: LogVocabulary) -> None:
        self._needles = wording.custom_needles()
        self._widely, self._in_vain = True, 0
        self._looked = False
        self.journal = False

    def add_needles(self, *needles: bytes) -> None:
        """Search for these needles as well."""
        self._needles += needles

    def detect_journal(self, data: bytearray, begin: int, end: int) -> None:
        """Detect from the first line whether journald wrote the log."""
        if self._looked:
            return
        line_end = data.find(b"\n", begin, end)
        self.journal = _JOURNAL.search(data, begin, end if line_end < 0 else line_end) is not None
        self._looked = True
        if self.journal:
            self.add_needles(*_NUMBERS)

    def scan(
        self, data: bytearray, begin: int, end: int, lines: int, marks: bytearray | None = None
    ) -> tuple[list[Found], int]:
        """Return the positions of needles in data[begin:end] with their lines, and the number of lines before `end`.

        lines  number of lines that end before `begin`
        marks  scratch space as long as `data`, which makes counting faster
        """
        places = self._places(data, begin, end)
        parts = pairwise((begin, *places, end))
        if marks is not None and end - begin > _LONG:
            ones = _line_ends(data, begin, end, marks)
            ended = [bytesum(ones[since:until]) for since, until in parts]
        else:
            ended = [count(data, b"\n", since, until) if since < until else 0 for since, until in parts]
        *numbers, after = accumulate(ended[1:], initial=lines + 1 + ended[0])
        return list(zip(places, numbers, strict=True)), after - 1

    def _places(self, data: bytearray, begin: int, end: int) -> list[int]:
        found = self._sentences(data, begin, end) if self._widely else []
        for needle in self._needles:
            found += _places(data, needle, begin, end)
        if self._widely and self._in_vain > _PATIENCE:
            self._widely = False
            self.add_needles(*(_WIDE + after for after in _AFTER_WIDE))
        return sorted(found) if self._needles else found

    def _sentences(self, data: bytearray, begin: int, end: int) -> list[int]:
        """Return the positions at which the wide needle continues as a marker does."""
        found, find, vain = list[int](), stringzilla.find, 0
        while (at := find(data, _WIDE, begin, end)) >= 0:
            begin = at + len(_WIDE)
            if data.startswith(_AFTER_WIDE, begin):
                found.append(at)
            else:
                vain += 1
        self._in_vain += vain
        return found


def _places(data: bytearray, needle: bytes, begin: int, end: int) -> list[int]:
    found, find = [], stringzilla.find
    while (at := find(data, needle, begin, end)) >= 0:
        found.append(at)
        begin = at + 1
    return found


def _line_ends(data: bytearray, begin: int, end: int, marks: bytearray) -> memoryview:
    """Return ones at the line ends of data[begin:end] and zeros elsewhere, so that a sum counts lines at memory speed.

    Searching for each line end takes most of the time of reading a log.
    """
    ones = memoryview(marks)
    stringzilla.translate(data, _ONES, start=begin, end=end, out=ones[begin:end])
    return ones
