"""Texts that a hostile client could send as its id, and reports and events in which every text is one of them."""

import enum
import itertools
import re
import types
import typing
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from wscheck.model import events
from wscheck.model.comparison import CompareReport
from wscheck.model.findings import Finding
from wscheck.model.load_report import LoadReport
from wscheck.model.report import BrowserReport, LogsReport, Report, ScanReport, VerifyReport

MARKUP = (
    "[/]",
    "[admin]bob",
    "[link=http://evil.example]x[/link]",
    "[bold red on white]",
    "[[",
    "[/bold",
    "\\[red]",
    ":smile:",
    "{user}",
    "%(user)s",
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "`x`|y",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "&lt;b&gt;",
    "=1+1",
    "]]>",
    '"/><b>',
    "@everyone",
    "~~x~~ **y** _z_ # h",
)
"""Texts with a meaning for the terminal library, HTML, Markdown, XML, SARIF or a spreadsheet."""

CONTROL = (
    "a\x1b[2Jb",
    "a\x1b]0;title\x07b",
    "a\x9b31mb",
    "a\x90q\x9cb",
    "a\x85b",
    "a\x00b",
    "a\x7fb",
    "a\rb",
    "a\u202eb",
    "a\u2066b\u2069",
    "a\u061cb",
    "a\u200fb",
    "a\u200bb",
    "a\u2028b",
    "a\ufeffb",
    "a\ufffeb",
    "a\U000e0041b",
    "a\ud800b",
)
"""Texts that control a terminal, reorder or hide text, or that XML and UTF-8 forbid."""

COMMANDS = (
    "::error::pwned",
    "  ::set-output name=x::y",
    "\u3000::add-mask::a",
    "::stop-commands::x",
    "x\n::warning file=a,line=1::pwned",
    "##[error]pwned",
    "a ##[set-env name=PATH]/evil",
    "##vso[task.setvariable variable=x]y",
    "##teamcity[publishArtifacts '/etc']",
    "####[error]x",
)
"""Texts that a CI server executes when they are part of a job's output."""

TEXTS = (*MARKUP, *CONTROL, *COMMANDS)

_GITHUB_COMMANDS = (
    *("error", "warning", "notice", "debug", "add-mask", "group", "endgroup", "set-output", "save-state", "set-env"),
    *("add-path", "stop-commands", "add-matcher", "remove-matcher", "echo"),
)


def ci_commands(text: str) -> list[str]:
    """Return the lines that a CI server executes, in the words of its own parser.

    Source: actions/runner, ActionCommand.cs, TryParseV2 and TryParse; azure-pipelines-agent, Command.cs; TeamCity
    documentation, "Service Messages".
    """
    found = []
    for line in re.split(r"\r\n|\r|\n", text):
        start = line.lstrip()
        name = start[2:].partition("::")[0].split(" ")[0] if start.startswith("::") and "::" in start[2:] else ""
        if name.lower() in _GITHUB_COMMANDS or re.search(r"##(vso|teamcity)?\[", line):
            found.append(line)
    return found


def control_characters(text: str) -> set[str]:
    """Return the characters that control a terminal, or that reorder or hide text."""
    return {char for char in text if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n", "\t"}


REPORTS: tuple[type[Report], ...] = (VerifyReport, LogsReport, BrowserReport, LoadReport, CompareReport, ScanReport)

_OWN: dict[str, str | None] = {
    "schema": "wscheck.verify/1",
    "rule": "multiple-connections",
    "type": "page",
    "kind": "connected",
    "unit": "",
    "screenshot": None,
    "growth": "none",
}
"""Fields with a value of wscheck's own."""

OWN_IDS = (
    *("id", "source", "scenario", "phase", "what", "credential", "digest", "core", "fingerprint", "rules", "findings"),
)
"""Further fields, whose texts are wscheck's unless somebody forged a recording."""


@cache
def reports(texts: tuple[str, ...] = TEXTS, *, own_ids: bool = False) -> list[tuple[Report, list[events.AnyEvent]]]:
    """Return one report of each command, and its events. Every text in them is the next one of `texts`.

    With `own_ids`, the ids of wscheck are not among them.
    """
    endless = itertools.cycle(texts)
    own = {**_OWN, **dict.fromkeys(OWN_IDS, "own-id")} if own_ids else _OWN
    filled = []
    for kind in REPORTS:
        # Several findings, so that each text occurs in a message and as a user.
        findings = [fill(Finding, endless, own) for _ in texts]
        report = msgspec.structs.replace(fill(kind, endless, own), findings=findings)
        filled.append((report, [fill(each, endless, own) for each in typing.get_args(events.AnyEvent)]))
    return filled


def fill(kind: Any, texts: Iterator[str], own: dict[str, str | None], name: str = "", depth: int = 6) -> Any:
    """Return a value of the type `kind` whose texts are taken from `texts`, except in the fields `own`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if name in own and (name != "findings" or kind == list[str]):
        return [own[name]] if origin is list else (own[name],) if origin is tuple else own[name]
    if origin in (types.UnionType, typing.Union):
        return fill(next(each for each in arguments if each is not type(None)), texts, own, name, depth)
    if origin in (list, tuple):
        return origin([fill(arguments[0], texts, own, "", depth)])
    if origin is dict and name == "options":
        return {"window_s": next(texts)}
    if origin is dict:
        return {next(texts): fill(arguments[1], texts, own, "", depth)}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _filled_struct(kind, texts, own, depth)
    if kind in (str, Any):
        return next(texts)
    return {int: 3, float: 1_795_000_000.0, bool: False}[kind]


def _filled_struct(
    kind: type[msgspec.Struct], texts: Iterator[str], own: dict[str, str | None], depth: int
) -> msgspec.Struct:
    hints = typing.get_type_hints(kind)
    required = {field.name for field in msgspec.structs.fields(kind) if field.required}
    names = [name for name in (hints if depth else required) if name in kind.__struct_fields__]
    return kind(**{name: fill(hints[name], texts, own, name, depth - 1) for name in names})
