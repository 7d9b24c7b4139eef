"""Browsers based on Chromium in their usual places on Linux, macOS and Windows, and in Playwright's cache."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

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

    platform  as in `sys.platform`
    root      folder that absolute paths start from
    """

    platform: str = sys.platform
    environ: Mapping[str, str] = os.environ
    home: Path = msgspec.field(default_factory=Path.home)
    root: Path = Path("/")

    def candidates(self) -> Iterator[Path]:
        """Yield the executables that exist: those on PATH, installed ones, then Playwright's, the newest first."""
        on_path = (shutil.which(name, path=self.environ.get("PATH")) for name in EXECUTABLES)
        yield from (Path(found) for found in on_path if found is not None)
        yield from filter(_is_program, [*self._installed(), *self._downloaded()])

    def places(self) -> list[str]:
        """Return the places that were searched, for messages."""
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
