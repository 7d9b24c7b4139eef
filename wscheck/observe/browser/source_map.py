"""Source maps, revision 3: from a position in a bundle to the file and line somebody wrote.

Own code, because no maintained decoder exists for Python: base64 VLQ is a page of it.
"""

import bisect
import json
import posixpath
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from wscheck.model.events import CodeLocation

_DIGITS = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
_SCHEME = re.compile(r"^(webpack(-internal)?|turbopack|vite|rollup|ng|https?)://[^/]*/|^file://[^/]*(?=/)|^/@fs(?=/)")
# Turbopack's name for the root, and webpack's for a layer of Next.js (not a folder of routes: that one is below ./).
_ROOT = re.compile(r"^/?(\[project\]/|\([\w-]+\)/(?=\./))")

SHORT_CALL = 3
"""So far apart are a minifier's name and its first argument (`ab(c`); another call (`o(),c`) is further away."""

VITE = "/@vite/client"

Segment = tuple[int, int, int, int, int]
"""Generated column, source, line, column and name; each counts from 0, name -1 where there is none."""


class InvalidSourceMap(ValueError):
    """Not a source map, or a broken one. The message says why."""


class SourceMap:
    """The map of the script at `url`. Raises BadMap for what cannot be read."""

    def __init__(self, text: str | bytes, url: str = "") -> None:
        try:
            raw = json.loads(text[4:] if text[:4] in (")]}'", b")]}'") else text)
            whole = "sections" not in raw
            self._parts = [_Part(0, 0, raw, url)] if whole else [_section(each) for each in raw["sections"]]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as problem:
            raise InvalidSourceMap("it is not a source map") from problem

    def place(self, line: int, column: int) -> tuple[CodeLocation, str] | None:
        """Where the code at a position (both from 0) was written, and the original name of what stands there."""
        part = next((p for p in reversed(self._parts) if (p.line, p.column) <= (line, column)), None)
        if part is None:
            return None
        return part.place(line - part.line, column - (part.column if line == part.line else 0))


def _section(raw: dict[str, Any]) -> "_Part":
    return _Part(raw["offset"]["line"], raw["offset"]["column"], raw["map"])


class _Part:
    """One map, which begins at a line and column of the bundle."""

    def __init__(self, line: int, column: int, raw: dict[str, Any], url: str = "") -> None:
        self.line, self.column = line, column
        root = raw.get("sourceRoot") or ""
        root += "/" if root and not root.endswith("/") else ""
        sources = [f"{root}{source or ''}" for source in raw["sources"]]
        self._sources = [_served(sources[0], url)] if len(sources) == 1 else [written(source) for source in sources]
        self._names = raw.get("names") or []
        self._lines = decode(raw["mappings"])

    def place(self, line: int, column: int) -> tuple[CodeLocation, str] | None:
        segments = self._lines[line] if 0 <= line < len(self._lines) else []
        index = bisect.bisect_right(segments, column, key=lambda segment: segment[0]) - 1
        if index < 0:
            return None
        _, source, original, start, name = segments[index]
        original, start = _argument(segments, index, column) or (original, start)
        if not (0 <= source < len(self._sources) and self._sources[source]):
            return None
        called = str(self._names[name]) if 0 <= name < len(self._names) else ""
        return CodeLocation(self._sources[source], original + 1, start + 1), called


def _argument(segments: list[Segment], index: int, column: int) -> tuple[int, int] | None:
    """Line and column of the first argument of a call at `column`, where that was written before what is called: a
    minifier put the call (`o(t,r()).on(e)`) where the variable stood that held its result, and maps it there."""
    called, following = segments[index], segments[index + 1 : index + 2]
    if called[0] != column or not following or following[0][0] - column > SHORT_CALL:
        return None
    _, source, line, start, _ = following[0]
    return (line, start) if source == called[1] and (line, start) < called[2:4] else None


def written(source: str) -> str:
    """The name of a source as its author knows it: without the bundler's scheme and the way up to the root; what a
    development server names by its whole path is told from where we are, when it lies there."""
    path = _ROOT.sub("", _SCHEME.sub("", source).partition("?")[0])
    path = posixpath.normpath(path) if path else ""
    while path.startswith("../"):
        path = path[3:]
    here = Path.cwd().as_posix().rstrip("/")
    return path.removeprefix(f"{here}/") if path.startswith("/") else path


def vite_base(url: str) -> str | None:
    """Where Vite's development server puts its root, from the script that each of its pages loads; None from others."""
    path = url.partition("?")[0]
    return path.removesuffix(VITE) if path.endswith(VITE) else None


def below(url: str, bases: Collection[str]) -> str:
    """The address as it is where Vite serves from the root: Nuxt and others (`base`) put a folder before it."""
    base = next((base for base in bases if url.startswith(f"{base}/")), None)
    return url if base is None else urljoin(url, url.removeprefix(base))


def _served(source: str, url: str) -> str:
    """The name of the one source of the script at `url`. A server that serves each file as a script of its own (Vite)
    names only the file, and the address says where it lies."""
    path = unquote(urlsplit(url).path)
    if not source or posixpath.basename(path) != source:
        return written(source)
    return written(path if path.startswith("/@fs/") else path.lstrip("/"))


def decode(mappings: str) -> list[list[Segment]]:
    """The segments of every line of the bundle. Raises BadMap for what is no base64 VLQ."""
    known: dict[str, list[int]] = {}  # most segments are alike: to decode each text once is three times as fast
    state = [0, 0, 0, 0]  # source, line, column, name: relative to the segment before, across lines
    try:
        return [_row(row, state, known) for row in mappings.split(";")]
    except KeyError as problem:
        raise InvalidSourceMap("its mappings are not base64 VLQ") from problem


def _row(row: str, state: list[int], known: dict[str, list[int]]) -> list[Segment]:
    column, found = 0, []
    for text in row.split(",") if row else ():
        values = known.get(text)
        if values is None:
            values = known[text] = _values(text)
        if not values:
            continue
        column += values[0]
        if len(values) < 4:
            continue
        state[0] += values[1]
        state[1] += values[2]
        state[2] += values[3]
        if len(values) > 4:
            state[3] += values[4]
        found.append((column, state[0], state[1], state[2], state[3] if len(values) > 4 else -1))
    return found


def _values(text: str) -> list[int]:
    """Base64 VLQ: five bits a digit, the sixth says that more follow, the lowest of all is the sign."""
    values, value, shift = [], 0, 0
    for char in text:
        digit = _DIGITS[char]
        value |= (digit & 31) << shift
        if digit & 32:
            shift += 5
            continue
        values.append(-(value >> 1) if value & 1 else value >> 1)
        value = shift = 0
    return values
