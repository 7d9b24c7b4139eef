"""The embedded backend as a process of its own: what it counted and what it cost is then its alone."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import msgspec

from wscheck.model.errors import CannotCheck
from wscheck.model.load_report import ServerSide
from wscheck.run.load.child_process import Offspring, started

START_S = 20.0
SETTLE_S = 3.0
_LISTENING = re.compile(r"listening on (http://\S+)\n")


class Embedded:
    """A running embedded backend. `restart` ends it and starts it again at the same URL."""

    def __init__(self, folder: Path, namespace: str, path: str) -> None:
        self._log, self._options = folder / "backend.log", ["--namespace", namespace, "--path", path]
        self._running = AsyncExitStack()
        self._earlier: list[ServerSide] = []
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Listen on `port`, a free one for 0. Raises CannotCheck when it does not come up."""
        # Nobody reads its log, and a swarm would make it long.
        command = [sys.executable, "-m", "wscheck", "serve", "--port", str(port), "--fault", "log-nothing"]
        self._process = await self._running.enter_async_context(
            started([*command, *self._options], self._log, os.environ)
        )
        self.url = await _listening(self._process)
        # Its start (importing its libraries) is no part of the load.
        self._before_s = _cost(self._process.pid)[0]

    async def restart(self) -> None:
        """What it counted so far is kept; everybody is disconnected."""
        self._earlier += [counted] if (counted := await self._counted()) is not None else []
        await self._running.aclose()
        await self.start(urlsplit(self.url).port or 0)

    async def stop(self) -> None:
        await self._running.aclose()

    async def counted(self) -> ServerSide | None:
        """What it counted, once everybody has left, its earlier lives included; None when it no longer answers."""
        deadline = time.monotonic() + SETTLE_S
        while (counters := await _counters(self.url)) is not None and counters.open:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        last = await self._counted()
        return _added([*self._earlier, last]) if last is not None else None

    async def _counted(self) -> ServerSide | None:
        counters = await _counters(self.url)
        if counters is None:
            return None
        spent_s, rss_mb = _cost(self._process.pid)
        cpu_s = None if spent_s is None or self._before_s is None else round(spent_s - self._before_s, 2)
        return ServerSide(
            connects=counters.connects,
            replaced=counters.replaced,
            refused=counters.refused,
            peak=counters.peak,
            emitted=counters.emitted,
            cpu_s=cpu_s,
            rss_mb=rss_mb,
        )


def _added(lives: list[ServerSide]) -> ServerSide:
    last, spent = lives[-1], [life.cpu_s for life in lives if life.cpu_s is not None]
    return ServerSide(
        connects=sum(life.connects for life in lives),
        replaced=sum(life.replaced for life in lives),
        refused=sum(life.refused for life in lives),
        peak=max(life.peak for life in lives),
        emitted=sum(life.emitted for life in lives),
        cpu_s=round(sum(spent), 2) if spent else None,
        rss_mb=last.rss_mb,
    )


class _Counters(msgspec.Struct):
    connects: int
    replaced: int
    refused: int
    emitted: int
    open: int
    peak: int


@asynccontextmanager
async def embedded(folder: Path, namespace: str, path: str) -> AsyncIterator[Embedded]:
    """A fresh backend until the block ends. Raises CannotCheck when it does not come up."""
    backend = Embedded(folder, namespace, path)
    try:
        await backend.start()
        yield backend
    finally:
        await backend.stop()


async def _listening(process: Offspring) -> str:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and not process.ended:
        if found := _LISTENING.search(process.said()):
            return found[1]
        await asyncio.sleep(0.02)
    said = process.said().strip().splitlines()
    raise CannotCheck(
        f"The embedded backend did not start: {said[-1] if said else 'it said nothing'}.",
        "Give the URL of a server of your own: wscheck load http://localhost:8000.",
    )


async def _counters(url: str) -> _Counters | None:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SETTLE_S)) as session,
            session.get(f"{url}/counters") as answer,
        ):
            return msgspec.json.decode(await answer.read(), type=_Counters)
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
        return None


def _cost(pid: int) -> tuple[float | None, float | None]:
    """(processor seconds, megabytes) of a process, None where the system does not say (Linux does)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None, None
    ticks = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / ticks, round(resident * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
