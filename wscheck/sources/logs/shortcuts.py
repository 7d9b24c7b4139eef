"""The two commonest forms read straight from the bytes; whatever is the least unusual is left to the careful way.

What a shortcut says is what the careful way would have said: the tests read every log both ways.
"""

import re
from typing import Any

import msgspec

from wscheck.sources.logs.envelopes import MESSAGE_KEYS, SOURCE_KEYS, decode_json
from wscheck.sources.logs.pairs import NOTHING
from wscheck.sources.logs.readings import Reader
from wscheck.sources.logs.stamps import Calendar
from wscheck.sources.logs.wording import CONNECTED, DISCONNECTED, REPLACED, WANTED

MOST_SHAPES = 500
LONGEST_NOTHING = max(map(len, NOTHING))

Plan = tuple[tuple[str, str], ...] | None
"""Which key gives which id in records of one shape; None where the careful way has more to do."""

_BULLET = r"(?:•|-|\*) ([A-Za-z_]+): ([^\x00-\x1f\"'`\x7f]*[^\x00-\x20\"'`\x7f])\n"
_MARKER = "(WebSocket client (?:dis)?connected|Replacing existing socket for user)"
_BLOCK = re.compile(f"{_MARKER}\n{_BULLET}{_BULLET}(?:{_BULLET})?".encode())

_KINDS = {
    "WebSocket client connected": CONNECTED,
    "WebSocket client disconnected": DISCONNECTED,
    "Replacing existing socket for user": REPLACED,
}


class Found(msgspec.Struct, gc=False):
    """A whole record. `lines`: how many it takes; `end`: where the next line begins."""

    kind: str
    ids: dict[str, str]
    at: float | None
    lines: int
    end: int


class Shortcuts:
    """Reads whole records of a known shape."""

    def __init__(self, reader: Reader, calendar: Calendar) -> None:
        self._reader, self._calendar = reader, calendar
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._blocks: dict[tuple[bytes, ...], tuple[str, tuple[str, ...]] | None] = {}

    def record(self, raw: bytes) -> Found | None:
        """A JSON record on one line, its ids among its own fields."""
        try:
            fields = decode_json(raw)
        except (msgspec.DecodeError, UnicodeError, RecursionError, ValueError):
            return None
        if type(fields) is not dict:
            return None
        message = fields.get("msg")
        if message is None:
            message = fields.get("message")
        kind = _KINDS.get(message) if type(message) is str else None
        if kind is None:
            return None
        shape = (kind, *fields)
        plan = self._plans[shape] if shape in self._plans else self._plan(shape, kind, fields)
        if plan is None:
            return None
        ids = {}
        for role, key in plan:
            value = fields[key]
            if type(value) is not str or _unusual(value):
                return None
            ids[role] = value
        return Found(kind, ids, self._calendar.of_fields(fields), 1, 0)

    def _plan(self, shape: tuple[str, ...], kind: str, fields: dict[str, Any]) -> Plan:
        """How the careful way reads this shape."""
        plan: Plan = None
        messages = [key for key in MESSAGE_KEYS if key in fields]
        plainly = messages[0] in {"msg", "message"} and not any(key in fields for key in SOURCE_KEYS)
        keys = self._reader.keys_of(kind, fields)
        if plainly and set(keys) >= set(WANTED[kind]):
            plan = tuple(keys.items())
        if len(self._plans) < MOST_SHAPES:
            self._plans[shape] = plan
        return plan

    def block(self, held: bytearray, begin: int, end: int) -> Found | None:
        """A marker at the beginning of its line, and its ids with bullets on the lines after it."""
        match = _BLOCK.match(held, begin, end)
        if match is None:
            return None
        shape = match.group(1, 2, 4, 6)
        try:
            known = self._blocks[shape]
        except KeyError:
            known = self._known(shape)
        if known is None:
            return None
        kind, roles = known
        ids = {}
        for role, value in zip(roles, match.group(3, 5, 7), strict=False):
            try:
                ids[role] = text = value.decode()
            except UnicodeDecodeError:
                return None
            if _unusual(text):
                return None
        return Found(kind, ids, None, 1 + len(roles), match.end(1 + 2 * len(roles)) + 1)

    def _known(self, shape: tuple[bytes, ...]) -> tuple[str, tuple[str, ...]] | None:
        kind = _KINDS[shape[0].decode()]
        roles = tuple(self._reader.role(key.decode()) if key is not None else None for key in shape[1:])
        wanted = WANTED[kind]
        known = None
        if set(roles[: len(wanted)]) == set(wanted):
            known = kind, tuple(role for role in roles[: len(wanted)] if role is not None)
        if len(self._blocks) < MOST_SHAPES:
            self._blocks[shape] = known
        return known


def _unusual(value: str) -> bool:
    """Whether a value says that there is none, or has blanks around it."""
    return value != value.strip() or (len(value) <= LONGEST_NOTHING and value.lower() in NOTHING)
