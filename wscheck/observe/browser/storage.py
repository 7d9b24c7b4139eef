"""Who is logged in: cookies and local storage from a file that Playwright's `storageState` wrote."""

import json
from pathlib import Path
from typing import Any

import msgspec

from wscheck.model.errors import UsageError
from wscheck.observe.browser.browser import Browser

_FIELDS = ("name", "value", "domain", "path", "expires", "httpOnly", "secure", "sameSite")


class _Item(msgspec.Struct):
    name: str
    value: str


class _Origin(msgspec.Struct, rename="camel"):
    origin: str
    local_storage: list[_Item] = []


class StorageState(msgspec.Struct):
    """Playwright's storage state. Every value in it may be a secret."""

    cookies: list[dict[str, Any]] = []
    origins: list[_Origin] = []


def load(path: Path) -> StorageState:
    """Raises UsageError for a file that is none."""
    help = "Write it with Playwright: `await context.storageState({ path })`."
    try:
        return msgspec.json.decode(path.read_bytes(), type=StorageState)
    except OSError as error:
        raise UsageError(f"The storage state {path} cannot be read: {error.strerror}.", help) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        # The decoder's own words could quote a value.
        raise UsageError(f"{path} is no storage state: `cookies` and `origins`, as JSON.", help) from None


async def apply_storage(browser: Browser, state: StorageState) -> None:
    """The browser has these cookies at once, and the local storage in every tab that it opens from now on."""
    if state.cookies:
        await browser.cookies([_cookie(each) for each in state.cookies])
    if state.origins:
        stored = {each.origin: {item.name: item.value for item in each.local_storage} for each in state.origins}
        for items in stored.values():
            browser.traffic.hiding.learn_all(items)
        browser.at_start = _script(stored)


def _cookie(raw: dict[str, Any]) -> dict[str, Any]:
    """As CDP takes it: a session cookie has no expiry rather than -1."""
    return {name: raw[name] for name in _FIELDS if name in raw and not (name == "expires" and raw[name] in (-1, None))}


def _script(stored: dict[str, dict[str, str]]) -> str:
    """Runs before the page's own scripts. Once a tab: what the page removes must stay removed when it loads anew."""
    return f"""(() => {{ try {{
  const items = {json.dumps(stored)}[location.origin], done = "wscheck.storage";
  if (!items || sessionStorage.getItem(done)) return;
  sessionStorage.setItem(done, "1");
  for (const [name, value] of Object.entries(items))
    if (localStorage.getItem(name) === null) localStorage.setItem(name, value);
}} catch {{}} }})()"""
