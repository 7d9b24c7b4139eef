"""Where in a log's bytes something of interest stands: whole megabytes are searched at memory speed, by StringZilla."""

import re

import stringzilla

from wscheck.sources.logs.wording import Wording

_JOURNAL = re.compile(rb'"(?:__CURSOR|__REALTIME_TIMESTAMP|_BOOT_ID)"')
_NUMBERS = (b"111,99,107,101,116,32,", b"111, 99, 107, 101, 116, 32,")
"""journald gives a message with colours or broken characters as a list of numbers: these are "ocket "."""


_WIDE = b"ocket "
_AFTER_WIDE = (b"client ", b"for user", b"server ", b"connect")
"""Every documented sentence has "ocket " in it: one search finds them all, unless a log says "socket" all the time."""

_PATIENCE = 1_000


class Scanner:
    """Finds needles. Each is searched for only as far as its next place, which is remembered."""

    def __init__(self, wording: Wording) -> None:
        # Places count from the first byte that was ever fed; -1: not looked for yet.
        self._next = dict.fromkeys([_WIDE, *wording.own_needles()], -1)
        self._alone = not wording.markers
        self._in_vain = 0
        self._looked = False
        self.journal = False

    def also(self, *needles: bytes) -> None:
        """Look for these as well from now on."""
        self._next |= dict.fromkeys(needles, -1)
        self._alone = False

    def first_line(self, held: bytearray, begin: int, end: int) -> None:
        """What the first line shows: whether journald wrote the log."""
        if self._looked:
            return
        line_end = held.find(b"\n", begin, end)
        self.journal = _JOURNAL.search(held, begin, end if line_end < 0 else line_end) is not None
        self._looked = True
        if self.journal:
            self.also(*_NUMBERS)

    def next(self, held: bytearray, gone: int, begin: int, end: int) -> int:
        """The first place of any needle in held[begin:end], `end` where there is none. `gone`: bytes before held."""
        if self._alone and self._in_vain <= _PATIENCE:
            # The commonest case, and the next search begins behind what this one finds: nothing to remember.
            found = self._wide(held, _WIDE, begin, end)
            return found if found >= 0 else end
        places = self._next
        for needle, place in places.items():
            if place <= gone + begin:
                find = self._wide if needle is _WIDE else stringzilla.find
                found = find(held, needle, begin, end)
                places[needle] = gone + (found if found >= 0 else end)
        if self._in_vain > _PATIENCE and _WIDE in places:
            del places[_WIDE]
            self.also(*(_WIDE + after for after in _AFTER_WIDE))
            return self.next(held, gone, begin, end)
        return min(end, min(places.values()) - gone)

    def _wide(self, held: bytearray, needle: bytes, begin: int, end: int) -> int:
        """The first place of the wide needle that goes on as a sentence does."""
        found: int = stringzilla.find(held, needle, begin, end)
        while found >= 0 and not held.startswith(_AFTER_WIDE, found + len(needle)):
            self._in_vain += 1
            found = stringzilla.find(held, needle, found + 1, end)
        return found


def lines_in(held: bytearray, begin: int, end: int) -> int:
    """How many lines end in held[begin:end]."""
    return int(stringzilla.count(held, b"\n", begin, end)) if begin < end else 0
