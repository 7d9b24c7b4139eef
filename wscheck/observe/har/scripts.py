"""Scripts in a HAR file, with source maps from the scripts, the HAR file or the build's folder."""

import binascii
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation
from wscheck.observe.browser.source_map import (
    InvalidSourceMap,
    SourceMap,
    decode_data_uri,
    relative_to_vite_root,
    vite_base,
)
from wscheck.observe.traffic import UrlFormatter

_COMMENT = "sourceMappingURL="


class HarScripts:
    """Scripts by URL, and a resolver of positions in them.

    source_map_dirs  folders that contain .map files
    root             the folder of the checkout that contains the frontend
    notes            by script, a sentence that says why its positions are not mapped
    """

    def __init__(self, urls: UrlFormatter, source_map_dirs: Sequence[Path], root: str) -> None:
        self._urls, self._source_map_dirs, self._root = urls, source_map_dirs, root
        self._map_url_by_script: dict[str, str] = {}
        self._map_texts: dict[str, str] = {}
        self._maps: dict[str, SourceMap | None] = {}
        self._vite_bases: set[str] = set()
        self.notes: dict[str, str] = {}

    def add(self, url: str, text: str) -> None:
        """Add a script or a source map that the HAR file contains."""
        if urlsplit(url).path.endswith(".map"):
            self._map_texts[url.partition("?")[0]] = text
            return
        if (base := vite_base(url)) is not None:
            self._vite_bases.add(base)
        comment_at = text.rfind(_COMMENT)
        if comment_at >= 0:
            self._map_url_by_script[url] = text[comment_at + len(_COMMENT) :].split(None, 1)[0]

    def resolve_frame(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        """Return the source position of a DevTools call frame, and the original name of the function called there.

        Without a source map this is the position in the bundle.
        """
        url, line, column = str(frame.get("url", "")), frame.get("lineNumber", 0), frame.get("columnNumber", 0)
        function = str(frame.get("functionName", ""))
        if url not in self._maps:
            self._maps[url] = self._load_map(url)
        source_map = self._maps[url]
        mapped = source_map.find(line, column) if source_map is not None else None
        if mapped is None:
            return CodeLocation(self._display_url(url), line + 1, column + 1, function), ""
        place, called_name = mapped
        named = stack_frames.attribute_to_package(CodeLocation(place.file, place.line, place.column, function), url)
        return stack_frames.resolve_root(named, self._root), called_name

    def script_url(self, session: str, script_id: str, url: str) -> str:
        """Return the URL of a script for reports."""
        return self._urls.script(url)

    def _display_url(self, url: str) -> str:
        return self._urls.script(url).partition("?")[0]

    def _load_map(self, url: str) -> SourceMap | None:
        """Return the source map of a script, None with a note if it cannot be had."""
        try:
            text = self._map_text(url)
            if text is not None:
                return SourceMap(text, relative_to_vite_root(url, self._vite_bases))
            reason = "the HAR does not contain its source map (name the build's folder: --source-maps DIR)"
        except (InvalidSourceMap, OSError, ValueError, binascii.Error) as problem:
            reason = f"its source map cannot be read: {problem}"
        if not stack_frames.is_library_frame(CodeLocation(self._display_url(url))):
            self.notes[url] = f"Positions in {self._display_url(url)} are those of the bundle: {reason}."
        return None

    def _map_text(self, url: str) -> bytes | str | None:
        map_url = self._map_url_by_script.get(url, "")
        if map_url.startswith("data:"):
            return decode_data_uri(map_url)
        path = unquote(urlsplit(url).path)
        name = PurePosixPath(unquote(urlsplit(map_url).path)).name or f"{PurePosixPath(path).name}.map"
        in_har = next((text for each, text in self._map_texts.items() if each.endswith(f"/{name}")), None)
        if in_har is not None:
            return in_har
        file = self._find_map_file(PurePosixPath(path).parent, name)
        return file.read_bytes() if file is not None else None

    def _find_map_file(self, script_folder: PurePosixPath, name: str) -> Path | None:
        """Return a map file of this name, preferably below the folder of the script's URL path."""
        for folder in self._source_map_dirs:
            for parts in (script_folder.parts[1:], ()):
                if (exact := folder.joinpath(*parts, name)).is_file():
                    return exact
            if name and (nested := next(iter(sorted(folder.rglob(name))), None)) is not None:
                return nested
        return None
