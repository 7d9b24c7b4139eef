"""Scripts of every page and worker, with their source maps."""

import asyncio
import binascii
from collections.abc import Iterable
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation
from wscheck.observe.browser.source_map import (
    InvalidSourceMap,
    SourceMap,
    decode_data_uri,
    module_name,
    relative_to_vite_root,
    vite_base,
)
from wscheck.observe.traffic import UrlFormatter

FETCH_TIMEOUT_S = 5.0
DECODE_DELAY_S = 0.7
MAX_MAP_BYTES = 200_000_000


class PageScript(msgspec.Struct, frozen=True):
    """A script as the debugger reports it.

    Several scripts can have one URL: inline scripts have that of their page, and hot reload evaluates a script again.
    The URL of the source map distinguishes these scripts.

    map_url  URL of the script's source map, empty if the script names none
    """

    url: str
    map_url: str


class PageScripts:
    """Scripts of all pages and workers, and a resolver of positions in these scripts.

    Call `request_maps` early, while the server still has the source maps. The source maps are decoded one after the
    other when the page had time to start, because decoding delays the observation. `wait_for_maps` decodes the rest.

    root  folder of the frontend within the repository, empty if it is the repository's root
    """

    def __init__(self, urls: UrlFormatter, root: str = "") -> None:
        self._urls, self._root = urls, root
        self._scripts: dict[tuple[str, str], PageScript] = {}
        self._frames: dict[tuple[str, str], str] = {}
        self._fetches: dict[PageScript, asyncio.Task[bytes | str]] = {}
        self._maps: dict[PageScript, SourceMap | None] = {}
        self._decode_lock = asyncio.Lock()
        self._delayed: set[asyncio.Task[None]] = set()
        self._notes_by_url: dict[str, str] = {}
        self._vite_bases: set[str] = set()
        self._urls_without_map: set[str] = set()

    def on_script_parsed(self, session: str, params: dict[str, Any]) -> None:
        """Process Debugger.scriptParsed."""
        url = params.get("url", "")
        if (base := vite_base(url)) is not None:
            self._vite_bases.add(base)
        self._scripts[session, params["scriptId"]] = PageScript(url, params.get("sourceMapURL", ""))
        self._frames[session, params["scriptId"]] = params.get("executionContextAuxData", {}).get("frameId", "")

    def request_maps(self, session: str, script_ids: Iterable[str]) -> None:
        """Start to fetch the source maps of these scripts."""
        for script_id in set(script_ids):
            script = self._scripts.get((session, script_id))
            if script is not None and script not in self._fetches:
                self._fetches[script] = asyncio.create_task(_fetch_map(script))
                self._delayed.add(asyncio.create_task(self._decode_later(script)))

    async def _decode_later(self, script: PageScript) -> None:
        await asyncio.sleep(DECODE_DELAY_S)
        await self._decode(script)

    async def _decode(self, script: PageScript) -> None:
        text = await self._fetches[script]
        async with self._decode_lock:
            if script not in self._maps:
                self._maps[script] = await self._decode_map(script.url, text)

    async def wait_for_maps(self) -> None:
        """Wait until every requested map is decoded or failed."""
        for script in list(self._fetches):
            await self._decode(script)

    @property
    def notes(self) -> list[str]:
        """Sentences about application scripts whose positions could not be mapped to source files."""
        return [note for url, note in self._notes_by_url.items() if url in self._urls_without_map]

    def close(self) -> None:
        """Cancel all fetches."""
        for task in (*self._fetches.values(), *self._delayed):
            task.cancel()

    def script_url(self, session: str, script_id: str, url: str) -> str:
        """Return the URL of a script as reports show it: without user and password, its query replaced by a hash.

        `url` is the URL of a script that is unknown or has no URL of its own.
        """
        script = self._scripts.get((session, script_id))
        return self._urls.script(script.url if script is not None and script.url else url)

    def frame_id(self, session: str, script_id: str) -> str:
        """Return the DevTools id of the frame that runs the script, empty if unknown."""
        return self._frames.get((session, script_id), "")

    def resolve_frame(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        """Return the source position of a DevTools call frame, and the original name of the function called there.

        Without a source map, the position is that in the bundle.
        """
        line, column, function = frame["lineNumber"], frame["columnNumber"], frame.get("functionName", "")
        script = self._scripts.get((session, frame["scriptId"]))
        url = frame.get("url") or (script.url if script is not None else "")
        source_map = self._maps.get(script) if script is not None else None
        mapped = source_map.find(line, column) if source_map is not None else None
        if mapped is None:
            file = module_name(url) or self._urls.script(url).partition("?")[0]
            in_bundle = CodeLocation(file, line + 1, column + 1, function)
            if not stack_frames.is_library_frame(in_bundle):
                self._urls_without_map.add(script.url if script is not None else url)
            return in_bundle, ""
        place, called_name = mapped
        named = stack_frames.attribute_to_package(CodeLocation(place.file, place.line, place.column, function), url)
        return stack_frames.resolve_root(named, self._root), called_name

    def resolve_position(self, session: str, script_id: str, line: int, column: int) -> CodeLocation:
        """Return the source position of a line and column (both from 0) of a script."""
        return self.resolve_frame(session, {"scriptId": script_id, "lineNumber": line, "columnNumber": column})[0]

    async def _decode_map(self, url: str, text: bytes | str) -> SourceMap | None:
        """Return the decoded source map. If it is missing or invalid, store a note and return None.

        text  the map as bytes, or the reason for its absence as a string
        """
        if isinstance(text, bytes):
            try:
                return await asyncio.to_thread(SourceMap, text, relative_to_vite_root(url, self._vite_bases))
            except InvalidSourceMap as problem:
                text = f"its source map cannot be read: {problem}"
        if url:
            shown = self._urls.script(url).partition("?")[0]
            self._notes_by_url[url] = f"Positions in {shown} are those of the bundle: {self._urls.redact(text)}."
        return None


async def _fetch_map(script: PageScript) -> bytes | str:
    """Return the map as bytes, or the reason for its absence as a string."""
    if not script.map_url:
        return "it has no source map"
    try:
        return await _fetch(urljoin(script.url, script.map_url))
    except (InvalidSourceMap, aiohttp.ClientError, TimeoutError, OSError, ValueError, binascii.Error) as problem:
        return f"its source map cannot be read: {str(problem) or f'no answer within {FETCH_TIMEOUT_S:g} s'}"


async def _fetch(url: str) -> bytes:
    if url.startswith("data:"):
        return decode_data_uri(url)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)) as http,
        http.get(url, ssl=False) as response,
    ):
        if response.status != 200:
            raise InvalidSourceMap(f"HTTP {response.status}")
        if (response.content_length or 0) > MAX_MAP_BYTES:
            raise InvalidSourceMap("it is too large")
        return await response.read()
