"""[[allow]] tables of wscheck.toml, and the baseline: a JSON report whose findings are known."""

import datetime
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from wscheck.detect.allowed_findings import finding_key
from wscheck.detect.rules import REGISTRY
from wscheck.model.allow_list import AllowEntry, FindingKey
from wscheck.model.errors import UnknownName, UsageError
from wscheck.model.findings import Finding

FORM = 'Write rule = "...", and optionally user, file, until = 2027-01-31 and reason.'


class _Baseline(msgspec.Struct):
    """The part of a JSON report that a baseline needs."""

    schema: str
    findings: list[Finding]
    allowed: list[Finding] = []


def check_rule_ids(rules: Iterable[str], place: str = "") -> None:
    """Check that every rule exists. `place` is the file and line that contains them.

    Raises:
        UnknownName: A rule does not exist.
    """
    if unknown := next((rule for rule in rules if rule not in REGISTRY), None):
        problem = f"{place}: there is no rule `{unknown}`." if place else f"There is no rule `{unknown}`."
        raise UnknownName(problem, unknown, REGISTRY, "List all: wscheck rules.")


def read_allow_entries(tables: Any, locate_key: Callable[..., str]) -> tuple[AllowEntry, ...]:
    """Return the entries of the [[allow]] tables. `locate_key(key, occurrence)` returns the file and line of a key.

    Raises:
        UsageError: An entry is invalid. The message contains its file and line.
    """
    if tables is None:
        return ()
    if not isinstance(tables, list):
        raise UsageError(f"{locate_key('allow')}: `allow` must be a list of tables.", "Write [[allow]] for each.")
    return tuple(_parse_entry(table, locate_key("allow", number)) for number, table in enumerate(tables))


def _parse_entry(table: Any, place: str) -> AllowEntry:
    if isinstance(table, dict) and (unknown := next((key for key in table if key not in _FIELDS), None)):
        raise UnknownName(f"{place}: unknown key `{unknown}`.", unknown, _FIELDS, FORM)
    if isinstance(table, dict) and isinstance(table.get("until"), datetime.datetime):
        table = {**table, "until": table["until"].date()}
    try:
        entry = msgspec.convert(table, AllowEntry)
    except msgspec.ValidationError as error:
        raise UsageError(f"{place}: {error}.", FORM) from None
    check_rule_ids([entry.rule], place)
    return entry


_FIELDS = AllowEntry.__struct_fields__


def read_baseline(path: Path) -> frozenset[FindingKey]:
    """Return the keys of all findings in a JSON report, including its allowed findings.

    A key consists of the rule, the cause and the place in the code. It identifies the same finding in another run.

    Raises:
        UsageError: The file cannot be read, or is not a report.
    """
    how = "Write one with `report.format=json=PATH`."
    try:
        report = msgspec.json.decode(path.read_bytes(), type=_Baseline)
    except OSError as error:
        raise UsageError(f"`policy.baseline` {path} cannot be read: {error.strerror}.", how) from None
    except msgspec.DecodeError as error:
        raise UsageError(f"`policy.baseline` {path} is not a report: {error}.", how) from None
    if not report.schema.startswith("wscheck."):
        raise UsageError(f"`policy.baseline` {path} has the schema {report.schema}, which is not a report's.", how)
    return frozenset(finding_key(finding) for finding in (*report.findings, *report.allowed))
