"""Search for an installed Chromium, its start with a fresh profile, and the DevTools URL of a running browser.

The profile is a temporary folder for the data of one browser. A killed process cannot remove its profile, so the next
run removes it. Each profile is locked until its run ends.
"""

import asyncio
import ctypes
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO

import aiohttp
import msgspec

from wscheck.config.settings import redact_url
from wscheck.model.errors import CannotCheck, Unreachable, UsageError, failure_reason

EXECUTABLES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
)
"""Names on PATH, in the order of preference."""

_MAC_BUNDLES = ("Google Chrome", "Chromium", "Microsoft Edge")
_WINDOWS_PROGRAMS = (
    "Google/Chrome/Application/chrome.exe",
    "Chromium/Application/chrome.exe",
    "Microsoft/Edge/Application/msedge.exe",
)
_WINDOWS_FOLDERS = ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
_LINUX_PROGRAMS = (
    "opt/google/chrome/chrome",
    "opt/chromium/chromium",
    "opt/microsoft/msedge/msedge",
    "snap/bin/chromium",
)

# Folders and names differ between Playwright's versions and processors: chrome-linux, chrome-linux64, chrome-mac-arm64.
_PLAYWRIGHT_PROGRAMS = {
    "linux": (
        "chrome-linux*/chrome",
        "chrome-linux*/headless_shell",
        "chrome-headless-shell-linux*/chrome-headless-shell",
    ),
    "darwin": (
        "chrome-mac*/*.app/Contents/MacOS/*",
        "chrome-mac*/headless_shell",
        "chrome-headless-shell-mac*/chrome-headless-shell",
    ),
    "win32": (
        "chrome-win*/chrome.exe",
        "chrome-win*/headless_shell.exe",
        "chrome-headless-shell-win*/chrome-headless-shell.exe",
    ),
}
_PLAYWRIGHT_FOLDER = re.compile(r"(chromium|chromium_headless_shell)-(\d+)")


class BrowserSearch(msgspec.Struct, frozen=True):
    """Search for browsers based on Chromium on one system.

    platform  operating system, as in `sys.platform`
    root      folder that replaces "/" in absolute paths
    """

    platform: str = sys.platform
    environ: Mapping[str, str] = os.environ
    home: Path = msgspec.field(default_factory=Path.home)
    root: Path = Path("/")

    def candidates(self) -> Iterator[Path]:
        """Yield the executables that exist: those on PATH, then installed ones, then Playwright's, newest first."""
        on_path = (shutil.which(name, path=self.environ.get("PATH")) for name in EXECUTABLES)
        yield from (Path(found) for found in on_path if found is not None)
        yield from filter(_is_program, [*self._installed(), *self._downloaded()])

    def places(self) -> list[str]:
        """Return the searched paths and command names, as error messages list them."""
        installed = dict.fromkeys(str(path) for path in self._installed())
        cache = [str(self.playwright_cache)] if self.playwright_cache is not None else []
        return [f"PATH ({', '.join(EXECUTABLES)})", *installed, *cache]

    @property
    def playwright_cache(self) -> Path | None:
        """Folder with the browsers that Playwright downloaded, None if they are in the Node packages of a project.

        https://playwright.dev/docs/browsers#managing-browser-binaries
        """
        if configured := self.environ.get("PLAYWRIGHT_BROWSERS_PATH"):
            return Path(configured) if configured != "0" else None
        if self.platform == "darwin":
            return self.home / "Library" / "Caches" / "ms-playwright"
        if self.platform == "win32":
            local = self.environ.get("LOCALAPPDATA")
            return (Path(local) if local else self.home / "AppData" / "Local") / "ms-playwright"
        cache = self.environ.get("XDG_CACHE_HOME")
        return (Path(cache) if cache else self.home / ".cache") / "ms-playwright"

    def _installed(self) -> list[Path]:
        """Return the paths at which installers put Chrome, Chromium and Edge."""
        if self.platform == "darwin":
            bundles = (f"{name}.app/Contents/MacOS/{name}" for name in _MAC_BUNDLES)
            return [folder / bundle for bundle in bundles for folder in self._mac_folders()]
        if self.platform == "win32":
            folders = [Path(self.environ[name]) for name in _WINDOWS_FOLDERS if self.environ.get(name)]
            return [folder / program for program in _WINDOWS_PROGRAMS for folder in folders]
        return [self.root / program for program in _LINUX_PROGRAMS]

    def _mac_folders(self) -> tuple[Path, Path]:
        return self.root / "Applications", self.home / "Applications"

    def _downloaded(self) -> list[Path]:
        """Return Playwright's browsers, the newest revision first, and a whole browser before a headless shell."""
        cache = self.playwright_cache
        if cache is None or not cache.is_dir():
            return []
        folders = [(match, path) for path in cache.iterdir() if (match := _PLAYWRIGHT_FOLDER.fullmatch(path.name))]
        folders.sort(key=lambda each: (-int(each[0][2]), each[0][1]))
        patterns = _PLAYWRIGHT_PROGRAMS.get(self.platform, _PLAYWRIGHT_PROGRAMS["linux"])
        return [program for _, folder in folders for pattern in patterns for program in sorted(folder.glob(pattern))]


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


if sys.platform != "win32":
    import fcntl

START_TIMEOUT_S = 20.0

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
    # The last two features are pages for the address bar, which a headless browser never shows. Loading them takes half
    # of the start time.
    "--disable-features=Translate,MediaRouter,OptimizationHints,HttpsUpgrades,WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--metrics-recording-only",
    "--mute-audio",
    "--hide-scrollbars",
    "--window-size=1280,800",
    "--password-store=basic",
    "--use-mock-keychain",
    "--remote-debugging-port=0",
)
IGNORE_CERTIFICATES = "--ignore-certificate-errors"

PROFILE_PREFIX, LOCK_NAME = "wscheck-browser-", "wscheck.lock"

SHARED_MEMORY, REQUIRED_MEMORY = "/dev/shm", 1 << 29
"""Folder in memory for the profile, and the free bytes that it must have.

A fresh profile has some megabytes in 150 files, and a busy disk needs half a second to write them. Containers often
have only 64 MB of shared memory.
"""


def find_browser(program: Path | None = None, search: BrowserSearch | None = None) -> Path:
    """Return the browser's executable: `program`, or the first one that is installed.

    Raises:
        UsageError: `program` is not an executable file.
        CannotCheck: There is no browser; the message lists where it was searched for.
    """
    if program is not None:
        if not (program.is_file() and os.access(program, os.X_OK)):
            raise UsageError(
                f"{program} is not a program.", "Name the browser's own executable: `browser.browser=PATH`."
            )
        return program
    search = search or BrowserSearch()
    if (found := next(search.candidates(), None)) is not None:
        return found
    raise CannotCheck(
        f"No Chromium, Chrome or Edge was found. Searched: {', '.join(search.places())}.",
        "Install one (`apt-get install chromium`, or Chrome), name it (`browser.browser=PATH`), or use "
        "`browser.cdp=URL`.",
    )


@asynccontextmanager
async def running_browser(program: Path, extra_flags: Sequence[str] = ()) -> AsyncIterator[str]:
    """Run `program` headless with a fresh profile, and yield its DevTools URL. End the browser afterwards."""
    with fresh_profile() as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            *FLAGS,
            *extra_flags,
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            f"--user-data-dir={profile}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # A browser that is killed leaves its lock files in TMPDIR.
            env={**os.environ, "TMPDIR": profile},
            start_new_session=sys.platform != "win32",
            preexec_fn=_die_with_parent if _LIBC is not None else None,
        )
        try:
            url, drain_task = await _wait_for_devtools_url(process, program)
            try:
                yield url
            finally:
                drain_task.cancel()
        finally:
            await _kill_process_group(process)


def _die_with_parent() -> None:
    """Ask Linux to kill this child process if its parent is killed (prctl(2), PR_SET_PDEATHSIG)."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _wait_for_devtools_url(
    process: asyncio.subprocess.Process, program: Path
) -> tuple[str, "asyncio.Task[None]"]:
    """Return the DevTools URL that the browser prints, and a task that discards the rest of its stderr."""
    assert process.stderr is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while raw := await process.stderr.readline():
                line = raw.decode(errors="replace").strip()
                if line.startswith("DevTools listening on "):
                    return line.removeprefix("DevTools listening on "), asyncio.create_task(_drain(process.stderr))
                lines += [line] if line else []
    except (TimeoutError, ValueError):
        lines.append(f"it did not listen within {START_TIMEOUT_S:.0f} s")
    if any(_NO_SANDBOX in line for line in lines):
        raise CannotCheck(f"{program} did not start: its sandbox needs user namespaces.", _ALLOW_SANDBOX)
    reason = lines[-1][:200] if lines else f"it ended with {await process.wait()}"
    raise CannotCheck(f"{program} did not start: {reason}.", "Try another one: `browser.browser=PATH`.")


_NO_SANDBOX = "No usable sandbox"
"""Words of Chromium where an ordinary user may not create a user namespace, as in most containers."""

_ALLOW_SANDBOX = (
    "In a container, add --no-sandbox to CHROMIUM_FLAGS in a file of /etc/chromium.d, as the Dockerfile of wscheck "
    "does. Elsewhere install chromium-sandbox."
)


async def _drain(stderr: asyncio.StreamReader) -> None:
    while await stderr.read(65536):
        pass


async def _kill_process_group(process: asyncio.subprocess.Process) -> None:
    """Kill the browser and its child processes."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def devtools_url(url: str) -> str:
    """Return the DevTools websocket URL of the browser at `url` ("http://127.0.0.1:9222", or the websocket URL itself).

    Raises:
        Unreachable: Nothing answers at `url`.
        CannotCheck: The answer is not that of a browser.
    """
    if url.startswith(("ws://", "wss://")):
        return url
    base = url if "://" in url else f"http://{url}"
    shown = redact_url(base)
    next_step = (
        "Start the browser with --remote-debugging-port=9222 and its own --user-data-dir, "
        "and give its address with `browser.cdp`."
    )
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http,
            http.get(f"{base.rstrip('/')}/json/version") as response,
        ):
            version = await response.json(content_type=None)
            return str(version["webSocketDebuggerUrl"])
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = failure_reason(error, "it is not a browser")
        raise Unreachable(f"No browser answers at {shown}: {reason}.", next_step) from error
    except (ValueError, KeyError, TypeError) as error:
        raise CannotCheck(f"The server at {shown} is not a browser's DevTools.", next_step) from error


@contextmanager
def fresh_profile(folder: str | None = None) -> Iterator[str]:
    """Create a profile in `folder` (default: in memory, else in the temporary folder), and remove it afterwards."""
    folder = folder or _memory_folder() or tempfile.gettempdir()
    remove_abandoned_profiles(folder)
    with (
        tempfile.TemporaryDirectory(prefix=PROFILE_PREFIX, dir=folder, ignore_cleanup_errors=True) as profile,
        Path(profile, f"{LOCK_NAME}.new").open("w") as lock,
    ):
        _try_lock(lock)
        # Rename the lock file only when it is locked: another run would remove a profile with an unlocked lock file.
        Path(lock.name).rename(Path(profile, LOCK_NAME))
        yield profile


def remove_abandoned_profiles(folder: str) -> None:
    """Remove the profiles in `folder` that killed runs left behind.

    A profile without a lock file is kept: the run that created it may be about to lock it.
    """
    with suppress(OSError):
        for lock_path in Path(folder).glob(f"{PROFILE_PREFIX}*/{LOCK_NAME}"):
            with suppress(OSError), lock_path.open("r+") as lock:
                if _try_lock(lock) and _is_own_folder(lock_path.parent):
                    shutil.rmtree(lock_path.parent, ignore_errors=True)


def _is_own_folder(profile: Path) -> bool:
    return not profile.is_symlink() and profile.stat().st_uid == os.geteuid()


def _try_lock(lock: IO[str]) -> bool:
    """Lock a file until this process ends; return False if another process has locked it."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _memory_folder() -> str | None:
    """Return the folder in shared memory, None if it is missing or too small."""
    try:
        usable = os.access(SHARED_MEMORY, os.W_OK) and shutil.disk_usage(SHARED_MEMORY).free >= REQUIRED_MEMORY
    except OSError:
        return None
    return SHARED_MEMORY if usable else None
