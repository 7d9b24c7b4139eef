"""Browsers are found in their usual places, in folders that look like those of each system."""

import sys
from pathlib import Path

import pytest

from wscheck.model.errors import CannotCheck, UsageError
from wscheck.observe.browser.launch import BrowserSearch, find_browser, running_browser


def program(*parts: str | Path) -> Path:
    """Create an executable file."""
    path = Path(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return path


def search_in(folder: Path, platform: str, **environ: str) -> BrowserSearch:
    return BrowserSearch(platform, {"PATH": str(folder / "bin"), **environ}, folder / "home", folder)


CACHES = {
    "linux": "home/.cache/ms-playwright",
    "darwin": "home/Library/Caches/ms-playwright",
    "win32": "local/ms-playwright",
}

INSTALLED = {
    "linux": ["opt/google/chrome/chrome", "opt/microsoft/msedge/msedge", "snap/bin/chromium"],
    "darwin": [
        "Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "home/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "Applications/Chromium.app/Contents/MacOS/Chromium",
        "Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ],
    "win32": [
        "programs/Google/Chrome/Application/chrome.exe",
        "local/Google/Chrome/Application/chrome.exe",
        "local/Chromium/Application/chrome.exe",
        "programs86/Microsoft/Edge/Application/msedge.exe",
    ],
}

# Older and newer versions of Playwright name the folders in a revision differently.
DOWNLOADED = {
    "linux": [
        "chromium-1255/chrome-linux64/chrome",
        "chromium_headless_shell-1255/chrome-headless-shell-linux64/chrome-headless-shell",
        "chromium-999/chrome-linux/chrome",
        "chromium_headless_shell-999/chrome-linux/headless_shell",
    ],
    "darwin": [
        "chromium-1255/chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing",
        "chromium_headless_shell-1255/chrome-headless-shell-mac-arm64/chrome-headless-shell",
        "chromium-999/chrome-mac/Chromium.app/Contents/MacOS/Chromium",
    ],
    "win32": [
        "chromium-1255/chrome-win64/chrome.exe",
        "chromium_headless_shell-1255/chrome-headless-shell-win64/chrome-headless-shell.exe",
        "chromium-999/chrome-win/chrome.exe",
    ],
}


def windows_folders(folder: Path) -> dict[str, str]:
    return {
        "PROGRAMFILES": str(folder / "programs"),
        "PROGRAMFILES(X86)": str(folder / "programs86"),
        "LOCALAPPDATA": str(folder / "local"),
    }


@pytest.mark.parametrize("platform", INSTALLED)
def test_browsers_are_found_on_path_then_installed_then_downloaded(platform: str, tmp_path: Path) -> None:
    expected = [program(tmp_path, "bin", "google-chrome")]
    expected += [program(tmp_path, path) for path in INSTALLED[platform]]
    expected += [program(tmp_path, CACHES[platform], path) for path in DOWNLOADED[platform]]
    program(tmp_path, CACHES[platform], "firefox-1500/firefox/firefox")
    search = search_in(tmp_path, platform, **windows_folders(tmp_path))
    assert list(search.candidates()) == expected
    assert find_browser(None, search) == expected[0]


@pytest.mark.parametrize("platform", INSTALLED)
def test_the_error_names_every_place(platform: str, tmp_path: Path) -> None:
    with pytest.raises(CannotCheck) as raised:
        find_browser(None, search_in(tmp_path, platform, **windows_folders(tmp_path)))
    assert "apt-get install chromium" in raised.value.next_step and raised.value.exit_code == 3
    searched = raised.value.problem
    assert searched.startswith("No Chromium, Chrome or Edge was found. Searched: PATH (chromium, ")
    assert all(str(tmp_path / path) in searched for path in [*INSTALLED[platform], CACHES[platform]])


def test_the_folder_of_playwright_can_be_configured(tmp_path: Path) -> None:
    found = program(tmp_path, "browsers", DOWNLOADED["linux"][0])
    program(tmp_path, CACHES["linux"], DOWNLOADED["linux"][0])
    assert [*search_in(tmp_path, "linux", PLAYWRIGHT_BROWSERS_PATH=str(tmp_path / "browsers")).candidates()] == [found]
    assert [*search_in(tmp_path, "linux", PLAYWRIGHT_BROWSERS_PATH="0").candidates()] == []


def test_a_file_that_is_no_program_is_not_used(tmp_path: Path) -> None:
    program(tmp_path, CACHES["linux"], DOWNLOADED["linux"][0]).chmod(0o644)
    assert [*search_in(tmp_path, "linux").candidates()] == []
    with pytest.raises(UsageError, match="is not a program"):
        find_browser(tmp_path / CACHES["linux"] / DOWNLOADED["linux"][0])


@pytest.mark.skipif(sys.platform == "win32", reason="the program is a shell script")
async def test_a_browser_without_a_sandbox_says_how_to_start_it(tmp_path: Path) -> None:
    program = tmp_path / "chromium"
    program.write_text(
        "#!/bin/sh\n"
        "echo '[1:1:FATAL:zygote_host_impl_linux.cc(130)] No usable sandbox! Update your kernel or' >&2\n"
        "echo \"Try 'chrome_crashpad_handler --help' for more information.\" >&2\n"
    )
    program.chmod(0o755)
    with pytest.raises(CannotCheck, match="its sandbox needs user namespaces") as caught:
        async with running_browser(program):
            pass
    assert "/etc/chromium.d" in caught.value.next_step
