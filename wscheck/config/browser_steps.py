"""Browser steps: actions in the browser, read from the [[browser.step]] tables of the configuration file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from wscheck.config.settings import parse_duration
from wscheck.model.errors import UnknownName, UsageError
from wscheck.model.secrets import Secret

ELEMENT_TIMEOUT_S, PAGE_LOAD_TIMEOUT_S = 10.0, 30.0
"""Seconds that an element may take to appear, and that a page may take to load, by default."""

ACTIONS = {
    "goto": "an address, absolute or relative to the current page",
    "click": "a CSS selector",
    "fill": "a CSS selector; `with` is the text to type, or `with_env` the variable that contains it",
    "press": "a character, the name of a key such as Enter or ArrowDown, or keys such as Control+K",
    "select": "a CSS selector of a select element; `with` is the value or the text of the option",
    "upload": "a CSS selector of a file input; `with` is the path of the file",
    "hover": "a CSS selector",
    "scroll": "a CSS selector to scroll to, or a number of pixels",
    "wait_for": "a CSS selector",
    "wait_for_connection": "true, or the number of connections that must be open",
    "wait_for_event": "the name of an event that must arrive",
    "wait": "a duration",
    "reload": "true",
    "back": "true",
    "tab": "the address to open in another tab, or the number of the tab to continue in",
    "repeat": "a number of rounds; `steps` is the list of the steps of a round",
    "measure": "a name, such as token refresh; `steps` is the list of the steps that do it",
}
"""Action to a description of the values that it accepts."""

_GROUPS = ("repeat", "measure")
"""Actions that contain other steps."""

_OPTIONS = ("with", "with_env", "within", "steps")
_TAKE_TEXT = ("fill", "select", "upload")

KEY_CODES = {
    "Backspace": 8,
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    "Space": 32,
    "PageUp": 33,
    "PageDown": 34,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Insert": 45,
    "Delete": 46,
    **{f"F{number}": 111 + number for number in range(1, 13)},
}
"""Name of a key (`KeyboardEvent.key`) to its virtual key code; a key may also be a single character."""

MODIFIERS = {"Alt": 1, "Control": 2, "Meta": 4, "Shift": 8}
"""Name of a modifier key to its bit in DevTools' Input.dispatchKeyEvent."""
_LOADING = ("goto", "reload", "back", "tab")


class BrowserStep(msgspec.Struct, frozen=True, kw_only=True):
    """One browser step.

    argument   value of the action: an address, a selector, seconds, or the number of a tab
    location   file and line that define the step, as "wscheck.toml:41"
    typed      text that `fill` types, option that `select` chooses or file that `upload` uploads; a Secret if it comes
               from the environment
    timeout_s  seconds within which the step must succeed
    steps      nested steps: of one round for `repeat`, of the measured action for `measure`; empty for other actions
    """

    action: str
    argument: str | float | bool
    location: str
    typed: str | Secret = ""
    timeout_s: float = ELEMENT_TIMEOUT_S
    steps: "tuple[BrowserStep, ...]" = ()

    def __str__(self) -> str:
        shown = f'"{self.argument}"' if isinstance(self.argument, str) else self.argument
        shown = "true" if self.argument is True else shown
        return f"{self.location}: {self.action} = {shown}"


def read_steps(table: Any, locate_key: Callable[..., str], environ: Mapping[str, str]) -> tuple[BrowserStep, ...]:
    """Return the steps of the [browser] table, in order.

    Args:
        table: The [browser] table, or None.
        locate_key: Function that returns the file and line of a key, given its name and occurrence.
        environ: Environment variables, for `with_env`.

    Raises:
        UsageError: A step is invalid. The message contains its file and line.
    """
    tables = table.get("step", []) if isinstance(table, dict) else []
    if not isinstance(tables, list):
        raise UsageError(
            f"{locate_key('browser.step')}: `step` must be a list of tables.", "Write [[browser.step]] for each."
        )
    return tuple(_parse_step(each, locate_key("browser.step", number), environ) for number, each in enumerate(tables))


def _parse_step(table: Any, location: str, environ: Mapping[str, str]) -> BrowserStep:
    help = f"A step has one of {', '.join(ACTIONS)}: see `wscheck docs browser`."
    if not isinstance(table, dict):
        raise UsageError(f"{location}: a step must be a table.", help)
    unknown = next((key for key in table if key not in ACTIONS and key not in _OPTIONS), None)
    if unknown is not None:
        raise UnknownName(f"{location}: there is no step `{unknown}`.", unknown, (*ACTIONS, *_OPTIONS), help)
    actions = [key for key in table if key in ACTIONS]
    groups = [key for key in actions if key in _GROUPS]
    if len(groups) == 1 and len(actions) == 2:
        # `repeat` or `measure` beside an action concerns this action.
        [group] = groups
        inner = {key: value for key, value in table.items() if key not in (group, "steps")}
        return _parse_step({group: table[group], "steps": [inner]}, location, environ)
    if len(actions) != 1:
        what = f"has {len(actions)} actions ({', '.join(actions)})" if actions else "has no action"
        raise UsageError(f"{location}: this step {what}.", help)
    action = actions[0]
    try:
        if action in ("wait", *_GROUPS) and "within" in table:
            raise ValueError(f"`{action}` takes no `within`: it lasts as long as it takes")
        if action not in _GROUPS and "steps" in table:
            raise ValueError("only `repeat` and `measure` take `steps`")
        return BrowserStep(
            action=action,
            argument=_parse_argument(action, table[action]),
            location=location,
            typed=_parse_typed_text(action, table, environ),
            timeout_s=parse_duration(table["within"])
            if "within" in table
            else PAGE_LOAD_TIMEOUT_S
            if action in _LOADING
            else ELEMENT_TIMEOUT_S,
            steps=_parse_group(action, table.get("steps"), location, environ) if action in _GROUPS else (),
        )
    except ValueError as error:
        raise UsageError(f"{location}: {error}.", f"`{action}` takes {ACTIONS[action]}.") from None


def _parse_group(action: str, tables: Any, location: str, environ: Mapping[str, str]) -> tuple[BrowserStep, ...]:
    if not isinstance(tables, list) or not tables:
        raise ValueError(f"`{action}` needs `steps`, a list of steps, or another action beside it")
    inner = next((group for group in _GROUPS for each in tables if isinstance(each, dict) and group in each), None)
    if inner is not None:
        raise ValueError(f"`{action}` cannot contain `{inner}`")
    return tuple(_parse_step(each, location, environ) for each in tables)


def _parse_argument(action: str, raw: Any) -> str | float | bool:
    is_number = isinstance(raw, int) and not isinstance(raw, bool)
    if action == "wait":
        return parse_duration(raw)
    if raw is True and action in ("reload", "back", "wait_for_connection"):
        return True
    if is_number and (action == "scroll" or (raw > 0 and action in ("tab", "repeat", "wait_for_connection"))):
        return int(raw)
    is_text = action not in ("reload", "back", "wait_for_connection", "repeat") and isinstance(raw, str) and raw.strip()
    if not is_text or (action == "press" and not _is_key(raw.strip())):
        raise ValueError(f"`{action}` is {raw!r}")
    return str(raw).strip()


def _is_key(keys: str) -> bool:
    *modifiers, key = keys.split("+") if len(keys) > 1 else [keys]
    return all(each in MODIFIERS for each in modifiers) and (len(key) == 1 or key in KEY_CODES)


def _parse_typed_text(action: str, table: dict[str, Any], environ: Mapping[str, str]) -> str | Secret:
    given = [key for key in ("with", "with_env") if key in table]
    if action not in _TAKE_TEXT:
        if given:
            raise ValueError(f"only {', '.join(f'`{each}`' for each in _TAKE_TEXT)} take `{given[0]}`")
        return ""
    if len(given) != 1 or not isinstance(table[given[0]], str):
        raise ValueError(f"`{action}` needs `with` or `with_env`, as text")
    if given[0] == "with_env":
        if table["with_env"] not in environ:
            raise ValueError(f"the variable {table['with_env']} is not set")
        return Secret(environ[table["with_env"]])
    text = str(table["with"])
    if action == "upload" and not Path(text).is_file():
        raise ValueError(f"there is no file {text}")
    return text
