"""What is done on a page, as [[browser.step]] tables say it: one action each, in order."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from wscheck.config.settings import duration
from wscheck.model.errors import UnknownName, UsageError
from wscheck.model.secrets import Secret

WITHIN_S, LOAD_S = 10.0, 30.0
"""Seconds for an element to appear, and for a page to load, where a step says nothing else."""

ACTIONS = {
    "goto": "a page's address, or one relative to the page that is shown",
    "click": "a CSS selector",
    "fill": "a CSS selector; `with` is what to type, or `with_env` the variable that holds it",
    "wait_for": "a CSS selector",
    "wait": "a duration",
    "reload": "true",
    "back": "true",
    "tab": "a page's address to open in a second tab, or the number of a tab to go on in",
}
"""Every action, and what it takes."""

_OPTIONS = ("with", "with_env", "within")
_LOADING = ("goto", "reload", "back", "tab")


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step. `place` is where it stands, as "wscheck.toml:41".

    value   what the action takes: an address, a selector, seconds, a tab's number
    text    what `fill` types; a Secret where it came from the environment
    within  seconds that the page has for it
    """

    action: str
    value: str | float | bool
    place: str
    text: str | Secret = ""
    within: float = WITHIN_S

    def __str__(self) -> str:
        shown = "true" if self.value is True else f'"{self.value}"' if isinstance(self.value, str) else self.value
        return f"{self.place}: {self.action} = {shown}"


def read_steps(table: Any, at: Callable[..., str], environ: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps of the [browser] table, in order. `at(name, occurrence)` names the place in the file.

    Raises UsageError with the place for whatever is no step.
    """
    tables = table.get("step", []) if isinstance(table, dict) else []
    if not isinstance(tables, list):
        raise UsageError(f"{at('browser.step')}: `step` must be a list of tables.", "Write [[browser.step]] for each.")
    return tuple(_step(each, at("browser.step", number), environ) for number, each in enumerate(tables))


def _step(table: Any, place: str, environ: Mapping[str, str]) -> Step:
    help = f"A step does one of {', '.join(ACTIONS)}: see `wscheck docs browser`."
    if not isinstance(table, dict):
        raise UsageError(f"{place}: a step must be a table.", help)
    unknown = next((key for key in table if key not in ACTIONS and key not in _OPTIONS), None)
    if unknown is not None:
        raise UnknownName(f"{place}: there is no step `{unknown}`.", unknown, (*ACTIONS, *_OPTIONS), help)
    actions = [key for key in table if key in ACTIONS]
    if len(actions) != 1:
        what = f"does {len(actions)} things ({', '.join(actions)})" if actions else "does nothing"
        raise UsageError(f"{place}: this step {what}.", help)
    action = actions[0]
    try:
        if action == "wait" and "within" in table:
            raise ValueError("`within` means nothing for `wait`, which lasts as long as it says")
        return Step(
            action=action,
            value=_value(action, table[action]),
            place=place,
            text=_text(action, table, environ),
            within=duration(table["within"]) if "within" in table else LOAD_S if action in _LOADING else WITHIN_S,
        )
    except ValueError as error:
        raise UsageError(f"{place}: {error}.", f"`{action}` takes {ACTIONS[action]}.") from None


def _value(action: str, raw: Any) -> str | float | bool:
    if action in ("reload", "back"):
        if raw is not True:
            raise ValueError(f"`{action}` is {raw!r}")
        return True
    if action == "wait":
        return duration(raw)
    if action == "tab" and isinstance(raw, int) and not isinstance(raw, bool) and raw > 0:
        return raw
    if not isinstance(raw, str) or not raw.strip():
        raise ValueError(f"`{action}` is {raw!r}")
    return raw.strip()


def _text(action: str, table: dict[str, Any], environ: Mapping[str, str]) -> str | Secret:
    given = [key for key in ("with", "with_env") if key in table]
    if action != "fill":
        if given:
            raise ValueError(f"`{given[0]}` belongs to `fill`")
        return ""
    if len(given) != 1 or not isinstance(table[given[0]], str):
        raise ValueError("`fill` needs `with` or `with_env`, as text")
    if given[0] == "with":
        return str(table["with"])
    if table["with_env"] not in environ:
        raise ValueError(f"the variable {table['with_env']} is not set")
    return Secret(environ[table["with_env"]])
