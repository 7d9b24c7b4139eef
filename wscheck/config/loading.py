"""Configuration of a run: the value of every setting and its origin.

Precedence: flags, WSCHECK_* variables, wscheck.toml, [tool.wscheck] in pyproject.toml, defaults
(docs/configuration.md). Secrets are never flags and never shown.
"""

import datetime
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from wscheck.config.browser_steps import BrowserStep, read_steps
from wscheck.config.connect import ConnectOptions, read_connect_options
from wscheck.config.event_contract import Contract, read_contract
from wscheck.config.load_profiles import LOAD_OPTIONS
from wscheck.config.settings import SETTINGS, Setting
from wscheck.model.allow_list import AllowList
from wscheck.model.errors import UnknownName, UsageError
from wscheck.model.findings import Bar, Severity
from wscheck.model.secrets import Redactor, Secret

if TYPE_CHECKING:
    from wscheck.detect.engine import RuleOptions

CONFIG_FILE = "wscheck.toml"
PYPROJECT = "pyproject.toml"
DEFAULT_ORIGIN = "default"

# Tables and keys with nested content. The functions that read them also check the content.
NESTED_TABLES = ("event", "allow")
NESTED_KEYS = ("browser.step", "connect.step", "logs.markers", "logs.keys")

OTHER_VARIABLES = ("WSCHECK_LOAD_PROFILE", "WSCHECK_LOAD_STREAM", "WSCHECK_CDP_URL", "WSCHECK_DEBUG")
"""Environment variables of wscheck that are not settings."""

SIMILARITY = 0.72
"""Similarity (0 to 1) from which on an unknown variable counts as a misspelt one.

The similarity of USER and USER_ID is above this value, that of RUN_ID and USER_ID is below.
"""


class SettingValue(msgspec.Struct, frozen=True):
    """Value of a setting.

    origin  where the value comes from, as text for messages: the setting's name in backticks ("`verify.window`") if the
            caller of `load_config` passed the value, a variable ("WSCHECK_WINDOW"), a line of a file
            ("wscheck.toml:7"), or DEFAULT_ORIGIN
    given   the caller of `load_config` passed the value, for example from a flag
    """

    value: Any
    origin: str
    given: bool = False


class Config(msgspec.Struct, frozen=True):
    """Settings by dotted name, and the nested tables of the configuration file.

    tables       the tables of the file, as the TOML parser returns them
    locate_key   function that returns the file and line of a table or key, as "wscheck.toml:7"
    steps        the browser steps ([[browser.step]])
    connect      how a client connects ([connect])
    allow        findings that do not count ([[allow]] and the baseline)
    """

    values: dict[str, SettingValue]
    contract: Contract
    tables: dict[str, Any]
    locate_key: Callable[..., str]
    steps: tuple[BrowserStep, ...] = ()
    connect: ConnectOptions = ConnectOptions()
    allow: AllowList = AllowList()

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value

    @property
    def server_url(self) -> str | None:
        """The URL of the server to check, None for the embedded backend.

        Raises:
            UsageError: A variable for the URL is set but empty, for example a missing CI secret. Without this error,
                wscheck would check the embedded backend, and its pass would look like a pass of the server.
        """
        url = self.values["target.url"]
        if url.value is None and url.origin != DEFAULT_ORIGIN:
            raise UsageError(
                f"{url.origin}: the URL of the server is empty, so the embedded backend would be checked instead.",
                "Set it to the server's URL, or unset it.",
            )
        return str(url.value) if url.value is not None else None

    @property
    def redactor(self) -> Redactor:
        """Redactor of all secrets in the configuration."""
        values = (value.value for name, value in self.values.items() if SETTINGS[name].secret)
        typed = (step.typed for step in self.steps)
        secrets = [each for each in (*values, *typed) if isinstance(each, Secret)]
        return Redactor([*secrets, *self.connect.secrets])

    @property
    def judge_options(self) -> "RuleOptions":
        """Limits that the rules apply: the grace period, and the permitted connection attempts per time."""
        from wscheck.detect.engine import RuleOptions

        attempts, window = self["rules.max_attempts"]
        return RuleOptions(
            grace_s=self["rules.grace"],
            max_attempts=attempts,
            attempts_window_s=window,
            connections=self["policy.connections"],
        )

    @property
    def bar(self) -> Bar:
        """Criteria by which the run fails: the lowest severity that fails it, and whether missing evidence does."""
        return Bar(Severity(self["verify.fail_on"]), self["verify.strict"], self.allow)


def load_config(
    given: Mapping[str, Any],
    *,
    directory: Path | None = Path(),
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Return the configuration.

    Args:
        given: Setting name to value, with the highest precedence. None and () mean that no value is given.
        directory: Folder with wscheck.toml or pyproject.toml, by default the working folder. None reads no file.
        environ: Environment variables.

    Raises:
        UsageError: A value is invalid. The message names the setting, the variable, or the file and line.
    """
    if unknown := next((name for name in given if name not in SETTINGS), None):
        raise UnknownName(f"There is no setting `{unknown}`.", unknown, SETTINGS, "List all: wscheck config.")
    _check_variables(environ)
    file = _read_file(directory) if directory is not None else _ConfigFile(CONFIG_FILE, "", {})
    values = {name: _resolve(name, given, environ, file) for name in SETTINGS}
    steps = read_steps(file.tables.get("browser"), file.locate_key, environ)
    handshake = {part: values[f"connect.{part}"].value for part in ("auth", "headers", "cookies", "query")}
    connect = read_connect_options(handshake, file.tables.get("connect"), file.locate_key, environ)
    return Config(
        values,
        read_contract(file.tables.get("event"), file.locate_key),
        file.tables,
        file.locate_key,
        steps,
        connect,
        _read_allow_list(file, values["policy.baseline"], directory),
    )


def _read_allow_list(file: "_ConfigFile", baseline: SettingValue, directory: Path | None) -> AllowList:
    if "allow" not in file.tables and baseline.value is None:
        return AllowList()
    from wscheck.config.allow_list import read_allow_entries, read_baseline

    # A path in the configuration file is relative to this file.
    folder = Path() if baseline.given or directory is None else directory
    return AllowList(
        entries=read_allow_entries(file.tables.get("allow"), file.locate_key),
        baseline=read_baseline(folder / baseline.value) if baseline.value is not None else frozenset(),
        today=datetime.datetime.now(tz=datetime.UTC).date(),
    )


def _check_variables(environ: Mapping[str, str]) -> None:
    """Raise UsageError for a variable that is a known one but for its underscores.

    Warn about variables with otherwise similar names. Other unknown WSCHECK_ variables are ignored: they may belong to
    another program.
    """
    variables = [setting.variable for setting in SETTINGS.values()] + [option.variable for option in LOAD_OPTIONS]
    in_full = {"WSCHECK_" + name.replace(".", "_").upper(): setting.variable for name, setting in SETTINGS.items()}
    bare = {variable.replace("_", ""): variable for variable in variables}
    for name in environ:
        if not name.startswith("WSCHECK") or name in (*variables, *OTHER_VARIABLES):
            continue
        if meant := bare.get(name.replace("_", "")):
            raise UsageError(f"The variable {name} is unknown.", f"Rename it to {meant}, or unset it.")
        if near := in_full.get(name) or _similar_variables(name, variables):
            _warn_once(f"wscheck: The variable {name} is unknown and ignored. Did you mean {near}?")


def _similar_variables(name: str, variables: list[str]) -> str | None:
    """Return the known variables that are similar to `name`, joined with "or"; None if there are none."""
    from difflib import get_close_matches

    words = [variable.removeprefix("WSCHECK_") for variable in variables]
    near = get_close_matches(name.removeprefix("WSCHECK_"), words, cutoff=SIMILARITY)
    return " or ".join(f"WSCHECK_{word}" for word in near) or None


@cache
def _warn_once(line: str) -> None:
    """Print a line on stderr, but only once per process: a run that fails early loads its configuration twice."""
    print(line, file=sys.stderr)


class _ConfigFile(msgspec.Struct, frozen=True):
    """A configuration file: its parsed tables, and its text, from which line numbers are computed."""

    name: str
    text: str
    tables: dict[str, Any]

    def locate_key(self, name: str, occurrence: int = 0) -> str:
        """Return the file and line of a table ("target") or key ("target.url"), as "wscheck.toml:7".

        `occurrence` selects one of several tables with the same name ([[event]]), counted from 0.
        """
        root = "tool.wscheck." if self.name == PYPROJECT else ""
        return f"{self.name}:{_line_number(self.text, root + name, occurrence)}"


def _read_file(directory: Path) -> _ConfigFile:
    for name in (CONFIG_FILE, PYPROJECT):
        path = directory / name
        if not path.is_file():
            continue
        text = _read_text(path)
        tables = _parse(name, text)
        if name == PYPROJECT:
            tables = tables.get("tool", {}).get("wscheck")
        if tables is not None:
            return _reject_unknown_keys(_ConfigFile(name, text, tables))
    return _ConfigFile(CONFIG_FILE, "", {})


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path.name} cannot be read: {error.strerror}.", "Check its permissions.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path.name}:{line} is not UTF-8 text.", "Save the file as UTF-8.") from None


def _parse(name: str, text: str) -> dict[str, Any]:
    import tomllib  # takes 4 ms, and most runs have no configuration file

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise UsageError(f"{name} is not valid TOML: its values are nested too deeply.", "Correct it.") from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        # For an error at the end of the document, the message of the parser contains no line.
        place = f"{name}:{line[1] if line else len(text.splitlines())}"
        raise UsageError(
            f"{place} is not valid TOML: {error}.", "Correct that line, or write a new file: wscheck init."
        ) from None


def _reject_unknown_keys(file: _ConfigFile) -> _ConfigFile:
    """Check that `file` contains only known keys, and return `file`.

    Without this check, an unknown key would be ignored silently.

    Raises:
        UsageError: A key is unknown.
    """
    known = {name.partition(".")[0] for name in (*SETTINGS, *NESTED_KEYS, *NESTED_TABLES)}
    if not isinstance(file.tables, dict):
        raise UsageError(f"{file.name}: `tool.wscheck` must be a table.", "Write [tool.wscheck.target].")
    for table, content in file.tables.items():
        if table not in known:
            raise _unknown_key(file, table, table, sorted(known))
        if table in NESTED_TABLES:
            continue
        if not isinstance(content, dict):
            raise UsageError(
                f"{file.locate_key(table)}: `{table}` must be a table.", f"Write [{table}] on a line of its own."
            )
        for key in content:
            if f"{table}.{key}" not in (*SETTINGS, *NESTED_KEYS):
                public = (
                    name for name in (*SETTINGS, *NESTED_KEYS) if name not in SETTINGS or not SETTINGS[name].secret
                )
                keys = [name.partition(".")[2] for name in public if name.startswith(f"{table}.")]
                raise _unknown_key(file, f"{table}.{key}", key, keys)
    return file


def _unknown_key(file: _ConfigFile, name: str, key: str, known: list[str]) -> UsageError:
    return UnknownName(
        f"{file.locate_key(name)}: unknown key `{key}`.", key, known, f"Known names here: {', '.join(known)}."
    )


def _resolve(name: str, given: Mapping[str, Any], environ: Mapping[str, str], file: _ConfigFile) -> SettingValue:
    setting = SETTINGS[name]
    value = given.get(name)
    if value is not None and value not in ((), []):
        origin = f"`{name}`"
        return SettingValue(_parse_value(setting, value, origin), origin, given=True)
    if setting.variable in environ and environ[setting.variable] != "":
        return SettingValue(_parse_value(setting, environ[setting.variable], setting.variable), setting.variable)
    table, _, key = name.partition(".")
    written = file.tables.get(table, {}).get(key)
    if written is not None:
        if setting.secret:
            raise UsageError(
                f"{file.locate_key(name)}: {name} is a secret and must not be in a file that is committed.",
                f"Set {setting.variable} instead.",
            )
        return SettingValue(_parse_value(setting, written, file.locate_key(name)), file.locate_key(name))
    if setting.other_variable is not None and environ.get(setting.other_variable):
        return SettingValue(
            _parse_value(setting, environ[setting.other_variable], setting.other_variable), setting.other_variable
        )
    empty = [
        variable
        for variable in (setting.variable, setting.other_variable)
        if setting.other_variable and variable in environ
    ]
    return SettingValue(setting.default, f"{empty[0]} (empty)" if empty else DEFAULT_ORIGIN)


def _parse_value(setting: Setting, raw: Any, place: str) -> Any:
    try:
        return setting.parse(raw)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{place}: {error}.", f"Correct it. {setting.name}: {setting.help}.") from None


_HEADER = re.compile(r"\s*\[\[?([^\[\]#]+)\]")
_KEY = re.compile(r"""([\w."'\s-]+)=""")

_MAX_KEY_PARTS = 8
"""Largest number of parts of a dotted name that is located, such as `tool.wscheck.browser.step.click`."""


def _line_number(text: str, name: str, occurrence: int = 0) -> int:
    """Return the 1-based line of the table or key with the dotted name `name`, 1 if the line is not found."""
    lines = _key_lines(text)
    hits, first = lines.named.get(name, []), lines.first_part.get(name)
    if keys := lines.in_table.get((name, occurrence)):
        hits = sorted([*hits, *keys])
    if first is not None and (not hits or first < hits[0]):  # [event.x] and event.x = 1 start `event` too
        hits = [first, *hits[: occurrence + 1]]
    if not hits:
        return 1
    return hits[occurrence] if len(hits) > occurrence else hits[-1]


class _KeyLines(NamedTuple):
    """Lines of the tables and keys of a file, by dotted name.

    named       lines of tables, and of keys outside of tables
    in_table    lines of keys in tables: dict of (dotted name of the key, n) to lines. n counts the tables of one name
                from 0: ("event.name", 1) is the key `name` in the second [[event]] table
    first_part  first line of a name that begins with the given parts: "browser" is at [browser.step]
    """

    named: dict[str, list[int]]
    in_table: dict[tuple[str, int], list[int]]
    first_part: dict[str, int]


@lru_cache(maxsize=4)
def _key_lines(text: str) -> _KeyLines:
    table, tables, lines = "", Counter[str](), _KeyLines({}, {}, {})
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            found = table = _normalize_key(header[1])
            tables[table] += 1
            lines.named.setdefault(found, []).append(number)
        elif key := _KEY.match(line):
            found = f"{table}.{_normalize_key(key[1])}".lstrip(".")
            if table:
                lines.in_table.setdefault((found, tables[table] - 1), []).append(number)
            else:
                lines.named.setdefault(found, []).append(number)
        else:
            continue
        parts = found.split(".", _MAX_KEY_PARTS)
        for length in range(1, len(parts)):
            lines.first_part.setdefault(".".join(parts[:length]), number)
    return lines


def _normalize_key(name: str) -> str:
    """Return a dotted name without quotes and blanks."""
    return ".".join(part.strip().strip("\"'") for part in name.split("."))
