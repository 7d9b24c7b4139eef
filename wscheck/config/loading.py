"""What a run is told: every setting with its default, and where each value came from.

Flags win over WSCHECK_* variables, those over wscheck.toml, that over [tool.wscheck] in pyproject.toml, that over the
defaults (docs/configuration.md). Secrets are never flags and never shown.
"""

import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from wscheck.config.browser_steps import Step, read_steps
from wscheck.config.event_contract import Contract, read_contract
from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.config.settings import SETTINGS, Setting
from wscheck.model.errors import UnknownName, UsageError
from wscheck.model.findings import Bar, Severity

if TYPE_CHECKING:
    from wscheck.detect.engine import RuleOptions

FILE = "wscheck.toml"
PYPROJECT = "pyproject.toml"
DEFAULT = "default"

# Tables that their own readers check, because their content is more than scalar settings.
FREE_TABLES = ("event",)
FREE_KEYS = ("browser.step", "logs.markers", "logs.keys")

READ_ELSEWHERE = ("WSCHECK_LOAD_PROFILE", "WSCHECK_LOAD_STREAM", "WSCHECK_CDP_URL", "WSCHECK_DEBUG")
"""Variables that are ours and no setting of a run."""

LIKE = 0.72
"""From how alike, of 1, a variable is probably a misspelt one: USER is USER_ID, and RUN_ID is nothing of ours."""


class Value(msgspec.Struct, frozen=True):
    """One setting's value and where it came from: "--window", "WSCHECK_WINDOW", "wscheck.toml:7" or DEFAULT."""

    value: Any
    origin: str


class Config(msgspec.Struct, frozen=True):
    """Every setting by its dotted name, the event contract, the raw tables that other readers check (`at` says where
    in the file something stands), and the steps of a browser's journey."""

    values: dict[str, Value]
    contract: Contract
    tables: dict[str, Any]
    at: Callable[..., str]
    steps: tuple[Step, ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    @property
    def server(self) -> str | None:
        """The URL of the server to check, None for the embedded backend. Raises UsageError where a variable that
        should have named one is empty (a CI secret that is not set): the embedded backend's pass would read as the
        server's."""
        url = self.values["target.url"]
        if url.value is None and url.origin != DEFAULT:
            raise UsageError(
                f"{url.origin} names no server, and the embedded backend would be checked in its place.",
                "Set it to the server's URL, or unset it.",
            )
        return str(url.value) if url.value is not None else None

    @property
    def options(self) -> "RuleOptions":
        """How to judge."""
        from wscheck.detect.engine import RuleOptions

        attempts, window = self["rules.max_attempts"]
        return RuleOptions(grace_s=self["rules.grace"], max_attempts=attempts, attempts_window_s=window)

    @property
    def bar(self) -> Bar:
        """What fails the run."""
        return Bar(Severity(self["verify.fail_on"]), self["verify.strict"])


def load(flags: Mapping[str, Any], *, directory: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Resolve every setting. `flags` holds what the command line gave, None or () where it gave nothing.

    Raises UsageError naming the flag, the variable, or the file and line.
    """
    _check_variables(environ)
    file = _read_file(directory or Path())
    values = {name: _resolve(name, flags, environ, file) for name in SETTINGS}
    steps = read_steps(file.tables.get("browser"), file.at, environ)
    return Config(values, read_contract(file.tables.get("event"), file.at), file.tables, file.at, steps)


def _check_variables(environ: Mapping[str, str]) -> None:
    """Refuse a variable that is one of ours but for its underscores, and say which others look like ours: nobody would
    read it, and nobody would know. What looks like none may be anybody's."""
    variables = [setting.variable for setting in SETTINGS.values()] + [option.variable for option in LOAD_OPTIONS]
    in_full = {"WSCHECK_" + name.replace(".", "_").upper(): setting.variable for name, setting in SETTINGS.items()}
    bare = {variable.replace("_", ""): variable for variable in variables}
    for name in environ:
        if not name.startswith("WSCHECK") or name in (*variables, *READ_ELSEWHERE):
            continue
        if meant := bare.get(name.replace("_", "")):
            raise UsageError(f"{name} is in the environment, and nothing reads it.", f"Call it {meant}, or unset it.")
        if near := in_full.get(name) or _nearest(name, variables):
            _say(f"wscheck: {name} is in the environment, and nothing reads it. Did you mean {near}?")


def _nearest(name: str, variables: list[str]) -> str | None:
    """Compared without what all of them begin with, which would make them all alike."""
    from difflib import get_close_matches

    words = [variable.removeprefix("WSCHECK_") for variable in variables]
    near = get_close_matches(name.removeprefix("WSCHECK_"), words, cutoff=LIKE)
    return " or ".join(f"WSCHECK_{word}" for word in near) or None


@cache
def _say(line: str) -> None:
    """On stderr, and once: a run that ends before its report resolves its settings again."""
    print(line, file=sys.stderr)


class _File(msgspec.Struct, frozen=True):
    """What the configuration file says: `tables` as TOML gave them, `text` to find lines in."""

    name: str
    text: str
    tables: dict[str, Any]

    def at(self, name: str, occurrence: int = 0) -> str:
        """Where a table ("target"), or a key in it ("target.url"), stands, as "wscheck.toml:7"; of several tables
        of one name ([[event]]), and of their keys, `occurrence` says which, from 0."""
        root = "tool.wscheck." if self.name == PYPROJECT else ""
        return f"{self.name}:{_line_of(self.text, root + name, occurrence)}"


def _read_file(directory: Path) -> _File:
    for name in (FILE, PYPROJECT):
        path = directory / name
        if not path.is_file():
            continue
        text = _read(path)
        tables = _parse(name, text)
        if name == PYPROJECT:
            tables = tables.get("tool", {}).get("wscheck")
        if tables is not None:
            return _checked(_File(name, text, tables))
    return _File(FILE, "", {})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}.", "Check its permissions.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path.name}:{line} is not UTF-8 text.", "Save the file as UTF-8.") from None


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        place = f"{name}:{line[1] if line else len(text.splitlines())}"  # else: at the end of the document
        raise UsageError(
            f"{place} is not valid TOML: {error}.", "Mend that line, or start anew: wscheck init."
        ) from None


def _checked(file: _File) -> _File:
    """Refuse what nobody would read: a misspelt key must not be a silent default."""
    known = {name.partition(".")[0] for name in (*SETTINGS, *FREE_KEYS, *FREE_TABLES)}
    if not isinstance(file.tables, dict):
        raise UsageError(f"{file.name}: `tool.wscheck` must be a table.", "Write [tool.wscheck.target] and its like.")
    for table, content in file.tables.items():
        if table not in known:
            raise _unknown(file, table, table, sorted(known))
        if table in FREE_TABLES:
            continue
        if not isinstance(content, dict):
            raise UsageError(f"{file.at(table)}: `{table}` must be a table.", f"Write [{table}] on a line of its own.")
        for key in content:
            if f"{table}.{key}" not in (*SETTINGS, *FREE_KEYS):
                public = (name for name in (*SETTINGS, *FREE_KEYS) if name not in SETTINGS or not SETTINGS[name].secret)
                keys = [name.partition(".")[2] for name in public if name.startswith(f"{table}.")]
                raise _unknown(file, f"{table}.{key}", key, keys)
    return file


def _unknown(file: _File, name: str, key: str, known: list[str]) -> UsageError:
    return UnknownName(f"{file.at(name)}: unknown key `{key}`.", key, known, f"Known here: {', '.join(known)}.")


def _resolve(name: str, flags: Mapping[str, Any], environ: Mapping[str, str], file: _File) -> Value:
    setting = SETTINGS[name]
    flag = flags.get(name)
    if flag is not None and flag not in ((), []):
        return Value(_valid(setting, flag, setting.flag), setting.flag)
    if setting.variable in environ and environ[setting.variable] != "":
        return Value(_valid(setting, environ[setting.variable], setting.variable), setting.variable)
    table, _, key = name.partition(".")
    written = file.tables.get(table, {}).get(key)
    if written is not None:
        if setting.secret:
            raise UsageError(
                f"{file.at(name)}: `{name}` is a secret and must not stand in a file that is committed.",
                f"Set {setting.variable} instead.",
            )
        return Value(_valid(setting, written, file.at(name)), file.at(name))
    if setting.also is not None and environ.get(setting.also):
        return Value(_valid(setting, environ[setting.also], setting.also), setting.also)
    empty = [variable for variable in (setting.variable, setting.also) if setting.also and variable in environ]
    return Value(setting.default, f"{empty[0]} (empty)" if empty else DEFAULT)


def _valid(setting: Setting, raw: Any, place: str) -> Any:
    try:
        return setting.parse(raw)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{place}: {error}.", f"Correct it. `{setting.name}`: {setting.help}.") from None


_HEADER = re.compile(r"^\s*\[\[?\s*([^\[\]#]+?)\s*\]")
_KEY = re.compile(r"""^\s*([\w."' -]+?)\s*=""")


def _line_of(text: str, name: str, occurrence: int = 0) -> int:
    """The 1-based line of a table's header or of a key, by its dotted name; 1 when it cannot be found."""
    table, tables, hits = "", Counter[str](), []
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            found = table = _bare(header[1])
            tables[table] += 1
        elif key := _KEY.match(line):
            found = f"{table}.{_bare(key[1])}".lstrip(".")
            if found == name and table and tables[table] != occurrence + 1:
                continue
        else:
            continue
        if found == name:
            hits.append(number)
        elif found.startswith(f"{name}."):  # [event.x] or event.x = 1 also begin `event`
            hits[:] = hits or [number]
    if not hits:
        return 1
    return hits[occurrence] if len(hits) > occurrence else hits[-1]


def _bare(name: str) -> str:
    """A dotted name without quotes and blanks."""
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
