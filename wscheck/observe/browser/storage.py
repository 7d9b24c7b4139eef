"""Login state: cookies and local storage from a file that Playwright's `storageState` wrote.

Source: https://playwright.dev/docs/api/class-browsercontext#browser-context-storage-state.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from wscheck.model.errors import UsageError
from wscheck.observe.browser.browser import Browser

_COOKIE_FIELDS = ("name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite")


class _StorageItem(msgspec.Struct):
    name: str
    value: str


class _OriginStorage(msgspec.Struct, rename="camel"):
    origin: str
    local_storage: list[_StorageItem] = []


class StorageState(msgspec.Struct):
    """Playwright's storage state. Every value in it may be a secret."""

    cookies: list[dict[str, Any]] = []
    origins: list[_OriginStorage] = []


def load_storage_state(path: Path) -> StorageState:
    """Read a storage state.

    Raises:
        UsageError: The file is missing or not a storage state.
    """
    next_step = "Write it with Playwright: `await context.storageState({ path })`."
    try:
        return msgspec.json.decode(path.read_bytes(), type=StorageState)
    except OSError as error:
        raise UsageError(f"The storage state {path} cannot be read: {error.strerror}.", next_step) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # The decoder's message could quote a secret.
        problem = f"{path} is not a storage state (JSON with `cookies` and `origins`)."
        raise UsageError(problem, next_step) from None


async def apply_storage(browser: Browser, state: StorageState) -> None:
    """Set the cookies now, and the local storage in every tab that the browser opens from now on."""
    if state.cookies:
        await browser.set_cookies([_devtools_cookie(each) for each in state.cookies])
    if state.origins:
        items_by_origin = {
            each.origin: {item.name: item.value for item in each.local_storage} for each in state.origins
        }
        for items in items_by_origin.values():
            browser.traffic.redactor.learn_all(items)
        browser.startup_script = _local_storage_script(items_by_origin)


def _devtools_cookie(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a cookie as DevTools expects it: a session cookie has no `expires` (Playwright writes -1)."""
    return {
        name: raw[name]
        for name in _COOKIE_FIELDS
        if name in raw and not (name == "expires" and raw[name] in (-1, None))
    }


def _local_storage_script(items_by_origin: dict[str, dict[str, str]]) -> str:
    """Return JavaScript that fills the local storage before the page's own scripts run.

    The JavaScript has an effect only once per tab, so that an item that the page removed stays removed after a reload.
    """
    return f"""(() => {{ try {{
  const items = {json.dumps(items_by_origin)}[location.origin], done = "wscheck.storage";
  if (!items || sessionStorage.getItem(done)) return;
  sessionStorage.setItem(done, "1");
  for (const [name, value] of Object.entries(items))
    if (localStorage.getItem(name) === null) localStorage.setItem(name, value);
}} catch {{}} }})()"""
