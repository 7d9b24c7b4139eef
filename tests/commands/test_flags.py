"""Every flag that gives a setting reaches the configuration: one that is forgotten would silently do nothing."""

import inspect
from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

import pytest
from typer.models import ParameterInfo

from wscheck.commands.browser import browser
from wscheck.commands.har import har
from wscheck.commands.load import load
from wscheck.commands.tail_logs import tail_logs
from wscheck.commands.verify import verify
from wscheck.config.settings import SETTINGS

COMMANDS: dict[Callable[..., None], tuple[str, ...]] = {
    verify: ("target", "identity", "connect", "verify", "rules"),
    browser: ("browser", "verify", "rules"),
    har: ("browser", "verify", "rules"),
    load: ("target", "identity", "connect", "load", "verify.fail_on"),
    tail_logs: ("watch", "verify", "rules"),
}
"""Each command, and the tables (or the one setting of a table) that it takes."""


class Asked(Exception):
    """What the command asked the configuration for."""


def flags_of(command: Callable[..., None]) -> dict[str, tuple[str, Any]]:
    """Flag, to the parameter that holds it and its type."""
    found = {}
    for name, hint in get_type_hints(command, include_extras=True).items():
        if name != "return":
            kind, *extras = get_args(hint)
            (told,) = [extra for extra in extras if isinstance(extra, ParameterInfo)]
            # Typer keeps the first name of an annotated option where the default of another would be.
            declared = told.default if isinstance(told.default, str) else f"--{name.replace('_', '-')}"
            found["URL" if name == "url" else declared] = (name, kind)
    return found


def some(kind: Any, folder: Path) -> Any:
    """A value for a parameter of this type."""
    types = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if bool in types:
        return True
    if Path in types:
        (folder / "token").write_text("a-secret")
        return folder / "token"
    return ["given"] if list[str] in types else "given"


def needed(command: Callable[..., None]) -> dict[str, Any]:
    """The arguments that it cannot do without."""
    parameters = inspect.signature(command).parameters.values()
    return {each.name: [Path("a.har")] for each in parameters if each.default is each.empty}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.__name__)
def test_every_flag_reaches_its_setting(
    command: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def configured(flags: dict[str, Any], **_: Any) -> None:
        asked.update(flags)
        raise Asked

    for place in ("wscheck.config.loading.load_config", "wscheck.run.load.plan.load_config"):
        monkeypatch.setattr(place, configured)
    known = flags_of(command)
    settings = [s for s in SETTINGS.values() if s.name.startswith(COMMANDS[command]) and s.flag in known]
    assert settings
    given = {known[each.flag][0]: some(known[each.flag][1], tmp_path) for each in settings}
    with pytest.raises(Asked):
        command(**{**needed(command), **given})
    for each in settings:
        said = given[known[each.flag][0]]
        assert asked.get(each.name) == ("a-secret" if isinstance(said, Path) else said), each.name


def test_every_setting_has_its_flag_in_some_command() -> None:
    known = {flag for command in COMMANDS for flag in flags_of(command)}
    assert {each.flag for each in SETTINGS.values() if not each.name.startswith("actions.")} <= known
