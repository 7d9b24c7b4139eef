"""A browser to look into: one of our own with a fresh profile, or one that runs already."""

import asyncio
import contextlib
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from wscheck.config.settings import redact_url
from wscheck.model.errors import CannotCheck, Unreachable, UsageError
from wscheck.observe.browser.profile import fresh

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge", "msedge")
START_S = 20.0

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None

FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    # The last two are pages of its own, loaded for an address bar that nobody sees: half of what a start costs.
    "--disable-features=Translate,MediaRouter,OptimizationHints,HttpsUpgrades,WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--metrics-recording-only",
    "--mute-audio",
    "--hide-scrollbars",
    "--window-size=1280,800",
    "--password-store=basic",
    "--use-mock-keychain",
    "--remote-debugging-port=0",
)
UNVERIFIED = "--ignore-certificate-errors"


def find(named: Path | None = None) -> Path:
    """The browser's program. Raises UsageError for one that was named and is not there, CannotCheck for none."""
    if named is not None:
        if not (named.is_file() and os.access(named, os.X_OK)):
            raise UsageError(f"{named} is not a program.", "Name the browser's own executable: --browser PATH.")
        return named
    for name in NAMES:
        if (found := shutil.which(name)) is not None:
            return Path(found)
    problem = "No Chromium was found on PATH."
    raise CannotCheck(problem, "Install one (`apt-get install chromium`), name it (--browser PATH), or use --cdp URL.")


@asynccontextmanager
async def running(program: Path, more: Sequence[str] = ()) -> AsyncIterator[str]:
    """Starts `program` headless with a profile of its own, and with `more` flags; yields its DevTools address; leaves
    nothing behind."""
    with fresh() as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            *more,
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "TMPDIR": profile},  # a browser that is killed leaves its locks there
            start_new_session=sys.platform != "win32",
            preexec_fn=_end_with_us if _LIBC is not None else None,
        )
        try:
            address, drain = await _listening(process, program)
            try:
                yield address
            finally:
                drain.cancel()
        finally:
            await _end(process)


def _end_with_us() -> None:
    """In the child: when this process is killed, and cannot end it any more, it ends by itself."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _listening(process: asyncio.subprocess.Process, program: Path) -> tuple[str, "asyncio.Task[None]"]:
    """The address it says it listens on, and a task that keeps its stderr from filling up."""
    assert process.stderr is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(START_S):
            while raw := await process.stderr.readline():
                line = raw.decode(errors="replace").strip()
                if line.startswith("DevTools listening on "):
                    return line.removeprefix("DevTools listening on "), asyncio.create_task(_drain(process.stderr))
                said += [line] if line else []
    except (TimeoutError, ValueError):
        said.append(f"it did not listen within {START_S:.0f} s")
    reason = said[-1][:200] if said else f"it ended with {await process.wait()}"
    raise CannotCheck(f"{program} did not start: {reason}.", "Try another one: --browser PATH.")


async def _drain(stderr: asyncio.StreamReader) -> None:
    while await stderr.read(65536):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    """Its helpers live in its process group, and go with it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def address_of(url: str) -> str:
    """The DevTools websocket of the browser at `url` ("http://127.0.0.1:9222", or the websocket itself)."""
    if url.startswith(("ws://", "wss://")):
        return url
    base = url if "://" in url else f"http://{url}"
    shown = redact_url(base)
    help = "Start it with --remote-debugging-port=9222 and a --user-data-dir of its own, and give --cdp that address."
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
            http.get(f"{base.rstrip('/')}/json/version") as answer,
        ):
            found = await answer.json(content_type=None)
            return str(found["webSocketDebuggerUrl"])
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        said = redact_url(str(error)) or "no answer in time"
        raise Unreachable(f"No browser answers at {shown}: {said}.", help) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CannotCheck(f"What answers at {shown} is no browser's DevTools.", help) from error
