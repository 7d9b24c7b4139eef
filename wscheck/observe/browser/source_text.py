"""Facts about the code around a position of a script, from its text."""

import re

MAX_BLOCK = 6_000
"""Longest block of code that is examined, in characters. A longer block is taken for a whole module or bundle."""

MAX_LEVELS = 2
"""Blocks around a handler that are examined: for example an effect, and the component that contains it."""

_REMOVAL = re.compile(
    r"\.(?:off|removeListener|removeEventListener|removeAllListeners)\??\.?\(\s*"
    r"(?:(?P<quote>[\"'`])(?P<event>[^\"'`]*)(?P=quote)|(?P<name>[^\s,)\"'`][^,)]*))?\s*(?:,\s*(?P<handler>[^)]*))?"
)
# A removal of a function that is created in the call removes nothing.
_NEW_FUNCTION = re.compile(r"=>|^\(|^(?:async\s+)?function\b|\.bind\(")


def removes_handler(text: str, line: int, column: int, event: str) -> bool | None:
    """Return whether the code around a handler of `event` removes the handler again.

    Return None if the position is not in the text, or no block around it is short enough.

    line, column  position of the handler in the text, from 0
    """
    offset = _offset(text, line, column)
    if offset is None:
        return None
    found = False
    start = offset
    for _ in range(MAX_LEVELS):
        block = _enclosing_block(text, start)
        if block is None:
            break
        start, end = block
        found = True
        if any(_removes(match, event) for match in _REMOVAL.finditer(text, start, end)):
            return True
    return False if found else None


def _offset(text: str, line: int, column: int) -> int | None:
    at = 0
    for _ in range(line):
        at = text.find("\n", at) + 1
        if at == 0:
            return None
    return at + column if at + column <= len(text) else None


def _enclosing_block(text: str, offset: int) -> tuple[int, int] | None:
    """Return start and end of the innermost pair of braces around `offset`, None if it is too long or missing.

    Braces in strings count as well, because they are nearly always balanced there.
    """
    depth = 0
    for start in range(offset - 1, max(offset - MAX_BLOCK, 0) - 1, -1):
        if text[start] == "}":
            depth += 1
        elif text[start] == "{":
            if depth == 0:
                end = _closing_brace(text, start)
                return None if end is None else (start, end)
            depth -= 1
    return None


def _closing_brace(text: str, start: int) -> int | None:
    depth = 0
    for at in range(start, min(start + MAX_BLOCK, len(text))):
        if text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    return None


def _removes(removal: "re.Match[str]", event: str) -> bool:
    if removal["event"] not in (None, event):
        return False
    handler = removal["handler"]
    return handler is None or _NEW_FUNCTION.search(handler) is None
