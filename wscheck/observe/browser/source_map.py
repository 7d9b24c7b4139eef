"""Source maps, revision 3: from a position in a bundle to a source file and line.

The decoder is our own, because Python has no maintained library for source maps. Source: https://tc39.es/ecma426/.
"""

import base64
import bisect
import json
import posixpath
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

from wscheck.model.events import CodeLocation

_DIGITS = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}
_SCHEME = re.compile(r"^(webpack(-internal)?|turbopack|vite|rollup|ng|https?)://[^/]*/|^file://[^/]*(?=/)|^/@fs(?=/)")
# Turbopack writes "[project]/" for the root, and webpack writes "(layer)/./" for a layer of Next.js. A route group of
# Next.js, which is also in parentheses, follows "./" and is not removed.
_ROOT = re.compile(r"^/?(\[project\]/|\([\w-]+\)/(?=\./))")

# Webpack itself writes "./" in front of the path of a module; a bundler that takes over its names removes it.
_BUILT_LIBRARY = re.compile(r"^webpack://([\w.-]+)/(?!\./)")

_WEBPACK_MODULES = ("webpack-internal:", "webpack:")

MAX_ARGUMENT_DISTANCE = 3
"""Largest number of columns from the start of a minified function name to its first argument (`ab(c`).

The distance to the argument of another call (`o(),c`) is greater.
"""

MAX_SOURCE_BYTES = 1 << 20
MAX_MAP_BYTES = 200_000_000
"""Largest source map that is read, in bytes after decompression."""

VITE_CLIENT = "/@vite/client"

Segment = tuple[int, int, int, int, int]
"""Column in the bundle, then source index, line, column and name index. All count from 0; -1 is no name."""


class InvalidSourceMap(ValueError):
    """Error: a file is not a source map, or is malformed. The message gives the reason."""


class SourceMap:
    """Decoded map of the script at `url`. The constructor raises InvalidSourceMap."""

    def __init__(self, text: str | bytes, url: str = "") -> None:
        try:
            raw = json.loads(text[4:] if text[:4] in (")]}'", b")]}'") else text)
            if "sections" in raw:
                self._sections = [_parse_section(each) for each in raw["sections"]]
            else:
                self._sections = [_Section(0, 0, raw, url)]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as problem:
            raise InvalidSourceMap("it is not a source map") from problem

    def find(self, line: int, column: int) -> tuple[CodeLocation, str] | None:
        """Return the source position and the original name at a line and column (from 0), None if there is none."""
        section = next((s for s in reversed(self._sections) if (s.line, s.column) <= (line, column)), None)
        if section is None:
            return None
        return section.find(line - section.line, column - (section.column if line == section.line else 0))

    def content(self, file: str) -> str | None:
        """Return the text of a source file (`CodeLocation.file` of a position), None if the map does not contain it."""
        return next((text for each in self._sections if (text := each.content(file)) is not None), None)


def _parse_section(raw: dict[str, Any]) -> "_Section":
    line, column = raw["offset"]["line"], raw["offset"]["column"]
    if not (isinstance(line, int) and isinstance(column, int) and min(line, column) >= 0):
        raise ValueError
    return _Section(line, column, raw["map"])


class _Section:
    """One section of an index map: a source map that starts at a line and column of the bundle."""

    def __init__(self, line: int, column: int, raw: dict[str, Any], url: str = "") -> None:
        self.line, self.column = line, column
        root = raw.get("sourceRoot") or ""
        root += "/" if root and not root.endswith("/") else ""
        sources = [f"{root}{source or ''}" for source in raw["sources"]]
        is_single = len(sources) == 1
        self._sources = [_single_source_name(sources[0], url)] if is_single else _source_names(sources)
        self._names = raw.get("names") or []
        self._contents = raw.get("sourcesContent") or []
        self._lines = decode_mappings(raw["mappings"])

    def content(self, file: str) -> str | None:
        """Return the text of a source file, None if the section does not contain it."""
        for name, text in zip(self._sources, self._contents, strict=False):
            if name == file and isinstance(text, str):
                return text
        return None

    def find(self, line: int, column: int) -> tuple[CodeLocation, str] | None:
        """Return the same as `SourceMap.find`. Line and column are relative to the start of the section."""
        segments = self._lines[line] if 0 <= line < len(self._lines) else []
        index = bisect.bisect_right(segments, column, key=lambda segment: segment[0]) - 1
        if index < 0:
            return None
        _, source, original_line, original_column, name = segments[index]
        argument = _inlined_argument(segments, index, column)
        original_line, original_column = argument or (original_line, original_column)
        if not (0 <= source < len(self._sources) and self._sources[source]) or min(original_line, original_column) < 0:
            return None
        original_name = str(self._names[name]) if 0 <= name < len(self._names) else ""
        return CodeLocation(self._sources[source], original_line + 1, original_column + 1), original_name


def _inlined_argument(segments: list[Segment], index: int, column: int) -> tuple[int, int] | None:
    """Return the original line and column of a call that a minifier moved, None if it was not moved.

    `const s = io(url); s.on(e)` becomes `io(url).on(e)`. The source map then maps the start of `io(url)` (`column`) to
    `s.on(e)`. The first argument of the call still maps to the original place, which is earlier in the source.

    segments  mappings of one line of the bundle
    index     index in `segments` of the mapping for `column`
    column    column of the position in the bundle
    """
    function, following = segments[index], segments[index + 1 : index + 2]
    if function[0] != column or not following or following[0][0] - column > MAX_ARGUMENT_DISTANCE:
        return None
    _, source, line, start, _ = following[0]
    return (line, start) if source == function[1] and (line, start) < function[2:4] else None


def mapped_source(source_map: SourceMap, place: CodeLocation, root: str) -> tuple[CodeLocation, bytes] | None:
    """Return the position of `place` in its source file, with the file's text from the source map or the checkout.

    Return None if neither contains the text.

    root  folder of the checkout that contains the frontend
    """
    text = source_map.content(place.file)
    if text is not None:
        return place, text.encode("utf-8", "replace")
    content = read_inside(Path.cwd() / root, place.file, MAX_SOURCE_BYTES)
    return None if content is None else (place, content)


def read_inside(folder: Path, name: str, limit: int) -> bytes | None:
    """Return a file below `folder`, None if there is none or it has more than `limit` bytes.

    The name is from a page: neither `..` nor an absolute path nor a symbolic link leads out of the folder.
    """
    try:
        base = folder.resolve()
        path = (base / name).resolve()
        if not path.is_relative_to(base) or not path.is_file():
            return None
        with path.open("rb") as file:
            content = file.read(limit + 1)
        return content if len(content) <= limit else None
    except (OSError, ValueError):
        return None


def source_name(source: str) -> str:
    """Return a source's path from the project root.

    The bundler's scheme, the loaders before the last "!" and leading "../" are removed. An absolute path inside the
    working directory becomes relative to the working directory.
    """
    path = _ROOT.sub("", _SCHEME.sub("", source).rpartition("!")[2].partition("?")[0])
    path = posixpath.normpath(path) if path else ""
    while path.startswith("../"):
        path = path[3:]
    here = Path.cwd().as_posix().rstrip("/")
    return path.removeprefix(f"{here}/") if path.startswith("/") else path


def _source_names(sources: Sequence[str]) -> list[str]:
    """Return the file names of the sources of a map.

    A map with relative paths may also contain names such as "webpack://Library/src/a.ts". The bundler copied them from
    the map of a library that webpack had built. They become names in a package: "node_modules/library/src/a.ts".
    """
    is_relative = any(source and not _SCHEME.match(source) for source in sources)
    return [
        f"node_modules/{built[1].lower()}/{source_name(source)}"
        if is_relative and (built := _BUILT_LIBRARY.match(source))
        else source_name(source)
        for source in sources
    ]


def module_name(url: str) -> str:
    """Return the path of a module that webpack evaluates as its own script, "" for the URL of any other script."""
    return source_name(url) if url.startswith(_WEBPACK_MODULES) else ""


def vite_base(url: str) -> str | None:
    """Return the base URL of Vite's development server, from the URL of its client script; None for other URLs."""
    path = url.partition("?")[0]
    return path.removesuffix(VITE_CLIENT) if path.endswith(VITE_CLIENT) else None


def relative_to_vite_root(url: str, bases: Collection[str]) -> str:
    """Return a URL without the `base` folder of Vite's development server, which Nuxt and others set.

    bases  base URLs as `vite_base` returns them; without a match, `url` is returned unchanged
    """
    base = next((base for base in bases if url.startswith(f"{base}/")), None)
    return url if base is None else urljoin(url, url.removeprefix(base))


def _single_source_name(source: str, url: str) -> str:
    """Return the name of the only source of the script at `url`.

    Vite serves each file as one script: the source map has only the file name, and the URL has the folder.
    """
    path = unquote(urlsplit(url).path)
    if not source or posixpath.basename(path) != source:
        return source_name(source)
    return source_name(path if path.startswith("/@fs/") else path.lstrip("/"))


def decode_mappings(mappings: str) -> list[list[Segment]]:
    """Return the segments of every line of the bundle.

    Raises:
        InvalidSourceMap: `mappings` is not base64 VLQ.
    """
    # Most segments are equal: decoding each text once is three times as fast.
    cache: dict[str, list[int]] = {}
    # Source, line, column and name are relative to the previous segment, also across lines.
    state = [0, 0, 0, 0]
    try:
        return [_decode_line(line, state, cache) for line in mappings.split(";")]
    except KeyError as problem:
        raise InvalidSourceMap("its mappings are not base64 VLQ") from problem


def _decode_line(line: str, state: list[int], cache: dict[str, list[int]]) -> list[Segment]:
    column, segments = 0, []
    for text in line.split(",") if line else ():
        values = cache.get(text)
        if values is None:
            values = cache[text] = _decode_vlq(text)
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
        segments.append((column, state[0], state[1], state[2], state[3] if len(values) > 4 else -1))
    return segments


def _decode_vlq(text: str) -> list[int]:
    """Decode base64 VLQ: five bits per digit, and a sixth bit if more digits follow. The lowest bit is the sign."""
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


def decode_data_uri(uri: str) -> bytes:
    """Return the content of a `data:` URI (RFC 2397), in which a bundle may contain its map.

    Raises:
        InvalidSourceMap: It is too large.
    """
    head, _, data = uri.partition(",")
    if len(data) > MAX_MAP_BYTES:
        raise InvalidSourceMap("it is too large")
    return base64.b64decode(unquote_to_bytes(data)) if head.endswith(";base64") else unquote_to_bytes(data)
