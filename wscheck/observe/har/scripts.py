"""The scripts that a HAR holds, and the files they were built from: maps inside the script or beside the build."""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation
from wscheck.observe.browser.source_map import InvalidSourceMap, SourceMap, below, vite_base
from wscheck.observe.traffic import UrlFormatter

_MARK = "sourceMappingURL="


class HarScripts:
    """Tells positions in served scripts as places in their sources. `notes`: which it cannot, by script, and why."""

    def __init__(self, addresses: UrlFormatter, folders: Sequence[Path], root: str) -> None:
        self._addresses, self._folders, self._root = addresses, folders, root
        self._named: dict[str, str] = {}
        self._held: dict[str, str] = {}
        self._maps: dict[str, SourceMap | None] = {}
        self._bases: set[str] = set()
        self.notes: dict[str, str] = {}

    def served(self, url: str, text: str) -> None:
        """A script, or a map, that the HAR holds."""
        if urlsplit(url).path.endswith(".map"):
            self._held[url.partition("?")[0]] = text
            return
        if (base := vite_base(url)) is not None:
            self._bases.add(base)
        at = text.rfind(_MARK)
        if at >= 0:
            self._named[url] = text[at + len(_MARK) :].split(None, 1)[0]

    def place(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        """Where a frame was written and the original name of what is called there; else its position as served."""
        url, line, column = str(frame.get("url", "")), frame.get("lineNumber", 0), frame.get("columnNumber", 0)
        function = str(frame.get("functionName", ""))
        if url not in self._maps:
            self._maps[url] = self._map(url)
        found = self._maps[url]
        mapped = found.place(line, column) if found is not None else None
        if mapped is None:
            return CodeLocation(self._shown(url), line + 1, column + 1, function), ""
        place, called = mapped
        mine = stack_frames.attribute_to_package(CodeLocation(place.file, place.line, place.column, function), url)
        return stack_frames.resolve_root(mine, self._root), called

    def script(self, session: str, id: str, url: str) -> str:
        """The script's address as it may be told."""
        return self._addresses.script(url)

    def _shown(self, url: str) -> str:
        return self._addresses.script(url).partition("?")[0]

    def _map(self, url: str) -> SourceMap | None:
        try:
            text = self._text(url)
            if text is not None:
                return SourceMap(text, below(url, self._bases))
            reason = "the HAR does not hold its source map (name the build's folder: --source-maps DIR)"
        except (InvalidSourceMap, OSError, ValueError, binascii.Error) as problem:
            reason = f"its source map cannot be read: {problem}"
        if not stack_frames.is_library_frame(CodeLocation(self._shown(url))):
            self.notes[url] = f"Positions in {self._shown(url)} are those of the bundle: {reason}."
        return None

    def _text(self, url: str) -> bytes | str | None:
        named = self._named.get(url, "")
        if named.startswith("data:"):
            head, _, data = named.partition(",")
            return base64.b64decode(unquote_to_bytes(data)) if head.endswith(";base64") else unquote_to_bytes(data)
        path = unquote(urlsplit(url).path)
        wanted = PurePosixPath(unquote(urlsplit(named).path)).name or f"{PurePosixPath(path).name}.map"
        held = next((text for each, text in self._held.items() if each.endswith(f"/{wanted}")), None)
        found = None if held is not None else self._find(PurePosixPath(path).parent, wanted)
        return held if held is not None else found.read_bytes() if found is not None else None

    def _find(self, served: PurePosixPath, name: str) -> Path | None:
        """A map of this name, best in the folder that was served under the script's path."""
        for folder in self._folders:
            for parts in (served.parts[1:], ()):
                if (exact := folder.joinpath(*parts, name)).is_file():
                    return exact
            if name and (deeper := next(iter(sorted(folder.rglob(name))), None)) is not None:
                return deeper
        return None
