"""Browser steps: actions in the browser, read from the [[browser.step]] tables of the configuration file."""

from collections.abc import Callable, Mapping
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
    "wait_for": "a CSS selector",
    "wait": "a duration",
    "reload": "true",
    "back": "true",
    "tab": "the address to open in another tab, or the number of the tab to continue in",
}
"""Action to a description of the values that it accepts."""

_OPTIONS = ("with", "with_env", "within")
_LOADING = ("goto", "reload", "back", "tab")


class BrowserStep(msgspec.Struct, frozen=True, kw_only=True):
    """One browser step.

    argument   value of the action: an address, a selector, seconds, or the number of a tab
    location   file and line that define the step, as "wscheck.toml:41"
    typed      text that `fill` types; a Secret if the text comes from the environment
    timeout_s  seconds within which the step must succeed
    """

    action: str
    argument: str | float | bool
    location: str
    typed: str | Secret = ""
    timeout_s: float = ELEMENT_TIMEOUT_S

    def __str__(self) -> str:
        shown = f'"{self.argument}"' if isinstance(self.argument, str) else self.argument
        shown = "true" if self.argument is True else shown
        return f"{self.location}: {self.action} = {shown}"


def read_steps(table: Any, location_of: Callable[..., str], environ: Mapping[str, str]) -> tuple[BrowserStep, ...]:
    """Return the steps of the [browser] table, in order.

    Args:
        table: The [browser] table, or None.
        location_of: Function that returns the file and line of a key, given its name and occurrence.
        environ: Environment variables, for `with_env`.

    Raises:
        UsageError: A step is invalid. The message contains its file and line.
    """
    tables = table.get("step", []) if isinstance(table, dict) else []
    if not isinstance(tables, list):
        raise UsageError(
            f"{location_of('browser.step')}: `step` must be a list of tables.", "Write [[browser.step]] for each."
        )
    return tuple(_parse_step(each, location_of("browser.step", number), environ) for number, each in enumerate(tables))


def _parse_step(table: Any, location: str, environ: Mapping[str, str]) -> BrowserStep:
    help = f"A step has one of {', '.join(ACTIONS)}: see `wscheck docs browser`."
    if not isinstance(table, dict):
        raise UsageError(f"{location}: a step must be a table.", help)
    unknown = next((key for key in table if key not in ACTIONS and key not in _OPTIONS), None)
    if unknown is not None:
        raise UnknownName(f"{location}: there is no step `{unknown}`.", unknown, (*ACTIONS, *_OPTIONS), help)
    actions = [key for key in table if key in ACTIONS]
    if len(actions) != 1:
        what = f"has {len(actions)} actions ({', '.join(actions)})" if actions else "has no action"
        raise UsageError(f"{location}: this step {what}.", help)
    action = actions[0]
    try:
        if action == "wait" and "within" in table:
            raise ValueError("`wait` takes no `within`: it lasts exactly as long as its value")
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
        )
    except ValueError as error:
        raise UsageError(f"{location}: {error}.", f"`{action}` takes {ACTIONS[action]}.") from None


def _parse_argument(action: str, raw: Any) -> str | float | bool:
    if action in ("reload", "back"):
        if raw is not True:
            raise ValueError(f"`{action}` is {raw!r}")
        return True
    if action == "wait":
        return parse_duration(raw)
    if action == "tab" and isinstance(raw, int) and not isinstance(raw, bool) and raw > 0:
        return raw
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(f"`{action}` is {raw!r}")
    return raw.strip()


def _parse_typed_text(action: str, table: dict[str, Any], environ: Mapping[str, str]) -> str | Secret:
    given = [key for key in ("with", "with_env") if key in table]
    if action != "fill":
        if given:
            raise ValueError(f"only `fill` takes `{given[0]}`")
        return ""
    if len(given) != 1 or not isinstance(table[given[0]], str):
        raise ValueError("`fill` needs `with` or `with_env`, as text")
    if given[0] == "with":
        return str(table["with"])
    if table["with_env"] not in environ:
        raise ValueError(f"the variable {table['with_env']} is not set")
    return Secret(environ[table["with_env"]])
