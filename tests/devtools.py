"""HAR file as a user saves it: Chromium's DevTools frontend observes a page and writes the file."""

import asyncio
import itertools
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.needs import needs
from wscheck.observe.browser import launch

FLAGS = (*launch.FLAGS, "--no-sandbox", "--remote-allow-origins=*")
TIMEOUT_S = 50.0
FRAMES = """(async () => {
  const logs = await import('devtools://devtools/bundled/models/logs/logs.js');
  const requests = logs.NetworkLog.NetworkLog.instance().requests();
  return requests.flatMap(request => request.frames?.() ?? []).map(frame => frame.text) })()"""
ATTACHED = """(async () => {
  const sdk = await import('devtools://devtools/bundled/core/sdk/sdk.js');
  const page = sdk.TargetManager.TargetManager.instance().primaryPageTarget();
  return !!page?.model(sdk.NetworkManager.NetworkManager) })()"""
SAVE = """(async () => {
  const logs = await import('devtools://devtools/bundled/models/logs/logs.js');
  const har = await import('devtools://devtools/bundled/models/har/har.js');
  const nothing = () => {};
  const progress = { isCanceled: () => false, canceled: false, createSubProgress: () => progress };
  for (const name of ['setTitle', 'setTotalWork', 'setWorked', 'incrementWorked', 'done']) progress[name] = nothing;
  let out = '';
  const stream = { write: async text => { out += text } };
  const requests = logs.NetworkLog.NetworkLog.instance().requests();
  await har.Writer.Writer.write(stream, requests, { sanitize: false }, progress);
  return out })()"""


class _Refused(Exception):
    """The browser answered a command with an error."""


class _Tab:
    """One target with its own websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(TIMEOUT_S):
            while (answer := json.loads((await self._socket.receive()).data)).get("id") != number:
                pass
        if "error" in answer:
            raise _Refused(answer)
        return dict(answer["result"])

    async def value(self, expression: str) -> Any:
        """Return the value of `expression`, or None if it failed, or if the page was replaced meanwhile."""
        try:
            answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        except _Refused:
            return None
        return None if "exceptionDetails" in answer else answer["result"].get("value")

    async def until(self, expression: str, holds: Any) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not holds(await self.value(expression)):
            assert time.monotonic() < deadline, expression
            await asyncio.sleep(0.05)


async def saved_har(url: str, path: Path, *, seen: str, cookie: str) -> None:
    """Open `url`, wait until a websocket frame matches `seen`, and save what DevTools recorded as `path`."""
    needs("chromium")
    with tempfile.TemporaryDirectory(prefix="wscheck-devtools-", ignore_cleanup_errors=True) as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        browser = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert browser.stderr is not None
            lines = (re.search(r"listening on ws://([\d.:]+)/", line) for line in browser.stderr)
            host = next(found[1] for found in lines if found)
            async with aiohttp.ClientSession() as http:
                path.write_text(await _record(http, host, url, seen, cookie))
        finally:
            browser.kill()
            browser.wait()
            assert browser.stderr is not None
            browser.stderr.close()


async def _record(http: aiohttp.ClientSession, host: str, url: str, seen: str, cookie: str) -> str:
    listed = await (await http.get(f"http://{host}/json")).json(content_type=None)
    page = f"{host}/devtools/page/{next(each['id'] for each in listed if each['type'] == 'page')}"
    frontend = f"devtools://devtools/bundled/devtools_app.html?ws={page}"
    opened = await (await http.put(f"http://{host}/json/new?{frontend}")).json(content_type=None)
    async with (
        http.ws_connect(opened["webSocketDebuggerUrl"], max_msg_size=0) as above,
        http.ws_connect(f"ws://{page}", max_msg_size=0) as below,
    ):
        tools, tab = _Tab(above), _Tab(below)
        await tools.until(ATTACHED, bool)
        await tools.until(FRAMES, lambda frames: frames is not None)
        await tab.call("Network.setCookie", name="session", value=cookie, url=url)
        await tab.call("Page.navigate", url=url)
        await tools.until(FRAMES, lambda frames: any(re.search(seen, text or "") for text in frames or ()))
        await asyncio.sleep(0.3)  # beyond the grace: the other connection's end belongs to the recording
        return str(await tools.value(SAVE))
