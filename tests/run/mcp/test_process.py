"""`wscheck mcp` as a client starts it: the SDK's client, a real browser, and a library that prints."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.needs import needs
from tests.run.mcp.tool_client import called, refusal, text_of, write

SOURCE = """function useEffect(effect) { const close = effect(); if (close) close(); effect(); }
function Chat() {
  useEffect(() => {
    const socket = new WebSocket("ws://" + location.host + "/chat");
    socket.addEventListener("message", console.log);
  }, []);
  return null;
}
Chat();
"""
OTHER_HOST = """
addEventListener("load", () => {
  new Image().src = "http://127.0.0.2:" + location.port + "/pixel";
  connect();
});
function connect() {
  const other = new WebSocket("ws://127.0.0.2:" + location.port + "/chat");
  other.addEventListener("close", () => setTimeout(connect, 20));
}
"""
DIFF = "+    return () => {\n+      socket.close();\n+    };\n"

CHATTY = """
import os, sys
from wscheck.run.mcp import access
from wscheck.__main__ import main
permitted = access.Access.url
def chatty(*arguments):
    print("a library prints")
    os.write(1, b"a library writes\\n")
    os.system("echo a child prints")
    return permitted(*arguments)
access.Access.url = chatty
sys.argv = ["wscheck", "mcp"]
main()
"""


def source_map() -> dict[str, Any]:
    """Return the map of a script that begins with SOURCE to src/chat.jsx, with a segment for each column."""
    # Segments are relative: the next column is "CAAC"; the next line goes back by the length of the last one.
    lines = SOURCE.split("\n")[:-1]
    rows = ["AAAA" + ",CAAC" * len(lines[0])]
    rows += [f"AAC{vlq(-len(last))}" + ",CAAC" * len(line) for last, line in pairwise(lines)]
    text = {"sources": ["src/chat.jsx"], "sourcesContent": [SOURCE]}
    return {"version": 3, **text, "names": [], "mappings": ";".join(rows)}


def vlq(number: int) -> str:
    """Return a number as the base64 digits of a source map."""
    digits, rest = "", abs(number) << 1 | (number < 0)
    while True:
        rest, digit = rest >> 5, rest & 31
        digits += "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[digit | (32 if rest else 0)]
        if not rest:
            return digits


@asynccontextmanager
async def faulty_page() -> AsyncIterator[tuple[int, list[str]]]:
    """Serve a page whose effect leaks a connection, at every address of this machine. Yield the port and the hosts."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        asked.append(request.host)
        if request.path == "/chat":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            async for _ in socket:
                pass
            return socket
        if request.path == "/login":
            raise web.HTTPFound(f"http://127.0.0.2:{request.url.port}/")
        if request.path == "/app.js":
            script = SOURCE + OTHER_HOST + "//# sourceMappingURL=app.js.map\n"
            return web.Response(text=script, content_type="text/javascript")
        if request.path == "/app.js.map":
            return web.json_response(source_map())
        return web.Response(text="<title>chat</title><script src=/app.js></script>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "0.0.0.0", 0).start()
    try:
        yield runner.addresses[0][1], asked
    finally:
        await runner.cleanup()


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return found


async def test_a_client_gets_the_verdict_of_a_page_and_a_signal_ends_the_browser(tmp_path: Path) -> None:
    from mcp import StdioServerParameters
    from mcp.client.client import Client

    needs("chromium")
    write(tmp_path, {"chatty.py": CHATTY})
    # The shell stays as the parent, and writes how the server ended.
    shell = f"exec 3<&0; '{sys.executable}' chatty.py <&3 & echo $! >pid; wait $!; echo $? >code"
    server = StdioServerParameters(command="sh", args=["-c", shell], cwd=tmp_path)
    unexpected: list[Exception] = []
    watched = asyncio.Event()

    async def on_message(message: object) -> None:
        if isinstance(message, Exception):
            unexpected.append(message)

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        watched.set()

    async with faulty_page() as (port, asked), Client(server, mode="legacy", message_handler=on_message) as client:
        answer = await client.call_tool("watch_page", {"url": f"http://127.0.0.1:{port}/", "seconds": 0.5})
        sent = await refusal(client, "watch_page", url=f"http://127.0.0.1:{port}/login", seconds=0.5)
        assert (await called(client, "explain", id="two-openers"))["explanations"]
        arguments = {"url": f"http://127.0.0.1:{port}/", "seconds": 60}
        call = asyncio.ensure_future(client.call_tool("watch_page", arguments, progress_callback=on_progress))
        async with asyncio.timeout(30):
            await watched.wait()
        pid = int((tmp_path / "pid").read_text())
        browsers = children(pid)
        os.kill(pid, signal.SIGTERM)
        await asyncio.gather(call, return_exceptions=True)
        async with asyncio.timeout(30):
            while not (tmp_path / "code").is_file() or not (tmp_path / "code").read_text():
                await asyncio.sleep(0.05)
    assert not answer.is_error, text_of(answer)
    result = answer.structured_content
    verdict, sentence = text_of(answer).split("\n")[:2]
    assert verdict.startswith("✗ FAILED  1 finding in ") and "holds 2 connections at once" in sentence
    (finding,) = result["findings"]
    assert (result["verdict"], finding["cause"]["id"]) == ("failed", "unmount-without-cleanup")
    assert ("src/chat.jsx", 4) in [(place["file"], place["line"]) for place in finding["places"]]
    assert DIFF in finding["diffs"][0]
    # The page also requested another host, to which nothing was sent.
    assert [gap["reason"] for gap in result["gaps"] if "127.0.0.2" in gap["reason"]], json.dumps(result["gaps"])
    assert all(opening["url"].startswith("http://127.0.0.1:") for opening in result["openings"])
    assert "--allow 127.0.0.2" in sent
    assert {host.partition(":")[0] for host in asked} == {"127.0.0.1"}
    assert unexpected == []
    assert (tmp_path / "code").read_text().strip() == "130"
    assert browsers and not [each for each in browsers if Path(f"/proc/{each}").exists()]
