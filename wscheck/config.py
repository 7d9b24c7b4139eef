"""What a run is told: every setting with its default, and where each value came from.

Flags win over WSCHECK_* variables, those over wscheck.toml, that over [tool.wscheck] in pyproject.toml, that over the
defaults (docs/configuration.md). Secrets are never flags and never shown.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from wscheck.contract import Contract, read_contract
from wscheck.errors import UsageError
from wscheck.settings import SETTINGS, Secret

FILE = "wscheck.toml"
PYPROJECT = "pyproject.toml"

# Tables that their own readers check, because their content is more than scalar settings.
FREE_TABLES = ("event", "logs", "browser", "load")


class Value(msgspec.Struct, frozen=True):
    """One setting's value and where it came from: "--window", "WSCHECK_WINDOW", "wscheck.toml:7" or "default"."""

    value: Any
    origin: str


class Config(msgspec.Struct, frozen=True):
    """Every setting by its dotted name, the event contract, and the raw tables that other readers check."""

    values: dict[str, Value]
    contract: Contract
    tables: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name].value


def load(flags: Mapping[str, Any], *, directory: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Resolve every setting. `flags` holds what the command line gave, None or () where it gave nothing.

    Raises UsageError naming the flag, the variable, or the file and line.
    """
    directory = directory or Path()
    file = _read_file(directory)
    values = {name: _resolve(name, flags, environ, file) for name in SETTINGS}
    return Config(values, read_contract(file.tables.get("event"), file.at), file.tables)


class _File(msgspec.Struct, frozen=True):
    """What the configuration file says: `tables` as TOML gave them, `text` to find lines in."""

    name: str
    text: str
    tables: dict[str, Any]

    def at(self, key: str, occurrence: int = 0) -> str:
        """Where `key` stands, as "wscheck.toml:7"."""
        return f"{self.name}:{_line_of(self.text, key, occurrence)}"


def _read_file(directory: Path) -> _File:
    for name in (FILE, PYPROJECT):
        path = directory / name
        if not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        tables = _parse(name, text)
        if name == PYPROJECT:
            tables = tables.get("tool", {}).get("wscheck")
        if tables is not None:
            return _checked(_File(name, text, tables))
    return _File(FILE, "", {})


def _parse(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        place = f"{name}:{line[1]}" if line else name
        raise UsageError(
            f"{place} is not valid TOML: {error}.", "Mend that line, or start anew: wscheck init."
        ) from None


def _checked(file: _File) -> _File:
    """Refuse what nobody would read: a misspelt key must not be a silent default."""
    known = {name.partition(".")[0] for name in SETTINGS} | set(FREE_TABLES)
    for table, content in file.tables.items():
        if table not in known:
            raise _unknown(file, table, sorted(known))
        if table in FREE_TABLES:
            continue
        if not isinstance(content, dict):
            raise UsageError(f"{file.at(table)}: `{table}` must be a table.", f"Write [{table}] on a line of its own.")
        for key in content:
            if f"{table}.{key}" not in SETTINGS:
                raise _unknown(file, key, [n.partition(".")[2] for n in SETTINGS if n.startswith(f"{table}.")])
    return file


def _unknown(file: _File, key: str, known: list[str]) -> UsageError:
    return UsageError(f"{file.at(key)}: unknown key `{key}`.", f"Known here: {', '.join(known)}.")


def _resolve(name: str, flags: Mapping[str, Any], environ: Mapping[str, str], file: _File) -> Value:
    setting = SETTINGS[name]
    flag = flags.get(name)
    if flag is not None and flag not in ((), []):
        return Value(_valid(setting.parse, flag, setting.flag), setting.flag)
    if setting.variable in environ and environ[setting.variable] != "":
        return Value(_valid(setting.parse, environ[setting.variable], setting.variable), setting.variable)
    table, _, key = name.partition(".")
    written = file.tables.get(table, {}).get(key)
    if written is not None:
        if setting.secret:
            raise UsageError(
                f"{file.at(key)}: `{name}` is a secret and must not stand in a file that is committed.",
                f"Set {setting.variable} instead.",
            )
        return Value(_valid(setting.parse, written, file.at(key)), file.at(key))
    if setting.also is not None and environ.get(setting.also):
        return Value(_valid(setting.parse, environ[setting.also], setting.also), setting.also)
    return Value(setting.default, "default")


def _valid(parse: Callable[[Any], Any], raw: Any, place: str) -> Any:
    try:
        return parse(raw)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{place}: {error}.", "See wscheck config for every setting and its form.") from None


def _line_of(text: str, key: str, occurrence: int = 0) -> int:
    """The 1-based line of a key or table header; 1 when it cannot be found."""
    pattern = re.compile(rf"^\s*(\[\[?\s*)?[\"']?{re.escape(key)}[\"']?\s*(=|\]|\.)", re.MULTILINE)
    hits = list(pattern.finditer(text))
    return (
        text.count("\n", 0, hits[occurrence].start(0) + len(hits[occurrence][0]) - 1) + 1
        if len(hits) > occurrence
        else 1
    )


__all__ = ["Config", "Secret", "Value", "load"]
