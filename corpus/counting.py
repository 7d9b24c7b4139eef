"""A count of open websockets, what a test of twenty lines does. `python -m corpus.counting OPTIONS-AS-JSON`.

Two websockets of one page to one address that are open together for more than 300 ms are a fault. The run also records
the HAR file that `wscheck har` reads.
"""

import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

TOGETHER_S = 0.3


class WebsocketCount:
    """Open websockets of a page, by address without query."""

    def __init__(self) -> None:
        """Create an empty count."""
        self.is_faulty = False
        self.opened = 0
        self._open: dict[str, dict[int, float]] = {}

    def open(self, key: int, url: str, at: float) -> None:
        """Count a websocket."""
        parts = urlsplit(url)
        self.opened += 1
        self._open.setdefault(f"{parts.netloc}{parts.path}", {})[key] = at

    def close(self, key: int, at: float) -> None:
        """Count a websocket as closed."""
        for sockets in self._open.values():
            if key in sockets:
                self._compare(sockets, at)
                del sockets[key]

    def leave(self, at: float) -> None:
        """Forget the websockets of the document that the page leaves."""
        for sockets in self._open.values():
            self._compare(sockets, at)
        self._open.clear()

    def finish(self, at: float) -> int:
        """Compare what is open at the end, and return how many are open to one address at most."""
        for sockets in self._open.values():
            self._compare(sockets, at)
        return max(map(len, self._open.values()), default=0)

    def _compare(self, sockets: dict[int, float], at: float) -> None:
        began = sorted(sockets.values())
        self.is_faulty |= len(began) > 1 and at - began[1] > TOGETHER_S


def count(url: str, steps: list[dict[str, Any]], watch_s: float, browser: str, har: str) -> dict[str, Any]:
    """Open a page, do the steps, watch it, and return the count."""
    from playwright.sync_api import sync_playwright

    counted = WebsocketCount()
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        context = started.new_context(record_har_path=har)
        page = context.new_page()

        def on_websocket(socket: Any) -> None:
            counted.open(id(socket), socket.url, time.monotonic())
            socket.on("close", lambda *_: counted.close(id(socket), time.monotonic()))

        def on_navigation(frame: Any) -> None:
            if frame.parent_frame is None:
                counted.leave(time.monotonic())

        page.on("websocket", on_websocket)
        page.on("framenavigated", on_navigation)
        page.goto(url, wait_until="commit", timeout=30_000)
        page.wait_for_timeout(4_000)
        for step in steps:
            _do(page, step)
        page.wait_for_timeout(watch_s * 1000)
        most = counted.finish(time.monotonic())
        context.close()
        started.close()
    return {"is_faulty": counted.is_faulty, "open": most, "opened": counted.opened}


def _do(page: Any, step: dict[str, Any]) -> None:
    """Do one browser step; a wait for a connection is a wait of some seconds."""
    within = float(str(step.get("within", "30s")).removesuffix("s")) * 1000
    if "click" in step:
        page.click(step["click"], timeout=within)
    elif "wait_for" in step:
        page.wait_for_selector(step["wait_for"], timeout=within)
    elif "reload" in step:
        page.reload(wait_until="commit")
        page.wait_for_timeout(3_000)
    elif "press" in step:
        page.keyboard.press(step["press"])
    elif "wait" in step:
        page.wait_for_timeout(float(str(step["wait"]).removesuffix("s")) * 1000)
    else:
        page.wait_for_timeout(4_000)


def main() -> None:
    """Print the count of the page that the options name."""
    print(json.dumps(count(**json.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
