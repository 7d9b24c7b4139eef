"""Test that a page can name no file outside its folders, and that nothing it sends is read without end."""

import asyncio
import gzip
import os
from pathlib import Path

import pytest
from aiohttp import WSMsgType, web

from tests.bad_servers import serving
from wscheck.observe.browser import scripts, source_map
from wscheck.observe.browser.devtools import DevToolsConnection
from wscheck.observe.browser.scripts import PageScript
from wscheck.observe.browser.source_map import InvalidSourceMap, decode_data_uri, read_inside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.js").write_text("outside")
    folder = tmp_path / "build"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.js").write_text("inside")
    (folder / "link.js").symlink_to(tmp_path / "secret.js")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to(tmp_path)
    (folder / "big.js").write_text("x" * 101)
    os.mkfifo(folder / "pipe.js")
    return folder


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.js", "src/../../secret.js", "link.js", "up/secret.js", "/etc/passwd", "file:///etc/passwd", ""),
        *("src", "pipe.js", "big.js", "x\0y", "a" * 5000, "loop/loop/../../secret.js", "/dev/zero", "~/.netrc"),
    ],
)
def test_no_name_leads_out_of_the_folder(folder: Path, name: str) -> None:
    assert read_inside(folder, name, 100) is None
    assert read_inside(folder, "src/app.js", 100) == read_inside(folder, "loop/src/app.js", 100) == b"inside"


async def test_a_source_map_is_limited_after_decompression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scripts, "MAX_MAP_BYTES", 1_000_000)
    monkeypatch.setattr(source_map, "MAX_MAP_BYTES", 1_000_000)
    bomb = gzip.compress(b" " * 50_000_000)

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/packed.map":
            return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" " * 100_000)
        return response

    app = web.Application()
    app.router.add_get("/{name}", answer)
    async with serving(app) as url:
        for name in ("packed.map", "chunked.map"):
            fetched = await scripts._fetch_map(PageScript(f"{url}/app.js", name))
            assert fetched == "its source map cannot be read: it is too large"
    with pytest.raises(InvalidSourceMap, match="too large"):
        decode_data_uri("data:application/json," + " " * 1_000_001)


async def test_console_messages_are_not_decoded() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                for _ in range(2_000):
                    # Decoding this would raise an error.
                    await ws.send_str('{"method":"Runtime.consoleAPICalled","params":{"args":[' + "x" * 1_000)
                await ws.send_str('{"id":1,"result":{"value":7}}')
        return ws

    app = web.Application()
    app.router.add_get("/", answer)
    async with (
        serving(app) as url,
        DevToolsConnection(url.replace("http", "ws") + "/", lambda method, params, session: None) as devtools,
        asyncio.timeout(60),
    ):
        assert await devtools.call("Runtime.evaluate") == {"value": 7}
