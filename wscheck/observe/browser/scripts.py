"""The scripts of every page and worker, and the files they were built from."""

import asyncio
import base64
import binascii
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote_to_bytes, urljoin

import aiohttp
import msgspec

from wscheck.detect import stack_frames
from wscheck.model.events import CodeLocation
from wscheck.observe.browser.source_map import InvalidSourceMap, SourceMap, below, vite_base
from wscheck.observe.traffic import UrlFormatter

FETCH_S = 5.0
IDLE_S = 0.7
LARGEST = 200_000_000


class PageScript(msgspec.Struct, frozen=True):
    """A script as the debugger announced it. `map` is its source map's address, empty when it names none. Scripts that
    stand in the page share its address, and what hot reload evaluates again keeps its own: the map tells them apart."""

    url: str
    map: str


class PageScripts:
    """Ask for maps early with `want`, while they can still be had. They are decoded once a page has had time to begin,
    one after the other, since that costs time which the watching needs; what is left, in the end, with `settle`.

    `root`: the folder of the checkout in which the frontend lies, empty for the checkout itself.
    """

    def __init__(self, addresses: UrlFormatter, root: str = "") -> None:
        self._addresses, self._root = addresses, root
        self._scripts: dict[tuple[str, str], PageScript] = {}
        self._frames: dict[tuple[str, str], str] = {}
        self._maps: dict[PageScript, asyncio.Task[bytes | str]] = {}
        self._ready: dict[PageScript, SourceMap | None] = {}
        self._decoding = asyncio.Lock()
        self._idle: set[asyncio.Task[None]] = set()
        self._unmapped: dict[str, str] = {}
        self._bases: set[str] = set()
        self._told: set[str] = set()

    def parsed(self, session: str, params: dict[str, Any]) -> None:
        """Debugger.scriptParsed."""
        url = params.get("url", "")
        if (base := vite_base(url)) is not None:
            self._bases.add(base)
        self._scripts[session, params["scriptId"]] = PageScript(url, params.get("sourceMapURL", ""))
        self._frames[session, params["scriptId"]] = params.get("executionContextAuxData", {}).get("frameId", "")

    def want(self, session: str, ids: Iterable[str]) -> None:
        """Begin to fetch the maps of these scripts."""
        for each in set(ids):
            script = self._scripts.get((session, each))
            if script is not None and script not in self._maps:
                self._maps[script] = asyncio.create_task(_load(script))
                self._idle.add(asyncio.create_task(self._when_idle(script)))

    async def _when_idle(self, script: PageScript) -> None:
        await asyncio.sleep(IDLE_S)
        await self._decode(script)

    async def _decode(self, script: PageScript) -> None:
        text = await self._maps[script]
        async with self._decoding:
            if script not in self._ready:
                self._ready[script] = await self._decoded(script.url, text)

    async def settle(self) -> None:
        """Wait until every map that was asked for is there, or failed."""
        for script in list(self._maps):
            await self._decode(script)

    @property
    def notes(self) -> list[str]:
        """What to say of positions of the application's that stayed those of the bundle."""
        return [note for url, note in self._unmapped.items() if url in self._told]

    def close(self) -> None:
        for task in (*self._maps.values(), *self._idle):
            task.cancel()

    def script(self, session: str, id: str, url: str) -> str:
        """The script's address as it may be told."""
        script = self._scripts.get((session, id))
        return self._addresses.script(script.url if script is not None and script.url else url)

    def frame(self, session: str, id: str) -> str:
        """The frame of the page that the script runs in, by the browser's id; empty where that is not known."""
        return self._frames.get((session, id), "")

    def place(self, session: str, frame: dict[str, Any]) -> tuple[CodeLocation, str]:
        """Where a frame of CDP was written and the original name of what is called there; the bundle's position where
        there is no map."""
        line, column, function = frame["lineNumber"], frame["columnNumber"], frame.get("functionName", "")
        script = self._scripts.get((session, frame["scriptId"]))
        url = frame.get("url") or (script.url if script is not None else "")
        found = self._ready.get(script) if script is not None else None
        mapped = found.place(line, column) if found is not None else None
        if mapped is None:
            served = CodeLocation(self._addresses.script(url).partition("?")[0], line + 1, column + 1, function)
            if not stack_frames.is_library_frame(served):
                self._told.add(script.url if script is not None else url)
            return served, ""
        place, called = mapped
        mine = stack_frames.attribute_to_package(CodeLocation(place.file, place.line, place.column, function), url)
        return stack_frames.resolve_root(mine, self._root), called

    def written(self, session: str, id: str, line: int, column: int) -> CodeLocation:
        """Where the code at a position of a script was written."""
        return self.place(session, {"scriptId": id, "lineNumber": line, "columnNumber": column})[0]

    async def _decoded(self, url: str, text: bytes | str) -> SourceMap | None:
        """The map, or None and a note when `text` is none: bytes are a map, a string says why there is none."""
        if isinstance(text, bytes):
            try:
                return await asyncio.to_thread(SourceMap, text, below(url, self._bases))
            except InvalidSourceMap as problem:
                text = f"its source map cannot be read: {problem}"
        if url:
            shown = self._addresses.script(url).partition("?")[0]
            self._unmapped[url] = f"Positions in {shown} are those of the bundle: {self._addresses.clean(text)}."
        return None


async def _load(script: PageScript) -> bytes | str:
    """The map's text, or why it cannot be had."""
    if not script.map:
        return "it has no source map"
    try:
        return await _fetch(urljoin(script.url, script.map))
    except (InvalidSourceMap, aiohttp.ClientError, TimeoutError, OSError, ValueError, binascii.Error) as problem:
        return f"its source map cannot be read: {str(problem) or f'no answer within {FETCH_S:g} s'}"


async def _fetch(url: str) -> bytes:
    if url.startswith("data:"):
        head, _, data = url.partition(",")
        return base64.b64decode(unquote_to_bytes(data)) if head.endswith(";base64") else unquote_to_bytes(data)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_S)) as http,
        http.get(url, ssl=False) as answer,
    ):
        if answer.status != 200:
            raise InvalidSourceMap(f"HTTP {answer.status}")
        if (answer.content_length or 0) > LARGEST:
            raise InvalidSourceMap("it is too large")
        return await answer.read()
