"""Embedded backend in a separate process, so that its figures and its processor time belong to the load run alone."""

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
from wscheck.run.load.child_process import ChildProcess, start_process

START_TIMEOUT_S = 20.0
DISCONNECT_TIMEOUT_S = 3.0
_LISTENING = re.compile(r"listening on (http://\S+)\n")


class EmbeddedBackendProcess:
    """A running embedded backend at `url`."""

    def __init__(self, folder: Path, namespace: str, path: str) -> None:
        self._log, self._options = folder / "backend.log", ["--namespace", namespace, "--path", path]
        self._running = AsyncExitStack()
        self._counts_before_restart: list[ServerSide] = []
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Start the backend on `port`, or on a free port if `port` is 0.

        Raises:
            CannotCheck: The backend does not start.
        """
        # The log is not needed, and would become long under load.
        command = [sys.executable, "-m", "wscheck", "serve", "--port", str(port), "--fault", "log-nothing"]
        process = start_process([*command, *self._options], self._log, os.environ)
        self._process = await self._running.enter_async_context(process)
        self.url = await _wait_until_listening(self._process)
        # Start to measure here: the import of the libraries is not part of the load.
        self._cpu_s_at_start = _process_cost(self._process.pid)[0]

    async def restart(self) -> None:
        """End the backend, which disconnects all users, and start it again at the same URL.

        The counts of the ended process are kept, and `final_counts` includes them.
        """
        if (counts := await self._current_counts()) is not None:
            self._counts_before_restart.append(counts)
        await self._running.aclose()
        await self.start(urlsplit(self.url).port or 0)

    async def stop(self) -> None:
        """End the backend."""
        await self._running.aclose()

    async def final_counts(self) -> ServerSide | None:
        """Wait until all connections are closed, and return what the backend counted since its first start.

        Return None if the backend does not answer.
        """
        deadline = time.monotonic() + DISCONNECT_TIMEOUT_S
        while (counters := await _read_counters(self.url)) is not None and counters.open:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        counts = await self._current_counts()
        return sum_counts([*self._counts_before_restart, counts]) if counts is not None else None

    async def _current_counts(self) -> ServerSide | None:
        counters = await _read_counters(self.url)
        if counters is None:
            return None
        cpu_s, rss_mb = _process_cost(self._process.pid)
        if cpu_s is not None:
            cpu_s = None if self._cpu_s_at_start is None else round(cpu_s - self._cpu_s_at_start, 2)
        return ServerSide(
            connects=counters.connects,
            replaced=counters.replaced,
            refused=counters.refused,
            peak=counters.peak,
            emitted=counters.emitted,
            cpu_s=cpu_s,
            rss_mb=rss_mb,
        )


def sum_counts(starts: list[ServerSide]) -> ServerSide:
    """Return the total of `starts`, the counts of each process of a backend that was restarted.

    The total has the sums of the counts, the highest peak, and the memory of the last process.
    """
    cpu_s = [counts.cpu_s for counts in starts if counts.cpu_s is not None]
    return ServerSide(
        connects=sum(counts.connects for counts in starts),
        replaced=sum(counts.replaced for counts in starts),
        refused=sum(counts.refused for counts in starts),
        peak=max(counts.peak for counts in starts),
        emitted=sum(counts.emitted for counts in starts),
        cpu_s=round(sum(cpu_s), 2) if cpu_s else None,
        rss_mb=starts[-1].rss_mb,
    )


class _Counters(msgspec.Struct):
    """The part of the backend's /counters response that a load report contains."""

    connects: int
    replaced: int
    refused: int
    emitted: int
    open: int
    peak: int


@asynccontextmanager
async def embedded_backend(folder: Path, namespace: str, path: str) -> AsyncIterator[EmbeddedBackendProcess]:
    """Yield a backend that runs until the end of the `with` block.

    Raises:
        CannotCheck: The backend does not start.
    """
    backend = EmbeddedBackendProcess(folder, namespace, path)
    try:
        await backend.start()
        yield backend
    finally:
        await backend.stop()


async def _wait_until_listening(process: ChildProcess) -> str:
    """Return the URL at which the backend listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and not process.has_ended:
        if found := _LISTENING.search(process.output()):
            return found[1]
        await asyncio.sleep(0.02)
    lines = process.output().strip().splitlines()
    raise CannotCheck(
        f"The embedded backend did not start: {lines[-1] if lines else 'it printed nothing'}.",
        "Give the URL of a server of your own: wscheck load http://localhost:8000.",
    )


async def _read_counters(url: str) -> _Counters | None:
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DISCONNECT_TIMEOUT_S)) as session,
            session.get(f"{url}/counters") as response,
        ):
            return msgspec.json.decode(await response.read(), type=_Counters)
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
        return None


def _process_cost(pid: int) -> tuple[float | None, float | None]:
    """Return the processor seconds and the megabytes of memory that a process uses.

    Both are None on a system without /proc (proc(5)).
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None, None
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    megabytes = round(resident_pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    return (int(fields[11]) + int(fields[12])) / ticks_per_s, megabytes
