"""Scripts of every page and worker, with their source maps."""

import asyncio
import binascii
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urljoin

import aiohttp
import msgspec

from wscheck.detect import stack_frames
from wscheck.model.errors import failure_reason
from wscheck.model.events import CodeLocation
from wscheck.observe.browser.source_map import (
    MAX_MAP_BYTES,
    InvalidSourceMap,
    SourceMap,
    decode_data_uri,
    mapped_source,
    module_name,
    relative_to_vite_root,
    vite_base,
)
from wscheck.observe.host_limit import http_session
from wscheck.observe.traffic import UrlFormatter

FETCH_TIMEOUT_S = 5.0
DECODE_DELAY_S = 0.7
MAX_SOURCE_CHARACTERS = 100_000
"""Largest script without a source map that is read. A larger one is a bundle, whose names say little."""


class PageScript(msgspec.Struct, frozen=True):
    """A script as the debugger reports it.

    Several scripts can have one URL: inline scripts have that of their page, and hot reload evaluates a script again.
    The URL of the source map distinguishes these scripts.

    map_url  URL of the script's source map, empty if the script names none
    """

    url: str
    map_url: str


FetchSource = Callable[[str, str], Awaitable[str]]
"""Async function that returns the text of a script: it is called with the DevTools session and the script id."""


class PageScripts:
    """Scripts of all pages and workers, and a resolver of positions in these scripts.

    Call `request_maps` early, while the server still has the source maps. They are decoded one after the other, only
    after the page had time to start, because decoding delays the observation. `wait_for_maps` decodes the rest.

    root          folder of the frontend within the repository, empty if it is the repository's root
    fetch_source  returns the text of a script that has no source map, "" if the browser no longer has it
    """

    def __init__(self, urls: UrlFormatter, root: str = "", fetch_source: FetchSource | None = None) -> None:
        self._urls, self._root, self._fetch_source = urls, root, fetch_source
        self._starts: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._runs: dict[tuple[str, str], int] = {}
        self._run_counts: Counter[tuple[str, object, str, int, int]] = Counter()
        self._texts: dict[tuple[str, str], asyncio.Future[str]] = {}
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
        key, start = (session, params["scriptId"]), (params.get("startLine", 0), params.get("startColumn", 0))
        self._scripts[key] = PageScript(url, params.get("sourceMapURL", ""))
        self._starts[key] = (*start, params.get("length", 0))
        if url:
            script = (session, params.get("executionContextId"), url, *start)
            self._run_counts[script] += 1
            self._runs[key] = self._run_counts[script]
        self._frames[session, params["scriptId"]] = params.get("executionContextAuxData", {}).get("frameId", "")

    def request_maps(self, session: str, script_ids: Iterable[str]) -> None:
        """Start to fetch the source maps of these scripts."""
        for script_id in set(script_ids):
            script = self._scripts.get((session, script_id))
            if script is not None and script not in self._fetches:
                self._fetches[script] = asyncio.create_task(_fetch_map(script))
                self._delayed.add(asyncio.create_task(self._decode_later(script)))
            key = session, script_id
            if self._fetch_source is not None and script is not None and self._is_readable(key, script):
                self._texts[key] = asyncio.ensure_future(self._fetch_source(session, script_id))

    def _is_readable(self, key: tuple[str, str], script: PageScript) -> bool:
        """Return whether to read a script's own text: it has no source map, is no library, is small, and is unread."""
        is_new = not script.map_url and key not in self._texts
        is_small = self._starts[key][2] <= MAX_SOURCE_CHARACTERS
        return is_new and is_small and not stack_frames.is_library_frame(CodeLocation(script.url or "inline"))

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
        await asyncio.gather(*self._texts.values())

    @property
    def notes(self) -> list[str]:
        """Sentences about application scripts whose positions could not be mapped to source files."""
        return [note for url, note in self._notes_by_url.items() if url in self._urls_without_map]

    def close(self) -> None:
        """Cancel all fetches."""
        for task in (*self._fetches.values(), *self._delayed):
            task.cancel()
        for text in self._texts.values():
            text.cancel()

    def script_at(self, session: str, url: str, line: int, column: int) -> str | None:
        """Return the id of the last script of this URL that contains a position (from 0), None if there is none."""
        found = None
        for (script_session, script_id), script in self._scripts.items():
            starts_before = self._starts[script_session, script_id][:2] <= (line, column)
            if script_session == session and script.url == url and starts_before:
                found = script_id
        return found

    def script_url(self, session: str, script_id: str, url: str) -> str:
        """Return the URL of a script as reports show it: without user and password, its query replaced by a hash.

        `url` is used if the script is unknown or has no URL of its own.
        """
        script = self._scripts.get((session, script_id))
        return self._urls.script(script.url if script is not None and script.url else url)

    def run_number(self, session: str, script_id: str) -> int:
        """Return 1 for the first evaluation of a script in its document, 2 for the second and so on; 0 if unknown."""
        return self._runs.get((session, script_id), 0)

    def source_at(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, bytes] | None:
        """Return the position of a DevTools call frame in its source file, and the text of this file.

        Return None if the text is not available. For a script without a source map, the file is the script itself.
        """
        line, column = frame["lineNumber"], frame["columnNumber"]
        key = session, frame["scriptId"]
        script = self._scripts.get(key)
        source_map = self._maps.get(script) if script is not None else None
        if source_map is not None:
            mapped = source_map.find(line, column)
            return mapped_source(source_map, mapped[0], self._root) if mapped is not None else None
        task = self._texts.get(key)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None or not task.result():
            return None
        start_line, start_column, _ = self._starts[key]
        text = "\n" * start_line + " " * start_column + task.result()
        name = f"{script.url if script is not None else ''}#{key[1]}.js"
        return CodeLocation(name, line + 1, column + 1), text.encode("utf-8", "replace")

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
        if mapped is None and source_map is not None and not module_name(url):
            return CodeLocation(stack_frames.UNMAPPED, line + 1, column + 1, function), ""
        if mapped is None:
            file = module_name(url) or self._urls.script(url).partition("?")[0]
            in_bundle = CodeLocation(file, line + 1, column + 1, function)
            if not stack_frames.is_library_frame(in_bundle):
                self._urls_without_map.add(script.url if script is not None else url)
            return in_bundle, ""
        place, called_name = mapped
        named = stack_frames.attribute_to_package(CodeLocation(place.file, place.line, place.column, function), url)
        return stack_frames.resolve_root(named, self._root), called_name

    def position_in_bundle(self, session: str, frame: dict[str, Any]) -> CodeLocation:
        """Return the position of a DevTools call frame in its script, and store a note that it is not in a source file.

        Use this for a frame whose position the script's source map does not contain.
        """
        script = self._scripts.get((session, frame["scriptId"]))
        url = frame.get("url") or (script.url if script is not None else "")
        self._urls_without_map.add(url)
        self._notes_by_url.setdefault(url, self._note(url, "its source map does not contain them"))
        file = self._urls.script(url).partition("?")[0]
        return CodeLocation(file, frame["lineNumber"] + 1, frame["columnNumber"] + 1, frame.get("functionName", ""))

    def _note(self, url: str, reason: str) -> str:
        shown = self._urls.script(url).partition("?")[0]
        return f"Positions in {shown} are those of the bundle: {self._urls.redact(reason)}."

    def resolve_position(self, session: str, script_id: str, line: int, column: int) -> CodeLocation:
        """Return the position in the source file of a line and column (both from 0) of a script."""
        return self.resolve_frame(session, {"scriptId": script_id, "lineNumber": line, "columnNumber": column})[0]

    async def _decode_map(self, url: str, text: bytes | str) -> SourceMap | None:
        """Return the decoded source map. If it is missing or invalid, store a note and return None.

        text  the map (bytes), or the reason why there is no map (str)
        """
        if isinstance(text, bytes):
            try:
                return await asyncio.to_thread(SourceMap, text, relative_to_vite_root(url, self._vite_bases))
            except InvalidSourceMap as problem:
                text = f"its source map cannot be read: {problem}"
        if url:
            self._notes_by_url[url] = self._note(url, text)
        return None


async def _fetch_map(script: PageScript) -> bytes | str:
    """Return the content of the script's source map (bytes), or a clause that states why there is none (str)."""
    if not script.map_url:
        return "it has no source map"
    try:
        return await _fetch(urljoin(script.url, script.map_url))
    except (InvalidSourceMap, aiohttp.ClientError, TimeoutError, OSError, ValueError, binascii.Error) as problem:
        reason = str(problem) if isinstance(problem, InvalidSourceMap) else failure_reason(problem, "it has no address")
        return f"its source map cannot be read: {reason}"


async def _fetch(url: str) -> bytes:
    if url.startswith("data:"):
        return decode_data_uri(url)
    async with (
        http_session(timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)) as http,
        http.get(url, ssl=False) as response,
    ):
        if response.status != 200:
            raise InvalidSourceMap(f"HTTP {response.status}")
        content = bytearray()
        # The header states the length before decompression, if it states any.
        async for piece in response.content.iter_any():
            content += piece
            if len(content) > MAX_MAP_BYTES:
                raise InvalidSourceMap("it is too large")
        return bytes(content)
