"""A count of open websockets beside `wscheck browser`, on the pages of tests/field/pages, in one run of each page.

The count is what a test of 20 lines would do: two websockets of one page to one origin that are open together for more
than 300 ms are a fault. A case takes some ten seconds; BENCH_JOBS cases run at a time.
"""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.field.pages import score
from wscheck.observe.browser import launch
from wscheck.observe.browser.devtools import DevToolsConnection

JOBS = int(os.environ.get("BENCH_JOBS", "1"))
TOGETHER_S = 0.3
PAGES = [{"type": "page"}, {"exclude": True}]
WRONG = ("FALSE PASS", "FALSE ALARM", "INCONCLUSIVE", "ERROR")
_SHOWN = {True: "right", False: "wrong"}


class WebsocketCount:
    """Websockets of each page of a browser: whether two to one origin were open together for long."""

    def __init__(self, devtools_url: str) -> None:
        """Create a count for the browser at a DevTools websocket URL."""
        self._devtools = DevToolsConnection(devtools_url, self._on_event)
        self._open: dict[tuple[str, str], dict[str, float]] = {}
        self.is_faulty = False

    @contextlib.asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """Count while the body runs. `is_faulty` is final afterwards."""
        async with self._devtools:
            attach = {"autoAttach": True, "waitForDebuggerOnStart": False, "flatten": True, "filter": PAGES}
            await self._devtools.call("Target.setAutoAttach", attach)
            yield
            for sockets in self._open.values():
                self._compare(sockets)

    def _on_event(self, method: str, params: dict[str, Any], session: str) -> None:
        if method == "Target.attachedToTarget":
            self._devtools.send("Network.enable", {}, params["sessionId"])
            self._devtools.send("Page.enable", {}, params["sessionId"])
        elif method == "Network.webSocketCreated":
            origin = urlsplit(params["url"]).netloc
            self._open.setdefault((session, origin), {})[params["requestId"]] = time.monotonic()
        elif method == "Network.webSocketClosed":
            for sockets in self._open.values():
                if params["requestId"] in sockets:
                    self._compare(sockets)
                    del sockets[params["requestId"]]
        elif method == "Page.frameNavigated" and "parentId" not in params["frame"]:
            for key in [key for key in self._open if key[0] == session]:
                self._compare(self._open.pop(key))

    def _compare(self, sockets: dict[str, float]) -> None:
        """Record a fault if the second of the open websockets has been open for long."""
        opened = sorted(sockets.values())
        self.is_faulty |= len(opened) > 1 and time.monotonic() - opened[1] > TOGETHER_S


async def _run_case(wscheck: str, case: dict[str, Any]) -> tuple[bool, bool]:
    """Return whether the count and wscheck are right about a page."""
    async with launch.running_browser(launch.find_browser(None), []) as url:
        count = WebsocketCount(url)
        async with count.counting():
            watched = {**case, "args": [*case.get("args", []), "--cdp", url]}
            data, text, code = await asyncio.to_thread(score.run, wscheck, watched)
    wrong, _ = score.judge(case, data, text, code)
    return count.is_faulty == (case["class"] == "faulty"), not any(kind in WRONG for kind, _ in wrong)


async def _run_all(cases: list[dict[str, Any]], jobs: int) -> list[tuple[str, bool, bool, bool]]:
    """Return the id of each case, whether it is faulty, and whether the count and wscheck are right."""
    wscheck = shutil.which("wscheck") or str(Path(sys.executable).with_name("wscheck"))
    free = asyncio.Semaphore(jobs)

    async def run_case(case: dict[str, Any]) -> tuple[str, bool, bool, bool]:
        async with free:
            by_count, by_wscheck = await _run_case(wscheck, case)
        print(f"{case['id']}: count {_SHOWN[by_count]}, wscheck {_SHOWN[by_wscheck]}", file=sys.stderr, flush=True)
        return case["id"], case["class"] == "faulty", by_count, by_wscheck

    return await asyncio.gather(*map(run_case, cases))


def run() -> None:
    """Run every page with a known result, and print how many each of the two is right about."""
    cases = json.loads((Path(score.HERE) / "truth.json").read_text(encoding="utf-8"))["cases"]
    judged = [c for c in cases if c["kind"] == "socketio" and "har" not in c and c["class"] != "unjudgeable"]
    rows = asyncio.run(_run_all(judged, JOBS))
    print("| pages | count right | wscheck right |")
    print("|---|---|---|")
    for name, faulty in (("faulty", True), ("healthy", False)):
        of_kind = [row for row in rows if row[1] is faulty]
        print(f"| {len(of_kind)} {name} | {sum(r[2] for r in of_kind)} | {sum(r[3] for r in of_kind)} |")
    worse = [row[0] for row in rows if row[2] and not row[3]]
    print(f"\nright only by the count: {', '.join(worse) or 'none'}")
